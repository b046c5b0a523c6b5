//! SHOW statements about the state of this cluster: table status, indexes, partitions, connections, functions, grants,
//! `SHOW PROC`.

use super::{
    SqlError,
    execute::{Outcome, Rows, database_of, find_table},
    session::Session,
    statement::{Listing, TableName},
};
use crate::{
    Mode, Profile,
    catalog::{Database, Table},
    clock,
    cluster::Cluster,
    grants::Object,
    value::Value,
};

fn text(text: &str) -> Value {
    Value::text(text)
}

fn number(number: u64) -> Value {
    Value::Integer(number.into())
}

pub(super) fn fixed(listing: &Listing) -> Rows {
    let row = |row: &&[&str]| row.iter().map(|value| text(value)).collect();
    Rows::of_text(listing.fields, listing.rows.iter().map(row).collect())
}

const STATUS_FIELDS: [&str; 18] = [
    "Name",
    "Engine",
    "Version",
    "Row_format",
    "Rows",
    "Avg_row_length",
    "Data_length",
    "Max_data_length",
    "Index_length",
    "Data_free",
    "Auto_increment",
    "Create_time",
    "Update_time",
    "Check_time",
    "Collation",
    "Checksum",
    "Create_options",
    "Comment",
];

pub(super) fn table_status(
    cluster: &Cluster,
    session: &Session,
    database: Option<&String>,
) -> Result<Rows, SqlError> {
    let database = database_of(session, database)?;
    let catalog = cluster.catalog_of(session.frontend);
    let content = catalog.databases.get(&database);
    let content = content.ok_or_else(|| SqlError::unknown_database(&database, cluster.profile()))?;
    let is_visible = |(name, _): &(&String, &Table)| {
        cluster.may(&session.user, None, &Object::Table(database.clone(), (*name).clone()))
    };
    let rows = content.tables.iter().filter(is_visible).map(|(name, table)| status_row(name, table));
    Ok(Rows::of_text(&STATUS_FIELDS, rows.collect()))
}

fn status_row(name: &str, table: &Table) -> Vec<Value> {
    let null = Value::Null;
    vec![
        text(name),
        text("StarRocks"),
        null.clone(),
        text(""),
        number(table.rows.len() as u64),
        number(0),
        number(0),
        null.clone(),
        null.clone(),
        null.clone(),
        null.clone(),
        Value::text(clock::print_seconds(table.created_millis)),
        Value::text(clock::print_seconds(table.created_millis)),
        null.clone(),
        text("utf8_general_ci"),
        null,
        text(""),
        text(&table.spec.comment),
    ]
}

const INDEX_FIELDS: [&str; 12] = [
    "Table",
    "Non_unique",
    "Key_name",
    "Seq_in_index",
    "Column_name",
    "Collation",
    "Cardinality",
    "Sub_part",
    "Packed",
    "Null",
    "Index_type",
    "Comment",
];

/// Always empty: StarRocks does not list the primary key here, and this server has no other indexes.
pub(super) fn indexes(_table: &Table) -> Rows {
    Rows::of_text(&INDEX_FIELDS, Vec::new())
}

const PARTITION_FIELDS: [&str; 22] = [
    "PartitionId",
    "PartitionName",
    "VisibleVersion",
    "VisibleVersionTime",
    "VisibleVersionHash",
    "State",
    "PartitionKey",
    "Range",
    "DistributionKey",
    "Buckets",
    "ReplicationNum",
    "StorageMedium",
    "CooldownTime",
    "LastConsistencyCheckTime",
    "DataSize",
    "StorageSize",
    "IsInMemory",
    "RowCount",
    "DataVersion",
    "VersionEpoch",
    "VersionTxnType",
    "TabletBalanced",
];

