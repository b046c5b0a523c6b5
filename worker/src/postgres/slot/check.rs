//! Checks the slot against the job's prior runs, takes its lock, and warns of settings that can end the replication.

use std::{
    thread,
    time::{Duration, Instant},
};

use super::{continuity, gap, lock};
use crate::{
    config::SourceConfig,
    lsn::Lsn,
    postgres::{
        connection::Connection,
        error::{SourceError, slot_in_use},
        server::Server,
        slot::Slot,
    },
    prior_run::{End, PriorRun},
};

const IDLE_TIMEOUT_SINCE: u32 = 180_000;
/// Wait for a slot in use: long enough for the walsender of a worker that was just killed to end.
const IN_USE_LIMIT: Duration = Duration::from_secs(3);
const IN_USE_PAUSE: Duration = Duration::from_millis(20);

/// The confirmed position of the slot, if there is one; fails when it contradicts the prior runs.
pub(crate) fn checked_slot(
    connection: &mut Connection,
    config: &SourceConfig,
    server: &Server,
    prior_runs: &[PriorRun],
) -> Result<Option<Lsn>, SourceError> {
    let of_server = prior_runs.iter().find(|prior_run| prior_run.system == server.origin.system);
    let Some(prior_run) = of_server.or(prior_runs.first()) else {
        let slot = Slot::find(connection, &config.slot, server.version)?;
        return Ok(slot.map(|slot| slot.usable(config)).transpose()?);
    };
    let slot = quiet_slot(connection, config, server.version)?;
    if prior_run.end == End::Lost && prior_run.system == server.origin.system {
        return Ok(slot);
    }
    let end =
        prior_run.timeline.map(|timeline| continuity::timeline_end(connection, timeline, server.origin));
    let end = end.transpose()?.flatten();
    gap::check(config, prior_run, server.origin, server.is_standby, end, slot)?;
    Ok(slot)
}

/// Takes the lock on the slot: until the session ends or releases it, no other worker of the slot changes objects at
/// the source or the sink.
pub(crate) fn locked(connection: &mut Connection, config: &SourceConfig) -> Result<(), SourceError> {
    let deadline = Instant::now() + IN_USE_LIMIT;
    loop {
        match lock::take(connection, &config.slot) {
            Ok(_) => return Ok(()),
            Err(error) if Instant::now() > deadline => return Err(error),
            Err(_) => thread::sleep(IN_USE_PAUSE),
        }
    }
}

/// Warns of settings that are harmless now and can end the replication later.
pub(crate) fn warn_of_limits(
    connection: &mut Connection,
    config: &SourceConfig,
    server: &Server,
) -> Result<(), SourceError> {
    let slot = Slot::find(connection, &config.slot, server.version)?;
    if slot.is_some_and(|slot| slot.lost_by_failover(server.version)) {
        let why =
            if server.is_standby { "slots of a standby stay on it" } else { "it was made without FAILOVER" };
        tracing::warn!(slot = %config.slot, "the slot does not survive a failover of the server: {why}");
    }
    if server.version >= IDLE_TIMEOUT_SINCE {
        let rows = connection.query(
            "SELECT setting FROM pg_catalog.pg_settings WHERE name = 'idle_replication_slot_timeout' AND setting <> '0'",
        )?;
        if let Some(row) = rows.first() {
            let timeout = row.text(0);
            tracing::warn!(slot = %config.slot, %timeout, "idle_replication_slot_timeout is set: PostgreSQL \
                invalidates a slot that is not read for that long, so a job that is stopped longer loses changes");
        }
    }
    Ok(())
}

/// The confirmed position of a slot that no session reads: a slot in use moves while it is checked, so the end of its
/// reader is awaited up to [`IN_USE_LIMIT`]. The lock on the slot keeps other workers away until this session ends.
fn quiet_slot(
    connection: &mut Connection,
    config: &SourceConfig,
    version: u32,
) -> Result<Option<Lsn>, SourceError> {
    let deadline = Instant::now() + IN_USE_LIMIT;
    loop {
        let locked = lock::take(connection, &config.slot);
        let Some(slot) = Slot::find(connection, &config.slot, version)? else { return Ok(None) };
        let confirmed = slot.usable(config)?;
        match (locked, slot.holder) {
            (Ok(_), None) => return Ok(Some(confirmed)),
            (Err(error), _) if Instant::now() > deadline => return Err(error),
            (_, Some(pid)) if Instant::now() > deadline => {
                return Err(slot_in_use(config, &format!("by the session of process {pid}")).into());
            }
            _ => thread::sleep(IN_USE_PAUSE),
        }
    }
}
