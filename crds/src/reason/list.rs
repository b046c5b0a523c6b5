//! The closed list: each reason with its meaning, what to do, and what the job does by itself.

use super::{Guide, Origin};

/// A fault of the whole job: the reader reconnects, or `job::session_loop` begins a new session.
const SESSION: &str =
    "Changes wait in the WAL meanwhile. The worker tries again with pauses of up to 5 s, until it succeeds.";
/// A fault of one table that is found by comparing both ends: `job::halt_watch`.
const LOOK: &str = "The table is halted and the others continue. The worker checks both ends every 5 s (longer with many \
    tables), and takes the table up again when the cause is gone.";
/// The same where rows of the target may be wrong: `dbmazz_tables` keeps the halt.
const LOOK_KEPT: &str = "The table is halted, also after a restart, and the others continue. The worker checks both ends every \
    5 s (longer with many tables), and begins the table anew when the remedy was followed.";
/// A fault of one table that was found in the stream: it is retried when the table changed at either end.
const STREAM: &str = "The table is halted and the others continue. The worker reads its changes again from the WAL when the \
    table changes at either end, and after every restart of the worker.";
/// A load that is sent again: `starrocks::load::loader`, with the pauses of its back-off.
const LOAD: &str = "Loads are sent again under the same label after 0.2 s to 10 s; other work at StarRocks begins again after \
    0.5 s to 5 s.";
/// A fault of a table's copy: `snapshot::table`, with the pauses of its back-off.
const COPY: &str =
    "The copy of the table is tried again after 1 s to 30 s; its changes and other tables go on.";
const NOTHING: &str = "Nothing is needed.";
const GOES_ON: &str = "The job continues by itself when the cause is gone.";

