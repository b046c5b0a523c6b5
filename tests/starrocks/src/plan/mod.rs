//! The plan of a load: what it does with each row, decided before its body is read (§4.1).

mod assigned;
mod columns;
mod filter;
mod rows;

use columns::{Item, parse_columns};
use filter::Filter;
pub(crate) use rows::{Converted, convert_body};

use crate::{
    be::{Framing, LoadHeaders},
    catalog::{Column, DefaultValue, Model, Table},
};

#[derive(Debug)]
pub(crate) struct LoadPlan {
    pub(crate) table_id: u64,
    pub(crate) epoch: u64,
    model: Model,
    /// Names of the values in a row of the body.
    fields: Vec<String>,
    /// The columns that changes carry; `sources` says where each gets its value.
    pub(crate) columns: Vec<Column>,
    sources: Vec<Source>,
    operation: Operation,
    pub(crate) is_partial: bool,
    /// Id of the column that `merge_condition` names.
    pub(crate) condition: Option<u32>,
    /// The predicate of `where`.
    filter: Option<Filter>,
    is_strict: bool,
    framing: Framing,
    pub(crate) max_filter_ratio: f64,
    /// True when the load lacks sort columns, which a partial update with an upsert must bring (§10).
    pub(crate) lacks_sort_columns: bool,
}

/// Where a column's value comes from.
#[derive(Debug, Clone, PartialEq)]
enum Source {
    Field(usize),
    Assigned(Expression),
}

