//! Whether a target is still the table that was filled. Nothing here writes.
//!
//! Uses what SHOW returns without a backend: that the table exists, its partition numbers (TRUNCATE and DROP with CREATE
//! change them, ALTER of columns does not), and its columns. A manual DELETE cannot be detected.

use crds::Reason;

use super::{look::columns, model::Existing};
use crate::{
    config::SinkConfig,
    fault::{Fault, Part, send_again, take_anew},
    schema_history::{SchemaHistory, TargetColumn, TargetIdentity},
    starrocks::{
        schema::name_check::same_column,
        sql::{Session, SqlError, lists, literal, quoted},
    },
    table::Table,
};

/// An existing target.
#[derive(Debug)]
pub(super) struct Standing {
    pub(super) columns: Vec<Existing>,
    /// None where StarRocks shows no partitions.
    pub(super) identity: Option<TargetIdentity>,
}

/// The existing target; none when there is none and none was filled. A fault when the target is not the one of its
/// history.
pub(super) async fn standing(
    session: &mut Session,
    table: &Table,
    before: Option<&SchemaHistory>,
) -> Result<Option<Standing>, Fault> {
    if let Some(left) = before.and_then(|before| before.left) {
        return Err(left_out(table, &left.to_string()));
    }
    let show = format!("SHOW TABLES LIKE {}", literal(&table.target));
    let found = session.run(&show, "list tables").await.map_err(|error| error.fault())?;
    if !lists(&found, &table.target) {
        let was_filled = before.is_some_and(|before| before.source.is_some());
        return if was_filled { Err(lost(table, "no longer exists")) } else { Ok(None) };
    }
    let identity = identity(session, table).await.map_err(|error| error.fault())?;
    if let (Some(then), Some(now)) = (before.and_then(|before| before.sink.as_ref()), &identity)
        && then.is_lost_in(now)
    {
        return Err(lost(table, "was truncated or recreated outside the job"));
    }
    let columns = columns(session, table).await?;
    if let Some(before) = before {
        proved(table, &columns, before)?;
    }
    Ok(Some(Standing { columns, identity }))
}

/// The partition numbers of the target; none where StarRocks does not show them.
pub(super) async fn identity(
    session: &mut Session,
    table: &Table,
) -> Result<Option<TargetIdentity>, SqlError> {
    let show = format!("SHOW PARTITIONS FROM {}", quoted(&table.target));
    let rows = match session.run(&show, "show the partitions of the target table").await {
        Err(SqlError::Refused { .. } | SqlError::Permission { .. }) => return Ok(None),
        rows => rows?,
    };
    let partition = |row: Vec<Option<String>>| {
        let mut values = row.into_iter();
        let (number, name) = (values.next()??.parse().ok()?, values.next()??);
        Some((name, number))
    };
    let partitions: Option<Vec<_>> = rows.into_iter().map(partition).collect();
    Ok(partitions.filter(|partitions| !partitions.is_empty()).map(TargetIdentity::of))
}

/// The current identity of the target.
pub(in crate::starrocks) async fn identity_of(
    config: &SinkConfig,
    table: &Table,
) -> Result<Option<TargetIdentity>, Fault> {
    let mut session = Session::open(config).await.map_err(|error| error.fault())?;
    let found = async {
        session.run(&format!("USE {}", quoted(&config.database)), "use the database").await?;
        identity(&mut session, table).await
    };
    let found = found.await;
    session.close().await;
    found.map_err(|error| error.fault())
}

/// Checks that the target has the columns that its rows were loaded into. StarRocks treats an unknown name in a load as a
/// temporary column and drops its values without an error.
pub(super) fn proved(table: &Table, existing: &[Existing], before: &SchemaHistory) -> Result<(), Fault> {
    let exists = |name: &str| existing.iter().any(|existing| same_column(&existing.name, name));
    let now = |number: i32| table.columns.iter().find(|column| column.number == number);
    let is_missing = |TargetColumn { number, name, .. }: &&TargetColumn| {
        // A column that the source has dropped may be dropped in the target too.
        now(*number).is_some_and(|column| !exists(name) && !exists(&column.name))
    };
    match before.target.iter().find(is_missing) {
        Some(TargetColumn { name, made, .. }) => Err(taken_away(table, name, made)),
        None => Ok(()),
    }
}

fn taken_away(table: &Table, column: &str, made: &str) -> Fault {
    let target = &table.target;
    let message = format!(
        "column {column} of target table {target} no longer exists: it was renamed or dropped in StarRocks"
    );
    let fix = format!(
        "if it was renamed, run ALTER TABLE `{target}` RENAME COLUMN … TO `{column}` in StarRocks; if it was dropped, run \
         ALTER TABLE `{target}` ADD COLUMN `{column}` {made} NULL there (a value column; a key needs the target anew); \
         rows that came meanwhile lack it, so in either case then {}",
        send_again(table)
    );
    Fault::halt(Part::Table(table.name.clone()), Reason::TargetIncompatible, message, fix)
}

fn lost(table: &Table, what: &str) -> Fault {
    let message = format!("target table {} {what}: rows that were loaded before are missing", table.target);
    let fix = format!(
        "let the job copy the table anew: ask for it (`snapshot.request` with `requestTables` in the ReplicationJob, or POST \
         /api/snapshot), or set `snapshot.onTargetLost: Copy` (DBMAZZ_ON_TARGET_LOST=Copy), by which it does so itself; or, \
         by hand, {}",
        take_anew(table)
    );
    Fault::halt(Part::Table(table.name.clone()), Reason::TargetLost, message, fix)
}

fn left_out(table: &Table, from: &str) -> Fault {
    let message = format!(
        "{} was not part of the job from {from} on: changes made meanwhile are missing in target table {}",
        table.name, table.target
    );
    Fault::halt(Part::Table(table.name.clone()), Reason::TableLeftOut, message, take_anew(table))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{starrocks::double::table, table::Kind};

    fn missing(existing: &[&str], held: &[(i32, &str)]) -> Option<Reason> {
        let column = |name: &&str| {
            let texts = [*name, "int", "YES", "false"].map(|text| Some(text.to_owned()));
            Existing::read(texts.into_iter().chain([None, None]).collect()).unwrap()
        };
        let existing: Vec<_> = existing.iter().map(column).collect();
        let held = held.iter().map(|(number, name)| TargetColumn::new(*number, *name, "INT"));
        let history = SchemaHistory { target: held.collect(), ..SchemaHistory::default() };
        let table = table(&[("id", Kind::BigInt), ("b", Kind::Integer)]);
        proved(&table, &existing, &history).err().map(|fault| fault.reason)
    }

    #[test]
    fn a_column_that_was_filled_has_to_be_there_under_its_old_name_or_its_new_one() {
        let held = [(1, "id"), (2, "a"), (9, "dropped")];
        assert_eq!(missing(&["id", "a"], &held), None, "the source renamed it, the target follows");
        assert_eq!(missing(&["id", "B"], &held), None, "a worker renamed it and died");
        assert_eq!(missing(&["id", "c"], &held), Some(Reason::TargetIncompatible));
        assert_eq!(missing(&["id"], &held), Some(Reason::TargetIncompatible));
        assert_eq!(missing(&["id"], &[(1, "id")]), None, "it is added");
    }
}
