//! The start of a session, with its settings: one value has one text, whatever the server's defaults are.

use crate::config::SourceConfig;

/// Version 3.0 of the protocol.
const PROTOCOL: u32 = 3 << 16;

/// Makes a session one of the replication protocol, which speaks SQL too.
pub(super) const REPLICATION: &[(&str, &str)] = &[("replication", "database")];

const SETTINGS: [(&str, &str); 11] = [
    ("client_encoding", "UTF8"),
    ("client_min_messages", "warning"),
    ("search_path", ""),
    ("TimeZone", "UTC"),
    ("DateStyle", "ISO"),
    ("IntervalStyle", "iso_8601"),
    ("bytea_output", "hex"),
    ("extra_float_digits", "3"),
    ("lc_monetary", "C"),
    ("statement_timeout", "0"),
    ("idle_in_transaction_session_timeout", "0"),
];

/// The StartupMessage: it has no tag.
pub(super) fn startup_message(config: &SourceConfig, more: &[(&str, &str)]) -> Vec<u8> {
    let application = format!("dbmazz {}", config.slot);
    let own = [
        ("user", config.user.as_str()),
        ("database", config.database.as_str()),
        ("application_name", application.as_str()),
    ];
    let mut body = PROTOCOL.to_be_bytes().to_vec();
    for (name, value) in own.into_iter().chain(SETTINGS).chain(more.iter().copied()) {
        for text in [name, value] {
            // The configuration is checked for zero bytes; one here would cut the message, so it is left out.
            body.extend(text.bytes().filter(|byte| *byte != 0).chain([0]));
        }
    }
    body.push(0);
    let length = body.len() as u32 + 4;
    [&length.to_be_bytes()[..], &body].concat()
}
