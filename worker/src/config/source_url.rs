//! `SOURCE_URL`: `postgres://user:password@host:port/database?sslmode=…&sslrootcert=…`.
//!
//! Parsed as by libpq, with two differences. Without `sslmode` the connection is not encrypted, as always with dbmazz;
//! and `allow` and `prefer` are refused, because with them the network, not the user, decides whether the password is
//! sent in clear text. Errors never quote the URL: any part of it may belong to a password that was not
//! percent-encoded.

use std::path::PathBuf;

use percent_encoding::percent_decode_str;

use super::{ConfigError, Secret, TlsConfig, TlsMode, limits, sink_url};

const VARIABLE: &str = "SOURCE_URL";
const DEFAULT_PORT: u16 = 5432;

/// Ignored parameters: the worker sets its own values, or always does what they ask.
const WITHOUT_EFFECT: [&str; 8] = [
    "replication",
    "application_name",
    "connect_timeout",
    "keepalives",
    "keepalives_idle",
    "keepalives_interval",
    "keepalives_count",
    "tcp_user_timeout",
];

/// The parts of a source URL.
#[derive(Debug)]
pub(super) struct SourceUrl {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) database: String,
    pub(super) user: String,
    pub(super) password: Option<Secret>,
    pub(super) tls: TlsConfig,
}

pub(super) fn read(url: &str) -> Result<SourceUrl, ConfigError> {
    let rest = url.trim().strip_prefix("postgres://").or_else(|| url.trim().strip_prefix("postgresql://"));
    let rest = rest.ok_or_else(|| refused("must begin with postgres://"))?;
    let (rest, parameters) = rest.split_once('?').unwrap_or((rest, ""));
    let (authority, database) = rest.split_once('/').unwrap_or((rest, ""));
    let problem = "must have a user before the host; percent-encode / ? and # in user and password";
    let (account, server) = authority.rsplit_once('@').ok_or_else(|| refused(problem))?;
    let (user, password) = account.split_once(':').map_or((account, None), |(user, word)| (user, Some(word)));
    let user = decoded(user)?;
    let (host, port) = server_of(server)?;
    // As libpq: the database defaults to the user's name.
    let database = if database.is_empty() { user.clone() } else { decoded(database)? };
    Ok(SourceUrl {
        host,
        port,
        database: named(&database)?,
        user: named(&user)?,
        password: password.map(decoded).transpose()?.map(Secret::new),
        tls: tls(parameters)?,
    })
}

fn server_of(server: &str) -> Result<(String, u16), ConfigError> {
    let place = "must have one host, then a colon and a port from 1 to 65535, then a slash and the database";
    let (host, port) = sink_url::split(server).map_err(|_| refused(place))?;
    let host = limits::host(VARIABLE, &decoded(host)?).map_err(|_| refused(place))?;
    let port = port.filter(|port| !port.is_empty());
    let port = port.map_or(Ok(DEFAULT_PORT), |port| limits::number(VARIABLE, port, limits::PORT));
    Ok((host, port.map_err(|_| refused(place))?))
}

fn named(text: &str) -> Result<String, ConfigError> {
    limits::identifier(VARIABLE, text)
        .map_err(|_| refused("must have a user and a database of 1 to 63 bytes without control characters"))
}

fn tls(parameters: &str) -> Result<TlsConfig, ConfigError> {
    let (mut mode, mut authority) = (None, None);
    for parameter in parameters.split('&').filter(|parameter| !parameter.is_empty()) {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        match name {
            "sslmode" => mode = Some(tls_mode(&decoded(value)?)?),
            "sslrootcert" => authority = Some(decoded(value)?).filter(|path| !path.is_empty()),
            name if WITHOUT_EFFECT.contains(&name) => {}
            name => return Err(unknown(name)),
        }
    }
    let mode = mode.unwrap_or(TlsMode::Disable);
    match (mode, authority.as_deref()) {
        (TlsMode::Require, Some("system")) => Err(refused("sslrootcert=system needs sslmode=verify-full")),
        (_, None | Some("system")) => Ok(TlsConfig { mode, ca_file: None }),
        // As libpq: a named certificate authority means that the certificate is verified.
        (TlsMode::Require, Some(path)) => {
            Ok(TlsConfig { mode: TlsMode::VerifyCA, ca_file: Some(PathBuf::from(path)) })
        }
        (TlsMode::Disable, Some(_)) => Err(refused("sslrootcert needs sslmode=verify-ca or verify-full")),
        (_, Some(path)) => Ok(TlsConfig { mode, ca_file: Some(PathBuf::from(path)) }),
    }
}

fn tls_mode(mode: &str) -> Result<TlsMode, ConfigError> {
    match mode {
        "disable" => Ok(TlsMode::Disable),
        "require" => Ok(TlsMode::Require),
        "verify-ca" => Ok(TlsMode::VerifyCA),
        "verify-full" => Ok(TlsMode::VerifyFull),
        "allow" | "prefer" => Err(refused(
            "sslmode=allow and sslmode=prefer leave encryption to chance; use disable, require, verify-ca or verify-full",
        )),
        _ => Err(refused("sslmode must be disable, require, verify-ca or verify-full")),
    }
}

fn unknown(name: &str) -> ConfigError {
    let word = name.len() <= 40 && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    match word {
        true => refused(&format!("the parameter {name} is not supported; remove it")),
        false => {
            refused("has a parameter that is not supported; percent-encode / ? and # in user and password")
        }
    }
}

