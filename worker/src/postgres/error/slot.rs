//! Faults of the slot and of the publication, with their remedies.

use crds::Reason;

use super::source_retry;
use crate::{
    config::SourceConfig,
    fault::{Fault, Part, forget, take_all_anew},
    lsn::Lsn,
    postgres::sql,
};

pub(in crate::postgres) fn slot_in_use(config: &SourceConfig, said: &str) -> Fault {
    source_retry(
        Reason::SlotInUse,
        format!("replication slot {} is in use: {said}", config.slot),
        "stop the other consumer of this slot, or give this job a slot of its own; the session of a worker that is gone ends \
         by itself within minutes (wal_sender_timeout, TCP keepalives); that of a worker that is stopped (SIGSTOP, a paused \
         machine) does not: end it with SELECT pg_terminate_backend(…) and the number of the process",
    )
}

pub(in crate::postgres) fn slot_lost(config: &SourceConfig, problem: &str) -> Fault {
    Fault::halt(
        Part::Source,
        Reason::SlotLost,
        format!("replication slot {} cannot continue: {problem}", config.slot),
        format!("changes are missing, so {}", begin_anew(config)),
    )
}

/// The remedy where changes are lost: the job begins again after them.
pub(super) fn begin_anew(config: &SourceConfig) -> String {
    format!(
        "begin again: run SELECT pg_drop_replication_slot({slot}) if the slot is there, and {}; instead of dropping the \
         slot and of the DELETE from `dbmazz_jobs` the job can be deleted and recreated",
        take_all_anew(&forget(&config.claims)),
        slot = sql::literal(&config.slot).trim_start(),
    )
}

pub(in crate::postgres) fn gap(config: &SourceConfig, problem: &str) -> Fault {
    let forget = forget(&config.claims);
    Fault::halt(
        Part::Source,
        Reason::ReplicationGap,
        format!("changes may be missing behind replication slot {}: {problem}", config.slot),
        format!(
            "compare the tables with dbmazz verify; if they are equal, let the job go on from where the slot is by \
             running, in StarRocks' target database, {forget}; else {} (or, if this is another job, give it a slot name \
             of its own)",
            take_all_anew(&forget)
        ),
    )
}

pub(in crate::postgres) fn set_back(flushed: Lsn, reached: Lsn) -> String {
    format!(
        "the server has WAL only up to {flushed}, and this job has replicated up to {reached}: the server was set back in \
         time, for example by restoring the snapshot of a volume, and writes other changes at the same positions"
    )
}

/// A standby that has not received all that was replicated already.
pub(in crate::postgres) fn behind(config: &SourceConfig, flushed: Lsn, reached: Lsn) -> Fault {
    source_retry(
        Reason::ReplicationGap,
        format!(
            "the standby at {}:{} has received WAL only up to {flushed}, and this job has replicated up to {reached}",
            config.host, config.port
        ),
        "wait until the standby has caught up; if it never does, its server was set back in time: copy the tables anew",
    )
}

pub(super) fn publication_missing(config: &SourceConfig) -> Fault {
    source_retry(
        Reason::PublicationMissing,
        format!(
            "publication {} was dropped, and PostgreSQL cannot decode what was written while it was missing",
            config.publication
        ),
        format!(
            "nothing, if no row was written meanwhile: the worker has made it anew; else {}",
            begin_anew(config)
        ),
    )
}
