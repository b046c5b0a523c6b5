//! The plain way: a string for each value, a map of rows by key, and a library that writes JSON.

use std::collections::HashMap;

use serde_json::{Map, Value};

use crate::stream::NAMES;

pub(crate) type Row = Vec<Option<String>>;

const ENVELOPE: usize = 1 + 4 + 25;

/// Every message is looked at; of the inserts, each value becomes a string.
pub(crate) fn decode(mut frames: &[u8]) -> Vec<Row> {
    let mut rows = Vec::new();
    while let Some((&length, _)) = frames.get(1..).and_then(|rest| rest.split_first_chunk()) {
        let (frame, rest) = frames.split_at(1 + u32::from_be_bytes(length) as usize);
        frames = rest;
        let message = &frame[ENVELOPE..];
        if message.first() == Some(&b'I') {
            rows.push(row(&message[8..]));
        }
    }
    rows
}

fn row(mut values: &[u8]) -> Row {
    let mut row = Vec::new();
    while let Some((_, rest)) = values.split_first() {
        let (length, rest) = rest.split_first_chunk().expect("a length");
        let (text, rest) = rest.split_at(u32::from_be_bytes(*length) as usize);
        row.push(Some(str::from_utf8(text).expect("text").to_owned()));
        values = rest;
    }
    row
}

pub(crate) fn gather(rows: Vec<Row>) -> HashMap<String, Row> {
    let keyed = rows.into_iter().map(|row| (row[0].clone().expect("a key"), row));
    keyed.collect()
}

/// The worker's two columns of its own are written here, too.
pub(crate) fn encode(rows: &HashMap<String, Row>) -> Vec<u8> {
    let mut body = Vec::new();
    for row in rows.values() {
        let values =
            NAMES.iter().zip(row).map(|(name, value)| ((*name).to_owned(), json(name, value.as_deref())));
        let mut object: Map<_, _> = values.collect();
        object.insert("dbmazz_op_type".to_owned(), 0.into());
        object.insert("dbmazz_cdc_version".to_owned(), 9.into());
        object.insert("dbmazz_is_deleted".to_owned(), false.into());
        object.insert("dbmazz_synced_at".to_owned(), "1970-01-01 00:00:00".into());
        serde_json::to_writer(&mut body, &object).expect("memory takes everything");
        body.push(b'\n');
    }
    body
}

fn json(name: &str, value: Option<&str>) -> Value {
    let Some(text) = value else { return Value::Null };
    match name {
        "id" | "account" => text.parse::<i64>().map_or(Value::Null, Value::from),
        "active" => Value::from(text == "t"),
        _ => Value::from(text),
    }
}
