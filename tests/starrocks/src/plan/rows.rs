//! From body to changes: reads, converts, checks and counts every row.

use super::{
    LoadPlan, Operation, Source,
    assigned::{Field, assigned},
};
use crate::{
    Profile,
    be::Framing,
    catalog::{Change, Column, KeyTooLong, MAX_VARCHAR, Model, SqlType, TypeNames, encode_key},
    convert,
    reader::{CsvFormat, CsvRows, Json, JsonRow, JsonRows},
    value::Value,
};

/// The maximum number of rows in an error log (§5.1).
const MAX_LOGGED: usize = 50;

/// A converted body.
#[derive(Debug, Default)]
pub(crate) struct Converted {
    pub(crate) changes: Vec<Change>,
    pub(crate) total: u64,
    pub(crate) filtered: u64,
    pub(crate) unselected: u64,
    /// Lines of the error log.
    pub(crate) log: String,
    logged: usize,
}

impl Converted {
    fn take(&mut self, change: Result<Change, String>, row: impl FnOnce() -> String) {
        self.total += 1;
        match change {
            Ok(change) => self.changes.push(change),
            Err(reason) => self.refuse(&reason, &row()),
        }
    }

    pub(crate) fn refuse(&mut self, reason: &str, row: &str) {
        self.filtered += 1;
        if self.logged < MAX_LOGGED {
            self.logged += 1;
            self.log.push_str(&format!("Error: {reason}. Row: {row}\n"));
        }
    }

    pub(crate) fn loaded(&self) -> u64 {
        self.changes.len() as u64
    }
}

/// Converts a whole body. An error fails the load, whatever the filter ratio (§7.1).
pub(crate) fn convert_body(plan: &LoadPlan, body: &[u8], profile: Profile) -> Result<Converted, String> {
    let converted = match &plan.framing {
        Framing::Json { strip_outer_array } => convert_json(plan, body, *strip_outer_array, profile)?,
        Framing::Csv(format) => convert_csv(plan, body, format, profile),
    };
    // StarRocks checks the key when it writes rows: one that is too long cancels the load (§9.1).
    plan.check_keys(&converted.changes).map_err(|error| error.to_string())?;
    plan.check_deletes(&converted.changes)?;
    Ok(plan.select(converted))
}

fn convert_json(
    plan: &LoadPlan,
    body: &[u8],
    strip_outer_array: bool,
    profile: Profile,
) -> Result<Converted, String> {
    let text =
        std::str::from_utf8(body).map_err(|_| "parse error. The input is not valid UTF-8".to_owned())?;
    let mut rows = JsonRows::new(text, strip_outer_array);
    let mut converted = Converted::default();
    while let Some(row) = rows.next_row().map_err(|error| error.to_string())? {
        let find = |(place, name): (usize, &String)| match find(&row, name, place) {
            None => Field::Absent,
            Some(Json::Null) => Field::Null,
            Some(json) => Field::Json(json),
        };
        let fields: Vec<Field<'_>> = plan.fields.iter().enumerate().map(find).collect();
        converted.take(plan.change(&fields, profile), || row.text.to_owned());
    }
    Ok(converted)
}

fn convert_csv(plan: &LoadPlan, body: &[u8], format: &CsvFormat, profile: Profile) -> Converted {
    let mut rows = CsvRows::new(body, format);
    let mut converted = Converted::default();
    let expected = plan.fields.len();
    while let Some(row) = rows.next_row() {
        if rows.quotes() && !row.is_ended && row.fields.len() != expected {
            // The rows before it are loaded, so a truncated body can succeed (§7.2).
            break;
        }
        let change = if row.fields.len() == expected {
            csv_change(plan, &row.fields, profile)
        } else {
            Err(format!(
                "Target column count: {expected} doesn't match source value column count: {}.",
                row.fields.len()
            ))
        };
        converted.take(change, || String::from_utf8_lossy(row.text).into_owned());
    }
    converted
}

fn csv_change(plan: &LoadPlan, fields: &[Vec<u8>], profile: Profile) -> Result<Change, String> {
    let mut given = Vec::with_capacity(fields.len());
    for bytes in fields {
        given.push(match std::str::from_utf8(bytes).map_err(|_| "Invalid UTF-8 row".to_owned())? {
            "\\N" => Field::Null,
            text => Field::Csv(text),
        });
    }
    plan.change(&given, profile)
}

impl LoadPlan {
    fn check_keys(&self, changes: &[Change]) -> Result<(), KeyTooLong> {
        if self.model != Model::PrimaryKeys {
            return Ok(());
        }
        changes.iter().try_for_each(|change| encode_key(&self.columns, &change.values).map(drop))
    }

