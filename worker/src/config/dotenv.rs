//! The file `.env`: lines `NAME=value`, as docker compose and shells write them.
//!
//! A value may be in single or double quotes; nothing is substituted in it, so a password keeps its dollar signs. The
//! environment takes precedence over the file.

use std::{collections::BTreeMap, io, path::Path};

use super::{ConfigError, file};

/// Maximum length of the file.
const LONGEST: u64 = 1 << 20;

/// Reads the file if it exists.
pub fn load(path: &Path) -> Result<BTreeMap<String, String>, ConfigError> {
    match path.metadata() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(BTreeMap::new()),
        _ => read(&file::text(".env", path, LONGEST)?),
    }
}

/// Parses the text of a `.env` file. Errors name the line and do not quote it.
pub fn read(text: &str) -> Result<BTreeMap<String, String>, ConfigError> {
    let lines = text.lines().map(str::trim).enumerate();
    lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#')).map(variable).collect()
}

fn variable((place, line): (usize, &str)) -> Result<(String, String), ConfigError> {
    let refused = || ConfigError::new(format!(".env line {}", place + 1), "must be NAME=value");
    let line = line.strip_prefix("export ").unwrap_or(line);
    let (name, text) = line.split_once('=').ok_or_else(refused)?;
    let name = name.trim();
    let valid = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    let value = value(text.trim()).filter(|_| valid).ok_or_else(refused)?;
    Ok((name.to_owned(), value))
}

fn value(text: &str) -> Option<String> {
    match text.chars().next() {
        Some(quote @ ('"' | '\'')) => {
            let (value, rest) = text[1..].split_once(quote)?;
            let rest = rest.trim();
            (rest.is_empty() || rest.starts_with('#')).then(|| value.to_owned())
        }
        // A comment needs a blank before it: `#` alone may be part of a password.
        _ => Some(text.split_once(" #").map_or(text, |(value, _)| value.trim_end()).to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_values_are_read() {
        let text =
            "# comment\n\nA=1\nexport B = two words # why\nC='a # b'\nD=\"$x\" # note\nE=\nF=a#b=c\r\n";
        let read = read(text).unwrap();
        let pairs: Vec<_> = read.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let expected =
            [("A", "1"), ("B", "two words"), ("C", "a # b"), ("D", "$x"), ("E", ""), ("F", "a#b=c")];
        assert_eq!(pairs, expected);
    }

    #[test]
    fn a_missing_file_is_empty_and_an_endless_one_is_refused() {
        assert_eq!(load(Path::new("/nowhere/.env")), Ok(BTreeMap::new()));
        let error = load(Path::new("/dev/zero")).unwrap_err().to_string();
        assert!(error.contains("is longer than"), "{error}");
    }

    #[test]
    fn a_line_that_is_no_variable_is_named_and_not_quoted() {
        for line in ["hunter2", "=hunter2", "A B=hunter2", "A='hunter2", "A='x' hunter2"] {
            let error = read(&format!("OK=1\n{line}")).unwrap_err().to_string();
            assert_eq!(error, ".env line 2: must be NAME=value", "{line}");
        }
    }
}
