//! The closed list of reasons: one word for one fact, from the worker's report to `kubectl get`.

use std::fmt;

macro_rules! reasons {
    ($($(#[doc = $doc:literal])+ $name:ident),+ $(,)?) => {
        /// Why a job is as it is, fit for a Kubernetes condition or event.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Reason { $($(#[doc = $doc])+ $name),+ }

        impl Reason {
            /// Every reason there is, in the order of the documentation.
            pub const ALL: &[Self] = &[$(Self::$name),+];

            /// The word itself, in CamelCase.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => stringify!($name)),+ }
            }
        }
    };
}

reasons! {
    /// The worker itself is at fault.
    InternalDefect,
    /// The job description or the environment holds something that cannot be used.
    BadConfiguration,
    /// PostgreSQL cannot be reached, or the connection was lost.
    SourceUnreachable,
    /// PostgreSQL refused the user or the password.
    SourceAuthenticationFailed,
    /// TLS to PostgreSQL could not be agreed, or its certificate is not trusted.
    SourceTlsFailed,
    /// The role lacks a privilege at the source.
    SourcePermissionDenied,
    /// PostgreSQL cannot send a text of the source in UTF-8.
    SourceEncodingInvalid,
    /// PostgreSQL fails while it decodes the WAL, and would fail there again.
    SourceDecodingFailed,
    /// Sessions at the source do not have the settings that they asked for: something stands in between.
    SourceSettingsIgnored,
    /// The database does not exist at the source.
    SourceDatabaseMissing,
    /// `wal_level` is not `logical`.
    WalLevelNotLogical,
    /// A selected table does not exist at the source.
    SourceTableMissing,
    /// Another table has the name of one whose rows are in the target, or the one that had it is called otherwise.
    SourceTableReplaced,
    /// The publication left out changes of a table, or may have.
    PublicationChanged,
    /// The job did not have the table for a while, and what changed meanwhile is not in the target.
    TableLeftOut,
    /// A selected table has no primary key.
    PrimaryKeyMissing,
    /// A column's type has no loss-free form in StarRocks in this version.
    UnsupportedColumnType,
    /// A name cannot be expressed in StarRocks.
    UnsupportedName,
    /// All replication slots or walsenders of the source are taken.
    SlotsExhausted,
    /// Another session holds the replication slot.
    SlotInUse,
    /// The replication slot is gone, or its WAL is.
    SlotLost,
    /// The publication does not exist, and cannot be made from here or read past.
    PublicationMissing,
    /// Slot and server are there, and nobody can prove that no change is missing between them and the target.
    ReplicationGap,
    /// The source sent something that this version does not understand.
    SourceProtocolViolation,
    /// StarRocks cannot be reached, or no backend is alive.
    SinkUnreachable,
    /// StarRocks refused the user or the password.
    SinkAuthenticationFailed,
    /// The user lacks a privilege in StarRocks.
    SinkPermissionDenied,
    /// The worker before this one did not end in order, and its last loads may still commit.
    PredecessorLoading,
    /// StarRocks is out of capacity for now (too many versions, running transactions, memory).
    SinkBusy,
    /// What is under way into a table does not come to an end; its changes wait in the WAL, and the others go on.
    TableBehind,
    /// A target table that was filled is gone, was made anew, or was emptied by somebody.
    TargetLost,
    /// A target table exists and does not fit the source table.
    TargetIncompatible,
    /// StarRocks refused rows of a load.
    RowsRefused,
    /// StarRocks' answer is one that this version does not understand.
    SinkProtocolViolation,
    /// A value has no loss-free form in the target column.
    ValueNotRepresentable,
    /// A row is larger than the memory that the worker may take.
    RowTooLarge,
    /// A source table changed in a way that cannot be followed.
    SourceSchemaChanged,
    /// A key changed while a large value stayed, and the source does not send that value.
    ReplicaIdentityInsufficient,

    // From here on: what the operator sees by itself.
    /// All is well: changes flow.
    Replicating,
    /// Paused by request.
    Paused,
    /// Stopped by request; the slot stays.
    Stopped,
    /// Stopped by request, and still draining.
    Draining,
    /// The resource is being deleted, and its objects at the source are being dropped.
    Deleting,
    /// The resource is gone, and an object of it remains at the source.
    CleanupFailed,
    /// There is nothing to report.
    Healthy,
    /// PostgreSQL may soon remove WAL that the replication slot needs.
    SlotAtRisk,
    /// Nobody can tell yet, or any more.
    NotObserved,
    /// Everything runs as specified.
    AsSpecified,
    /// The operator's default image has changed; the worker gets it with its next restart.
    NewWorkerImageAvailable,
    /// The operator would set up the worker's pod otherwise; the worker gets it with its next restart.
    NewWorkerTemplateAvailable,
    /// A Secret that the job names does not exist.
    SecretMissing,
    /// A Secret that the job names lacks a key, or its value cannot be used.
    SecretKeyMissing,
    /// The operator may not read a Secret, or could not ask.
    SecretUnreadable,
    /// An object of that name exists, and does not belong to the job.
    NameTaken,
    /// The API server refused an object of the job.
    ObjectRefused,
    /// An admission policy or another controller changes an object of the job; it is left like that.
    ObjectAltered,
    /// The worker is on its way.
    WorkerStarting,
    /// No pod can be made: a quota, a policy.
    PodRefused,
    /// No node takes the pod.
    PodUnschedulable,
    /// The worker's image cannot be had.
    ImageUnavailable,
    /// The container cannot be made.
    ContainerRefused,
    /// The worker ended and is started again, later and later.
    WorkerCrashed,
    /// The worker runs and does not answer.
    WorkerUnreachable,
    /// The worker was stopped by somebody else.
    WorkerStopped,
    /// The worker did not do what it was asked.
    CommandRefused,
    /// A fault with a word that this operator does not know: the worker is newer.
    WorkerFault,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::str::FromStr for Reason {
    type Err = UnknownReason;

    fn from_str(word: &str) -> Result<Self, UnknownReason> {
        Self::ALL.iter().copied().find(|reason| reason.as_str() == word).ok_or(UnknownReason)
    }
}

/// The word is on no list: the worker is newer than the operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnknownReason;

impl fmt::Display for UnknownReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the reason is on no list")
    }
}

impl std::error::Error for UnknownReason {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_reads_back_as_itself() {
        for reason in Reason::ALL {
            assert_eq!(reason.as_str().parse(), Ok(*reason));
        }
        assert_eq!("Sunspots".parse::<Reason>(), Err(UnknownReason));
    }
}
