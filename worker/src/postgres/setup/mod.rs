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
mod emptiness;
mod identity;
mod publication;
mod removal;
mod shape;

use crds::Reason;

pub use self::removal::{DropObjects, drop_objects, slot_dropped};
use self::{catalogue::Catalogue, identity::Identities, publication::Publication, shape::Refused};
use super::{
    connection::Connection,
    error::{SourceError, halt},
    server::{Server, server_version},
    slot::{
        self,
        check::{judged_slot, locked, warn_of_limits},
    },
    visibility::Visibility,
};
use crate::{
    config::SourceConfig,
    fault::Fault,
    lsn::Lsn,
    prior_run::PriorRun,
    schema_history::{Noted, SourceIdentity},
    table::{Table, TableId, TableName},
};

/// A source that is ready to stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prepared {
    /// Those that can be followed, in the order of the configuration; at least one.
    pub tables: Vec<Table>,
    /// What each of them is at the source.
    pub identities: Vec<SourceIdentity>,
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

/// What the source is like.
#[derive(Debug)]
pub enum Setup {
    Ready(Box<Prepared>, Exclusive),
    /// Nothing can be followed, and nothing was made: what is in the way of each table.
    Refused(Vec<Fault>),
}

/// A session that has the lock of the slot: no other worker loads for it before it is released.
#[derive(Debug)]
pub struct Exclusive {
    connection: Connection,
}

impl Exclusive {
    /// Lets the stream's session have the lock at once: it would have to wait for the end of this one. Blocks.
    pub fn release(mut self) {
        // A session that cannot be asked any more ends, and its lock with it.
        let _ = self.connection.query("SELECT pg_catalog.pg_advisory_unlock_all()");
        self.connection.close();
    }
}

/// Checks the source and makes what is missing, for a job that has no history of any table and whose slot another
/// worker may hold. Where nothing can be followed, what is in the way of the first table is the fault.
pub fn prepare(config: &SourceConfig, past: &[PriorRun]) -> Result<Prepared, Fault> {
    let setup = try_prepare(config, past, &Noted::new(), |_| Ok(()));
    match setup.map_err(|error| error.fault(config))? {
        Setup::Ready(prepared, session) => {
            session.release();
            Ok(*prepared)
        }
        Setup::Refused(faults) => Err(faults.into_iter().next().unwrap_or_else(no_table)),
    }
}

/// Checks the source and makes what is missing, while no other worker loads. Blocks; safe to repeat.
pub fn prepare_noted(config: &SourceConfig, past: &[PriorRun], noted: &Noted) -> Result<Setup, Fault> {
    if config.tables.is_empty() {
        return Err(no_table());
    }
    let lock = |connection: &mut Connection| locked(connection, config);
    try_prepare(config, past, noted, lock).map_err(|error| error.fault(config))
}

fn try_prepare(
    config: &SourceConfig,
    past: &[PriorRun],
    noted: &Noted,
    lock: impl FnOnce(&mut Connection) -> Result<(), SourceError>,
) -> Result<Setup, SourceError> {
    let mut connection = Connection::open(config)?;
    // Nobody is kept waiting behind us for long, and nobody keeps us for ever.
    connection.query("SET lock_timeout = '30s'")?;
    let server = Server::read(&mut connection)?;
    server.check()?;
    let catalogue = Catalogue::read(&mut connection, &config.tables)?;
    let publication = Publication::find(&mut connection, &config.publication, server.version)?;
    let identities = Identities::read(&mut connection, config, &config.tables, noted, server.version)?;
    let (tables, refused) = shape::tables(config, &catalogue, publication.as_ref(), &identities);
    if tables.is_empty() {
        return Ok(Setup::Refused(refused.into_iter().map(|refused| refused.fault).collect()));
    }
    let slot = judged_slot(&mut connection, config, &server, past)?;
    lock(&mut connection)?;
    let made = publication::ensure(
        &mut connection,
        config,
        &tables,
        publication.as_ref(),
        &identities,
        server.version,
    )
    .map_err(|error| server.in_words_of_a_standby(error, config))?;
    let create = |connection: &mut Connection| {
        slot::create(connection, &config.slot, server.version, server.is_standby)
    };
    let confirmed = slot.map_or_else(|| create(&mut connection), Ok)?;
    warn_of_limits(&mut connection, config, &server)?;
    let mut identities = if made {
        Identities::read(&mut connection, config, &config.tables, noted, server.version)?
    } else {
        identities
    };
    // With slot and publication there: whatever is written from now on comes by the stream.
    emptiness::note(&mut connection, &tables, &mut identities)?;
    let is_published =
        |refused: &Refused| publication.as_ref().is_some_and(|publication| publication.has(&refused.table));
    let is_held = |refused: &Refused| is_published(refused) || identities.holds_wal(&refused.table);
    let prepared = Prepared {
        identities: tables.iter().map(|table| identities.now(&table.name)).collect(),
        tables,
        holds_wal: refused.iter().any(is_held),
        refused: refused.into_iter().map(|refused| refused.fault).collect(),
        confirmed,
        server_version: server.version,
        slot_created: slot.is_none(),
        publication_created: publication.is_none(),
        system_identifier: server.origin.system,
        visibility: catalogue.visibility,
    };
    Ok(Setup::Ready(Box::new(prepared), Exclusive { connection }))
}

