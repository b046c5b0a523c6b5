//! The closed list of reasons: one word for one fact, from the worker's report to `kubectl get`.

use std::fmt;

macro_rules! reasons {
    ($($origin:ident { $($(#[doc = $doc:literal])+ $name:ident { remedy: $remedy:expr, by_itself: $by_itself:expr $(,)? }),+ $(,)? })+) => {
        /// Why a job is as it is, fit for a Kubernetes condition or event.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Reason { $($($(#[doc = $doc])+ $name),+),+ }

        impl Reason {
            /// Every reason there is, in the order of the documentation.
            pub const ALL: &[Self] = &[$($(Self::$name),+),+];

            /// The word itself, in CamelCase.
            pub fn as_str(self) -> &'static str {
                match self { $($(Self::$name => stringify!($name)),+),+ }
            }

            /// Who reports it.
            pub fn origin(self) -> Origin {
                match self { $($(Self::$name)|+ => Origin::$origin),+ }
            }

            /// What it means, what a person does about it, and what the job does by itself: `docs/reasons.md`.
            pub fn guide(self) -> Guide {
                match self {
                    $($(Self::$name => Guide {
                        meaning: concat!($($doc),+),
                        remedy: $remedy,
                        by_itself: $by_itself,
                    }),+),+
                }
            }
        }
    };
}

/// Who reports a reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The worker, as a fault; the operator shows it in the conditions.
    Worker,
    /// The operator, by what it sees in the cluster.
    Operator,
}

/// What is said of a reason in the documentation.
#[derive(Debug, Clone, Copy)]
pub struct Guide {
    pub meaning: &'static str,
    pub remedy: &'static str,
    pub by_itself: &'static str,
}

/// A fault of the whole job: the reader connects again, or `job::engine` begins a session again.
const SESSION: &str =
    "Changes wait in the WAL meanwhile. The worker tries again with pauses of up to 5 s, until it succeeds.";
/// A fault of one table that a look at both ends judges: `job::look`.
const LOOK: &str = "The table is halted and the others go on. The worker looks at both ends every 5 s (more with many \
    tables), and takes the table up again when the cause is gone.";
/// The same where the target's rows are in question: `dbmazz_tables` keeps the halt.
const LOOK_KEPT: &str = "The table is halted, also after a restart, and the others go on. The worker looks at both ends every \
    5 s (more with many tables), and begins the table anew when the remedy was followed.";
/// A fault of one table that was found in the stream: it is tried again when something changed.
const STREAM: &str = "The table is halted and the others go on. The worker reads its changes again from the WAL when the \
    table changes at either end, and whenever it begins again.";
/// A load that is sent again: `starrocks::loader`, with the waits of its back-off.
const LOAD: &str = "Loads are sent again under the same label after 0.2 s to 10 s; other work at StarRocks begins again after \
    0.5 s to 5 s.";
const NOTHING: &str = "Nothing is needed.";
const GOES_ON: &str = "The job goes on by itself when the cause is gone.";

reasons! {
Worker {
    /// The worker itself is at fault.
    InternalDefect {
        remedy: "Report it with the worker's log. If a table stays halted, restart the worker by deleting its pod.",
        by_itself: "A table whose load was hit is halted until the worker restarts; everything else is tried again after 0.5 s to 5 s.",
    },
    /// The job description or the environment holds something that cannot be used.
    BadConfiguration {
        remedy: "Correct the field, variable or object that the message names.",
        by_itself: "A worker that runs goes on as it was told last. What the worker finds wrong at the source or in its state directory is looked at again every few seconds.",
    },
    /// PostgreSQL cannot be reached, or the connection was lost.
    SourceUnreachable {
        remedy: "Check host and port, that the server runs, and that firewalls and network policies let the worker through; if it says more, see the server's log.",
        by_itself: SESSION,
    },
    /// PostgreSQL refused the user or the password.
    SourceAuthenticationFailed {
        remedy: "Check user and password, that the role may log in, and that `pg_hba.conf` lets it reach the database.",
        by_itself: SESSION,
    },
    /// TLS to PostgreSQL could not be agreed, or its certificate is not trusted.
    SourceTlsFailed {
        remedy: "Name the authority that signed the server's certificate (`tls.caSecretRef`; standalone `sslrootcert`), or choose another TLS mode.",
        by_itself: SESSION,
    },
    /// The role lacks a privilege at the source.
    SourcePermissionDenied {
        remedy: "Run the `GRANT` or `ALTER ROLE` that the message gives.",
        by_itself: SESSION,
    },
    /// PostgreSQL cannot send a text of the source in UTF-8.
    SourceEncodingInvalid {
        remedy: "Correct the text at the source. The change that is in the WAL already can only be left out: copy the tables anew and begin again with the statements that the message gives.",
        by_itself: "The worker reads again from the same position, after pauses of up to 30 s; what follows in the WAL waits.",
    },
    /// PostgreSQL fails while it decodes the WAL, and would fail there again.
    SourceDecodingFailed {
        remedy: "Mend what the server's log names. What cannot be decoded at all can only be left out: copy the tables anew and begin again with the statements that the message gives.",
        by_itself: "The worker reads again from the same position, after pauses of up to 30 s; what follows in the WAL waits.",
    },
    /// Sessions at the source do not have the settings that they asked for: something stands in between.
    SourceSettingsIgnored {
        remedy: "Give the address of the PostgreSQL server itself: a connection pooler, or a trigger at login, changes the settings.",
        by_itself: SESSION,
    },
    /// The database does not exist at the source.
    SourceDatabaseMissing {
        remedy: "Check its name, or create it.",
        by_itself: SESSION,
    },
    /// `wal_level` is not `logical`.
    WalLevelNotLogical {
        remedy: "Run `ALTER SYSTEM SET wal_level = logical` and restart the server; on a managed service set its parameter; on a standby, on its primary.",
        by_itself: SESSION,
    },
    /// A selected table does not exist at the source.
    SourceTableMissing {
        remedy: "Check the name, which is exact also in upper and lower case, and the database; or create the table.",
        by_itself: LOOK,
    },
    /// Another table has the name of one whose rows are in the target, or the one that had it is called otherwise.
    SourceTableReplaced {
        remedy: "Give the table its name back; or take the table anew with the statements that the message gives.",
        by_itself: LOOK_KEPT,
    },
    /// The publication left out changes of a table, or may have.
    PublicationChanged {
        remedy: "Set the publication as the message says, and take the table anew: setting it back alone does not bring the changes that were left out.",
        by_itself: LOOK_KEPT,
    },
    /// The job did not have the table for a while, and what changed meanwhile is not in the target.
    TableLeftOut {
        remedy: "Take the table anew with the statements that the message gives.",
        by_itself: LOOK_KEPT,
    },
    /// A selected table has no primary key.
    PrimaryKeyMissing {
        remedy: "Add a primary key, or set `REPLICA IDENTITY USING INDEX` with a unique index over columns that are NOT NULL; or take the table out of the job.",
        by_itself: LOOK,
    },
    /// The key of a table has a type or a width that StarRocks cannot hold as a key.
    UnsupportedColumnType {
        remedy: "Give the table another primary key, or take it out of the job.",
        by_itself: LOOK,
    },
    /// A name cannot be expressed in StarRocks.
    UnsupportedName {
        remedy: "Rename the table or column at the source, or take the table out of the job. A column name beyond ASCII is refused only with `consistency: Transaction`.",
        by_itself: LOOK,
    },
    /// All replication slots or walsenders of the source are taken.
    SlotsExhausted {
        remedy: "Drop slots that nobody uses, end sessions that nobody uses, or raise `max_replication_slots`, `max_wal_senders` or the connection limit that the message names.",
        by_itself: SESSION,
    },
    /// Another session holds the replication slot.
    SlotInUse {
        remedy: "Stop the other consumer, or give the job a slot of its own. The session of a worker that is gone ends by itself within minutes.",
        by_itself: SESSION,
    },
    /// The replication slot is gone, or its WAL is.
    SlotLost {
        remedy: "Changes are missing: copy the tables anew, and begin again by deleting and recreating the job, or with the statements that the message gives.",
        by_itself: "Nothing is loaded, and the slot is never made again over the gap. The worker looks every 5 s whether the remedy was followed.",
    },
    /// The publication does not exist, and cannot be made from here or read past.
    PublicationMissing {
        remedy: "On a standby, create or complete it on the primary. Where it was dropped: nothing, if no row was written meanwhile; else copy the tables anew and begin again with the statements that the message gives.",
        by_itself: "The worker makes a publication that was dropped again, and begins again after 0.5 s to 5 s.",
    },
    /// Slot and server are there, and nobody can prove that no change is missing between them and the target.
    ReplicationGap {
        remedy: "Compare the tables (`dbmazz verify`), or copy them anew; then let the job go on from where the slot is with the statement that the message gives.",
        by_itself: "Nothing is loaded. The worker looks every 5 s whether the remedy was followed; a standby that is behind is waited for.",
    },
    /// The source sent something that this version does not understand.
    SourceProtocolViolation {
        remedy: "Check that host and port are those of the PostgreSQL server itself, not of a pooler or proxy.",
        by_itself: SESSION,
    },
    /// StarRocks cannot be reached, or no backend is alive.
    SinkUnreachable {
        remedy: "See that StarRocks runs, and that frontends and backends can be reached from the worker.",
        by_itself: LOAD,
    },
    /// StarRocks refused the user or the password.
    SinkAuthenticationFailed {
        remedy: "Give the job the right user and password, or mend them in StarRocks.",
        by_itself: "Loads are sent again under the same label after 5 s to 10 s; other work at StarRocks begins again after 0.5 s to 5 s.",
    },
    /// The user lacks a privilege in StarRocks.
    SinkPermissionDenied {
        remedy: "Grant the privilege that the message names, such as INSERT on the target table.",
        by_itself: "Loads are sent again under the same label after 5 s to 10 s; other work at StarRocks begins again after 0.5 s to 5 s.",
    },
    /// The worker before this one did not end in order, and its last loads may still commit.
    PredecessorLoading {
        remedy: "Wait. A state directory that outlives the worker (`DBMAZZ_STATE_DIR`) spares the wait.",
        by_itself: "Loading begins within four minutes.",
    },
    /// StarRocks is out of capacity for now (too many versions, running transactions, memory).
    SinkBusy {
        remedy: "Wait; if it lasts, give StarRocks more capacity, or enlarge `batch.minInterval`.",
        by_itself: "Loads are sent again under the same label after 1 s to 30 s.",
    },
    /// What is under way into a table does not come to an end; its changes wait in the WAL, and the others go on.
    TableBehind {
        remedy: "See why StarRocks does not finish it: `SHOW ALTER TABLE COLUMN`, the versions and replicas of the target's tablets.",
        by_itself: "The table catches up when its load has ended.",
    },
    /// A target table that was filled is gone, was made anew, or was emptied by somebody.
    TargetLost {
        remedy: "Take the table anew with the statements that the message gives.",
        by_itself: LOOK_KEPT,
    },
    /// Another job loads into the same target table.
    TargetShared {
        remedy: "Leave the table out of one of the two jobs; to have it in this one, take it anew then, with the statements that the message gives.",
        by_itself: LOOK_KEPT,
    },
    /// A target table exists and does not fit the source table.
    TargetIncompatible {
        remedy: "Change the target as the message says, or take the table anew. Where StarRocks is too old for `consistency: Transaction`, upgrade it or set `Row`.",
        by_itself: LOOK,
    },
    /// StarRocks refused rows of a load.
    RowsRefused {
        remedy: "Read why at the address that the message gives, and change the rows at the source or the columns of the target; or set `onRefusedRow: DeadLetter`.",
        by_itself: STREAM,
    },
    /// StarRocks' answer is one that this version does not understand.
    SinkProtocolViolation {
        remedy: "See the logs of StarRocks, and that no proxy between the worker and StarRocks alters requests or answers.",
        by_itself: "The state of the load's label is asked and the load is sent again after 0.2 s to 10 s. Where the answer leaves open whether rows are missing, the table is halted.",
    },
    /// A value has no loss-free form in the target column.
    ValueNotRepresentable {
        remedy: "Set a rule for such values in `sink.starrocks.values`; a value of a key can only be corrected at the source.",
        by_itself: STREAM,
    },
    /// A row is larger than the memory that the worker may take.
    RowTooLarge {
        remedy: "Give the worker the memory limit that the message names (`worker.resources.limits.memory`).",
        by_itself: "The table is halted and the others go on. The worker that starts with the new limit reads the row again from the WAL.",
    },
    /// A source table changed in a way that cannot be followed.
    SourceSchemaChanged {
        remedy: "Alter the target, or take the table anew, with the statements that the message gives.",
        by_itself: LOOK,
    },
    /// A change does not bring what is needed to find or to write its row.
    ReplicaIdentityInsufficient {
        remedy: "Run the `ALTER TABLE … REPLICA IDENTITY` that the message gives; where it says so, take the table anew.",
        by_itself: LOOK,
    },
}
Operator {
    /// All is well: changes flow.
    Replicating {
        remedy: NOTHING,
        by_itself: "Ready is True.",
    },
    /// Paused by request.
    Paused {
        remedy: "Set `spec.state: Running` to go on.",
        by_itself: "PostgreSQL keeps the WAL meanwhile, as much as `max_slot_wal_keep_size` allows.",
    },
    /// Stopped by request; the slot stays.
    Stopped {
        remedy: "Set `spec.state: Running` to go on.",
        by_itself: "PostgreSQL keeps the WAL meanwhile, as much as `max_slot_wal_keep_size` allows.",
    },
    /// Stopped by request, and still draining.
    Draining {
        remedy: NOTHING,
        by_itself: "The worker loads and confirms what it holds, for at most `worker.drainTimeout`.",
    },
    /// The resource is being deleted, and its objects at the source are being dropped.
    Deleting {
        remedy: NOTHING,
        by_itself: "Dropping is tried until `deletion.timeout`; then the resource goes, and what is left is reported (`CleanupFailed`).",
    },
    /// The resource is gone, and an object of it remains at the source.
    CleanupFailed {
        remedy: "Run the SQL that the event gives: a slot that is left keeps WAL for ever.",
        by_itself: "Nothing. `dbmazz_operator_leaks_total` counts it.",
    },
    /// There is nothing to report.
    Healthy {
        remedy: NOTHING,
        by_itself: NOTHING,
    },
    /// PostgreSQL may soon remove WAL that the replication slot needs.
    SlotAtRisk {
        remedy: "See what keeps the worker from catching up, or raise `max_slot_wal_keep_size` and reload PostgreSQL: once the WAL is gone the tables have to be copied anew.",
        by_itself: "Replication goes on.",
    },
    /// Nobody can tell yet, or any more.
    NotObserved {
        remedy: NOTHING,
        by_itself: "The condition is Unknown until a worker answers.",
    },
    /// Everything runs as specified.
    AsSpecified {
        remedy: NOTHING,
        by_itself: NOTHING,
    },
    /// The operator's default image has changed; the worker gets it with its next restart.
    NewWorkerImageAvailable {
        remedy: "To have it now, stop and start the job with `spec.state`.",
        by_itself: "The worker goes on with the image that it has.",
    },
    /// The operator would set up the worker's pod otherwise; the worker gets it with its next restart.
    NewWorkerTemplateAvailable {
        remedy: "To have it now, stop and start the job with `spec.state`.",
        by_itself: "The worker goes on in the pod that it has.",
    },
    /// A Secret that the job names does not exist.
    SecretMissing {
        remedy: "Create it.",
        by_itself: GOES_ON,
    },
    /// A Secret that the job names lacks a key, or its value cannot be used.
    SecretKeyMissing {
        remedy: "Add the key, or name another key in `secretRef`; a control Secret without a usable token is deleted, and the operator makes it anew.",
        by_itself: GOES_ON,
    },
    /// The operator may not read a Secret, or could not ask.
    SecretUnreadable {
        remedy: "Check the rights of the operator's service account.",
        by_itself: GOES_ON,
    },
    /// An object of that name exists, and does not belong to the job.
    NameTaken {
        remedy: "Remove it, or give the job another name.",
        by_itself: GOES_ON,
    },
    /// The API server refused an object of the job.
    ObjectRefused {
        remedy: "If it stays, check quotas, policies and the operator's rights.",
        by_itself: "It is tried again.",
    },
    /// An admission policy or another controller changes an object of the job; it is left like that.
    ObjectAltered {
        remedy: "If that is not meant, exempt the operator's objects from the policy.",
        by_itself: "What a policy changes while it is written is left; what is changed later is put back, at most every five minutes.",
    },
    /// The worker is on its way.
    WorkerStarting {
        remedy: NOTHING,
        by_itself: "The worker starts, connects, or drains before it is started anew.",
    },
    /// No pod can be made: a quota, a policy.
    PodRefused {
        remedy: "Let the namespace's quota or policy allow the worker's pod.",
        by_itself: GOES_ON,
    },
    /// No node takes the pod.
    PodUnschedulable {
        remedy: "Make room in the cluster, or ask for less in `spec.worker.resources`.",
        by_itself: GOES_ON,
    },
    /// The worker's image cannot be had.
    ImageUnavailable {
        remedy: "Correct `spec.worker.image`, or the access to its registry.",
        by_itself: GOES_ON,
    },
    /// The container cannot be made.
    ContainerRefused {
        remedy: "See the events of the pod.",
        by_itself: GOES_ON,
    },
    /// The worker ended and is started again, later and later.
    WorkerCrashed {
        remedy: "See the log of the pod with `--previous`.",
        by_itself: "Kubernetes starts it again, and it goes on from the replication slot.",
    },
    /// The worker runs and does not answer.
    WorkerUnreachable {
        remedy: "Check network policies and the log of its pod.",
        by_itself: "It may well be replicating; the operator asks again.",
    },
    /// The worker was stopped by somebody else.
    WorkerStopped {
        remedy: "Delete its pod to start it anew: it goes on from the replication slot, and says `SlotLost` where that was dropped along with the stop.",
        by_itself: "Nothing.",
    },
    /// The worker did not do what it was asked.
    CommandRefused {
        remedy: "Delete its pod to start it anew: it loads what it holds first, and the next one goes on from the slot. A token that was changed reaches the pod within two minutes.",
        by_itself: "The operator asks again.",
    },
    /// A fault with a word that this operator does not know: the worker is newer.
    WorkerFault {
        remedy: "Do what its message says, and upgrade the operator.",
        by_itself: "As the worker does it.",
    },
}
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
    fn docs_tell_every_reason() {
        for (origin, part) in [(Origin::Worker, "worker"), (Origin::Operator, "operator")] {
            let reasons = Reason::ALL.iter().filter(|reason| reason.origin() == origin);
            testbed::docs::is_current("reasons.md", part, &reasons.map(section).collect::<String>()).unwrap();
        }
    }

    fn section(reason: &Reason) -> String {
        let Guide { meaning, remedy, by_itself } = reason.guide();
        let meaning = meaning.trim();
        format!("### {reason}\n\n{meaning}\n\n- What to do: {remedy}\n- By itself: {by_itself}\n\n")
    }

    #[test]
    fn every_reason_reads_back_as_itself() {
        for reason in Reason::ALL {
            assert_eq!(reason.as_str().parse(), Ok(*reason));
        }
        assert_eq!("Sunspots".parse::<Reason>(), Err(UnknownReason));
    }
}
