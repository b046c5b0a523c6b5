//! How much of somebody else's words can be repeated.

const LONGEST_QUOTE: usize = 200;
/// After these, StarRocks may go on with a value or a whole row.
const VALUES_FOLLOW: [&str; 7] = ["{", "Row:", "row:", "Value '", "value '", "String '", "Decimal '"];

/// The part of a server's text that can be shown: short, on one line, without row values.
pub(in crate::starrocks) fn quotable(text: &str) -> String {
    let end = VALUES_FOLLOW.iter().filter_map(|mark| text.find(mark)).min().unwrap_or(text.len());
    let plain = text[..end].chars().map(|letter| if letter.is_control() { ' ' } else { letter });
    let short: String = plain.take(LONGEST_QUOTE).collect();
    short.trim().trim_end_matches('.').to_owned()
}

/// An error with what caused it.
pub(in crate::starrocks) fn with_cause(error: &dyn std::error::Error) -> String {
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
        ] {
            assert_eq!(quotable(text), shown);
        }
        assert_eq!(quotable(&"x".repeat(500)).len(), LONGEST_QUOTE);
    }
}