    fn select(&self, mut converted: Converted) -> Converted {
        if let Some(filter) = &self.filter {
            let before = converted.changes.len();
            converted.changes.retain(|change| filter.selects(&self.columns, &change.values));
            converted.unselected = (before - converted.changes.len()) as u64;
        }
        converted
    }

    /// A load with a merge condition cannot delete (§9.4).
    fn check_deletes(&self, changes: &[Change]) -> Result<(), String> {
        let column = self.columns.iter().find(|column| Some(column.id) == self.condition);
        match column {
            Some(column) if changes.iter().any(|change| change.is_delete) => {
                let (tablet, name) = (self.table_id + 2, &column.name);
                Err(format!("memtable of tablet {tablet} delete with condition column {name}"))
            }
            _ => Ok(()),
        }
    }

    fn change(&self, fields: &[Field<'_>], profile: Profile) -> Result<Change, String> {
        let is_delete = self.is_delete(fields)?;
        let mut values = Vec::with_capacity(self.columns.len());
        for (column, source) in self.columns.iter().zip(&self.sources) {
            values.push(self.value(column, source, fields, profile)?);
        }
        Ok(Change { is_delete, values })
    }

    /// 0 is an upsert, every other value a delete; NULL filters the row, an absent value does not (§9.2).
    fn is_delete(&self, fields: &[Field<'_>]) -> Result<bool, String> {
        let place = match self.operation {
            Operation::Upsert => return Ok(false),
            Operation::Delete => return Ok(true),
            Operation::Field(place) => place,
        };
        let number = match fields.get(place) {
            None | Some(Field::Absent) => return Ok(false),
            Some(Field::Null) => None,
            Some(Field::Json(json)) => convert::from_json(json, &SqlType::TinyInt).ok(),
            Some(Field::Csv(text)) => convert::from_csv(text, &SqlType::TinyInt).ok(),
        };
        match number {
            Some(Value::Integer(number)) => Ok(number != 0),
            _ => Err("NULL value in non-nullable column '__op'".to_owned()),
        }
    }

    fn value(
        &self,
        column: &Column,
        source: &Source,
        fields: &[Field<'_>],
        profile: Profile,
    ) -> Result<Value, String> {
        let value = match source {
            Source::Field(place) => self.converted(column, *place, fields, profile)?,
            Source::Assigned(expression) => {
                self.check_temporaries(fields)?;
                assigned(expression, column, fields)?
            }
        };
        let refuses_null = column.is_key || !column.nullable;
        if value.is_null() && refuses_null {
            return Err(format!("NULL value in non-nullable column '{}'", column.name));
        }
        Ok(value)
    }

    /// A temporary name holds a text: of bounded length in CSV, of any length in JSON (§4.1).
    fn check_temporaries(&self, fields: &[Field<'_>]) -> Result<(), String> {
        let most = MAX_VARCHAR as usize;
        let is_long = |field: &Field<'_>| matches!(field, Field::Csv(text) if text.len() > most);
        match fields.iter().position(is_long) {
            Some(place) if self.is_strict => {
                let name = self.fields.get(place).map_or("", String::as_str);
                Err(format!(
                    "The field (name = {name}, pos = {place}) is out of range. Type: VARCHAR({most})"
                ))
            }
            _ => Ok(()),
        }
    }

    /// Outside strict mode a value that does not fit becomes NULL without an error (§8.1).
    fn converted(
        &self,
        column: &Column,
        place: usize,
        fields: &[Field<'_>],
        profile: Profile,
    ) -> Result<Value, String> {
        let (sql_type, name) = (&column.sql_type, &column.name);
        let refused = match fields.get(place) {
            None | Some(Field::Absent | Field::Null) => return Ok(Value::Null),
            Some(Field::Json(json)) => match convert::from_json(json, sql_type) {
                Ok(value) => return Ok(value),
                Err(refusal) => refusal.message(name, sql_type, profile),
            },
            Some(Field::Csv(text)) => match convert::from_csv(text, sql_type) {
                Ok(value) => return Ok(value),
                Err(_) => format!(
                    "The field (name = {name}, pos = {place}) is out of range. Type: {}, Value length: {}, Value: {text}",
                    sql_type.print(TypeNames::Internal, profile),
                    text.len()
                ),
            },
        };
        if self.is_strict { Err(refused) } else { Ok(Value::Null) }
    }
}

/// The value of a key, compared with case; of several equal keys the first counts (§7.1).
fn find<'r>(row: &'r JsonRow<'_>, name: &str, place: usize) -> Option<&'r Json<'r>> {
    // The keys of a row are usually in the order of the list, so this place is tried first; an earlier equal key rules
    // it out.
    let fields = &row.fields;
    if let Some((key, value)) = fields.get(place)
        && key == name
        && fields.iter().take(place).all(|(earlier, _)| earlier != name)
    {
        return Some(value);
    }
    fields.iter().find(|(key, _)| key == name).map(|(_, value)| value)
}
