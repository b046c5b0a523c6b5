//! Finds duplicate keys in an object: `json` keeps both, and which one StarRocks keeps is not defined.

use xxhash_rust::xxh3::xxh3_64;

use crate::starrocks::encode::problem::Problem;

/// Checks every object of well-formed JSON.
pub(super) fn check_keys(text: &[u8]) -> Result<(), Problem> {
    let (mut open, mut hashes) = (Vec::new(), Vec::new());
    let mut rest = text;
    while let Some((byte, after)) = rest.split_first() {
        rest = match byte {
            b'{' => {
                open.push(hashes.len());
                after
            }
            b'}' => {
                close(&mut open, &mut hashes)?;
                after
            }
            b'"' => {
                let (string, after) = split_string(rest)?;
                if after.trim_ascii_start().starts_with(b":") {
                    hashes.push(hash(string)?);
                }
                after
            }
            _ => after,
        };
    }
    Ok(())
}

/// Checks the innermost object, whose keys are the last in `hashes` because the objects within it have been closed.
fn close(open: &mut Vec<usize>, hashes: &mut Vec<u64>) -> Result<(), Problem> {
    let first = open.pop().ok_or(Problem::NotJson)?;
    let keys = hashes.get_mut(first..).unwrap_or_default();
    keys.sort_unstable();
    let twice = keys.array_windows().any(|[one, other]| one == other);
    hashes.truncate(first);
    if twice { Err(Problem::JsonKeyTwice) } else { Ok(()) }
}

/// Splits off the string at the beginning of the text, including its quotes.
fn split_string(text: &[u8]) -> Result<(&[u8], &[u8]), Problem> {
    let mut end = 1;
    loop {
        let special = text.get(end..).and_then(|rest| memchr::memchr2(b'"', b'\\', rest));
        end += special.ok_or(Problem::NotJson)?;
        if text[end] == b'"' {
            return Ok(text.split_at(end + 1));
        }
        end += 2;
    }
}

/// Hash of an unescaped key, because escapes give one key several spellings.
fn hash(string: &[u8]) -> Result<u64, Problem> {
    if memchr::memchr(b'\\', string).is_none() {
        return Ok(xxh3_64(string.get(1..string.len() - 1).unwrap_or_default()));
    }
    // An escape that is not a character is a problem of its own.
    let plain = serde_json::from_slice::<String>(string).map_err(|_| Problem::JsonEscape)?;
    Ok(xxh3_64(plain.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_comes_twice_only_within_one_object() {
        for (text, twice) in [
            (r#"{"a": 1, "b": 2}"#, false),
            (r#"{"a": 1, "a": 1}"#, true),
            (r#"{"a" : 1, "\u0061" : 1}"#, true),
            (r#"{"a": {"a": 1}, "b": {"a": 1}}"#, false),
            (r#"[{"a": 1}, {"a": 1}]"#, false),
            (r#"{"b": {"a": 1}, "c": 0, "b": 2}"#, true),
            (r#"{"a": "a", "b": "b", "c": ["a", "a"]}"#, false),
            (r#"{"{\"a\":1,\"a\"": 1}"#, false),
            (r#"{"": 1, "": 2}"#, true),
            (r#"{"\\": 1, "\"": 2}"#, false),
            ("[]", false),
        ] {
            let expected = if twice { Err(Problem::JsonKeyTwice) } else { Ok(()) };
            assert_eq!(check_keys(text.as_bytes()), expected, "{text}");
        }
    }
}
