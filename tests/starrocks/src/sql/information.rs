//! Descriptions of tables: DESC, SHOW COLUMNS, SHOW CREATE TABLE, `information_schema` (§12.5).

use super::{execute::Rows, session::Session};
use crate::{
    Profile,
    catalog::{Catalog, Column, Model, SqlType, Table, TypeNames},
    clock,
    cluster::Cluster,
    grants::Object,
    value::Value,
};

pub(super) const TABLES: [&str; 3] = ["columns", "tables", "tables_config"];

fn text(text: &str) -> Value {
    Value::text(text)
}

fn yes_no(value: bool) -> Value {
    text(if value { "YES" } else { "NO" })
}

pub(super) fn describe(table: &Table, profile: Profile) -> Rows {
    let row = |column: &Column| {
        vec![
            text(&column.name),
            Value::text(column.sql_type.print(TypeNames::Describe, profile)),
            yes_no(column.nullable),
            text(if column.is_key { "true" } else { "false" }),
            column.printed_default().map_or(Value::Null, text),
            text(""),
        ]
    };
    let rows = table.columns().iter().map(row).collect();
    Rows::of_text(&["Field", "Type", "Null", "Key", "Default", "Extra"], rows)
}

pub(super) fn columns_of(table: &Table, is_full: bool, profile: Profile) -> Rows {
    let row = |column: &Column| {
        let sql_type = Value::text(column.sql_type.print(TypeNames::Describe, profile));
        let default = column.printed_default().map_or(Value::Null, text);
        let (nullable, key) = (yes_no(column.nullable), yes_no(column.is_key));
        if is_full {
            let comment = text(&column.comment);
            vec![text(&column.name), sql_type, text(""), nullable, key, default, text(""), text(""), comment]
        } else {
            vec![text(&column.name), sql_type, nullable, key, default, text("")]
        }
    };
    let rows = table.columns().iter().map(row).collect();
    if is_full {
        let names =
            ["Field", "Type", "Collation", "Null", "Key", "Default", "Extra", "Privileges", "Comment"];
        return Rows::of_text(&names, rows);
    }
    Rows::of_text(&["Field", "Type", "Null", "Key", "Default", "Extra"], rows)
}

pub(super) fn create_table(name: &str, table: &Table, profile: Profile) -> Rows {
    let row = vec![text(name), Value::text(create_statement(name, table, profile))];
    Rows::of_text(&["Table", "Create Table"], vec![row])
}

fn create_statement(name: &str, table: &Table, profile: Profile) -> String {
    let spec = &table.spec;
    let columns: Vec<String> = table.columns().iter().map(|column| column_line(column, profile)).collect();
    let keys: Vec<String> = table.keys().map(|column| column.name.clone()).collect();
    let model = if spec.model == Model::PrimaryKeys { "PRIMARY" } else { "DUPLICATE" };
    let mut lines = format!(
        "CREATE TABLE `{name}` (\n{}\n) ENGINE=OLAP \n{model} KEY({})\n",
        columns.join(",\n"),
        quote(&keys)
    );
    if !spec.comment.is_empty() {
        lines.push_str(&format!("COMMENT \"{}\"\n", spec.comment));
    }
    lines.push_str(&format!("DISTRIBUTED BY HASH({})", quote(&spec.hash_columns)));
    lines.push_str(&spec.buckets.map_or("\n".to_owned(), |buckets| format!(" BUCKETS {buckets} \n")));
    if !spec.sort_columns.is_empty() {
        lines.push_str(&format!("ORDER BY({})\n", quote(&spec.sort_columns)));
    }
    let properties = spec.properties.iter().map(|(name, value)| format!("\"{name}\" = \"{value}\""));
    lines + &format!("PROPERTIES (\n{}\n);", properties.collect::<Vec<_>>().join(",\n"))
}

