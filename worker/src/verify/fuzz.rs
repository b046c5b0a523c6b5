//! A door for the fuzzer: values as either side may spell them.

use super::value::{Form, Side, canonical};

/// The one spelling of a value, by the name of its type and of its elements'.
pub fn spelled(type_name: &str, element: &str, of_source: bool, value: &[u8]) -> Vec<u8> {
    let side = if of_source { Side::Source } else { Side::Sink };
    canonical(&Form::of(type_name, element), side, value).into_owned()
}
