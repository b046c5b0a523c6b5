//! Checks whether the server supports logical replication for this job.

use crds::Reason;

use crate::{
    config::SourceConfig,
    fault::Fault,
    lsn::Lsn,
    postgres::{
        connection::Connection,
        error::{SourceError, halt, missing_on_standby},
    },
};

/// The catalogue queries need `pg_partition_tree` and generated columns, which PostgreSQL 12 introduced.
const OLDEST_VERSION: u32 = 120_000;
const STANDBY_SINCE: u32 = 160_000;
/// SQLSTATE of a write in a read-only session.
const READ_ONLY: &str = "25006";

/// A server, by system identifier, timeline and end of its WAL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Origin {
    pub(in crate::postgres) system: u64,
    pub(in crate::postgres) timeline: u32,
    /// The end of the WAL that the server has written.
    pub(in crate::postgres) flushed: Lsn,
}

pub(in crate::postgres) fn identify(connection: &mut Connection) -> Result<Origin, SourceError> {
    let rows = connection.query("IDENTIFY_SYSTEM")?;
    let row = rows.first().ok_or_else(|| SourceError::protocol("the server does not identify itself"))?;
    Ok(Origin { system: row.parse(0)?, timeline: row.parse(1)?, flushed: row.parse(2)? })
}

#[derive(Debug)]
pub(crate) struct Server {
    pub(super) version: u32,
    wal_level: String,
    pub(super) is_standby: bool,
    pub(super) origin: Origin,
}

impl Server {
    pub(super) fn read(connection: &mut Connection) -> Result<Self, SourceError> {
        let rows = connection
            .query(
                "SELECT pg_catalog.current_setting('server_version_num'), pg_catalog.current_setting('wal_level'), \
                 pg_catalog.pg_is_in_recovery()",
            )?;
        let settings = rows.first().ok_or_else(|| SourceError::protocol("the server has no version"))?;
        let (version, wal_level) = (settings.parse(0)?, settings.text(1).to_owned());
        Ok(Self { version, wal_level, is_standby: settings.flag(2), origin: identify(connection)? })
    }

    /// A standby takes no writes: names the publication that is missing on its primary, in place of the server's error.
    pub(super) fn explained_on_standby(&self, error: SourceError, config: &SourceConfig) -> SourceError {
        let is_it = self.is_standby && error.code() == Some(READ_ONLY);
        if is_it { missing_on_standby(config).into() } else { error }
    }

    pub(super) fn check(&self) -> Result<(), Fault> {
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
                format!(
                    "PostgreSQL setting wal_level is `{}`; logical replication needs `logical`",
                    self.wal_level
                ),
                "run ALTER SYSTEM SET wal_level = logical and restart the server (on a managed service set its \
                 parameter, such as rds.logical_replication or cloudsql.logical_decoding)",
            ));
        }
        Ok(())
    }
}

/// As in `server_version_num`.
pub(super) fn server_version(connection: &mut Connection) -> Result<u32, SourceError> {
    let rows = connection.query("SELECT pg_catalog.current_setting('server_version_num')")?;
    rows.first().ok_or_else(|| SourceError::protocol("the server has no version"))?.parse(0)
}
