//! Replaces a table, its publication or its target without a change in the stream, and then follows the remedy.
//!
//! The stream does not announce it, so the rule is: afterwards the target is equal, or its table is halted with a
//! reason. Then the table is taken anew by the statements of the fault, and is equal.

use anyhow::{Context, Result};
use fastrand::Rng;
use proto::Fault;

use super::{
    arena::{Arena, DATABASE},
    schema::{SEAM_COLUMNS, SEAMS, seam},
};
use crate::{source::Source, wait};

/// One such action, on one of the tables for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Seam {
    /// The table is dropped and created again under its name.
    Recreate,
    /// Another table with rows takes its name.
    Replace,
    /// Two tables exchange their names.
    Exchange,
    /// The table is removed from the publication, and added again after a change that was not published.
    LeavePublication,
    DropTarget,
    EmptyTarget,
    RenameTargetColumn,
}

const ALL: [Seam; 7] = [
    Seam::Recreate,
    Seam::Replace,
    Seam::Exchange,
    Seam::LeavePublication,
    Seam::DropTarget,
    Seam::EmptyTarget,
    Seam::RenameTargetColumn,
];

impl Seam {
    pub(super) fn next(random: &mut Rng) -> (Self, u32) {
        (random.choice(ALL).unwrap_or(Self::Recreate), random.u32(..SEAMS))
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Recreate => "a table dropped and made again",
            Self::Replace => "a table replaced by another of its name",
            Self::Exchange => "two tables exchange their names",
            Self::LeavePublication => "a table out of the publication and back",
            Self::DropTarget => "a target dropped",
            Self::EmptyTarget => "a target emptied",
            Self::RenameTargetColumn => "a target's column renamed",
        }
    }

    /// Does nothing while PostgreSQL or StarRocks is down.
    pub(super) async fn strike(self, table: u32, arena: &Arena) -> Result<()> {
        if let Some(statement) = self.at_the_sink(table) {
            // The target may not exist any more, or have been changed in the same way.
            drop(arena.sink.rows(&statement).await);
            return Ok(());
        }
        let source = Source::connect(&arena.postgres.url("postgres")).await?;
        // A writer may hold one of the tables and wait for the other.
        drop(source.run(&self.at_the_source(table)).await);
        if arena.in_one_step {
            drop(source.run(&format!("ALTER TABLE {} REPLICA IDENTITY FULL", seam(table))).await);
        }
        Ok(())
    }

    fn at_the_sink(self, table: u32) -> Option<String> {
        let target = format!("`{DATABASE}`.`{}`", seam(table));
        match self {
            Self::DropTarget => Some(format!("DROP TABLE {target} FORCE")),
            Self::EmptyTarget => Some(format!("TRUNCATE TABLE {target}")),
            Self::RenameTargetColumn => Some(format!("ALTER TABLE {target} RENAME COLUMN v TO w")),
            _ => None,
        }
    }

    fn at_the_source(self, table: u32) -> String {
        let (name, other) = (seam(table), seam((table + 1) % SEAMS));
        let rows = "SELECT i, 'unseen', repeat(md5(i::text), 100) FROM generate_series(1000, 1005) i";
        match self {
            Self::Replace => format!(
                "BEGIN; CREATE TABLE fresh {SEAM_COLUMNS}; INSERT INTO fresh {rows}; DROP TABLE {name}; \
                 ALTER TABLE fresh RENAME TO {name}; COMMIT"
            ),
            Self::Exchange => format!(
                "BEGIN; ALTER TABLE {name} RENAME TO aside; ALTER TABLE {other} RENAME TO {name}; \
                 ALTER TABLE aside RENAME TO {other}; COMMIT"
            ),
            Self::LeavePublication => format!(
                "BEGIN; ALTER PUBLICATION dbmazz_pub DROP TABLE {name}; COMMIT; \
                 INSERT INTO {name} {rows} ON CONFLICT (id) DO UPDATE SET v = 'unseen'; \
                 ALTER PUBLICATION dbmazz_pub ADD TABLE {name}"
            ),
            _ => format!(
                "BEGIN; DROP TABLE {name}; CREATE TABLE {name} {SEAM_COLUMNS}; INSERT INTO {name} {rows}; COMMIT"
            ),
        }
    }
}

/// Follows the remedy of a halted table's fault, statement by statement.
pub(super) async fn follow(arena: &Arena, fault: &Fault) -> Result<()> {
    for statement in at_the_sink(fault)? {
        match arena.sink.rows(&statement).await {
            // A fault that was raised just before the worker saw the remedy is followed twice.
            Err(error) if error.to_string().contains("Unknown column 'w'") => {}
            ended => drop(ended.with_context(|| statement.clone())?),
        }
    }
    wait::until("the table flows again", async || {
        let faults = arena.worker().status().await?.faults;
        let stands = |other: &Fault| (&other.table, &other.reason) == (&fault.table, &fault.reason);
        Ok((!faults.iter().any(stands)).then_some(()))
    })
    .await?;
    let source = Source::connect(&arena.postgres.url("postgres")).await?;
    for statement in between(&fault.fix, "run at the source ", " so that every row")?.split(" and then ") {
        // The remedy names the key k where it does not know it.
        let statement = statement.split(" (of a partitioned").next().unwrap_or_default();
        let statement =
            statement.split(", k being").next().unwrap_or_default().replace("SET k = k", "SET id = id");
        source.run(&statement).await.with_context(|| statement.clone())?;
    }
    Ok(())
}

/// Removes a target and its schema history; or renames a column back.
fn at_the_sink(fault: &Fault) -> Result<Vec<String>> {
    if !fault.fix.contains("take the table anew") {
        let name = fault.table.strip_prefix("public.").context("a table of the seams")?;
        return Ok(vec![format!("ALTER TABLE `{DATABASE}`.`{name}` RENAME COLUMN w TO v")]);
    }
    let statements = between(&fault.fix, "in StarRocks run ", "; when the job has made")?.split(" and then ");
    Ok(statements.map(|statement| statement.replacen('`', &format!("`{DATABASE}`.`"), 1)).collect())
}

pub(super) fn between<'a>(text: &'a str, from: &str, to: &str) -> Result<&'a str> {
    let (_, rest) = text.split_once(from).with_context(|| format!("no {from:?} in {text}"))?;
    Ok(rest.split_once(to).with_context(|| format!("no {to:?} in {text}"))?.0)
}
