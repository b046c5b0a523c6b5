//! Session variables: those that drivers and users read or set (§12.1). There is no variable `socket`.

use std::collections::BTreeMap;

use super::SqlError;
use crate::{Profile, value::Value};

/// Variables that users set and that change nothing here.
const MORE_TEXTS: [(&str, &str); 14] = [
    ("catalog", "default_catalog"),
    ("sql_dialect", "StarRocks"),
    ("storage_engine", "olap"),
    ("default_tmp_storage_engine", ""),
    ("event_scheduler", "OFF"),
    ("resource_group", ""),
    ("sql_mode_v2", "32"),
    ("spill_mode", "auto"),
    ("streaming_preaggregation_mode", "auto"),
    ("partial_update_mode", "auto"),
    ("warehouse", "default_warehouse"),
    ("load_transmission_compression_type", "NO_COMPRESSION"),
    ("transmission_compression_type", "AUTO"),
    ("thrift_plan_protocol", "binary"),
];
const MORE_NUMBERS: [(&str, i128); 29] = [
    ("auto_increment_offset", 1),
    ("batch_size", 1_024),
    ("cbo_max_reorder_node", 50),
    ("chunk_size", 4_096),
    ("connector_io_tasks_per_scan_operator", 16),
    ("div_precision_increment", 4),
    ("exec_mem_limit", 2_147_483_648),
    ("group_concat_max_len", 1_024),
    ("innodb_lock_wait_timeout", 0),
    ("insert_max_filter_ratio", 0),
    ("insert_timeout", 14_400),
    ("load_mem_limit", 0),
    ("max_execution_time", 0),
    ("max_parallel_scan_instance_num", -1),
    ("new_planner_optimize_timeout", 3_000),
    ("parallel_exchange_instance_num", -1),
    ("parallel_fragment_exec_instance_num", 1),
    ("performance_schema", 0),
    ("pipeline_dop", 0),
    ("pipeline_profile_level", 1),
    ("pipeline_sink_dop", 0),
    ("query_delivery_timeout", 300),
    ("query_mem_limit", 0),
    ("query_queue_pending_timeout_second", 300),
    ("runtime_profile_report_interval", 10),
    ("spill_mem_limit_threshold", 0),
    ("sql_select_limit", 9_223_372_036_854_775_807),
    ("statistic_collect_parallel", 1),
    ("tx_visible_wait_timeout", 10),
];
const MORE_SWITCHES: [&str; 25] = [
    "cbo_enable_low_cardinality_optimize",
    "disable_colocate_join",
    "disable_join_reorder",
    "disable_streaming_preaggregations",
    "enable_adaptive_sink_dop",
    "enable_insert_strict",
    "enable_load_profile",
    "enable_local_shuffle_agg",
    "enable_materialized_view_rewrite",
    "enable_pipeline_engine",
    "enable_profile",
    "enable_query_cache",
    "enable_query_dump",
    "enable_sort_aggregate",
    "enable_spill",
    "enable_strict_type",
    "force_streaming_aggregate",
    "forward_to_leader",
    "innodb_read_only",
    "is_report_success",
    "profiling",
    "query_cache_wlock_invalidate",
    "sql_auto_is_null",
    "sql_safe_updates",
    "sql_quote_show_create",
];

/// Variables that only the server itself can set.
const READ_ONLY: [&str; 6] =
    ["version", "version_comment", "license", "language", "system_time_zone", "lower_case_table_names"];

/// Variables that can only be set globally.
const GLOBAL: [&str; 1] = ["init_connect"];

/// Checks whether a variable may be set to a value: unknown names and values of a wrong type are refused.
pub(super) fn check(
    known: &BTreeMap<String, Value>,
    name: &str,
    is_global: bool,
    value: &Value,
) -> Result<(), SqlError> {
    let Some(old) = known.get(name) else { return Err(SqlError::unknown_variable(name)) };
    if READ_ONLY.contains(&name) {
        return Err(SqlError::read_only_variable(name));
    }
    if GLOBAL.contains(&name) && !is_global {
        return Err(SqlError::global_variable(name));
    }
    let text = String::from_utf8_lossy(&value.print(true).unwrap_or_default()).to_lowercase();
    let is_default = text == "default" || value.is_null();
    let is_switch = ["on", "off", "true", "false", "1", "0"].contains(&text.as_str());
    match old {
        Value::Boolean(_) if !is_default && !is_switch => Err(SqlError::wrong_variable_type(name)),
        Value::Integer(_) if !is_default && text.parse::<f64>().is_err() => {
            Err(SqlError::wrong_variable_type(name))
        }
        _ if name == "time_zone" && !is_default && !is_zone(&text) => Err(SqlError::unknown_time_zone(&text)),
        _ => Ok(()),
    }
}

fn is_zone(text: &str) -> bool {
    let is_offset = text.starts_with(['+', '-']) && text.contains(':');
    is_offset || ["cst", "system"].contains(&text) || jiff::tz::TimeZone::get(text).is_ok()
}

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
    let texts = texts.into_iter().chain(MORE_TEXTS).map(|(name, text)| (name.to_owned(), Value::text(text)));
    let numbers = numbers
        .into_iter()
        .chain(MORE_NUMBERS)
        .map(|(name, number)| (name.to_owned(), Value::Integer(number)));
    let switches = switches
        .into_iter()
        .chain(MORE_SWITCHES.map(|name| (name, false)))
        .map(|(name, value)| (name.to_owned(), Value::Boolean(value)));
    texts.chain(numbers).chain(switches).collect()
}
