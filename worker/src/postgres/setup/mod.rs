//! Prepares the source before the stream: checks the requirements, and creates what is missing.
//!
//! In: the configuration, and the job's prior runs. Out: [`Prepared`], or the faults with their remedies. The rules:
//! nothing is created before everything was checked; the publication is created before the slot, so that it exists at
//! the slot's first change; a slot is created only for a job without prior runs, or one that copies every table anew
//! because its slot was lost, and dropped only by [`drop_objects`].
//!
//! A role with REPLICATION that owns the tables is sufficient. It needs CREATE on the database too, unless the
//! publication exists.

mod catalogue;
mod emptiness;
mod identity;
mod lost;
mod publication;
mod removal;
mod tables;

use crds::Reason;

use self::{catalogue::Catalogue, identity::Identities, publication::Publication, tables::Refused};
pub use self::{
    lost::lost_slot,
    removal::{DropObjects, drop_objects, slot_dropped},
};
use super::{
    connection::Connection,
    error::{SourceError, halt},
    server::{Server, server_version},
    slot::{
        self,
        check::{checked_slot, locked, warn_of_limits},
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
    /// The tables that can be replicated, in the order of the configuration; at least one.
    pub tables: Vec<Table>,
    /// The source identity of each of them.
    pub identities: Vec<SourceIdentity>,
    /// The fault of each other table.
    pub refused: Vec<Fault>,
    /// A refused table is published, so its changes may be in the WAL, which must stay.
    pub holds_wal: bool,
    /// The confirmed position of the slot.
    pub confirmed: Lsn,
    /// As in `server_version_num`: 150004 is 15.4.
    pub server_version: u32,
    pub slot_created: bool,
    pub publication_created: bool,
    pub system_identifier: u64,
    /// The visibility with which the tables' shapes were read.
    pub visibility: Visibility,
}

/// The outcome of the setup.
#[derive(Debug)]
pub enum Setup {
    Ready(Box<Prepared>, Exclusive),
    /// No table can be replicated, and nothing was created: the fault of each table.
    Refused(Vec<Fault>),
}

/// A session that holds the lock on the slot: no other worker loads before it is released.
#[derive(Debug)]
pub struct Exclusive {
    connection: Connection,
}

impl Exclusive {
    /// Releases the lock, so that the session of the stream need not wait for the end of this one. Blocks.
    pub fn release(mut self) {
        // If the query fails the session has ended, and its lock with it.
        let _ = self.connection.query("SELECT pg_catalog.pg_advisory_unlock_all()");
        self.connection.close();
    }
}

/// Checks the source and creates what is missing, for a job without schema histories, whose slot another worker may
/// hold. Where no table can be replicated, the fault of the first table is returned.
pub fn prepare(config: &SourceConfig, prior_runs: &[PriorRun]) -> Result<Prepared, Fault> {
    let setup = try_prepare(config, prior_runs, &Noted::new(), |_| Ok(()));
    match setup.map_err(|error| error.fault(config))? {
        Setup::Ready(prepared, session) => {
            session.release();
            Ok(*prepared)
        }
        Setup::Refused(faults) => Err(faults.into_iter().next().unwrap_or_else(no_table)),
    }
}

/// Checks the source and creates what is missing, while no other worker loads. Blocks; safe to repeat.
pub fn prepare_noted(config: &SourceConfig, prior_runs: &[PriorRun], noted: &Noted) -> Result<Setup, Fault> {
    if config.tables.is_empty() {
        return Err(no_table());
    }
    let lock = |connection: &mut Connection| locked(connection, config);
    try_prepare(config, prior_runs, noted, lock).map_err(|error| error.fault(config))
}

fn try_prepare(
    config: &SourceConfig,
    prior_runs: &[PriorRun],
    noted: &Noted,
    lock: impl FnOnce(&mut Connection) -> Result<(), SourceError>,
) -> Result<Setup, SourceError> {
    let mut connection = Connection::open(config)?;
    // Do not queue behind other sessions' locks for more than 30 s: sessions that come later would queue behind us.
    connection.query("SET lock_timeout = '30s'")?;
    let server = Server::read(&mut connection)?;
    server.check()?;
    let catalogue = Catalogue::read(&mut connection, &config.tables)?;
    let publication = Publication::find(&mut connection, &config.publication, server.version)?;
    let identities = Identities::read(&mut connection, config, &config.tables, noted, server.version)?;
    let (tables, refused) = tables::tables(config, &catalogue, publication.as_ref(), &identities);
    if tables.is_empty() {
        return Ok(Setup::Refused(refused.into_iter().map(|refused| refused.fault).collect()));
    }
    let slot = checked_slot(&mut connection, config, &server, prior_runs)?;
    lock(&mut connection)?;
    let made = publication::ensure(
        &mut connection,
        config,
        &tables,
        publication.as_ref(),
        &identities,
        server.version,
    )
    .map_err(|error| server.explained_on_standby(error, config))?;
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
    // After slot and publication exist: every later change comes through the stream.
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

/// One table as the catalogue shows it in the session's transaction.
pub(in crate::postgres) fn described(
    connection: &mut Connection,
    config: &SourceConfig,
    name: &TableName,
    version: u32,
) -> Result<Table, SourceError> {
    let catalogue = Catalogue::read(connection, std::slice::from_ref(name))?;
    let publication = Publication::find(connection, &config.publication, version)?;
    tables::checked(TableId(0), name, &catalogue, publication.as_ref())
        .map_err(|fault| SourceError::Found(Box::new(fault)))
}

/// The faults of tables at the source now. Creates nothing; blocks.
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
    let (_, refused) = tables::tables(config, &catalogue, publication.as_ref(), &identities);
    Ok(refused.into_iter().map(|refused| refused.fault).collect())
}

/// The shapes that these tables have now, and the visibility with which they were read. Creates nothing; blocks.
pub(in crate::postgres) fn shapes(
    config: &SourceConfig,
    tables: &[TableName],
    noted: &Noted,
) -> Result<Shapes, SourceError> {
    let mut connection = Connection::open_for_sql(config)?;
    // A session that changes a partition locks it; the stream does not wait for that longer than 5 s.
    connection.query("SET lock_timeout = '5s'")?;
    let version = server_version(&mut connection)?;
    let catalogue = Catalogue::read(&mut connection, tables)?;
    let publication = Publication::find(&mut connection, &config.publication, version)?;
    let identities = Identities::read(&mut connection, config, tables, noted, version)?;
    connection.close();
    let checked = |(place, name)| {
        let table = tables::checked(TableId(place), name, &catalogue, publication.as_ref());
        identities.checked(name, table.map(|table| identities.described(table)))
    };
    let checked = (0..).zip(tables).map(checked).collect();
    let partitions = tables.iter().map(|name| identities.now(name).partitions).collect();
    Ok(Shapes { tables: checked, partitions, visibility: catalogue.visibility })
}

/// The shapes that these tables have now, or their faults. Blocks.
pub fn shapes_of(config: &SourceConfig, tables: &[TableName]) -> Result<Vec<Result<Table, Fault>>, Fault> {
    let shapes = shapes(config, tables, &Noted::new()).map(|shapes| shapes.tables);
    shapes.map_err(|error| error.fault(config))
}

/// Tables as the catalogue shows them, or their faults.
#[derive(Debug)]
pub(in crate::postgres) struct Shapes {
    pub(in crate::postgres) tables: Vec<Result<Table, Fault>>,
    /// The oids of each table's partitions.
    pub(in crate::postgres) partitions: Vec<Vec<u32>>,
    pub(in crate::postgres) visibility: Visibility,
}

fn no_table() -> Fault {
    halt(Reason::BadConfiguration, "the job selects no table", "select at least one")
}
