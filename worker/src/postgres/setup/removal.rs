//! Takes away what a job left in the source, when it is deleted and its policy says so.
//!
//! Safe to repeat. No session of anybody is ended: a slot in use is waited for, for a while.

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

/// Long enough for the walsender of a worker that has just ended.
const IN_USE_LIMIT: Duration = Duration::from_secs(10);
const IN_USE_PAUSE: Duration = Duration::from_millis(200);

/// What to drop; only what this job created should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DropObjects {
    pub slot: bool,
    pub publication: bool,
}

/// Drops what is there of slot and publication. Blocks.
pub fn drop_objects(config: &SourceConfig, objects: DropObjects) -> Result<(), Fault> {
    try_drop(config, objects).map_err(|error| error.fault(config))
}

/// The slot was dropped while the job lives.
pub fn slot_dropped(config: &SourceConfig) -> Fault {
    slot_lost(
        config,
        "it was dropped on request while the job lives, and what is written from then on is not kept",
    )
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
    // The slot first: it is what fills the source's disk.
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
            // Somebody else was faster.
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
