//! Entry points for the fuzzer: values in the form of either side, and the answers of a sink.

use super::{
    form::{Elements, Form, Side},
    sink::Sink,
    value::canonical,
};
use crate::{config::SinkConfig, fault::Fault, table::TableName};

/// The canonical form of a value, by the names of its type and of its elements' type.
pub fn spelled(type_name: &str, element: &str, of_source: bool, value: &[u8]) -> Vec<u8> {
    let side = if of_source { Side::Source } else { Side::Sink };
    let elements = Elements { type_name: element.to_owned(), delimiter: ',' };
    let elements = (!element.is_empty()).then_some(&elements);
    canonical(&Form::of(type_name, elements, "json"), side, value).into_owned()
}

/// Opens a session and counts the columns of a target; `None` when it does not exist.
pub async fn described(config: &SinkConfig, table: &TableName) -> Result<Option<usize>, Fault> {
    let columns = Sink::open(config).await?.describe(table).await?;
    Ok(columns.map(|columns| columns.len()))
}
