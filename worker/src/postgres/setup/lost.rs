//! Whether the slot is lost for good, while no other worker of it runs.

use crds::Reason;

use super::Exclusive;
use crate::{
    config::SourceConfig,
    fault::{Course, Fault, Part},
    postgres::{
        connection::Connection,
        error::SourceError,
        server::{Server, server_version},
        slot::{Slot, check::locked},
        sql,
    },
    prior_run::PriorRun,
};

/// Returns the system identifier of the server, and the session that holds the lock of the slot; fails when the slot is
/// there and usable, when it is of somebody else, or when this is not the server of a prior run. Blocks.
pub fn lost_slot(config: &SourceConfig, prior_runs: &[PriorRun]) -> Result<(u64, Exclusive), Fault> {
    try_lost(config, prior_runs).map_err(|error| error.fault(config))
}

impl Exclusive {
    /// Fails when the lock may be lost. Blocks.
    pub fn check(&mut self, config: &SourceConfig) -> Result<(), Fault> {
        self.connection.query("SELECT 1").map(drop).map_err(|error| error.fault(config))
    }

    /// Drops what is left of the slot, if it is still lost. Blocks.
    pub fn drop_lost(&mut self, config: &SourceConfig) -> Result<(), Fault> {
        self.try_drop(config).map_err(|error| error.fault(config))
    }

    fn try_drop(&mut self, config: &SourceConfig) -> Result<(), SourceError> {
        let version = server_version(&mut self.connection)?;
        let slot = Slot::find(&mut self.connection, &config.slot, version)?;
        // Meanwhile somebody may have created another of this name.
        let fault = slot.and_then(|slot| slot.usable(config).err());
        if fault.is_none_or(|fault| fault.reason != Reason::SlotLost) {
            return Ok(());
        }
        let name = sql::literal(&config.slot);
        self.connection.query(&format!("SELECT pg_catalog.pg_drop_replication_slot({name})")).map(drop)
    }
}

fn try_lost(config: &SourceConfig, prior_runs: &[PriorRun]) -> Result<(u64, Exclusive), SourceError> {
    let mut connection = Connection::open(config)?;
    let server = Server::read(&mut connection)?;
    locked(&mut connection, config)?;
    let system = server.origin.system;
    if prior_runs.iter().all(|prior_run| prior_run.system != system) {
        return Err(SourceError::Found(Box::new(not_lost("this job has not replicated from this server"))));
    }
    match Slot::find(&mut connection, &config.slot, server.version)?.map(|slot| slot.usable(config)) {
        None => {}
        Some(Err(fault)) if fault.reason == Reason::SlotLost && fault.course == Course::Halt => {}
        Some(Err(fault)) => return Err(fault.into()),
        Some(Ok(_)) => return Err(SourceError::Found(Box::new(not_lost("the slot is there again")))),
    }
    Ok((system, Exclusive { connection }))
}

fn not_lost(why: &str) -> Fault {
    Fault::retry(
        Part::Source,
        Reason::SlotLost,
        format!("no new slot is created: {why}"),
        "nothing: it is looked at again",
    )
}
