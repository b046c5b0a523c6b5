//! The start of a session with its settings, so that a value has one text, whatever the server's defaults are.
//!
//! The settings are read back once per session, because poolers answer the start of a session themselves and may not
//! apply the settings.

use std::io;

use bytes::BytesMut;
use postgres_protocol::message::frontend;

use super::answer::Row;
use crate::config::SourceConfig;

/// Requests a session of the replication protocol, which accepts SQL too.
pub(super) const REPLICATION: &[(&str, &str)] = &[("replication", "database")];

/// Settings of every session. They take precedence over those of the role and of the database.
const SETTINGS: [(&str, &str); 16] = [
    ("client_encoding", "UTF8"),
    ("client_min_messages", "warning"),
    ("search_path", ""),
    ("TimeZone", "UTC"),
    ("DateStyle", "ISO"),
    ("IntervalStyle", "iso_8601"),
    ("bytea_output", "hex"),
    ("extra_float_digits", "3"),
    ("lc_monetary", "C"),
    // Defaults and types are read as the server writes them.
    ("standard_conforming_strings", "on"),
    ("quote_all_identifiers", "off"),
    // Rows that a policy hides cause an error, instead of being left out.
    ("row_security", "off"),
    ("default_transaction_read_only", "off"),
    ("default_transaction_isolation", "read committed"),
    ("statement_timeout", "0"),
    ("idle_in_transaction_session_timeout", "0"),
];

/// They end the session of a worker that is gone, and with it the lock on the slot, after about a minute. Not every
/// platform of a server has them, so they are not read back.
const KEEPALIVES: [(&str, &str); 3] =
    [("tcp_keepalives_idle", "30"), ("tcp_keepalives_interval", "10"), ("tcp_keepalives_count", "3")];

/// Servers refuse a startup message with a setting that their version does not have, so these are set after it.
const WHERE_KNOWN: [&str; 2] = ["transaction_timeout", "idle_session_timeout"];

/// The encoding of a database whose texts are bytes without an encoding.
const NO_ENCODING: &str = "SQL_ASCII";

pub(super) fn startup_message(
    config: &SourceConfig,
    more: &[(&str, &str)],
    into: &mut BytesMut,
) -> io::Result<()> {
    let application = format!("dbmazz {}", config.slot);
    let own = [
        ("user", config.user.as_str()),
        ("database", config.database.as_str()),
        ("application_name", application.as_str()),
    ];
    let all = own.into_iter().chain(SETTINGS).chain(KEEPALIVES).chain(more.iter().copied());
    frontend::startup_message(all, into)
}

/// Sets the settings that only some versions have, and reads all settings back as names and values.
pub(super) fn question() -> String {
    let list = |names: &mut dyn Iterator<Item = &str>| {
        names.map(|name| format!("'{name}'")).collect::<Vec<_>>().join(", ")
    };
    let later = list(&mut WHERE_KNOWN.into_iter());
    let early = list(&mut SETTINGS.into_iter().map(|(name, _)| name).chain(["server_encoding"]));
    format!(
        "SELECT name, CASE WHEN name IN ({later}) THEN pg_catalog.set_config(name, '0', false) ELSE setting END \
         FROM pg_catalog.pg_settings WHERE name IN ({later}, {early})"
    )
}

/// Describes the first setting that was requested and that the session does not have.
pub(super) fn ignored(answer: &[Row]) -> Option<String> {
    let asked = SETTINGS.into_iter().chain(WHERE_KNOWN.map(|name| (name, "0")));
    let found = |name: &str| answer.iter().find(|row| row.text(0) == name).map(|row| row.text(1).to_owned());
    asked.filter_map(|(name, value)| Some((name, value, found(name)?))).find_map(|(name, value, found)| {
        let is_it = found == value || (name == "DateStyle" && found.starts_with("ISO,"));
        (!is_it).then(|| format!("{name} is {found:?}, and {value:?} was requested"))
    })
}

/// Whether the database has no encoding: its texts come without conversion only if UTF-8 is not requested.
pub(super) fn has_no_encoding(answer: &[Row]) -> bool {
    answer.iter().any(|row| row.text(0) == "server_encoding" && row.text(1) == NO_ENCODING)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(changed: &[(&str, &str)]) -> Vec<Row> {
        let changed_to =
            |name: &str| changed.iter().find(|(other, _)| *other == name).map(|(_, value)| *value);
        let rows = SETTINGS.into_iter().chain([("transaction_timeout", "0"), ("server_encoding", "UTF8")]);
        rows.map(|(name, value)| Row::of(&[name, changed_to(name).unwrap_or(value)])).collect()
    }

    #[test]
    fn a_session_that_is_as_it_was_asked_to_be_is_taken() {
        assert_eq!(ignored(&answer(&[])), None);
        assert_eq!(ignored(&answer(&[("DateStyle", "ISO, DMY")])), None);
    }

    #[test]
    fn a_setting_that_was_swallowed_is_named() {
        for (name, _) in SETTINGS.into_iter().chain([("transaction_timeout", "0")]) {
            let found = ignored(&answer(&[(name, "other")])).unwrap();
            assert!(found.starts_with(&format!("{name} is \"other\"")), "{found}");
        }
        assert!(ignored(&answer(&[("DateStyle", "SQL, ISO,")])).is_some());
    }

    #[test]
    fn a_database_without_an_encoding_is_known_by_its_word() {
        assert!(!has_no_encoding(&answer(&[])));
        assert!(has_no_encoding(&answer(&[("server_encoding", "SQL_ASCII")])));
    }
}
