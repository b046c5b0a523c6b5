//! Session variables: the ones drivers ask for (§12.1). There is no `socket`.

use std::collections::BTreeMap;

use crate::{Profile, value::Value};

/// The variables of a new session.
pub(super) fn defaults(profile: Profile) -> BTreeMap<String, Value> {
    let release = profile.release();
    let texts = [
        ("version", profile.greeting_version()),
        ("version_comment", release),
        ("sql_mode", "ONLY_FULL_GROUP_BY"),
        ("time_zone", "UTC"),
        ("system_time_zone", "UTC"),
        ("tx_isolation", "REPEATABLE-READ"),
        ("transaction_isolation", "REPEATABLE-READ"),
        ("init_connect", ""),
        ("license", "Apache License 2.0"),
        ("character_set_client", "utf8"),
        ("character_set_connection", "utf8"),
        ("character_set_results", "utf8"),
        ("character_set_server", "utf8"),
        ("character_set_database", "utf8"),
        ("collation_connection", "utf8_general_ci"),
        ("collation_server", "utf8_general_ci"),
        ("collation_database", "utf8_general_ci"),
        ("language", "/starrocks/share/english/"),
        ("default_storage_engine", ""),
    ];
    let numbers = [
        ("max_allowed_packet", 33_554_432),
        ("wait_timeout", 28_800),
        ("interactive_timeout", 3_600),
        ("net_write_timeout", 60),
        ("net_read_timeout", 60),
        ("net_buffer_length", 16_384),
        ("lower_case_table_names", 0),
        ("auto_increment_increment", 1),
        ("query_cache_size", 1_048_576),
        ("query_cache_type", 0),
        ("query_timeout", 300),
    ];
    let switches = [("autocommit", true), ("transaction_read_only", false), ("tx_read_only", false)];
    let texts = texts.into_iter().map(|(name, text)| (name.to_owned(), Value::text(text)));
    let numbers = numbers.into_iter().map(|(name, number)| (name.to_owned(), Value::Integer(number)));
    let switches = switches.into_iter().map(|(name, value)| (name.to_owned(), Value::Boolean(value)));
    texts.chain(numbers).chain(switches).collect()
}
