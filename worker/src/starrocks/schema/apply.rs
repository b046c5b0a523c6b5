//! Creates one target, or alters it to match the source.

use std::time::Duration;

use crds::Reason;
use tokio::time::sleep;
use tracing::info;

use super::{
    difference::{held_now, next_step, still_held},
    earlier::{check, newly_left_out, with_fills},
    fault::of_table,
    key::primary_key,
    look::{columns, is_changing, live_backends, show_create},
    model::{Existing, Step},
    standing::{Standing, identity, standing},
    statement::{alter_table, create_table},
};
use crate::{
    config::SinkConfig,
    fault::{Fault, Part},
    schema_history::{SchemaHistory, TargetColumn},
    starrocks::sql::Session,
    table::Table,
};

/// The poll interval doubles between these two; an asynchronous ALTER takes at least 20 s.
const SHORTEST_LOOK: Duration = Duration::from_millis(100);
const LONGEST_LOOK: Duration = Duration::from_secs(5);
/// After so many ALTERs that StarRocks accepted and cancelled, retrying at once is useless.
const MOST_TRIES: u32 = 5;

/// Creates the target, or completes its columns; returns its schema history. A target that was filled and has been
/// replaced, emptied or dropped since is not touched and gives a fault.
pub(super) async fn prepare_table(
    session: &mut Session,
    config: &SinkConfig,
    table: &Table,
    before: Option<&SchemaHistory>,
) -> Result<SchemaHistory, Fault> {
    if let Some(columns) = newly_left_out(table, before.and_then(|before| before.look.as_ref())) {
        info!(table = %table.name, %columns, "columns left out: PostgreSQL does not publish them");
    }
    if let Some(Standing { columns, identity }) = standing(session, table, before).await? {
        before.map_or(Ok(()), |before| check(table, config.values, before))?;
        let held = before.map_or(&[][..], |before| &before.target);
        let target = complete_table(session, config, &with_fills(table, before), columns, held).await?;
        let history = match before {
            Some(before) => before.with_target(target).looked_at(table),
            None => SchemaHistory::beginning(table, target),
        };
        return Ok(SchemaHistory { sink: identity.or_else(|| history.sink.clone()), ..history });
    }
    let replicas = live_backends(config).await.clamp(1, 3);
    let create = create_table(table, config.values, replicas)?;
    session
        .run(&create, &format!("create table {}", table.target))
        .await
        .map_err(|error| of_table(&error, table))?;
    info!(table = %table.name, target = %table.target, replicas, "target table created");
    let sink = identity(session, table).await.map_err(|error| error.fault())?;
    Ok(SchemaHistory { sink, ..SchemaHistory::beginning(table, held_now(table, config.values, &[])?) })
}

async fn complete_table(
    session: &mut Session,
    config: &SinkConfig,
    table: &Table,
    mut existing: Vec<Existing>,
    held: &[TargetColumn],
) -> Result<Vec<TargetColumn>, Fault> {
    let (mut look, mut tries) = (SHORTEST_LOOK, 0);
    let held = still_held(table, &existing, held);
    loop {
        let step = next_step(table, config.values, &existing, &held)?;
        if !matches!(step, Some(Step::Rename { .. })) {
            check_key(session, table).await?;
        }
        if !is_changing(session, &config.database, table).await.map_err(|error| error.fault())? {
            let Some(step) = step else { return held_now(table, config.values, &held) };
            if tries == MOST_TRIES {
                return Err(not_changed(table));
            }
            alter(session, table, &alter_table(table, &step)).await?;
            tries += u32::from(matches!(step, Step::Change { .. }));
        }
        sleep(look).await;
        look = (look * 2).min(LONGEST_LOOK);
        existing = columns(session, table).await?;
    }
}

fn not_changed(table: &Table) -> Fault {
    let message = format!(
        "StarRocks accepted ALTER TABLE on {}, but its columns are unchanged; the ALTER was probably cancelled",
        table.target
    );
    let fix = "look at SHOW ALTER TABLE COLUMN for why the change was cancelled";
    Fault::retry(Part::Table(table.name.clone()), Reason::TargetIncompatible, message, fix)
}

async fn alter(session: &mut Session, table: &Table, statement: &str) -> Result<(), Fault> {
    match session.run(statement, &format!("change the columns of {}", table.target)).await {
        Err(error) if !error.is_schema_change() => Err(of_table(&error, table)),
        Ok(_) => {
            info!(table = %table.name, target = %table.target, %statement, "target table alter started");
            Ok(())
        }
        Err(_) => Ok(()),
    }
}

async fn check_key(session: &mut Session, table: &Table) -> Result<(), Fault> {
    primary_key(table, &show_create(session, table).await?)
}
