//! Whether the slot is where the job's past says that it should be, and for how long it will be.

use std::{
    thread,
    time::{Duration, Instant},
};

use super::{continuity, lock, start_position};
use crate::{
    config::SourceConfig,
    lsn::Lsn,
    postgres::{
        connection::Connection,
        error::{SourceError, slot_in_use},
        server::Server,
        slot::Slot,
    },
    prior_run::PriorRun,
};

const IDLE_TIMEOUT_SINCE: u32 = 180_000;
/// Long enough for the walsender of a worker that was killed a moment ago.
const IN_USE_LIMIT: Duration = Duration::from_secs(3);
const IN_USE_PAUSE: Duration = Duration::from_millis(20);

/// Where the slot is, if there is one; fails when the past says that it should be somewhere else.
pub(crate) fn judged_slot(
    connection: &mut Connection,
    config: &SourceConfig,
    server: &Server,
    past: &[PriorRun],
) -> Result<Option<Lsn>, SourceError> {
    let same = past.iter().find(|past| past.system == server.origin.system);
    let Some(past) = same.or(past.first()) else {
        let slot = Slot::find(connection, &config.slot, server.version)?;
        return Ok(slot.map(|slot| slot.usable(config)).transpose()?);
    };
    let slot = quiet_slot(connection, config, server.version)?;
    let left = past.timeline.map(|timeline| continuity::left(connection, timeline, server.origin));
    start_position::check(config, past, server.origin, server.is_standby, left.transpose()?.flatten(), slot)?;
    Ok(slot)
}

/// Keeps other workers of the slot away, from the source's objects and from the sink's, until the session ends or lets go.
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

/// What is not wrong now, and ends the replication one day.
pub(crate) fn warn_of_limits(
    connection: &mut Connection,
    config: &SourceConfig,
    server: &Server,
) -> Result<(), SourceError> {
    let slot = Slot::find(connection, &config.slot, server.version)?;
    if slot.is_some_and(|slot| slot.stays_behind(server.version)) {
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
            tracing::warn!(slot = %config.slot, %timeout, "idle_replication_slot_timeout is set: PostgreSQL gives \
                a slot up that nobody reads for so long, and a job that is stopped meanwhile loses changes");
        }
    }
    Ok(())
}

/// A slot that somebody reads moves while it is judged, so its end is waited for, for a while. The lock of the slot
/// keeps other workers away until this session ends.
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
