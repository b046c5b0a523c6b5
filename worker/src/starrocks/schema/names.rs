//! Renamed columns: which columns of the target have to be renamed.

use crds::Reason;

use super::model::Existing;
use crate::{
    fault::{Fault, Part, drop_column, send_again, take_anew},
    schema_history::TargetColumn,
    starrocks::schema::name_check::same_column,
    table::{Column, Table},
};

/// The next column to rename, as old and new name. A target column follows the column number of the source, so that it
/// keeps its values. A new name that is still in use becomes free when its own column is renamed first.
pub(super) fn next_rename<'a>(
    table: &'a Table,
    existing: &'a [Existing],
    held: &'a [TargetColumn],
) -> Result<Option<(&'a str, &'a str)>, Fault> {
    let names = Names { table, existing, held };
    let pending: Vec<_> =
        table.columns.iter().filter_map(|column| names.pending(column).transpose()).collect();
    let pending = pending.into_iter().collect::<Result<Vec<_>, _>>()?;
    match pending.iter().find(|(_, to)| !names.exists(to)) {
        None if !pending.is_empty() => Err(names.exchanged(&pending)),
        next => Ok(next.copied()),
    }
}

struct Names<'a> {
    table: &'a Table,
    existing: &'a [Existing],
    held: &'a [TargetColumn],
}

impl<'a> Names<'a> {
    fn exists(&self, name: &str) -> bool {
        self.existing.iter().any(|existing| same_column(&existing.name, name))
    }

    /// The old and the new name of the column, if it has to be renamed.
    fn pending(&self, column: &'a Column) -> Result<Option<(&'a str, &'a str)>, Fault> {
        let name = column.name.as_str();
        let was = self.held.iter().find(|held| held.number == column.number).map(|held| held.name.as_str());
        if self.exists(name) && self.is_own(column)? {
            return Ok(None);
        }
        let was = was.filter(|was| !same_column(was, name) && self.exists(was));
        Ok(was.map(|was| (was, name)))
    }

    /// Whether the target column with this name belongs to this column: no other source column has filled it.
    fn is_own(&self, column: &Column) -> Result<bool, Fault> {
        let is_other =
            |held: &&TargetColumn| held.number != column.number && same_column(&held.name, &column.name);
        let Some(TargetColumn { number: owner, .. }) = self.held.iter().find(is_other) else {
            return Ok(true);
        };
        match self.table.columns.iter().find(|column| column.number == *owner) {
            // The other column already has its new name, which was not the old name of a third column.
            Some(owner) => Ok(self.exists(&owner.name) && !self.was_of_another(owner)),
            None => Err(self.reused(column)),
        }
    }

    fn was_of_another(&self, column: &Column) -> bool {
        self.held.iter().any(|held| held.number != column.number && same_column(&held.name, &column.name))
    }

    fn reused(&self, column: &Column) -> Fault {
        let (source, name, target) = (&self.table.name, &column.name, &self.table.target);
        self.fault(
            format!("column {name} of {source} was dropped and another column has its name; target table {target} contains the values of the dropped one"),
            format!("run {} in StarRocks; then {}", drop_column(target, name), send_again(self.table)),
        )
    }

    fn exchanged(&self, pending: &[(&str, &str)]) -> Fault {
        let names: Vec<_> = pending.iter().map(|(from, to)| format!("{from} to {to}")).collect();
        self.fault(
            format!("columns of {} exchanged their names ({})", self.table.name, names.join(", ")),
            take_anew(self.table),
        )
    }

    fn fault(&self, message: String, fix: String) -> Fault {
        Fault::halt(Part::Table(self.table.name.clone()), Reason::SourceSchemaChanged, message, fix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{starrocks::double::table, table::Kind};

    /// For source columns numbered from 1, existing target columns and the columns of the history.
    fn next(source: &[&str], existing: &[&str], held: &[(i32, &str)]) -> Result<Option<String>, Reason> {
        let columns: Vec<_> = source.iter().map(|name| (*name, Kind::Text)).collect();
        let column = |name: &&str| {
            let texts = [*name, "int", "YES", "false"].map(|text| Some(text.to_owned()));
            Existing::read(texts.into_iter().chain([None, None]).collect()).unwrap()
        };
        let existing: Vec<_> = existing.iter().map(column).collect();
        let held = held.iter().map(|(number, name)| TargetColumn::new(*number, *name, "INT"));
        let (table, held) = (table(&columns), held.collect::<Vec<_>>());
        let next = next_rename(&table, &existing, &held).map_err(|fault| fault.reason)?;
        Ok(next.map(|(from, to)| format!("{from} to {to}")))
    }

    fn renamed(from_to: &str) -> Result<Option<String>, Reason> {
        Ok(Some(from_to.to_owned()))
    }

    #[test]
    fn a_column_follows_its_number() {
        let held = [(1, "id"), (2, "a")];
        assert_eq!(next(&["id", "b"], &["id", "a"], &held), renamed("a to b"));
        assert_eq!(next(&["id", "b"], &["id", "b"], &held), Ok(None));
        assert_eq!(next(&["id", "A"], &["id", "a"], &held), Ok(None));
        // Nothing is known of it, or a person dropped it: it is added.
        assert_eq!(next(&["id", "b"], &["id", "a"], &[]), Ok(None));
        assert_eq!(next(&["id", "b"], &["id"], &held), Ok(None));
        // A person created it beside the old one.
        assert_eq!(next(&["id", "b"], &["id", "a", "b"], &held), Ok(None));
    }

    #[test]
    fn a_name_that_moves_on_is_free_before_it_is_taken() {
        let held = [(1, "id"), (2, "a"), (3, "a2")];
        let source = ["id", "old", "a"];
        assert_eq!(next(&source, &["id", "a", "a2"], &held), renamed("a to old"));
        assert_eq!(next(&source, &["id", "old", "a2"], &held), renamed("a2 to a"));
        assert_eq!(next(&source, &["id", "old", "a"], &held), Ok(None));
    }

    #[test]
    fn an_exchange_of_names_is_left_to_a_person() {
        let held = [(1, "id"), (2, "a"), (3, "b")];
        assert_eq!(next(&["id", "b", "a"], &["id", "a", "b"], &held), Err(Reason::SourceSchemaChanged));
    }

    #[test]
    fn another_column_of_a_dropped_one_s_name_is_refused_until_the_old_values_are_gone() {
        let held = [(1, "id"), (9, "a")];
        assert_eq!(next(&["id", "a"], &["id", "a"], &held), Err(Reason::SourceSchemaChanged));
        assert_eq!(next(&["id", "a"], &["id"], &held), Ok(None));
    }
}