reasons! {
Worker {
    /// A defect of the worker.
    InternalDefect {
        remedy: "Report it with the worker's log. If a table stays halted, restart the worker by deleting its pod.",
        by_itself: "A table whose load was hit is halted until the worker restarts; everything else is retried after 0.5 s to 5 s.",
    },
    /// The job description or the environment contains an invalid value.
    BadConfiguration {
        remedy: "Correct the field, variable or object that the message names.",
        by_itself: "A running worker keeps its last job description. What is wrong at the source or in the state directory is checked again every few seconds.",
    },
    /// PostgreSQL cannot be reached, or the connection was lost.
    SourceUnreachable {
        remedy: "Check host and port, that the server runs, and that firewalls and network policies allow the connection; see the server's log.",
        by_itself: SESSION,
    },
    /// PostgreSQL refused the user or the password.
    SourceAuthenticationFailed {
        remedy: "Check user and password, that the role may log in, and that `pg_hba.conf` lets it reach the database.",
        by_itself: SESSION,
    },
    /// The TLS handshake with PostgreSQL failed, or its certificate is not trusted.
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
        remedy: "Correct the text at the source. The change that is already in the WAL can only be skipped: copy the tables anew and begin again with the statements that the message gives.",
        by_itself: "The worker reads again from the same position, with pauses of up to 30 s; later changes wait in the WAL.",
    },
    /// PostgreSQL fails to decode the WAL at a position, and fails there on every attempt.
    SourceDecodingFailed {
        remedy: "Correct what the server's log names. A change that cannot be decoded can only be skipped: copy the tables anew and begin again with the statements that the message gives.",
        by_itself: "The worker reads again from the same position, with pauses of up to 30 s; later changes wait in the WAL.",
    },
    /// A transaction is committed in the WAL, and other sessions of the source do not see it for ten seconds or more.
    SourceCommitNotVisible {
        remedy: "Let the commit end: it waits for a synchronous standby (`synchronous_standby_names`).",
        by_itself: "The table's changes wait, and go on as soon as the transaction is visible; other tables continue.",
    },
    /// Sessions at the source do not have the requested settings: a pooler or a login trigger changes them.
    SourceSettingsIgnored {
        remedy: "Give the address of the PostgreSQL server itself, not of a connection pooler; or change the login trigger that alters settings.",
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
    /// Another session holds a lock under which a table cannot be read.
    SourceTableLocked {
        remedy: "End the session that the statement of the message lists, or wait for it.",
        by_itself: COPY,
    },
    /// A table is rewritten (`VACUUM FULL`, `CLUSTER`, `pg_repack`, an `ALTER` that rewrites) again and again while it is copied.
    SourceTableRewritten {
        remedy: "Stop what rewrites the table until it is copied.",
        by_itself: "The copy of the table begins again after each rewrite, and the fault ends when it is complete; changes and other tables go on.",
    },
    /// PostgreSQL ended the reading of a table's existing rows.
    SourceQueryCancelled {
        remedy: "On a standby, set `hot_standby_feedback = on` or raise `max_standby_streaming_delay`; else see in the server's log who cancels it.",
        by_itself: COPY,
    },
    /// The source table was renamed, or another table has its name, while the target has the rows of the first.
    SourceTableReplaced {
        remedy: "Give the table its name back; or take the table anew with the statements that the message gives.",
        by_itself: LOOK_KEPT,
    },
    /// The publication has left out changes of a table, or may have.
    PublicationChanged {
        remedy: "Set the publication as the message says, and take the table anew: setting it back alone does not bring the changes that were left out.",
        by_itself: LOOK_KEPT,
    },
    /// The table was not part of the job for a while, and its changes of that time are not in the target.
    TableLeftOut {
        remedy: "Take the table anew with the statements that the message gives.",
        by_itself: LOOK_KEPT,
    },
    /// A selected table has no primary key.
    PrimaryKeyMissing {
        remedy: "Add a primary key, or set `REPLICA IDENTITY USING INDEX` with a unique index over columns that are NOT NULL; or take the table out of the job.",
        by_itself: LOOK,
    },
    /// The key of a table has a type or a width that StarRocks does not allow in a key.
    UnsupportedColumnType {
        remedy: "Give the table another primary key, or take it out of the job.",
        by_itself: LOOK,
    },
    /// A name cannot be expressed in StarRocks.
    UnsupportedName {
        remedy: "Rename the table or column at the source, or take the table out of the job. A column name beyond ASCII is refused only with `consistency: Transaction`.",
        by_itself: LOOK,
    },
    /// All replication slots, walsenders or connections of the source are in use.
    SlotsExhausted {
        remedy: "Drop unused slots, end unused sessions, or raise `max_replication_slots`, `max_wal_senders` or the connection limit that the message names.",
        by_itself: SESSION,
    },
    /// Another session uses the replication slot.
    SlotInUse {
        remedy: "Stop the other consumer, or give the job a slot of its own. The session of a lost worker ends by itself within minutes; that of a worker that is suspended (SIGSTOP, a paused machine) does not: end it with `SELECT pg_terminate_backend(…)` and the process number that the message gives.",
        by_itself: SESSION,
    },
    /// The replication slot does not exist any more, or the WAL that it needs does not.
    SlotLost {
        remedy: "Changes are missing: copy the tables anew, and begin again by deleting and recreating the job, or with the statements that the message gives.",
        by_itself: "Nothing is loaded, and the slot is never created again over the gap. The worker checks every 5 s whether the remedy was followed.",
    },
    /// The publication does not exist, and the worker can neither create it nor read on without it.
    PublicationMissing {
        remedy: "On a standby, create or complete it on the primary. Where it was dropped: nothing, if no row was written meanwhile; else copy the tables anew and begin again with the statements that the message gives.",
        by_itself: "The worker creates a dropped publication again, and retries after 0.5 s to 5 s.",
    },
    /// Slot and server exist, and it cannot be proven that no change is missing between them and the target.
    ReplicationGap {
        remedy: "Compare the tables (`dbmazz verify`), or copy them anew; then let the job continue from the slot's position with the statement that the message gives.",
        by_itself: "Nothing is loaded. The worker checks every 5 s whether the remedy was followed; it waits for a standby that is behind.",
    },
    /// The source sent a message that this version does not understand.
    SourceProtocolViolation {
        remedy: "Check that host and port are those of the PostgreSQL server itself, not of a pooler or proxy.",
        by_itself: SESSION,
    },
    /// StarRocks cannot be reached, or no backend is alive.
    SinkUnreachable {
        remedy: "Check that StarRocks runs, and that the worker can reach frontends and backends.",
        by_itself: LOAD,
    },
    /// StarRocks refused the user or the password.
    SinkAuthenticationFailed {
        remedy: "Give the job the right user and password, or correct them in StarRocks.",
        by_itself: "Loads are sent again under the same label after 5 s to 10 s; other work at StarRocks begins again after 0.5 s to 5 s.",
    },
    /// The user lacks a privilege in StarRocks.
    SinkPermissionDenied {
        remedy: "Grant the privilege that the message names, such as INSERT on the target table.",
        by_itself: "Loads are sent again under the same label after 5 s to 10 s; other work at StarRocks begins again after 0.5 s to 5 s.",
    },
    /// The previous worker did not shut down in order, and its last loads may still commit.
    PredecessorLoading {
        remedy: "Wait. A state directory that outlives the worker (`DBMAZZ_STATE_DIR`) avoids the wait.",
        by_itself: "Loading begins within four minutes.",
    },
    /// StarRocks is out of capacity for now (too many versions, running transactions, memory).
    SinkBusy {
        remedy: "Wait; if it persists, give StarRocks more capacity, or increase `batch.minInterval`.",
        by_itself: "Loads are sent again under the same label after 1 s to 30 s.",
    },
    /// A load or a schema change of a table does not end; the table's changes wait in the WAL, and the others continue.
    TableBehind {
        remedy: "See why StarRocks does not finish it: `SHOW ALTER TABLE COLUMN`, the versions and replicas of the target's tablets.",
        by_itself: "The table catches up when its load has ended.",
    },
    /// A target table with rows was dropped, created again, or emptied from outside.
    TargetLost {
        remedy: "Take the table anew with the statements that the message gives.",
        by_itself: LOOK_KEPT,
    },
    /// Another job loads into the same target table.
    TargetShared {
        remedy: "Remove the table from one of the two jobs; to keep it in this one, then take it anew with the statements that the message gives.",
        by_itself: LOOK_KEPT,
    },
    /// A target table exists and does not match the source table.
    TargetIncompatible {
        remedy: "Change the target as the message says, or take the table anew. Where StarRocks is too old for `consistency: Transaction`, upgrade it or set `Row`.",
        by_itself: LOOK,
    },
    /// StarRocks refused rows of a load.
    RowsRefused {
        remedy: "Read the reason at the address that the message gives, and change the rows at the source or the columns of the target; or set `onRefusedRow: DeadLetter`.",
        by_itself: STREAM,
    },
    /// StarRocks sent an answer that this version does not understand.
    SinkProtocolViolation {
        remedy: "See the logs of StarRocks, and check that no proxy between the worker and StarRocks alters requests or answers.",
        by_itself: "The worker asks for the state of the load's label, and sends the load again after 0.2 s to 10 s. Where rows may be missing, the table is halted.",
    },
    /// A value cannot be stored in the target column without loss.
    ValueNotRepresentable {
        remedy: "Set a rule for such values in `sink.starrocks.values`; a value of a key can only be corrected at the source.",
        by_itself: STREAM,
    },
    /// A row needs more memory than the worker may use.
    RowTooLarge {
        remedy: "Give the worker the memory limit that the message names (`worker.resources.limits.memory`).",
        by_itself: "The table is halted and the others continue. The worker that starts with the new limit reads the row again from the WAL.",
    },
    /// A source table changed in a way that the worker cannot apply to the target.
    SourceSchemaChanged {
        remedy: "Alter the target, or take the table anew, with the statements that the message gives.",
        by_itself: LOOK,
    },
    /// A change does not contain the columns that are needed to find or to write its row.
    ReplicaIdentityInsufficient {
        remedy: "Run the `ALTER TABLE … REPLICA IDENTITY` that the message gives; where it says so, take the table anew.",
        by_itself: LOOK,
    },
}
Operator {
    /// Changes are being replicated.
    Replicating {
        remedy: NOTHING,
        by_itself: "Ready is True.",
    },
    /// Paused by request.
    Paused {
        remedy: "Set `spec.state: Running` to continue.",
        by_itself: "PostgreSQL keeps the WAL meanwhile, as much as `max_slot_wal_keep_size` allows.",
    },
    /// Stopped by request; the slot stays.
    Stopped {
        remedy: "Set `spec.state: Running` to continue.",
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
        by_itself: "Dropping is tried until `deletion.timeout`; then the resource is released, and what is left is reported (`CleanupFailed`).",
    },
    /// The resource was released, and its slot or publication may remain at the source.
    CleanupFailed {
        remedy: "Run the SQL that the event gives: a slot that remains keeps WAL for ever.",
        by_itself: "Nothing. `dbmazz_operator_leaks_total` counts it.",
    },
    /// There is nothing to report.
    Healthy {
        remedy: NOTHING,
        by_itself: NOTHING,
    },
    /// PostgreSQL may soon remove WAL that the replication slot needs.
    SlotAtRisk {
        remedy: "Find out what keeps the worker from catching up, or raise `max_slot_wal_keep_size` and reload PostgreSQL: once the WAL is gone the tables have to be copied anew.",
        by_itself: "Replication continues.",
    },
    /// Every table's target has every row of the source.
    Copied {
        remedy: NOTHING,
        by_itself: NOTHING,
    },
    /// Existing rows are being copied while changes flow.
    Copying {
        remedy: "Nothing. What a copy waits for is shown by the worker's `/status`, and by its log once a minute.",
        by_itself: "The job goes on until every row is copied, also after a restart.",
    },
    /// Existing rows of a table are not copied yet, and no copy of it is under way.
    CopyPending {
        remedy: "Mend the fault of the table, which `status.tables.failing` names, or resume the job.",
        by_itself: "The copy begins, or goes on, when the table is taken up.",
    },
    /// Existing rows are not copied, because `snapshot.mode` is `Never`.
    NotCopied {
        remedy: "Nothing, if the target was filled by other means; else name a `snapshot.request`.",
        by_itself: "Changes are replicated.",
    },
    /// The worker took up a request to copy existing rows anew.
    CopyRequested {
        remedy: NOTHING,
        by_itself: "The rows are copied while changes flow.",
    },
    /// Everything is copied, and the job has ended (`snapshot.mode: Only`).
    Completed {
        remedy: "To replicate changes, create a ReplicationJob with `snapshot.mode: Initial`.",
        by_itself: "The worker is gone. The replication slot is dropped with the job.",
    },
    /// Not known yet, or not any more.
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
        by_itself: "The worker keeps its image.",
    },
    /// The operator has another pod template for the worker; the worker gets it with its next restart.
    NewWorkerTemplateAvailable {
        remedy: "To have it now, stop and start the job with `spec.state`.",
        by_itself: "The worker keeps its pod.",
    },
    /// A Secret that the job names does not exist.
    SecretMissing {
        remedy: "Create it.",
        by_itself: GOES_ON,
    },
    /// A Secret that the job names has no such key, or an unusable value under it.
    SecretKeyMissing {
        remedy: "Add the key, or name another key in `secretRef`; delete a control Secret without a usable token: the operator creates it again.",
        by_itself: GOES_ON,
    },
    /// The operator may not read a Secret, or the request failed.
    SecretUnreadable {
        remedy: "Check the permissions of the operator's service account.",
        by_itself: GOES_ON,
    },
    /// An object with that name exists and is not owned by the job.
    NameTaken {
        remedy: "Remove it, or give the job another name.",
        by_itself: GOES_ON,
    },
    /// The API server refused an object of the job.
    ObjectRefused {
        remedy: "If it persists, check quotas, policies and the operator's permissions.",
        by_itself: "The operator tries again.",
    },
    /// An admission policy or another controller changes an object of the job.
    ObjectAltered {
        remedy: "If that is not intended, exempt the operator's objects from the policy.",
        by_itself: "A change that a policy makes at every write is left; a later change is reverted, with pauses that grow to five minutes.",
    },
    /// The worker is starting.
    WorkerStarting {
        remedy: NOTHING,
        by_itself: "The worker starts, connects, or drains before a restart.",
    },
    /// No pod can be created, because of a quota or a policy.
    PodRefused {
        remedy: "Let the namespace's quota or policy allow the worker's pod.",
        by_itself: GOES_ON,
    },
    /// No node accepts the pod.
    PodUnschedulable {
        remedy: "Make room in the cluster, or ask for less in `spec.worker.resources`.",
        by_itself: GOES_ON,
    },
    /// The worker's image cannot be pulled.
    ImageUnavailable {
        remedy: "Correct `spec.worker.image`, or the access to its registry.",
        by_itself: GOES_ON,
    },
    /// The container cannot be created.
    ContainerRefused {
        remedy: "See the events of the pod.",
        by_itself: GOES_ON,
    },
    /// The worker exited and is restarted with growing pauses.
    WorkerCrashed {
        remedy: "See the log of the pod with `--previous`.",
        by_itself: "Kubernetes restarts it, and it continues from the replication slot.",
    },
    /// The worker runs and does not answer.
    WorkerUnreachable {
        remedy: "Check network policies and the log of its pod.",
        by_itself: "It may still be replicating; the operator asks again.",
    },
    /// The worker was stopped over its control interface, not by the operator.
    WorkerStopped {
        remedy: "Delete its pod to restart it: it continues from the replication slot, or reports `SlotLost` where the stop dropped it.",
        by_itself: "Nothing.",
    },
    /// The worker refused a command.
    CommandRefused {
        remedy: "Delete its pod to restart it: it loads what it holds first, and the next one continues from the slot. A changed token reaches the pod within two minutes.",
        by_itself: "The operator asks again.",
    },
    /// A fault with a reason that this operator does not know: the worker is newer.
    WorkerFault {
        remedy: "Follow the message, and upgrade the operator.",
        by_itself: "Depends on the fault.",
    },
}
}
