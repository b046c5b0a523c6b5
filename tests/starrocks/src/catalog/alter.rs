//! Changes of a table's columns, with the checks that the FE makes (§12.6).

use std::sync::Arc;

use super::{Column, Model, SqlType, Table};
use crate::{Profile, convert, sql::SqlError, value::Value};

/// A column as ALTER or CREATE defines it.
#[derive(Debug, Clone)]
pub(crate) struct ColumnSpec {
    pub(crate) name: String,
    pub(crate) sql_type: SqlType,
    /// `NULL` or `NOT NULL`; `None` when the statement has neither.
    pub(crate) nullable: Option<bool>,
    pub(crate) default: Option<super::DefaultValue>,
    pub(crate) comment: String,
}

impl ColumnSpec {
    pub(crate) fn column(&self, id: u32, is_key: bool) -> Column {
        Column {
            id,
            name: self.name.clone(),
            first_name: self.name.clone(),
            sql_type: self.sql_type.clone(),
            nullable: self.nullable.unwrap_or(!is_key),
            is_key,
            default: self.default.clone(),
            comment: self.comment.clone(),
        }
    }
}

#[derive(Debug, Clone)]
pub(crate) enum Place {
    Last,
    First,
    After(String),
}

/// One clause of ALTER TABLE that changes the columns.
#[derive(Debug, Clone)]
pub(crate) enum SchemaChange {
    Add(ColumnSpec, Place),
    Drop(String),
    Modify(ColumnSpec),
}

impl Table {
    /// Returns whether anything changed: a definition identical to the present one creates no job.
    pub(crate) fn change_schema(
        &mut self,
        change: &SchemaChange,
        profile: Profile,
        now: i64,
    ) -> Result<bool, SqlError> {
        match change {
            SchemaChange::Add(spec, place) => self.add_column(spec, place, now).map(|()| true),
            SchemaChange::Drop(name) => self.drop_column(name).map(|()| true),
            SchemaChange::Modify(spec) => self.modify_column(spec, profile),
        }
    }

    fn add_column(&mut self, spec: &ColumnSpec, place: &Place, now: i64) -> Result<(), SqlError> {
        if self.column(&spec.name).is_some() {
            let message = format!("Can not add column which already exists in base table: {}", spec.name);
            return Err(SqlError::plain(message));
        }
        if self.columns().iter().any(|column| column.first_name.to_lowercase() == spec.name.to_lowercase()) {
            let message = format!("Can not add column which already exists in column id: {}", spec.name);
            return Err(SqlError::plain(message));
        }
        let at = self.place_for(place)?;
        let column = spec.column(self.next_column, false);
        self.next_column += 1;
        let value = column.value_when_absent(now).unwrap_or(Value::Null);
        Arc::make_mut(&mut self.spec.columns).insert(at, column);
        self.rewrite(|row| row.insert(at, value.clone()));
        Ok(())
    }

    fn place_for(&self, place: &Place) -> Result<usize, SqlError> {
        match place {
            Place::Last => Ok(self.columns().len()),
            Place::First => Err(SqlError::plain("Cannot add value column at first.".to_owned())),
            Place::After(name) => {
                let at = self
                    .position(name)
                    .ok_or_else(|| SqlError::plain(format!("Column[{name}] does not found")))?;
                Ok((at + 1).max(self.keys().count()))
            }
        }
    }

    fn position(&self, name: &str) -> Option<usize> {
        self.columns().iter().position(|column| column.is_named(name))
    }

    fn drop_column(&mut self, name: &str) -> Result<(), SqlError> {
        let at =
            self.position(name).ok_or_else(|| SqlError::plain(format!("Column does not exists: {name}")))?;
        let is_key = self.columns().get(at).is_some_and(|column| column.is_key);
        if is_key && self.spec.model == Model::PrimaryKeys {
            return Err(SqlError::plain("Can not drop key column in primary data model table".to_owned()));
        }
        if self.is_sort_column(name) {
            return Err(SqlError::plain("Can not drop sort column in primary data model table".to_owned()));
        }
        Arc::make_mut(&mut self.spec.columns).remove(at);
        self.rewrite(|row| {
            row.remove(at);
        });
        Ok(())
    }

    fn is_sort_column(&self, name: &str) -> bool {
        self.spec.sort_columns.iter().any(|sort| sort.to_lowercase() == name.to_lowercase())
    }

    fn modify_column(&mut self, spec: &ColumnSpec, profile: Profile) -> Result<bool, SqlError> {
        let at = self
            .position(&spec.name)
            .ok_or_else(|| SqlError::plain(format!("Column[{}] does not exists", spec.name)))?;
        let Some(old) = self.columns().get(at).cloned() else { return Ok(false) };
        if old.is_key && self.spec.model == Model::PrimaryKeys {
            return Err(SqlError::plain(format!(
                "Can not modify key column: {} for primary key table",
                old.name
            )));
        }
        if self.is_sort_column(&old.name) {
            return Err(SqlError::plain("Can not modify sort column in primary data model table".to_owned()));
        }
        let mut column = spec.column(old.id, old.is_key);
        (column.name, column.first_name) = (old.name.clone(), old.first_name.clone());
        old.sql_type.check_change(&column.sql_type, profile).map_err(SqlError::plain)?;
        if old.nullable && !column.nullable {
            return Err(SqlError::plain("Can not change from nullable to non-nullable".to_owned()));
        }
        if old.constant_default() != column.constant_default() {
            return Err(SqlError::plain("Can not change default value".to_owned()));
        }
        if old == column {
            return Ok(false);
        }
        self.convert_values(at, &old.sql_type, &column);
        if let Some(slot) = Arc::make_mut(&mut self.spec.columns).get_mut(at) {
            *slot = column;
        }
        Ok(true)
    }

    /// Values that the new type cannot hold become NULL.
    fn convert_values(&mut self, at: usize, from: &SqlType, column: &Column) {
        if *from == column.sql_type {
            return;
        }
        self.rewrite(|row| {
            if let Some(slot) = row.get_mut(at) {
                *slot = convert::again(slot, column);
            }
        });
    }

    pub(crate) fn rename_column(&mut self, from: &str, to: &str, table: &str) -> Result<(), SqlError> {
        let at = self.position(from).ok_or_else(|| SqlError::unknown_column_in(from, table))?;
        if self.position(to).is_some_and(|other| other != at) {
            return Err(SqlError::duplicate_column(to));
        }
        if let Some(column) = Arc::make_mut(&mut self.spec.columns).get_mut(at) {
            column.name = to.to_owned();
        }
        for name in self.spec.hash_columns.iter_mut().chain(&mut self.spec.sort_columns) {
            if name.to_lowercase() == from.to_lowercase() {
                *name = to.to_owned();
            }
        }
        Ok(())
    }

    fn rewrite(&mut self, mut edit: impl FnMut(&mut Vec<Value>)) {
        for row in self.rows.values_mut() {
            let mut values = std::mem::take(row).into_vec();
            edit(&mut values);
            *row = values.into_boxed_slice();
        }
    }
}