fn quote(names: &[String]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

fn column_line(column: &Column, profile: Profile) -> String {
    let sql_type = column.sql_type.print(TypeNames::Create, profile);
    let null = if column.nullable { "NULL" } else { "NOT NULL" };
    let default = match column.printed_default() {
        Some("CURRENT_TIMESTAMP") => " DEFAULT CURRENT_TIMESTAMP".to_owned(),
        Some(default) => format!(" DEFAULT \"{default}\""),
        None => String::new(),
    };
    format!("  `{}` {sql_type} {null}{default} COMMENT \"{}\"", column.name, column.comment)
}

pub(super) fn backends(cluster: &Cluster) -> Rows {
    let names = [
        "BackendId",
        "IP",
        "HeartbeatPort",
        "BePort",
        "HttpPort",
        "BrpcPort",
        "LastStartTime",
        "LastHeartbeat",
        "Alive",
    ];
    let now = clock::print_seconds(cluster.clock.now());
    let port = cluster.be_port.get().copied().unwrap_or_default().to_string();
    let alive = if cluster.online_backends() > 0 { "true" } else { "false" };
    let row = ["10001", &cluster.options.advertise, "9050", "9060", &port, "8060", &now, &now, alive];
    Rows::of_text(&names, vec![row.into_iter().map(text).collect()])
}

/// A table of `information_schema`.
pub(super) fn schema_table(cluster: &Cluster, session: &Session, name: &str) -> Option<Rows> {
    let catalog = cluster.catalog_of(session.frontend);
    let is_visible = |(database, name, _): &(&String, &String, &Table)| {
        cluster.may(&session.user, None, &Object::Table((*database).clone(), (*name).clone()))
    };
    let tables: Vec<_> = all_tables(&catalog).filter(is_visible).collect();
    match name.to_lowercase().as_str() {
        "tables" => {
            Some(rows_of(&TABLE_FIELDS, tables.iter().map(|(db, name, table)| table_row(db, name, table))))
        }
        "columns" => {
            let rows = tables.iter().flat_map(|(db, name, table)| {
                let row = |(place, column)| column_row(db, name, place, column, cluster.profile());
                table.columns().iter().enumerate().map(row).collect::<Vec<_>>()
            });
            Some(rows_of(&COLUMN_FIELDS, rows))
        }
        "tables_config" => {
            Some(rows_of(&CONFIG_FIELDS, tables.iter().map(|(db, name, table)| config_row(db, name, table))))
        }
        _ => None,
    }
}

fn all_tables(catalog: &Catalog) -> impl Iterator<Item = (&String, &String, &Table)> {
    let databases = catalog.databases.iter();
    databases.flat_map(|(db, content)| content.tables.iter().map(move |(name, table)| (db, name, table)))
}

fn rows_of(fields: &[(&str, SqlType)], rows: impl Iterator<Item = Vec<Value>>) -> Rows {
    let fields = fields.iter().map(|(name, sql_type)| ((*name).to_owned(), sql_type.clone())).collect();
    Rows { fields, rows: rows.collect() }
}

const TEXT: SqlType = SqlType::Varchar(64);

const TABLE_FIELDS: [(&str, SqlType); 21] = [
    ("TABLE_CATALOG", TEXT),
    ("TABLE_SCHEMA", TEXT),
    ("TABLE_NAME", TEXT),
    ("TABLE_TYPE", TEXT),
    ("ENGINE", TEXT),
    ("VERSION", SqlType::BigInt),
    ("ROW_FORMAT", TEXT),
    ("TABLE_ROWS", SqlType::BigInt),
    ("AVG_ROW_LENGTH", SqlType::BigInt),
    ("DATA_LENGTH", SqlType::BigInt),
    ("MAX_DATA_LENGTH", SqlType::BigInt),
    ("INDEX_LENGTH", SqlType::BigInt),
    ("DATA_FREE", SqlType::BigInt),
    ("AUTO_INCREMENT", SqlType::BigInt),
    ("CREATE_TIME", SqlType::DateTime),
    ("UPDATE_TIME", SqlType::DateTime),
    ("CHECK_TIME", SqlType::DateTime),
    ("TABLE_COLLATION", TEXT),
    ("CHECKSUM", SqlType::BigInt),
    ("CREATE_OPTIONS", TEXT),
    ("TABLE_COMMENT", TEXT),
];

fn table_row(database: &str, name: &str, table: &Table) -> Vec<Value> {
    let time = Value::text(clock::print_seconds(table.created_millis));
    let rows = Value::Integer(table.rows.len() as i128);
    vec![
        text("def"),
        text(database),
        text(name),
        text("BASE TABLE"),
        text("StarRocks"),
        Value::Null,
        text(""),
        rows,
        Value::Integer(0),
        Value::Integer(0),
        Value::Null,
        Value::Null,
        Value::Null,
        Value::Null,
        time.clone(),
        time,
        Value::Null,
        text("utf8_general_ci"),
        Value::Null,
        text(""),
        text(&table.spec.comment),
    ]
}

const COLUMN_FIELDS: [(&str, SqlType); 24] = [
    ("TABLE_CATALOG", TEXT),
    ("TABLE_SCHEMA", TEXT),
    ("TABLE_NAME", TEXT),
    ("COLUMN_NAME", TEXT),
    ("ORDINAL_POSITION", SqlType::BigInt),
    ("COLUMN_DEFAULT", TEXT),
    ("IS_NULLABLE", TEXT),
    ("DATA_TYPE", TEXT),
    ("CHARACTER_MAXIMUM_LENGTH", SqlType::BigInt),
    ("CHARACTER_OCTET_LENGTH", SqlType::BigInt),
    ("NUMERIC_PRECISION", SqlType::BigInt),
    ("NUMERIC_SCALE", SqlType::BigInt),
    ("DATETIME_PRECISION", SqlType::BigInt),
    ("CHARACTER_SET_NAME", TEXT),
    ("COLLATION_NAME", TEXT),
    ("COLUMN_TYPE", TEXT),
    ("COLUMN_KEY", TEXT),
    ("EXTRA", TEXT),
    ("PRIVILEGES", TEXT),
    ("COLUMN_COMMENT", TEXT),
    ("COLUMN_SIZE", SqlType::BigInt),
    ("DECIMAL_DIGITS", SqlType::BigInt),
    ("GENERATION_EXPRESSION", TEXT),
    ("SRS_ID", SqlType::BigInt),
];

fn column_row(database: &str, table: &str, place: usize, column: &Column, profile: Profile) -> Vec<Value> {
    let length = column.sql_type.max_bytes().map_or(Value::Null, |bytes| Value::Integer(bytes as i128));
    let (precision, scale) = numeric_size(&column.sql_type);
    let number = |number: Option<i128>| number.map_or(Value::Null, Value::Integer);
    let size = if length.is_null() { number(precision) } else { length.clone() };
    vec![
        text("def"),
        text(database),
        text(table),
        text(&column.name),
        Value::Integer(place as i128 + 1),
        column.printed_default().map_or(Value::Null, text),
        yes_no(column.nullable),
        text(column.sql_type.data_type()),
        length.clone(),
        length,
        number(precision),
        number(scale),
        Value::Null,
        Value::Null,
        Value::Null,
        Value::text(column.sql_type.print(TypeNames::Information, profile)),
        text(if column.is_key { "PRI" } else { "" }),
        text(""),
        text(""),
        text(&column.comment),
        size,
        number(scale),
        text(""),
        Value::Null,
    ]
}

fn numeric_size(sql_type: &SqlType) -> (Option<i128>, Option<i128>) {
    match sql_type {
        SqlType::TinyInt => (Some(3), Some(0)),
        SqlType::SmallInt => (Some(5), Some(0)),
        SqlType::Int => (Some(10), Some(0)),
        SqlType::BigInt => (Some(19), Some(0)),
        SqlType::LargeInt => (Some(39), Some(0)),
        SqlType::Float => (Some(7), Some(7)),
        SqlType::Double => (Some(15), Some(15)),
        SqlType::Decimal { precision, scale } => (Some(i128::from(*precision)), Some(i128::from(*scale))),
        _ => (None, None),
    }
}

const CONFIG_FIELDS: [(&str, SqlType); 12] = [
    ("TABLE_SCHEMA", TEXT),
    ("TABLE_NAME", TEXT),
    ("TABLE_ENGINE", TEXT),
    ("TABLE_MODEL", TEXT),
    ("PRIMARY_KEY", TEXT),
    ("PARTITION_KEY", TEXT),
    ("DISTRIBUTE_KEY", TEXT),
    ("DISTRIBUTE_TYPE", TEXT),
    ("DISTRIBUTE_BUCKET", SqlType::Int),
    ("SORT_KEY", TEXT),
    ("PROPERTIES", TEXT),
    ("TABLE_ID", SqlType::BigInt),
];

fn config_row(database: &str, name: &str, table: &Table) -> Vec<Value> {
    let spec = &table.spec;
    let keys: Vec<String> = table.keys().map(|column| column.name.clone()).collect();
    let is_primary = spec.model == Model::PrimaryKeys;
    let properties = spec.properties.iter().map(|(name, value)| format!("\"{name}\":\"{value}\""));
    let sort = if spec.sort_columns.is_empty() { &keys } else { &spec.sort_columns };
    vec![
        text(database),
        text(name),
        text("OLAP"),
        text(if is_primary { "PRIMARY_KEYS" } else { "DUP_KEYS" }),
        Value::text(if is_primary { quote(&keys) } else { String::new() }),
        text(""),
        Value::text(quote(&spec.hash_columns)),
        text("HASH"),
        Value::Integer(spec.buckets.unwrap_or(0).into()),
        Value::text(quote(sort)),
        Value::text(format!("{{{}}}", properties.collect::<Vec<_>>().join(","))),
        Value::Integer(table.id.into()),
    ]
}