/// What is in the way of tables now. Makes nothing; blocks.
pub fn refused(config: &SourceConfig, noted: &Noted) -> Result<Vec<Fault>, Fault> {
    try_refused(config, noted).map_err(|error| error.fault(config))
}

fn try_refused(config: &SourceConfig, noted: &Noted) -> Result<Vec<Fault>, SourceError> {
    let mut connection = Connection::open_for_sql(config)?;
    let version = server_version(&mut connection)?;
    let catalogue = Catalogue::read(&mut connection, &config.tables)?;
    let publication = Publication::find(&mut connection, &config.publication, version)?;
    let identities = Identities::read(&mut connection, config, &config.tables, noted, version)?;
    connection.close();
    let (_, refused) = shape::tables(config, &catalogue, publication.as_ref(), &identities);
    Ok(refused.into_iter().map(|refused| refused.fault).collect())
}

/// The shapes that these tables have now, and what those are sure to reflect. Makes nothing; blocks.
pub(in crate::postgres) fn shapes(
    config: &SourceConfig,
    tables: &[TableName],
    noted: &Noted,
) -> Result<Shapes, SourceError> {
    let mut connection = Connection::open_for_sql(config)?;
    // Whoever changes a partition holds it; the stream is not kept waiting for that.
    connection.query("SET lock_timeout = '5s'")?;
    let version = server_version(&mut connection)?;
    let catalogue = Catalogue::read(&mut connection, tables)?;
    let publication = Publication::find(&mut connection, &config.publication, version)?;
    let identities = Identities::read(&mut connection, config, tables, noted, version)?;
    connection.close();
    let judged = |(place, name)| {
        let table = shape::judged(TableId(place), name, &catalogue, publication.as_ref());
        identities.judged(name, table.map(|table| identities.described(table)))
    };
    let judged = (0..).zip(tables).map(judged).collect();
    let partitions = tables.iter().map(|name| identities.now(name).partitions).collect();
    Ok(Shapes { tables: judged, partitions, visibility: catalogue.visibility })
}

/// The shapes that these tables have now, or what is in their way. Blocks.
pub fn shapes_of(config: &SourceConfig, tables: &[TableName]) -> Result<Vec<Result<Table, Fault>>, Fault> {
    let shapes = shapes(config, tables, &Noted::new()).map(|shapes| shapes.tables);
    shapes.map_err(|error| error.fault(config))
}

/// Tables as the catalogue shows them, or what is in their way.
#[derive(Debug)]
pub(in crate::postgres) struct Shapes {
    pub(in crate::postgres) tables: Vec<Result<Table, Fault>>,
    /// The numbers of each one's partitions.
    pub(in crate::postgres) partitions: Vec<Vec<u32>>,
    pub(in crate::postgres) visibility: Visibility,
}

fn no_table() -> Fault {
    halt(Reason::BadConfiguration, "the job selects no table", "select at least one")
}
