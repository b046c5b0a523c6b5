//! Small files: secrets, and the job description.
//!
//! Exactly one trailing line end is removed from a secret, because editors and `echo` add one; a password that ends in
//! a line end is written with two.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

use super::ConfigError;

/// Maximum length of a secret.
pub(super) const SECRET: u64 = 64 << 10;

/// A secret's value, without the trailing line end of the file.
pub(super) fn secret(field: &str, path: &Path) -> Result<String, ConfigError> {
    let text = text(field, path, SECRET)?;
    if text.contains('\0') {
        return Err(ConfigError::new(field, "must not hold a zero byte"));
    }
    let line = text.strip_suffix('\n').map(|line| line.strip_suffix('\r').unwrap_or(line));
    Ok(line.unwrap_or(&text).to_owned())
}

/// A whole file of at most `limit` bytes.
pub(super) fn text(field: &str, path: &Path, limit: u64) -> Result<String, ConfigError> {
    let cannot = |error: io::Error| {
        ConfigError::new(field, format!("the file {} cannot be read ({})", path.display(), error.kind()))
    };
    let mut text = String::new();
    File::open(path).map_err(cannot)?.take(limit + 1).read_to_string(&mut text).map_err(cannot)?;
    if text.len() as u64 > limit {
        let problem = format!("the file {} is longer than {limit} bytes", path.display());
        return Err(ConfigError::new(field, problem));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(content: &[u8]) -> Result<String, ConfigError> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), content).unwrap();
        secret("SINK_PASSWORD_FILE", file.path())
    }

    #[test]
    fn exactly_one_line_end_is_cut_off() {
        for (content, value) in
            [("a", "a"), ("a\n", "a"), ("a\r\n", "a"), ("a\n\n", "a\n"), (" a ", " a "), ("", "")]
        {
            assert_eq!(written(content.as_bytes()).unwrap(), value, "{content:?}");
        }
    }

    #[test]
    fn a_long_file_and_one_that_is_no_text_are_refused() {
        for content in [vec![b'x'; SECRET as usize + 1], vec![0xFF], vec![b'a', 0]] {
            let error = written(&content).unwrap_err().to_string();
            assert!(error.starts_with("SINK_PASSWORD_FILE: "), "{error}");
        }
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = secret("SINK_PASSWORD_FILE", Path::new("/nowhere/secret")).unwrap_err().to_string();
        assert!(error.contains("/nowhere/secret"), "{error}");
    }
}