#[derive(Debug, Clone, PartialEq)]
enum Expression {
    Null,
    Text(String),
    Field(usize),
    ToBinary { field: usize, encoding: Encoding },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Encoding {
    Hex,
    Base64,
    Utf8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operation {
    Upsert,
    Delete,
    Field(usize),
}

impl LoadPlan {
    pub(crate) fn new(table: &Table, headers: &LoadHeaders) -> Result<Self, String> {
        let filter = headers.filter.as_deref().map(|text| Filter::new(text, table)).transpose()?;
        check_partitions(headers)?;
        check_timezone(headers)?;
        let items = parse_columns(headers.columns.as_deref().unwrap_or_default())?;
        let is_primary = table.spec.model == Model::PrimaryKeys;
        if headers.partial_update && !is_primary {
            return Err("Only primary key table support partial update".to_owned());
        }
        let fields = field_names(table, &items)?;
        let (mut columns, mut sources, mut operation) = (Vec::new(), Vec::new(), Operation::Upsert);
        let mut fill = |name: &str, source: Source| {
            if is_primary && name.eq_ignore_ascii_case("__op") {
                operation = operation_of(&source)?;
                return Ok(());
            }
            let Some(column) = table.column(name) else { return unknown_target(name, &source) };
            columns.push(column.clone());
            sources.push(source);
            Ok(())
        };
        for (place, name) in fields.iter().enumerate() {
            fill(name, Source::Field(place))?;
        }
        for (target, text) in items.iter().filter_map(Item::assignment) {
            fill(target, Source::Assigned(expression(target, text, &fields)?))?;
        }
        check_coverage(table, headers, &columns)?;
        check_csv(headers, &columns, &sources)?;
        let condition = condition(table, headers, &columns)?;
        let carries = |name: &String| columns.iter().any(|column: &Column| column.is_named(name));
        Ok(Self {
            table_id: table.id,
            epoch: table.epoch,
            model: table.spec.model,
            lacks_sort_columns: headers.partial_update && !table.spec.sort_columns.iter().all(carries),
            fields,
            columns,
            sources,
            operation,
            is_partial: headers.partial_update,
            condition,
            filter,
            is_strict: headers.strict_mode,
            framing: headers.framing.clone(),
            max_filter_ratio: headers.max_filter_ratio,
        })
    }
}

/// Each table has one partition, with the name of the table.
fn check_partitions(headers: &LoadHeaders) -> Result<(), String> {
    match headers.partitions.iter().find(|name| **name != headers.table) {
        Some(name) => Err(format!("Unknown partition '{name}' in table '{}'", headers.table)),
        None => Ok(()),
    }
}

/// The time zone affects only functions in `columns`, but an unknown one is always an error.
fn check_timezone(headers: &LoadHeaders) -> Result<(), String> {
    let Some(zone) = &headers.timezone else { return Ok(()) };
    let is_offset = zone.starts_with(['+', '-']) && zone.len() == 6 && zone.get(3..4) == Some(":");
    if is_offset || zone == "CST" || jiff::tz::TimeZone::get(zone).is_ok() {
        return Ok(());
    }
    Err(format!("Unknown or incorrect time zone: '{zone}'"))
}

/// The column that `merge_condition` names: not a key, and among the columns that the load brings (§9.4).
fn condition(table: &Table, headers: &LoadHeaders, brought: &[Column]) -> Result<Option<u32>, String> {
    let Some(name) = &headers.merge_condition else { return Ok(None) };
    if table.spec.model != Model::PrimaryKeys {
        return Err("Conditional update is only supported in primary key table".to_owned());
    }
    let column = if headers.partial_update {
        brought.iter().find(|column| column.is_named(name))
    } else {
        table.column(name)
    };
    match column {
        Some(column) if column.is_key => {
            Err(format!("Merge condition column {name} should not be primary key!"))
        }
        Some(column) if !column.sql_type.is_ordered() => {
            Err(format!("Merge condition column {name} is not of a numeric or date type"))
        }
        Some(column) => Ok(Some(column.id)),
        None => Err(format!(
            "Merge condition column {name} does not exist. If you are doing partial update with condition update, \
             please check condition column is in the given update columns. Otherwise please check condition column \
             is in table {}",
            headers.table
        )),
    }
}

/// The source names: those of the list, or every column of the table when there is no list.
fn field_names(table: &Table, items: &[Item]) -> Result<Vec<String>, String> {
    let listed: Vec<String> = items.iter().filter_map(Item::name).map(str::to_owned).collect();
    if listed.is_empty() {
        let assigned = |column: &&Column| !items.iter().any(|item| item.is_assigned_to(&column.name));
        return Ok(table.columns().iter().filter(assigned).map(|column| column.name.clone()).collect());
    }
    for (place, name) in listed.iter().enumerate() {
        let is_repeated =
            listed.iter().take(place).any(|earlier| earlier.to_lowercase() == name.to_lowercase());
        let is_assigned = items.iter().any(|item| item.is_assigned_to(name)) && table.column(name).is_some();
        if is_repeated || is_assigned {
            return Err(format!("Duplicate column: {name}"));
        }
    }
    Ok(listed)
}

/// A field that is no column is a temporary name; an assignment must name a column.
fn unknown_target(name: &str, source: &Source) -> Result<(), String> {
    match source {
        Source::Field(_) => Ok(()),
        Source::Assigned(_) => Err(format!("Mapping column is not in table. column: {name}")),
    }
}

fn operation_of(source: &Source) -> Result<Operation, String> {
    let text = match source {
        Source::Field(place) | Source::Assigned(Expression::Field(place)) => {
            return Ok(Operation::Field(*place));
        }
        Source::Assigned(Expression::Text(text)) => text,
        Source::Assigned(_) => return Err("load op type string not supported: NULL".to_owned()),
    };
    match text.to_lowercase().as_str() {
        "upsert" | "0" => Ok(Operation::Upsert),
        "delete" | "1" => Ok(Operation::Delete),
        _ => Err(format!("load op type string not supported: {text}")),
    }
}

fn expression(target: &str, written: &columns::Written, fields: &[String]) -> Result<Expression, String> {
    let place = |name: &str| {
        let found = fields.iter().position(|field| field.to_lowercase() == name.to_lowercase());
        found.ok_or_else(|| format!("column has no source field, column={name}"))
    };
    match written {
        columns::Written::Null => Ok(Expression::Null),
        columns::Written::Literal(text) => Ok(Expression::Text(text.clone())),
        columns::Written::Name(name) => place(name).map(Expression::Field),
        columns::Written::Call { function, arguments } => {
            let unknown = || {
                let types = vec!["varchar"; arguments.len()].join(", ");
                format!(
                    "Expr '{function}({})' analyze error: No matching function with signature: {function}({types}), \
                     derived column is '{target}'",
                    arguments.iter().map(columns::Written::print).collect::<Vec<_>>().join(", ")
                )
            };
            let (name, encoding) = match arguments.as_slice() {
                [columns::Written::Name(name)] => (name, Encoding::Hex),
                [columns::Written::Name(name), columns::Written::Literal(encoding)] => {
                    (name, encoding_named(encoding).ok_or_else(unknown)?)
                }
                _ => return Err(unknown()),
            };
            if function != "to_binary" {
                return Err(unknown());
            }
            Ok(Expression::ToBinary { field: place(name)?, encoding })
        }
    }
}

fn encoding_named(name: &str) -> Option<Encoding> {
    match name.to_lowercase().as_str() {
        "hex" => Some(Encoding::Hex),
        "encode64" => Some(Encoding::Base64),
        "utf8" => Some(Encoding::Utf8),
        _ => None,
    }
}

/// CSV cannot carry values of every type (§7.2).
fn check_csv(headers: &LoadHeaders, columns: &[Column], sources: &[Source]) -> Result<(), String> {
    let is_read = |(column, source): (&Column, &Source)| {
        matches!(source, Source::Field(_)) && !column.sql_type.fits_csv()
    };
    match headers.framing {
        Framing::Csv(_) if columns.iter().zip(sources).any(is_read) => Err("Unsupported CSV type".to_owned()),
        _ => Ok(()),
    }
}

/// Every column that the load lacks needs a default or NULL; a partial update needs only the keys (§4.1, §10).
fn check_coverage(table: &Table, headers: &LoadHeaders, brought: &[Column]) -> Result<(), String> {
    let is_brought = |column: &Column| brought.iter().any(|other| other.id == column.id);
    let mut missing = table.columns().iter().filter(|column| !is_brought(column));
    if headers.partial_update {
        return match missing.find(|column| column.is_key) {
            Some(key) => Err(format!("key column {} not in partial update columns", key.name)),
            None => Ok(()),
        };
    }
    let has_value = |column: &Column| match column.default {
        Some(DefaultValue::Constant(_) | DefaultValue::CurrentTimestamp) => true,
        Some(DefaultValue::Null) | None => column.nullable,
    };
    match missing.find(|column| !has_value(column)) {
        Some(column) => Err(format!("Column has no default value. column: {}", column.name)),
        None => Ok(()),
    }
}
