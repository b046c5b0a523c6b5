//! CREATE TABLE and its checks.

use std::sync::Arc;

use super::{
    super::{
        SqlError,
        execute::{check_right, database_of, find_table},
        session::Session,
        statement::{CreateTable, TableName},
    },
    column_check::{MAX_NAME, check_columns, check_keys, same},
};
use crate::{
    Mode, Profile,
    catalog::{Column, ColumnSpec, Model, Table, TableSpec},
    cluster::Cluster,
    grants::{Object, Privilege},
    locked,
};

const MAX_COLUMNS: usize = 10_000;
pub(super) const PROPERTIES: [&str; 14] = [
    "bucket_size",
    "bloom_filter_columns",
    "colocate_with",
    "compression",
    "datacache.enable",
    "enable_persistent_index",
    "fast_schema_evolution",
    "in_memory",
    "replicated_storage",
    "replication_num",
    "storage_format",
    "storage_medium",
    "storage_cooldown_time",
    "write_quorum",
];

/// Properties that only tables in an object store have.
const DATA_PROPERTIES: [&str; 4] =
    ["datacache.partition_duration", "enable_async_write_back", "persistent_index_type", "storage_volume"];

pub(super) fn table(cluster: &Cluster, session: &Session, create: CreateTable) -> Result<(), SqlError> {
    let profile = cluster.profile();
    let database = database_of(session, create.table.database.as_ref())?;
    let name = create.table.table.clone();
    let mut catalog = locked(&cluster.catalog);
    let content =
        catalog.databases.get(&database).ok_or_else(|| SqlError::unknown_database(&database, profile))?;
    check_right(cluster, session, Privilege::CreateTable, &Object::Database(database.clone()))?;
    if name.is_empty() || name.chars().count() > MAX_NAME || name.contains('\0') {
        return Err(SqlError::bad_table_name(&name));
    }
    if content.tables.contains_key(&name) {
        return if create.if_not_exists { Ok(()) } else { Err(SqlError::table_exists(&name)) };
    }
    let spec = check(create, cluster.mode(), profile)?;
    check_backend(cluster)?;
    let id = catalog.next_id();
    if let Some(content) = catalog.databases.get_mut(&database) {
        content.tables.insert(name, Table::new(id, spec, cluster.clock.now()));
    }
    Ok(())
}

/// A table with the same columns and properties, without rows.
pub(super) fn like(
    cluster: &Cluster,
    session: &Session,
    name: &TableName,
    model: &TableName,
    if_not_exists: bool,
) -> Result<(), SqlError> {
    let profile = cluster.profile();
    let database = database_of(session, name.database.as_ref())?;
    check_right(cluster, session, Privilege::CreateTable, &Object::Database(database.clone()))?;
    let mut catalog = locked(&cluster.catalog);
    let (_, source) =
        find_table(cluster, &catalog, session, model, Some(Privilege::Select), SqlError::unknown_table)?;
    let spec = source.spec.clone();
    let content =
        catalog.databases.get(&database).ok_or_else(|| SqlError::unknown_database(&database, profile))?;
    if content.tables.contains_key(&name.table) {
        return if if_not_exists { Ok(()) } else { Err(SqlError::table_exists(&name.table)) };
    }
    check_backend(cluster)?;
    let id = catalog.next_id();
    if let Some(content) = catalog.databases.get_mut(&database) {
        content.tables.insert(name.table.clone(), Table::new(id, spec, cluster.clock.now()));
    }
    Ok(())
}

/// A table needs a live BE that has been up long enough for the FE to reach it. Both obstacles pass by themselves, and
/// both are reported as error 1064 (recording).
fn check_backend(cluster: &Cluster) -> Result<(), SqlError> {
    if cluster.online_backends() == 0 {
        return Err(SqlError::plain(
            "Table replication num should be less than or equal to the number of available backends. You can change \
             this default by setting the replication_num table properties. Current available backends: []"
                .to_owned(),
        ));
    }
    match cluster.is_backend_reachable() {
        true => Ok(()),
        false => Err(SqlError::plain(
            "Unexpected exception: org.apache.thrift.transport.TTransportException: java.net.ConnectException: \
             Connection refused; TException: Connection refused"
                .to_owned(),
        )),
    }
}

