//! Checks of columns and keys: names, types, defaults.

use super::super::SqlError;
use crate::{
    Profile,
    catalog::{ColumnSpec, DefaultValue, Model, SqlType, TypeNames},
    convert,
};

pub(super) const MAX_NAME: usize = 1024;

pub(super) fn same(left: &str, right: &str) -> bool {
    left.to_lowercase() == right.to_lowercase()
}

pub(super) fn check_columns(columns: &[ColumnSpec], profile: Profile) -> Result<(), SqlError> {
    for (place, spec) in columns.iter().enumerate() {
        check_column(spec, profile)?;
        if columns.iter().take(place).any(|earlier| same(&earlier.name, &spec.name)) {
            return Err(SqlError::duplicate_column_in_create(&spec.name));
        }
    }
    Ok(())
}

/// Checks name, type and default of one column, for CREATE and ALTER.
pub(super) fn check_column(spec: &ColumnSpec, profile: Profile) -> Result<(), SqlError> {
    check_column_name(&spec.name, profile)?;
    check_type(&spec.name, &spec.sql_type)?;
    check_default(spec, profile)
}

pub(super) fn check_column_name(name: &str, profile: Profile) -> Result<(), SqlError> {
    let lower = name.to_lowercase();
    let is_reserved = lower == "__op"
        || lower == "__row"
        || (lower == "___count___" && profile.reserves_count_column())
        || lower.starts_with("__generated_partition_column_")
        || lower.starts_with("__starrocks_shadow_");
    if is_reserved {
        let detail =
            format!("Column name [{name}] is a system reserved name. Please choose a different one.");
        return Err(SqlError::analyzing(&detail));
    }
    let is_forbidden = |letter: char| matches!(letter, '\0' | '=' | '<' | '>' | '!' | '*');
    if name.is_empty() || name.chars().count() > MAX_NAME || name.contains(is_forbidden) {
        return Err(SqlError::bad_column_name(name));
    }
    Ok(())
}

fn check_type(name: &str, sql_type: &SqlType) -> Result<(), SqlError> {
    match sql_type {
        SqlType::Char(length) if *length > 255 => {
            Err(SqlError::analyzing(&format!("Char size must be <= 255: {length}")))
        }
        SqlType::Varchar(length) if *length > crate::catalog::MAX_VARCHAR => {
            let most = crate::catalog::MAX_VARCHAR;
            Err(SqlError::analyzing(&format!("Varchar size must be <= {most}: {length}")))
        }
        SqlType::Time => Err(SqlError::analyzing(&format!("Type:TIME of column:{name} does not support"))),
        _ => Ok(()),
    }
}

fn check_default(spec: &ColumnSpec, profile: Profile) -> Result<(), SqlError> {
    let invalid =
        |detail: &str| SqlError::analyzing(&format!("Invalid default value for '{}'{detail}", spec.name));
    match &spec.default {
        Some(DefaultValue::Null) if spec.nullable == Some(false) => Err(invalid("")),
        Some(DefaultValue::Constant(_))
            if spec.sql_type == SqlType::Json && !profile.allows_json_default() =>
        {
            Err(invalid(": Cannot add default value for type 'JSON'"))
        }
        Some(DefaultValue::Constant(text)) if is_no_literal(text, &spec.sql_type) => {
            Err(invalid(&format!(": Invalid literal:{text}")))
        }
        Some(DefaultValue::Constant(text)) if is_too_long(text, &spec.sql_type) => {
            Err(invalid(&format!(": Default value is too long: {text}")))
        }
        Some(DefaultValue::Constant(text)) if convert::from_text(text, &spec.sql_type).is_err() => {
            let type_name = spec.sql_type.print(TypeNames::Internal, profile);
            Err(invalid(&format!(": '{text}' is no value of type {type_name}")))
        }
        Some(DefaultValue::CurrentTimestamp) if spec.sql_type != SqlType::DateTime => {
            Err(invalid(": CURRENT_TIMESTAMP needs type DATETIME"))
        }
        _ => Ok(()),
    }
}

/// A default must be a finite number, although a load may bring other values (§12.6).
fn is_no_literal(text: &str, sql_type: &SqlType) -> bool {
    let is_finite = || text.trim().parse::<f64>().is_ok_and(f64::is_finite);
    matches!(sql_type, SqlType::Float | SqlType::Double) && !is_finite()
}

/// The length of a default is counted in UTF-16 units, although the column's limit is in bytes.
fn is_too_long(text: &str, sql_type: &SqlType) -> bool {
    match sql_type {
        SqlType::Char(length) | SqlType::Varchar(length) => {
            text.encode_utf16().count() > usize::try_from(*length).unwrap_or(usize::MAX)
        }
        _ => false,
    }
}

pub(super) fn check_keys(
    columns: &[ColumnSpec],
    keys: &[String],
    model: Model,
    profile: Profile,
) -> Result<(), SqlError> {
    if model != Model::PrimaryKeys {
        return Ok(());
    }
    for key in keys {
        let spec = columns.iter().find(|spec| same(&spec.name, key));
        let spec = spec.ok_or_else(|| SqlError::analyzing(&format!("Key column[{key}] doesn't exist")))?;
        if spec.nullable == Some(true) {
            let detail = format!("primary key column[{key}] cannot be nullable");
            return Err(SqlError::analyzing(&detail));
        }
        if !spec.sql_type.can_be_key() {
            let type_name = spec.sql_type.print(TypeNames::Create, profile);
            let detail = format!("primary key column[{key}] type not supported: {type_name}");
            return Err(SqlError::analyzing(&detail));
        }
    }
    let in_order =
        columns.len() >= keys.len() && columns.iter().zip(keys).all(|(spec, key)| same(&spec.name, key));
    if in_order {
        return Ok(());
    }
    Err(SqlError::analyzing(
        "Key columns must be the first few columns of the schema and the order  of the key columns must be \
         consistent with the order of the schema",
    ))
}