/// A table has one partition, with the table's name. TRUNCATE creates a new partition, while the table keeps its id.
pub(super) fn partitions(
    cluster: &Cluster,
    session: &Session,
    name: &TableName,
) -> Result<Outcome, SqlError> {
    let catalog = cluster.catalog_of(session.frontend);
    let (_, table) = find_table(cluster, &catalog, session, name, None, SqlError::unknown_table)?;
    let id = table.id + 1 + (table.epoch << 32);
    let version = table.version.to_string();
    let time = clock::print_seconds(table.created_millis);
    let keys = table.spec.hash_columns.join(", ");
    let buckets = table.spec.buckets.unwrap_or(1).to_string();
    let replicas = table.spec.properties.get("replication_num").map_or("1", String::as_str);
    let row: [&str; 22] = [
        &id.to_string(),
        &name.table,
        &version,
        &time,
        "0",
        "NORMAL",
        "",
        "",
        &keys,
        &buckets,
        replicas,
        "HDD",
        "9999-12-31 23:59:59",
        "NULL",
        "0B",
        "0B",
        "false",
        &table.rows.len().to_string(),
        &version,
        &version,
        "TXN_NORMAL",
        "true",
    ];
    let count = partition_fields(cluster.profile());
    let fields: Vec<&str> = PARTITION_FIELDS.into_iter().take(count).collect();
    let row = row.into_iter().take(count).map(text).collect();
    Ok(Outcome::Rows(Rows::of_text(&fields, vec![row])))
}

fn partition_fields(profile: Profile) -> usize {
    if profile >= Profile::V4_0 { PARTITION_FIELDS.len() } else { PARTITION_FIELDS.len() - 1 }
}

const PROCESS_FIELDS: [&str; 15] = [
    "ServerName",
    "Id",
    "User",
    "Host",
    "Db",
    "Command",
    "ConnectionStartTime",
    "Time",
    "State",
    "Info",
    "IsPending",
    "Warehouse",
    "CNGroup",
    "Catalog",
    "QueryId",
];

/// The connections of all users; this server shows them to every user.
pub(super) fn processes(cluster: &Cluster, session: &Session) -> Rows {
    let now = cluster.clock.now();
    let row = |connection: &crate::cluster::Connected| {
        let is_own = connection.id == session.connection;
        let seconds = u64::try_from((now - connection.since_millis) / 1000).unwrap_or(0);
        let info = connection.statement.as_deref().unwrap_or_default();
        let state = if is_own { "OK" } else { "EOF" };
        vec![
            text(&format!("{}_9010", cluster.options.advertise)),
            number(connection.id.into()),
            text(&connection.user),
            text(&connection.client),
            text(session.database.as_deref().filter(|_| is_own).unwrap_or_default()),
            text(if info.is_empty() { "Sleep" } else { "Query" }),
            Value::text(clock::print_seconds(connection.since_millis)),
            number(seconds),
            text(state),
            text(info),
            text("false"),
            text("default_warehouse"),
            text(""),
            text("default_catalog"),
            text(""),
        ]
    };
    let rows: Vec<Vec<Value>> = cluster.connected().iter().map(row).collect();
    let (first, last) = process_fields(cluster.profile());
    let cut = |row: Vec<Value>| row.into_iter().take(last).skip(first).collect();
    let fields: Vec<&str> = PROCESS_FIELDS.into_iter().take(last).skip(first).collect();
    Rows::of_text(&fields, rows.into_iter().map(cut).collect())
}

/// Later versions have added columns at both ends of the row.
fn process_fields(profile: Profile) -> (usize, usize) {
    match profile {
        Profile::V3_2 | Profile::V3_3 => (1, 11),
        Profile::V3_4 | Profile::V3_5 => (0, 13),
        _ => (0, 15),
    }
}

pub(super) fn functions(
    cluster: &Cluster,
    session: &Session,
    database: Option<&String>,
    is_full: bool,
) -> Result<Rows, SqlError> {
    let database = database_of(session, database)?;
    if !cluster.catalog_of(session.frontend).databases.contains_key(&database) {
        return Err(SqlError::unknown_database(&database, cluster.profile()));
    }
    let full = ["Signature", "Return Type", "Function Type", "Intermediate Type", "Properties"];
    let fields: &[&str] = if is_full { &full } else { &["Function Name"] };
    Ok(Rows::of_text(fields, Vec::new()))
}

