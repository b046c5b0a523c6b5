//! Drops slot and publication of a job at the source, when it is deleted or stopped and the request says so.
//!
//! Safe to repeat. No session is terminated: a slot in use is waited for, up to [`IN_USE_LIMIT`].

use std::{
    thread,
    time::{Duration, Instant},
};

use crate::{
    config::SourceConfig,
    fault::Fault,
    postgres::{
        connection::Connection,
        error::{SourceError, slot_in_use, slot_lost},
        sql,
    },
};

/// Wait for a slot in use: long enough for the walsender of a worker that has just ended.
const IN_USE_LIMIT: Duration = Duration::from_secs(10);
const IN_USE_PAUSE: Duration = Duration::from_millis(200);

/// The objects to drop; they should be objects that this job created.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DropObjects {
    pub slot: bool,
    pub publication: bool,
}

/// Drops slot and publication as far as they exist. Blocks.
pub fn drop_objects(config: &SourceConfig, objects: DropObjects) -> Result<(), Fault> {
    try_drop(config, objects).map_err(|error| error.fault(config))
}

/// The fault of a job whose slot was dropped on request.
pub fn slot_dropped(config: &SourceConfig) -> Fault {
    slot_lost(config, "it was dropped on request while the job exists, and changes from then on are not kept")
}

fn try_drop(config: &SourceConfig, objects: DropObjects) -> Result<(), SourceError> {
    let DropObjects { slot, publication } = objects;
    if !slot && !publication {
        return Ok(());
    }
    let mut connection = match Connection::open(config) {
        // A database with a slot cannot be dropped, so neither object is left.
        Err(error) if error.code() == Some("3D000") => return Ok(()),
        opened => opened?,
    };
    connection.query("SET lock_timeout = '30s'")?;
    // The slot first: it makes the server keep WAL.
    if slot {
        drop_slot(&mut connection, config)?;
    }
    if publication {
        connection.query(&format!("DROP PUBLICATION IF EXISTS {}", sql::identifier(&config.publication)))?;
    }
    connection.close();
    Ok(())
}

fn drop_slot(connection: &mut Connection, config: &SourceConfig) -> Result<(), SourceError> {
    let deadline = Instant::now() + IN_USE_LIMIT;
    let name = sql::literal(&config.slot);
    let statement = format!(
        "SELECT pg_catalog.pg_drop_replication_slot(slot_name) \
         FROM pg_catalog.pg_replication_slots WHERE slot_name = {name}"
    );
    loop {
        match connection.query(&statement) {
            // Another session has dropped it in the meantime.
            Err(error) if error.code() == Some("42704") => return Ok(()),
            Err(SourceError::Server(error)) if error.code == "55006" => {
                if Instant::now() > deadline {
                    return Err(slot_in_use(config, &error.message).into());
                }
                thread::sleep(IN_USE_PAUSE);
            }
            done => return done.map(drop),
        }
    }
}
