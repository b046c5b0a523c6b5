//! SHOW statements about the state of this cluster: table status, indexes, partitions, functions, grants; its nodes and
//! connections and `SHOW PROC` are in [`nodes`].

mod nodes;

pub(super) use self::nodes::{frontends, proc, processes};
use super::{
    SqlError,
    execute::{Outcome, Rows, database_of, find_table},
    session::Session,
    statement::{Listing, TableName},
};
use crate::{Mode, Profile, catalog::Table, clock, cluster::Cluster, grants::Object, value::Value};

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
