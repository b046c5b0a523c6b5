//! SHOW statements with the same answer for all users; drivers and tools send these first.

use super::statement::Listing;

/// The listing that `SHOW what` asks for.
pub(super) fn named(what: &str) -> Option<&'static Listing> {
    Some(match what {
        "ENGINES" => &ENGINES,
        "COLLATION" => &COLLATION,
        "CHARACTER" | "CHAR" | "CHARSET" => &CHARSET,
        "WARNINGS" | "ERRORS" => &WARNINGS,
        "STATUS" => &STATUS,
        "EVENTS" => &EVENTS,
        "TRIGGERS" => &TRIGGERS,
        "PROCEDURE" | "FUNCTION" => &ROUTINES,
        "OPEN" => &OPEN_TABLES,
        "PLUGINS" => &PLUGINS,
        "PRIVILEGES" => &PRIVILEGES,
        "CATALOGS" => &CATALOGS,
        "ROLES" => &ROLES,
        "MATERIALIZED" => &VIEWS,
        _ => return None,
    })
}

/// Jobs that build another table from one: there are none.
pub(super) const OTHER_JOBS: Listing = Listing { fields: &["JobId", "TableName", "State"], rows: &[] };

/// `SHOW ENGINES`.
const ENGINES: Listing = Listing {
    fields: &["Engine", "Support", "Comment", "Transactions", "XA", "Savepoints"],
    rows: &[
        &["OLAP", "YES", "Default storage engine of StarRocks", "NO", "NO", "NO"],
        &["MySQL", "YES", "MySQL server which data is in it", "NO", "NO", "NO"],
        &["ELASTICSEARCH", "YES", "ELASTICSEARCH cluster which data is in it", "NO", "NO", "NO"],
        &["HIVE", "YES", "HIVE database which data is in it", "NO", "NO", "NO"],
        &["ICEBERG", "YES", "ICEBERG data lake which data is in it", "NO", "NO", "NO"],
    ],
};

/// `SHOW COLLATION`.
const COLLATION: Listing = Listing {
    fields: &["Collation", "Charset", "Id", "Default", "Compiled", "Sortlen"],
    rows: &[
        &["utf8_general_ci", "utf8", "33", "Yes", "Yes", "1"],
        &["binary", "binary", "63", "Yes", "Yes", "1"],
        &["gbk_chinese_ci", "gbk", "28", "Yes", "Yes", "1"],
    ],
};

/// `SHOW CHARACTER SET`.
const CHARSET: Listing = Listing {
    fields: &["Charset", "Description", "Default collation", "Maxlen"],
    rows: &[&["utf8", "UTF-8 Unicode", "utf8_general_ci", "3"]],
};

/// `SHOW WARNINGS`: always empty.
const WARNINGS: Listing = Listing { fields: &["Level", "Code", "Message"], rows: &[] };

/// `SHOW STATUS`.
const STATUS: Listing = Listing { fields: &["Variable_name", "Value"], rows: &[] };

/// `SHOW EVENTS`.
const EVENTS: Listing = Listing {
    fields: &[
        "Db",
        "Name",
        "Definer",
        "Time",
        "Type",
        "Execute at",
        "Interval value",
        "Interval field",
        "Status",
        "Ends",
        "Status",
        "Originator",
        "character_set_client",
        "collation_connection",
        "Database Collation",
    ],
    rows: &[],
};

/// `SHOW TRIGGERS`.
const TRIGGERS: Listing = Listing {
    fields: &[
        "Trigger",
        "Event",
        "Table",
        "Statement",
        "Timing",
        "Created",
        "sql_mode",
        "Definer",
        "character_set_client",
        "collation_connection",
        "Database Collation",
    ],
    rows: &[],
};

/// `SHOW PROCEDURE STATUS` and `SHOW FUNCTION STATUS`.
const ROUTINES: Listing = Listing {
    fields: &[
        "Db",
        "Name",
        "Type",
        "Definer",
        "Modified",
        "Created",
        "Security_type",
        "Comment",
        "character_set_client",
        "collation_connection",
        "Database Collation",
    ],
    rows: &[],
};

/// `SHOW OPEN TABLES`.
const OPEN_TABLES: Listing = Listing { fields: &["Database", "Table", "In_use", "Name_locked"], rows: &[] };

/// `SHOW PLUGINS`.
const PLUGINS: Listing = Listing {
    fields: &[
        "Name",
        "Type",
        "Description",
        "Version",
        "JavaVersion",
        "ClassName",
        "SoName",
        "Sources",
        "Status",
        "Properties",
    ],
    rows: &[],
};

/// `SHOW PRIVILEGES`.
const PRIVILEGES: Listing = Listing { fields: &["Privilege", "Context", "Comment"], rows: &[] };

/// `SHOW CATALOGS`.
const CATALOGS: Listing = Listing {
    fields: &["Catalog", "Type", "Comment"],
    rows: &[&[
        "default_catalog",
        "Internal",
        "An internal catalog contains this cluster's self-managed tables.",
    ]],
};

/// `SHOW ROLES`.
const ROLES: Listing = Listing {
    fields: &["Name", "Builtin", "Comment"],
    rows: &[
        &["cluster_admin", "true", "built-in cluster administration role"],
        &["db_admin", "true", "built-in database administration role"],
        &["public", "true", "built-in public role which is owned by any user"],
        &["root", "true", "built-in root role which has all privileges on all objects"],
        &["security_admin", "true", "built-in security administration role"],
        &["user_admin", "true", "built-in user administration role"],
    ],
};

/// `SHOW MATERIALIZED VIEWS`.
const VIEWS: Listing = Listing {
    fields: &[
        "id",
        "database_name",
        "name",
        "refresh_type",
        "is_active",
        "inactive_reason",
        "partition_type",
        "task_id",
        "task_name",
        "last_refresh_start_time",
        "last_refresh_finished_time",
        "last_refresh_duration",
        "last_refresh_state",
        "last_refresh_force_refresh",
        "last_refresh_start_partition",
        "last_refresh_end_partition",
        "last_refresh_base_refresh_partitions",
        "last_refresh_mv_refresh_partitions",
        "last_refresh_error_code",
        "last_refresh_error_message",
        "rows",
        "text",
        "extra_message",
        "query_rewrite_status",
        "creator",
        "last_refresh_process_time",
        "last_refresh_job_id",
    ],
    rows: &[],
};
