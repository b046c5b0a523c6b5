//! SHOW statements about the nodes of the cluster and their connections, and `SHOW PROC`.

use super::{
    super::{SqlError, execute::Rows, session::Session},
    number, text,
};
use crate::{
    Profile,
    catalog::{Database, Table},
    clock,
    cluster::Cluster,
    value::Value,
};

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
pub(in crate::sql) fn processes(cluster: &Cluster, session: &Session) -> Rows {
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

pub(in crate::sql) fn frontends(cluster: &Cluster) -> Rows {
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
pub(in crate::sql) fn proc(
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
