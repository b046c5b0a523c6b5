//! `SINK_URL`: the StarRocks frontend as `host`, `host:port` or `http://host[:port]`.
//!
//! Errors never quote it: it may contain a password.

use super::{ConfigError, limits};

const VARIABLE: &str = "SINK_URL";
const DEFAULT_PORT: u16 = 8030;

/// Host and HTTP port of the frontend.
pub(super) fn read(url: &str) -> Result<(String, u16), ConfigError> {
    let url = url.trim();
    let authority = match url.split_once("://") {
        None => url,
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => rest,
        Some((scheme, _)) if scheme.eq_ignore_ascii_case("https") => {
            return Err(refused(
                "https to StarRocks is not in this version; use http inside a trusted network",
            ));
        }
        Some(_) => return Err(refused("must be host, host:port or http://host:port")),
    };
    let authority = authority.strip_suffix('/').unwrap_or(authority);
    if authority.contains('@') {
        return Err(refused("must not contain a user; set SINK_USER and SINK_PASSWORD"));
    }
    let (host, port) = split(authority)?;
    let port = port.map_or(Ok(DEFAULT_PORT), |port| limits::number(VARIABLE, port, limits::PORT));
    let port = port.map_err(|_| refused("must have a port from 1 to 65535 after the colon"))?;
    Ok((limits::host(VARIABLE, host)?, port))
}

/// The host without brackets, and the port as text.
pub(super) fn split(authority: &str) -> Result<(&str, Option<&str>), ConfigError> {
    let Some(bracketed) = authority.strip_prefix('[') else {
        return Ok(match authority.rsplit_once(':') {
            // More than one colon: an IPv6 address without brackets, which cannot be followed by a port.
            Some((host, port)) if !host.contains(':') => (host, Some(port)),
            _ => (authority, None),
        });
    };
    let (host, rest) = bracketed.split_once(']').ok_or_else(|| refused("must close its bracket"))?;
    match rest.strip_prefix(':') {
        Some(port) => Ok((host, Some(port))),
        None if rest.is_empty() => Ok((host, None)),
        None => Err(refused("must have only a port after the bracket")),
    }
}

fn refused(problem: &str) -> ConfigError {
    ConfigError::new(VARIABLE, problem)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_a_frontend_is_read() {
        for (url, host, port) in [
            ("fe", "fe", 8030),
            ("fe:18030", "fe", 18030),
            ("http://fe", "fe", 8030),
            ("HTTP://fe:80/", "fe", 80),
            (" fe.analytics.svc ", "fe.analytics.svc", 8030),
            ("[::1]", "::1", 8030),
            ("http://[fe80::1]:8031", "fe80::1", 8031),
            ("::1", "::1", 8030),
        ] {
            assert_eq!(read(url), Ok((host.to_owned(), port)), "{url}");
        }
    }

    #[test]
    fn anything_else_is_refused_without_being_quoted() {
        for url in [
            "",
            "http://",
            "ftp://fe",
            "fe:",
            "fe:0",
            "fe:65536",
            "fe:x",
            "fe/path",
            "fe?x",
            "[::1",
            "[::1]x",
            "root:hunter2@fe",
            "http://root:hunter2@fe:8030",
            "hunter2 fe",
        ] {
            let error = read(url).unwrap_err().to_string();
            assert!(error.starts_with("SINK_URL: ") && !error.contains("hunter2"), "{url}: {error}");
        }
    }

    #[test]
    fn https_is_refused_in_a_sentence_of_its_own() {
        let error = read("https://fe:8030").unwrap_err().to_string();
        assert!(error.contains("https to StarRocks is not in this version"), "{error}");
    }
}