fn decoded(text: &str) -> Result<String, ConfigError> {
    let problem =
        "must be percent-encoded UTF-8: % is followed by two hexadecimal digits, not both of them 0";
    percent_decoded(text).ok_or_else(|| refused(problem))
}

fn percent_decoded(text: &str) -> Option<String> {
    // The library leaves a % that is followed by anything else as it is.
    let is_escape =
        |rest: &str| rest.get(..2).is_some_and(|two| two.bytes().all(|byte| byte.is_ascii_hexdigit()));
    text.split('%').skip(1).all(is_escape).then_some(())?;
    let plain = percent_decode_str(text).decode_utf8().ok()?;
    (!plain.contains('\0')).then(|| plain.into_owned())
}

fn refused(problem: &str) -> ConfigError {
    ConfigError::new(VARIABLE, problem)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(url: &str) -> (String, u16, String, String, Option<String>) {
        let SourceUrl { host, port, database, user, password, tls: _ } = read(url).unwrap();
        (host, port, database, user, password.map(|password| password.reveal().to_owned()))
    }

    #[test]
    fn every_part_of_a_url_is_read() {
        for (url, host, port, database, user, password) in [
            ("postgres://u:p@h:5433/d?replication=database", "h", 5433, "d", "u", Some("p")),
            ("postgresql://u:p@h/d", "h", 5432, "d", "u", Some("p")),
            ("postgres://u@h", "h", 5432, "u", "u", None),
            ("postgres://u:@h/", "h", 5432, "u", "u", Some("")),
            ("postgres://u:p@[::1]:6000/d", "::1", 6000, "d", "u", Some("p")),
            ("postgres://u:p@[fe80::1]/d", "fe80::1", 5432, "d", "u", Some("p")),
            ("postgres://u:p@h:/d", "h", 5432, "d", "u", Some("p")),
            (
                "postgres://a%40b:p%3A%2F%3F%23%25%20%C3%A4+@h/my%20db",
                "h",
                5432,
                "my db",
                "a@b",
                Some("p:/?#% ä+"),
            ),
            ("postgres://u:p@ss:w@rd@h/d", "h", 5432, "d", "u", Some("p@ss:w@rd")),
            ("postgres://u:p#s\ts[@h/d", "h", 5432, "d", "u", Some("p#s\ts[")),
        ] {
            let expected = (host.into(), port, database.into(), user.into(), password.map(str::to_owned));
            assert_eq!(parts(url), expected, "{url}");
        }
    }

    #[test]
    fn tls_follows_sslmode_and_sslrootcert() {
        for (parameters, mode, file) in [
            ("", TlsMode::Disable, None),
            ("sslmode=disable", TlsMode::Disable, None),
            ("replication=database&sslmode=require&connect_timeout=10", TlsMode::Require, None),
            ("sslmode=verify-ca", TlsMode::VerifyCA, None),
            ("sslmode=verify-full", TlsMode::VerifyFull, None),
            ("sslmode=require&sslrootcert=%2Fetc%2Fca.pem", TlsMode::VerifyCA, Some("/etc/ca.pem")),
            ("sslrootcert=/etc/ca.pem&sslmode=verify-full", TlsMode::VerifyFull, Some("/etc/ca.pem")),
            ("sslmode=verify-full&sslrootcert=system", TlsMode::VerifyFull, None),
        ] {
            let tls = read(&format!("postgres://u:p@h/d?{parameters}")).unwrap().tls;
            assert_eq!((tls.mode, tls.ca_file), (mode, file.map(PathBuf::from)), "{parameters}");
        }
    }

    #[test]
    fn anything_else_is_refused_without_being_quoted() {
        for url in [
            "",
            "hunter2",
            "mysql://u:hunter2@h/d",
            "postgres://",
            "postgres://h/d",
            "postgres://:hunter2@h/d",
            "postgres://u:hunter2@/d",
            "postgres://u:hunter2@h:0/d",
            "postgres://u:hunter2@h:port/d",
            "postgres://u:hunter2@h1,h2/d",
            "postgres://u:hunter2@%2Fvar%2Frun/d",
            "postgres://u:hunter2@[::1/d",
            "postgres://u:hunter2@[::1]x/d",
            "postgres://u:hunter2%@h/d",
            "postgres://u:hunter2%zz@h/d",
            "postgres://u:hunter2%4@h/d",
            "postgres://u:hunter2%+4@h/d",
            "postgres://u:hunter2%%41@h/d",
            "postgres://u:hunter2%ä@h/d",
            "postgres://u:hunter2%00@h/d",
            "postgres://u:hunter2%ff@h/d",
            "postgres://u:x/hunter2@h/d",
            "postgres://u:x?hunter2@h/d",
            "postgres://u:p@h/d?hunter2@x",
            "postgres://u:p@h/d?sslmode=prefer",
            "postgres://u:p@h/d?sslmode=allow",
            "postgres://u:p@h/d?sslmode=hunter2",
            "postgres://u:p@h/d?sslcert=x",
            "postgres://u:p@h/d?sslrootcert=/ca",
            "postgres://u:p@h/d?sslmode=require&sslrootcert=system",
        ] {
            let error = read(url).unwrap_err().to_string();
            assert!(error.starts_with("SOURCE_URL: ") && !error.contains("hunter2"), "{url}: {error}");
        }
    }

    #[test]
    fn an_unknown_parameter_is_named() {
        let error = read("postgres://u:p@h/d?sslcert=/etc/client.pem").unwrap_err().to_string();
        assert!(error.contains("sslcert"), "{error}");
    }
}
