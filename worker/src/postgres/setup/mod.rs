//! Before the stream: what the source must have is checked, what is missing is made.
//!
//! In: the configuration, and the job's past. Out: [`Prepared`], or the first thing that stands in the way with its
//! remedy. The rules: nothing is created before everything was checked; the publication is there before the slot,
//! so that the slot's first change finds it; a slot is made only for a job without a past, and never dropped but
//! by [`drop_objects`], which is asked for.
//!
//! A role with REPLICATION that owns the tables is enough (and may create in the database, unless the
//! publication is there already).

mod catalogue;
mod publication;
mod removal;
mod shape;
mod start;

use std::{
    thread,
    time::{Duration, Instant},
};

use crds::Reason;

pub use removal::{DropObjects, drop_objects};

use super::{
    connection::Connection,
    error::{SourceError, slot_in_use},
    slot::{self, Slot},
    stream::{self, Origin},
};
use crate::{
    config::SourceConfig,
    fault::{Fault, Part},
    lsn::Lsn,
    past::Past,
    table::Table,
};
use catalogue::Catalogue;
use publication::Publication;

/// `pg_partition_tree`, generated columns: below it our questions to the catalogue fail.
const OLDEST_VERSION: u32 = 120_000;

/// Long enough for the walsender of a worker that was killed a moment ago.
const IN_USE_LIMIT: Duration = Duration::from_secs(3);
const IN_USE_PAUSE: Duration = Duration::from_millis(20);

/// A source that is ready to stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prepared {
    /// In the order of the configuration.
    pub tables: Vec<Table>,
    /// Where the slot continues.
    pub confirmed: Lsn,
    /// As in `server_version_num`: 150004 is 15.4.
    pub server_version: u32,
    pub slot_created: bool,
    pub publication_created: bool,
    pub system_identifier: u64,
}

/// Checks the source and makes what is missing. Blocks; safe to repeat.
pub fn prepare(config: &SourceConfig, past: &[Past]) -> Result<Prepared, Fault> {
    try_prepare(config, past).map_err(|error| error.fault(config))
}

fn try_prepare(config: &SourceConfig, past: &[Past]) -> Result<Prepared, SourceError> {
    let mut connection = Connection::open(config)?;
    // Nobody is kept waiting behind us for long, and nobody keeps us for ever.
    connection.query("SET lock_timeout = '30s'")?;
    let server = Server::read(&mut connection)?;
    server.check()?;
    let catalogue = Catalogue::read(&mut connection, &config.tables)?;
    let publication = Publication::find(&mut connection, &config.publication, server.version)?;
    let tables = shape::tables(config, &catalogue, publication.as_ref())?;
    let slot = judged_slot(&mut connection, config, &server, past)?;
    publication::ensure(&mut connection, config, &catalogue, publication.as_ref(), server.version)?;
    let confirmed = slot.map_or_else(|| slot::create(&mut connection, &config.slot), Ok)?;
    connection.close();
    Ok(Prepared {
        tables,
        confirmed,
        server_version: server.version,
        slot_created: slot.is_none(),
        publication_created: publication.is_none(),
        system_identifier: server.origin.system,
    })
}

/// Where the slot is, if there is one; fails when the past says that it should be somewhere else.
fn judged_slot(
    connection: &mut Connection,
    config: &SourceConfig,
    server: &Server,
    past: &[Past],
) -> Result<Option<Lsn>, SourceError> {
    let same = past.iter().find(|past| past.system == server.origin.system);
    let Some(past) = same.or(past.first()) else {
        let slot = Slot::find(connection, &config.slot, server.version)?;
        return Ok(slot.map(|slot| slot.usable(config)).transpose()?);
    };
    let slot = quiet_slot(connection, config, server.version)?;
    let left = past.timeline.map(|timeline| stream::left(connection, timeline, server.origin));
    start::check(config, past, server.origin, left.transpose()?.flatten(), slot)?;
    Ok(slot)
}

/// A slot that somebody reads moves while it is judged, so its end is waited for, for a while.
fn quiet_slot(
    connection: &mut Connection,
    config: &SourceConfig,
    version: u32,
) -> Result<Option<Lsn>, SourceError> {
    let deadline = Instant::now() + IN_USE_LIMIT;
    loop {
        let Some(slot) = Slot::find(connection, &config.slot, version)? else { return Ok(None) };
        let confirmed = slot.usable(config)?;
        match slot.holder {
            None => return Ok(Some(confirmed)),
            Some(pid) if Instant::now() > deadline => {
                return Err(slot_in_use(config, &format!("by the session of process {pid}")).into());
            }
            Some(_) => thread::sleep(IN_USE_PAUSE),
        }
    }
}

#[derive(Debug)]
struct Server {
    version: u32,
    wal_level: String,
    origin: Origin,
}

impl Server {
    fn read(connection: &mut Connection) -> Result<Self, SourceError> {
        let rows = connection
            .query("SELECT pg_catalog.current_setting('server_version_num'), pg_catalog.current_setting('wal_level')")?;
        let settings = rows.first().ok_or_else(|| SourceError::protocol("the server has no version"))?;
        let (version, wal_level) = (settings.parse(0)?, settings.text(1).to_owned());
        Ok(Self { version, wal_level, origin: stream::identify(connection)? })
    }

    fn check(&self) -> Result<(), Fault> {
        if self.version < OLDEST_VERSION {
            let message = format!("PostgreSQL {} is older than 12", self.version / 10_000);
            return Err(halt(
                Reason::BadConfiguration,
                message,
                "upgrade the server to PostgreSQL 13 or later",
            ));
        }
        if self.wal_level != "logical" {
            return Err(halt(
                Reason::WalLevelNotLogical,
                format!("wal_level is {}, and logical replication needs logical", self.wal_level),
                "run ALTER SYSTEM SET wal_level = logical and restart the server (on a managed service set its \
                 parameter, such as rds.logical_replication or cloudsql.logical_decoding)",
            ));
        }
        Ok(())
    }
}

/// A fault of the whole source that a person has to mend.
fn halt(reason: Reason, message: impl Into<String>, fix: impl Into<String>) -> Fault {
    Fault::halt(Part::Source, reason, message, fix)
}