fn check(create: CreateTable, mode: Mode, profile: Profile) -> Result<TableSpec, SqlError> {
    let CreateTable { columns, keys, hash_columns, buckets, sort_columns, comment, mut properties, .. } =
        create;
    if columns.len() > MAX_COLUMNS {
        return Err(SqlError::analyzing("Table has too many columns"));
    }
    check_columns(&columns, profile)?;
    let (model, keys) = keys.unwrap_or_else(|| {
        (Model::DuplicateKeys, columns.first().map(|column| column.name.clone()).into_iter().collect())
    });
    check_keys(&columns, &keys, model, profile)?;
    let hash_columns = hash_columns.unwrap_or_else(|| keys.clone());
    for name in &hash_columns {
        if !is_among(name, &keys) && model == Model::PrimaryKeys {
            return Err(SqlError::plain(format!("Distribution column[{name}] is not key column")));
        }
    }
    if let Some(name) =
        hash_columns.iter().find(|name| !columns.iter().any(|column| same(&column.name, name)))
    {
        return Err(SqlError::plain(format!("Distribution column({name}) doesn't exist.")));
    }
    if buckets == Some(0) {
        return Err(SqlError::analyzing("Number of hash distribution should be larger than zero."));
    }
    if let Some(name) =
        sort_columns.iter().find(|name| !columns.iter().any(|column| same(&column.name, name)))
    {
        return Err(SqlError::analyzing(&format!("Unknown column '{name}' does not exist")));
    }
    let is_known =
        |name: &str| PROPERTIES.contains(&name) || (mode == Mode::Data && DATA_PROPERTIES.contains(&name));
    if let Some((name, value)) = properties.iter().find(|(name, _)| !is_known(name)) {
        return Err(SqlError::plain(format!("Unknown properties: {{{name}={value}}}")));
    }
    if mode == Mode::Nothing {
        check_replicas(properties.get("replication_num").map(String::as_str))?;
    }
    for (name, value) in default_properties(mode, profile) {
        properties.entry(name.to_owned()).or_insert_with(|| value.to_owned());
    }
    let column =
        |(place, spec): (usize, &ColumnSpec)| column_of(place, spec, is_among(&spec.name, &keys), model);
    let columns: Vec<Column> = columns.iter().enumerate().map(column).collect();
    Ok(TableSpec {
        model,
        columns: Arc::new(columns),
        hash_columns,
        buckets,
        sort_columns,
        comment,
        properties,
    })
}

fn column_of(place: usize, spec: &ColumnSpec, is_key: bool, model: Model) -> Column {
    let id = u32::try_from(place).unwrap_or(u32::MAX);
    let mut column = spec.column(id, is_key);
    if is_key && model == Model::PrimaryKeys {
        column.nullable = false;
    } else {
        column.nullable = spec.nullable.unwrap_or(true);
    }
    column
}

fn default_properties(mode: Mode, profile: Profile) -> Vec<(&'static str, &'static str)> {
    let evolves_fast = if profile.evolves_fast_by_default() { "true" } else { "false" };
    let mut properties = vec![("compression", "LZ4"), ("enable_persistent_index", "true")];
    properties.extend(match mode {
        Mode::Nothing => vec![
            ("fast_schema_evolution", evolves_fast),
            ("replicated_storage", "true"),
            ("replication_num", "3"),
        ],
        Mode::Data => vec![
            ("datacache.enable", "true"),
            ("enable_async_write_back", "false"),
            ("persistent_index_type", "CLOUD_NATIVE"),
            ("replication_num", "1"),
            ("storage_volume", "builtin_storage_volume"),
        ],
    });
    properties
}

fn is_among(name: &str, names: &[String]) -> bool {
    names.iter().any(|other| same(name, other))
}

/// There is one BE. Without the property the table asks for three replicas.
fn check_replicas(wanted: Option<&str>) -> Result<(), SqlError> {
    match wanted {
        Some("1") => Ok(()),
        Some(_) => Err(SqlError::analyzing(
            "Table replication num should be less than of equal to the number of available BE nodes. You can change \
             this default by setting the replication_num table properties. Current alive backend is [10001].",
        )),
        None => Err(SqlError::plain(
            "Table replication num should be less than or equal to the number of available backends. You can change \
             this default by setting the replication_num table properties. Current available backends: [10001], \
             replication_num=3, default_replication_num=3"
                .to_owned(),
        )),
    }
}
