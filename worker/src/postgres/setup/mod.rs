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
    visibility::Visibility,
};
use crate::{
    config::SourceConfig,
    fault::{Fault, Part},
    lsn::Lsn,
    past::Past,
    table::{Table, TableId, TableName},
};
use catalogue::Catalogue;
use publication::Publication;
use shape::Refused;

/// `pg_partition_tree`, generated columns: below it our questions to the catalogue fail.
const OLDEST_VERSION: u32 = 120_000;
const STANDBY_SINCE: u32 = 160_000;
const IDLE_TIMEOUT_SINCE: u32 = 180_000;

/// Long enough for the walsender of a worker that was killed a moment ago.
const IN_USE_LIMIT: Duration = Duration::from_secs(3);
const IN_USE_PAUSE: Duration = Duration::from_millis(20);

/// A source that is ready to stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prepared {
    /// Those that can be followed, in the order of the configuration; at least one.
    pub tables: Vec<Table>,
    /// What is in the way of each of the others.
    pub refused: Vec<Fault>,
    /// A refused table is published, so its changes may be in the WAL, which must stay.
    pub holds_wal: bool,
    /// Where the slot continues.
    pub confirmed: Lsn,
    /// As in `server_version_num`: 150004 is 15.4.
    pub server_version: u32,
    pub slot_created: bool,
    pub publication_created: bool,
    pub system_identifier: u64,
    /// What the tables' shapes were read with.
    pub visibility: Visibility,
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
    let (tables, refused) = shape::tables(config, &catalogue, publication.as_ref());
    if tables.is_empty() {
        return Err(none_left(refused).into());
    }
    let slot = judged_slot(&mut connection, config, &server, past)?;
    publication::ensure(&mut connection, config, &tables, publication.as_ref(), server.version)?;
    let create = |connection: &mut Connection| {
        slot::create(connection, &config.slot, server.version, server.is_standby)
    };
    let confirmed = slot.map_or_else(|| create(&mut connection), Ok)?;
    warn_of_limits(&mut connection, config, &server)?;
    // Here and not with the session's end, which the stream's session would have to wait for.
    connection.query("SELECT pg_catalog.pg_advisory_unlock_all()")?;
    connection.close();
    let is_published =
        |refused: &Refused| publication.as_ref().is_some_and(|publication| publication.has(&refused.table));
    Ok(Prepared {
        tables,
        holds_wal: refused.iter().any(is_published),
        refused: refused.into_iter().map(|refused| refused.fault).collect(),
        confirmed,
        server_version: server.version,
        slot_created: slot.is_none(),
        publication_created: publication.is_none(),
        system_identifier: server.origin.system,
        visibility: catalogue.visibility,
    })
}

/// What is in the way of tables now. Makes nothing; blocks.
pub fn refused(config: &SourceConfig) -> Result<Vec<Fault>, Fault> {
    try_refused(config).map_err(|error| error.fault(config))
}

fn try_refused(config: &SourceConfig) -> Result<Vec<Fault>, SourceError> {
    let mut connection = Connection::open(config)?;
    let version = Server::read(&mut connection)?.version;
    let catalogue = Catalogue::read(&mut connection, &config.tables)?;
    let publication = Publication::find(&mut connection, &config.publication, version)?;
    connection.close();
    let (_, refused) = shape::tables(config, &catalogue, publication.as_ref());
    Ok(refused.into_iter().map(|refused| refused.fault).collect())
}

/// The shapes that these tables have now, and what those are sure to reflect. Makes nothing; blocks.
pub(in crate::postgres) fn shapes(
    config: &SourceConfig,
    tables: &[TableName],
) -> Result<Shapes, SourceError> {
    let mut connection = Connection::open_for_sql(config)?;
    // Whoever changes a partition holds it; the stream is not kept waiting for that.
    connection.query("SET lock_timeout = '5s'")?;
    let version = server_version(&mut connection)?;
    let catalogue = Catalogue::read(&mut connection, tables)?;
    let publication = Publication::find(&mut connection, &config.publication, version)?;
    connection.close();
    let judged = |(place, name)| shape::judged(TableId(place), name, &catalogue, publication.as_ref());
    let tables = (0..).zip(tables).map(judged).collect();
    Ok(Shapes { tables, visibility: catalogue.visibility })
}

/// The shapes that these tables have now, or what is in their way. Blocks.
pub fn shapes_of(config: &SourceConfig, tables: &[TableName]) -> Result<Vec<Result<Table, Fault>>, Fault> {
    shapes(config, tables).map(|shapes| shapes.tables).map_err(|error| error.fault(config))
}

/// Tables as the catalogue shows them, or what is in their way.
#[derive(Debug)]
pub(in crate::postgres) struct Shapes {
    pub(in crate::postgres) tables: Vec<Result<Table, Fault>>,
    pub(in crate::postgres) visibility: Visibility,
}

fn server_version(connection: &mut Connection) -> Result<u32, SourceError> {
    let rows = connection.query("SELECT pg_catalog.current_setting('server_version_num')")?;
    rows.first().ok_or_else(|| SourceError::protocol("the server has no version"))?.parse(0)
}

/// Nothing can be followed: what is in the way of every table.
fn none_left(refused: Vec<Refused>) -> Fault {
    let mut faults = refused.into_iter().map(|refused| refused.fault);
    let Some(first) = faults.next() else {
        return halt(Reason::BadConfiguration, "the job selects no table", "select at least one");
    };
    let message = faults.fold(first.message, |message, fault| format!("{message}; {}", fault.message));
    halt(first.reason, message, first.fix)
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

/// What is not wrong now, and ends the replication one day.
fn warn_of_limits(
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
        let locked = stream::lock(connection, &config.slot);
        let Some(slot) = Slot::find(connection, &config.slot, version)? else { return Ok(None) };
        let confirmed = slot.usable(config)?;
        match (locked, slot.holder) {
            (Ok(()), None) => return Ok(Some(confirmed)),
            (Err(error), _) if Instant::now() > deadline => return Err(error),
            (_, Some(pid)) if Instant::now() > deadline => {
                return Err(slot_in_use(config, &format!("by the session of process {pid}")).into());
            }
            _ => thread::sleep(IN_USE_PAUSE),
        }
    }
}

#[derive(Debug)]
struct Server {
    version: u32,
    wal_level: String,
    is_standby: bool,
    origin: Origin,
}

impl Server {
    fn read(connection: &mut Connection) -> Result<Self, SourceError> {
        let rows = connection
            .query(
                "SELECT pg_catalog.current_setting('server_version_num'), pg_catalog.current_setting('wal_level'), \
                 pg_catalog.pg_is_in_recovery()",
            )?;
        let settings = rows.first().ok_or_else(|| SourceError::protocol("the server has no version"))?;
        let (version, wal_level) = (settings.parse(0)?, settings.text(1).to_owned());
        Ok(Self { version, wal_level, is_standby: settings.flag(2), origin: stream::identify(connection)? })
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
        if self.is_standby && self.version < STANDBY_SINCE {
            return Err(halt(
                Reason::BadConfiguration,
                format!(
                    "this server is a standby, and PostgreSQL {} cannot decode on one",
                    self.version / 10_000
                ),
                "give the address of the primary, or upgrade to PostgreSQL 16 or later",
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
