//! The predicate of the `where` header: rows that it does not select are counted and dropped (§4).

use crate::{
    catalog::{Column, Table},
    sql::Predicate,
    value::Value,
};

#[derive(Debug)]
pub(crate) struct Filter(Predicate);

impl Filter {
    /// Every column of the predicate must be a column of the table.
    pub(super) fn new(text: &str, table: &Table) -> Result<Self, String> {
        let predicate = Predicate::parse(text)?;
        match predicate.columns().into_iter().find(|name| table.column(name).is_none()) {
            Some(name) => Err(format!(
                "unknown column in where statement. the column '{name}' in where clause must be in the target table."
            )),
            None => Ok(Self(predicate)),
        }
    }

    pub(super) fn selects(&self, columns: &[Column], values: &[Value]) -> bool {
        self.0.holds(&|name: &str| {
            let place = columns.iter().position(|column| column.is_named(name))?;
            values.get(place).cloned()
        })
    }
}
