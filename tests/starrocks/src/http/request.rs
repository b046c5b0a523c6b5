//! The head of a request.

use base64::{Engine, prelude::BASE64_STANDARD};

#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) method: String,
    /// Path and query, not decoded.
    pub(crate) target: String,
    /// 0 for HTTP/1.0, 1 for HTTP/1.1.
    pub(crate) minor_version: u8,
    pub(crate) headers: Vec<(String, Vec<u8>)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Credentials {
    pub(crate) user: String,
    pub(crate) password: String,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum BadCredentials {
    Absent,
    Malformed { reason: String },
}

impl Request {
    /// The value of a header without the blanks around it; bytes that are not UTF-8 are replaced.
    pub(crate) fn header(&self, name: &str) -> Option<String> {
        let (_, value) = self.headers.iter().find(|(header, _)| header.eq_ignore_ascii_case(name))?;
        Some(String::from_utf8_lossy(value).trim().to_owned())
    }

    /// The value of a header with the blanks around it, which may be significant.
    pub(crate) fn raw_header(&self, name: &str) -> Option<String> {
        let (_, value) = self.headers.iter().find(|(header, _)| header.eq_ignore_ascii_case(name))?;
        Some(String::from_utf8_lossy(value).into_owned())
    }

    pub(crate) fn path(&self) -> &str {
        self.target.split_once('?').map_or(self.target.as_str(), |(path, _)| path)
    }

    /// A query parameter, percent-decoded.
    pub(crate) fn parameter(&self, name: &str) -> Option<String> {
        let (_, query) = self.target.split_once('?')?;
        let pairs = query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        pairs.into_iter().find(|(key, _)| *key == name).map(|(_, value)| decode_percent(value))
    }

    pub(crate) fn expects_continue(&self) -> bool {
        self.header("expect").is_some_and(|value| value.eq_ignore_ascii_case("100-continue"))
    }

    pub(crate) fn content_length(&self) -> Option<u64> {
        self.header("content-length")?.parse().ok()
    }

    pub(crate) fn is_chunked(&self) -> bool {
        self.header("transfer-encoding").is_some_and(|value| value.to_ascii_lowercase().ends_with("chunked"))
    }

    pub(crate) fn wants_close(&self) -> bool {
        match self.header("connection") {
            Some(value) if value.eq_ignore_ascii_case("close") => true,
            Some(value) if value.eq_ignore_ascii_case("keep-alive") => false,
            _ => self.minor_version == 0,
        }
    }

    /// The Basic credentials; the user name is cut at `@` (§3.1).
    pub(crate) fn credentials(&self) -> Result<Credentials, BadCredentials> {
        let value = self.header("authorization").ok_or(BadCredentials::Absent)?;
        let encoded = value.strip_prefix("Basic ").ok_or(BadCredentials::Absent)?.trim();
        let decoded = BASE64_STANDARD.decode(encoded).map_err(|error| malformed(&error))?;
        let text = String::from_utf8_lossy(&decoded);
        let (user, password) = text.split_once(':').ok_or(BadCredentials::Absent)?;
        let user = user.split('@').next().unwrap_or_default();
        Ok(Credentials { user: user.to_owned(), password: password.to_owned() })
    }
}

fn malformed(error: &base64::DecodeError) -> BadCredentials {
    let reason = match error {
        base64::DecodeError::InvalidByte(_, byte) => {
            format!("invalid Base64 input character: {byte} (decimal)")
        }
        _ => "invalid Base64 input".to_owned(),
    };
    BadCredentials::Malformed { reason }
}

/// Decodes escapes such as `%20`; text that is not an escape stays as it is.
pub(crate) fn decode_percent(text: &str) -> String {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let escaped = tail.get(..2).filter(|_| first == b'%').and_then(hex_byte);
        decoded.push(escaped.unwrap_or(first));
        rest = if escaped.is_some() { tail.get(2..).unwrap_or_default() } else { tail };
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

fn hex_byte(digits: &[u8]) -> Option<u8> {
    let text =
        std::str::from_utf8(digits).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
    u8::from_str_radix(text, 16).ok()
}
