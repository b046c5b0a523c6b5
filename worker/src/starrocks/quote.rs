//! Cuts messages of StarRocks so that they can be quoted without row values.

const LONGEST_QUOTE: usize = 200;
/// After these, a message of StarRocks may contain a value or a whole row.
const VALUES_FOLLOW: [&str; 9] =
    ["{", "Row:", "row:", "Value '", "value '", "value: ", "Value: ", "String '", "Decimal '"];
/// Wraps the error of a transaction over several tables.
const ERROR_FOLLOWS: &str = "error_msg{";

/// The part of a server's message that can be shown: short, on one line, without row values.
pub(crate) fn quotable(text: &str) -> String {
    let text = text.split_once(ERROR_FOLLOWS).map_or(text, |(_, error)| error.trim_end_matches('}'));
    let end = VALUES_FOLLOW.iter().filter_map(|mark| text.find(mark)).min().unwrap_or(text.len());
    let plain = text[..end].chars().map(|letter| if letter.is_control() { ' ' } else { letter });
    let short: String = plain.take(LONGEST_QUOTE).collect();
    short.trim().trim_end_matches('.').to_owned()
}

/// An error with its chain of causes.
pub(crate) fn with_cause(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quote_ends_before_a_rows_values() {
        for (text, shown) in [
            ("Value '4711' is out of range. The type of 'c' is INT", ""),
            ("illegal json: {\"name\":\"Ada\"}", "illegal json:"),
            ("Error: x. Row: [1, 2]", "Error: x"),
            ("two\nlines.", "two lines"),
            ("X: STREAM_LOAD_TASK:7, label{l}, error_msg{disk is full}", "disk is full"),
            ("X: STREAM_LOAD_TASK:7, label{l}, error_msg{bad row: {\"name\":\"Ada\"}}", "bad"),
        ] {
            assert_eq!(quotable(text), shown);
        }
        assert_eq!(quotable(&"x".repeat(500)).len(), LONGEST_QUOTE);
    }
}
