//! A door for the fuzzer: values as either side may spell them, and what a sink may say.

use super::{
    sink::Sink,
    value::{Elements, Form, Side, canonical},
};
use crate::{config::SinkConfig, fault::Fault, table::TableName};

/// The one spelling of a value, by the name of its type and of its elements'.
pub fn spelled(type_name: &str, element: &str, of_source: bool, value: &[u8]) -> Vec<u8> {
    let side = if of_source { Side::Source } else { Side::Sink };
    let elements = Elements { type_name: element.to_owned(), delimiter: ',' };
    let elements = (!element.is_empty()).then_some(&elements);
    canonical(&Form::of(type_name, elements, "json"), side, value).into_owned()
}

/// Opens a session and counts the columns of a target; none when it is not there.
pub async fn described(config: &SinkConfig, table: &TableName) -> Result<Option<usize>, Fault> {
    let columns = Sink::open(config).await?.describe(table).await?;
    Ok(columns.map(|columns| columns.len()))
}