pub(super) fn create_database(cluster: &Cluster, session: &Session, name: &str) -> Result<Rows, SqlError> {
    if !cluster.catalog_of(session.frontend).databases.contains_key(name) {
        return Err(SqlError::unknown_database(name, cluster.profile()));
    }
    let mut statement = format!("CREATE DATABASE `{name}`");
    if cluster.mode() == Mode::Data {
        statement.push_str("\nPROPERTIES (\"storage_volume\" = \"builtin_storage_volume\")");
    }
    Ok(Rows::of_text(&["Database", "Create Database"], vec![vec![text(name), Value::text(statement)]]))
}

/// Lists only the role of `root`; grants of other users are not listed.
pub(super) fn grants(session: &Session) -> Rows {
    let user = format!("'{}'@'%'", session.user.name);
    let role = if session.user.name == "root" { "root" } else { "public" };
    let grant = format!("GRANT '{role}' TO {user}");
    let row = vec![Value::text(user), Value::Null, Value::text(grant)];
    Rows::of_text(&["UserIdentity", "Catalog", "Grants"], vec![row])
}

pub(super) fn frontends(cluster: &Cluster) -> Rows {
    let fields = [
        "Id",
        "Name",
        "IP",
        "EditLogPort",
        "HttpPort",
        "QueryPort",
        "RpcPort",
        "Role",
        "ClusterId",
        "Join",
        "Alive",
        "ReplayedJournalId",
        "LastHeartbeat",
        "IsHelper",
        "ErrMsg",
        "StartTime",
        "Version",
    ];
    let now = clock::print_seconds(cluster.clock.now());
    let ports = cluster.fe_ports.get().cloned().unwrap_or_default();
    let row = |(place, port): (usize, u16)| {
        let host = cluster.options.advertise.as_str();
        let role = if cluster.is_leader(place) { "LEADER" } else { "FOLLOWER" };
        let (id, port) = ((place + 1).to_string(), port.to_string());
        let row = [
            &id,
            host,
            host,
            "9010",
            &port,
            "9030",
            "9020",
            role,
            "1",
            "true",
            "true",
            "1",
            &now,
            "true",
            "",
            &now,
            cluster.profile().release(),
        ];
        row.into_iter().map(text).collect()
    };
    Rows::of_text(&fields, ports.into_iter().enumerate().map(row).collect())
}

/// Serves `/dbs`, `/dbs/ID` and the nodes; the other paths have no rows.
pub(super) fn proc(
    cluster: &Cluster,
    session: &Session,
    path: &str,
    backends: impl FnOnce() -> Rows,
) -> Result<Rows, SqlError> {
    let catalog = cluster.catalog_of(session.frontend);
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let unknown = || SqlError::plain(format!("Proc path '{path}' doesn't exist"));
    match parts.as_slice() {
        ["backends"] => Ok(backends()),
        ["frontends"] => Ok(frontends(cluster)),
        ["dbs"] => {
            let row = |(name, content): (&String, &Database)| {
                let count = content.tables.len() as u64;
                vec![
                    number(content.id),
                    text(name),
                    number(count),
                    text("8388608.000 TB"),
                    text("NULL"),
                    text("9223372036854775807"),
                ]
            };
            let fields = ["DbId", "DbName", "TableNum", "Quota", "LastConsistencyCheckTime", "ReplicaQuota"];
            Ok(Rows::of_text(&fields, catalog.databases.iter().map(row).collect()))
        }
        ["dbs", id] => {
            let content = catalog.databases.values().find(|content| content.id.to_string() == **id);
            let content = content.ok_or_else(unknown)?;
            let row = |(name, table): (&String, &Table)| {
                let id = number(table.id);
                vec![
                    id,
                    text(name),
                    number(1),
                    text(""),
                    number(1),
                    text("NORMAL"),
                    text("OLAP"),
                    text("NULL"),
                    number(1),
                    text("UNPARTITIONED"),
                    Value::Null,
                ]
            };
            let fields = [
                "TableId",
                "TableName",
                "IndexNum",
                "PartitionColumnName",
                "PartitionNum",
                "State",
                "Type",
                "LastConsistencyCheckTime",
                "ReplicaCount",
                "PartitionType",
                "StoragePath",
            ];
            Ok(Rows::of_text(&fields, content.tables.iter().map(row).collect()))
        }
        _ => Err(unknown()),
    }
}
