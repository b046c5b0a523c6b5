//! The token that every command must carry.

use std::path::PathBuf;

use super::{ConfigError, Secret, file};

const VALUE: &str = "DBMAZZ_CONTROL_TOKEN";
const FILE: &str = "DBMAZZ_CONTROL_TOKEN_FILE";
/// Minimum length: a shorter token could be guessed.
const SHORTEST: usize = 16;

/// The source of the token: the environment, or a file that may change at any time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ControlToken {
    Value(Secret),
    File(PathBuf),
}

impl ControlToken {
    /// Reads the two variables, of which at most one may be set.
    pub(super) fn named(vars: &impl Fn(&str) -> Option<String>) -> Result<Option<Self>, ConfigError> {
        let text = |name: &str| vars(name).filter(|text| !text.is_empty());
        match (text(VALUE), text(FILE)) {
            (Some(_), Some(_)) => Err(ConfigError::new(FILE, format!("must be absent when {VALUE} is set"))),
            (Some(value), None) => checked(VALUE, value).map(|token| Some(Self::Value(token))),
            (None, Some(path)) => Ok(Some(Self::File(path.into()))),
            (None, None) => Ok(None),
        }
    }

    /// The current token: a file is read on every call, so that a changed token needs no restart.
    pub fn current(&self) -> Result<Secret, ConfigError> {
        match self {
            Self::Value(token) => Ok(token.clone()),
            Self::File(path) => checked(FILE, file::secret(FILE, path)?),
        }
    }
}

fn checked(field: &str, token: String) -> Result<Secret, ConfigError> {
    let problem = format!("must hold at least {SHORTEST} bytes");
    let is_long = token.len() >= SHORTEST;
    is_long.then(|| Secret::new(token)).ok_or_else(|| ConfigError::new(field, problem))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(pairs: &[(&str, &str)]) -> Result<Option<ControlToken>, ConfigError> {
        let find =
            |name: &str| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
        ControlToken::named(&find)
    }

    #[test]
    fn a_token_comes_by_value_or_by_file_and_never_by_both() {
        let value = "0123456789abcdef";
        assert_eq!(named(&[]), Ok(None));
        assert_eq!(named(&[(VALUE, value)]), Ok(Some(ControlToken::Value(Secret::new(value)))));
        assert_eq!(named(&[(FILE, "/t")]), Ok(Some(ControlToken::File("/t".into()))));
        assert!(named(&[(FILE, "/t"), (VALUE, value)]).is_err());
        assert!(named(&[(VALUE, "short")]).is_err());
    }

    #[test]
    fn a_file_is_read_anew_and_an_empty_one_is_no_token() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let token = ControlToken::File(file.path().to_owned());
        assert!(token.current().is_err(), "an empty file");
        for content in ["0123456789abcdef", "fedcba9876543210"] {
            std::fs::write(file.path(), format!("{content}\n")).unwrap();
            assert_eq!(token.current().unwrap().reveal(), content);
        }
    }
}
