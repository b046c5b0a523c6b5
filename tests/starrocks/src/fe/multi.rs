//! Transactions over several tables: the FE begins, commits and rolls them back, and keeps their state in memory
//! (§11.2).
//!
//! The hazards are those of StarRocks: the state of the label is unknown before the commit, and the answer to a commit
//! that fails may be `OK`.

use super::{
    Reply,
    result::{pretty, quote},
    transaction::{Call, Operation},
};
use crate::{
    be::{BeginHeaders, LoadHeaders},
    fault::{Action, Stage},
    http::Response,
    loaded::{Idle, Loaded, Multi, MultiState, load_headers},
    locked,
    outcome::Publication,
    plan::LoadPlan,
};

const DEFAULT_SECONDS: u32 = 600;
/// The timeout in seconds of a `begin` that names none, from 4.0.7 on.
const SHORT_SECONDS: u32 = 20;

/// The outcome of a commit.
enum Fate {
    Visible,
    Late,
    /// Nothing is committed, and the answer reports it.
    Failed(String),
    /// Nothing is committed, but the answer is `OK`; only the label's state shows it.
    FailedUnnoticed,
}

pub(super) async fn serve(call: &Call<'_>) -> Reply {
    match call.operation {
        Operation::Begin => begin(call).await,
        Operation::Load => Reply::Answer(load(call)),
        Operation::Prepare => Reply::Answer(call.failed("Unsupported operation")),
        Operation::Commit => commit(call).await,
        Operation::Rollback => Reply::Answer(rollback(call)),
    }
}

/// `OK` with at most a message, as in the answers to `begin` and `rollback`.
fn ok(message: &str) -> Response {
    Response::json(pretty(&[("Status", quote("OK")), ("Message", quote(message))]))
}

async fn begin(call: &Call<'_>) -> Reply {
    if let Some(reply) = call.strike(Stage::Begin).await {
        return reply;
    }
    let (cluster, now) = (call.cluster, call.cluster.clock.now());
    let minds = cluster.profile().minds_labels_at_begin();
    if minds && let Some(state) = label_in_use(call, now) {
        return Reply::Answer(label_exists(call, state));
    }
    let seconds = |text: u64| u32::try_from(text).unwrap_or(u32::MAX);
    let default = if minds { SHORT_SECONDS } else { DEFAULT_SECONDS };
    let timeout_seconds = call.timeout_seconds.map_or(default, seconds);
    let idle = call.request.header("idle_transaction_timeout").and_then(|text| text.parse().ok());
    let multi = Multi {
        id: locked(&cluster.transactions).next_id(),
        state: MultiState::Begin,
        loaded: Default::default(),
        busy: Default::default(),
        planned: Default::default(),
        timeout_seconds,
        deadline_millis: now + i64::from(timeout_seconds) * 1000,
        idle: Idle { limit_seconds: idle, touched_millis: now },
    };
    locked(&cluster.open).multi.insert(call.key.clone(), multi);
    locked(&cluster.stats).begun += 1;
    match call.strike(Stage::Answer).await {
        Some(reply) => reply,
        None => Reply::Answer(ok("")),
    }
}

/// The state of a label that is in use and therefore cannot begin again.
fn label_in_use(call: &Call<'_>, now: i64) -> Option<&'static str> {
    let open = locked(&call.cluster.open);
    if open.multi.get(&call.key).is_some_and(|multi| multi.state == MultiState::Begin) {
        return Some("BEGIN");
    }
    drop(open);
    let (database, label) = &call.key;
    let earlier = locked(&call.cluster.transactions).find(database, label, now)?;
    match earlier.state.existing_job() {
        "" => None,
        state => Some(state),
    }
}

fn label_exists(call: &Call<'_>, state: &str) -> Response {
    let (_, label) = &call.key;
    let message = format!("Label [{label}] has already been used.");
    Response::json(pretty(&[
        ("Status", quote("LABEL_ALREADY_EXISTS")),
        ("ExistingJobStatus", quote(state)),
        ("Message", quote(&message)),
    ]))
}

/// Plans the load at once, from the headers of this hop; the BE receives the plan (§11.2).
fn load(call: &Call<'_>) -> Response {
    if !is_begun(call) {
        return no_task(call);
    }
    match plan(call) {
        Ok(()) => call.redirect(),
        Err(reason) => {
            if let Some(multi) = locked(&call.cluster.open).multi.get_mut(&call.key) {
                multi.loaded.fault = Some(reason.clone());
            }
            call.failed(&reason)
        }
    }
}

fn is_begun(call: &Call<'_>) -> bool {
    let open = locked(&call.cluster.open);
    open.multi.get(&call.key).is_some_and(|multi| multi.state == MultiState::Begin)
}

/// A table is planned once per transaction: columns and modes in the headers of later loads are ignored.
fn plan(call: &Call<'_>) -> Result<(), String> {
    let (request, (database, _)) = (call.request, &call.key);
    let name = request.header("table").unwrap_or_default();
    let format = BeginHeaders::read(request)?.format;
    let headers = LoadHeaders::read(request, &name, format, true)?;
    let catalog = locked(&call.cluster.catalog);
    let table = catalog.table(database, &name);
    LoadPlan::new(table.ok_or_else(|| format!("unknown table \"{database}.{name}\""))?, &headers)?;
    drop(catalog);
    if let Some(multi) = locked(&call.cluster.open).multi.get_mut(&call.key) {
        multi.planned.entry(name).or_insert_with(|| load_headers(request));
    }
    Ok(())
}

/// The answer for a label without a transaction in this FE. The message of a rollback lacks the blanks around the
/// label, as in StarRocks.
fn no_task(call: &Call<'_>) -> Response {
    let (_, label) = &call.key;
    call.failed(&match call.operation {
        Operation::Rollback => format!("stream load task{label}does not exist"),
        _ => format!("stream load task {label} does not exist"),
    })
}

async fn commit(call: &Call<'_>) -> Reply {
    let (database, label) = &call.key;
    let cluster = call.cluster;
    let (mut late, mut denial) = (0, None);
    match cluster.meet(Stage::Commit, &format!("{database}."), label).await {
        None => {}
        Some(Action::PublishTimeout { visible_after_millis }) => late = visible_after_millis,
        Some(Action::FalseOk) => denial = Some("the commit came to nothing".to_owned()),
        Some(Action::Fail { message }) => {
            cancel(call);
            return Reply::Answer(call.failed(&message));
        }
        Some(_) => return Reply::Nothing,
    }
    let (id, state) = match locked(&cluster.open).multi.get(&call.key) {
        Some(multi) => (multi.id, multi.state),
        None => return Reply::Answer(no_task(call)),
    };
    match state {
        MultiState::Begin => {}
        MultiState::Committed => {
            let message = format!("Transaction {id} has already committed, label is {label}");
            return Reply::Answer(call.done(id, &message));
        }
        MultiState::Cancelled if cluster.profile().minds_a_rolled_back_commit() => {
            let message = format!("Can not commit CANCELLED transaction {id}, label is {label}");
            return Reply::Answer(call.failed(&message));
        }
        MultiState::Cancelled => return Reply::Answer(ok("")),
    }
    let fate = decide(call, late, denial);
    if let Some(reply) = call.strike(Stage::Answer).await {
        return reply;
    }
    Reply::Answer(match fate {
        Fate::Visible => call.done(id, ""),
        Fate::Late => call.failed("publish timeout"),
        Fate::Failed(message) => call.failed(&message),
        Fate::FailedUnnoticed => call.done(id, ""),
    })
}

/// Registers the label, which happens only now, and commits or aborts.
fn decide(call: &Call<'_>, late: u64, denial: Option<String>) -> Fate {
    let (database, label) = &call.key;
    let (cluster, now) = (call.cluster, call.cluster.clock.now());
    let Some((id, seconds, loaded)) = take(call) else { return Fate::FailedUnnoticed };
    let tables = loaded.parts.iter().map(|part| part.table_id).collect();
    let mut transactions = locked(&cluster.transactions);
    if transactions.begin_as(id, database, label, tables, seconds, now).is_err() {
        return Fate::FailedUnnoticed;
    }
    if let Err((reason, fate)) = judge(call, id, &loaded, denial) {
        transactions.abort(database, id, &reason, now);
        return fate;
    }
    if transactions.commit(database, id, now).is_err() {
        return Fate::FailedUnnoticed;
    }
    drop(transactions);
    cluster.record_tables(label, &loaded.tables);
    let publication = Publication {
        database: database.clone(),
        transaction: id,
        parts: loaded.parts,
        due_millis: now + i64::try_from(late).unwrap_or(i64::MAX / 4),
    };
    if cluster.publish(publication) { Fate::Visible } else { Fate::Late }
}

/// The reason and outcome of a failed commit. Only the error of a load, or that nothing was loaded, reaches the answer.
fn judge(call: &Call<'_>, id: u64, loaded: &Loaded, denial: Option<String>) -> Result<(), (String, Fate)> {
    let (_, label) = &call.key;
    if let Some(reason) = denial {
        return Err((reason, Fate::FailedUnnoticed));
    }
    if loaded.has_too_many_filtered() {
        return Err(("abnormal data more than max filter rate".to_owned(), Fate::FailedUnnoticed));
    }
    if let Some(fault) = &loaded.fault {
        let message = format!(
            "STREAM_LOAD_TASK:{id}, label{{{label}}}, error_msg{{cancel stream task for exception: {fault}}}"
        );
        return Err((fault.clone(), Fate::Failed(message)));
    }
    loaded.verdict(call.cluster.profile()).map_err(|reason| (reason.clone(), Fate::Failed(reason)))
}

/// Marks the transaction as committed and takes its rows.
fn take(call: &Call<'_>) -> Option<(u64, u32, Loaded)> {
    let mut open = locked(&call.cluster.open);
    let multi = open.multi.get_mut(&call.key)?;
    multi.state = MultiState::Committed;
    Some((multi.id, multi.timeout_seconds, std::mem::take(&mut multi.loaded)))
}

/// Drops the rows and returns the state before.
fn cancel(call: &Call<'_>) -> Option<(u64, MultiState)> {
    let mut open = locked(&call.cluster.open);
    let multi = open.multi.get_mut(&call.key)?;
    let before = multi.state;
    if before == MultiState::Begin {
        multi.cancel();
    }
    Some((multi.id, before))
}

fn rollback(call: &Call<'_>) -> Response {
    let (_, label) = &call.key;
    match cancel(call) {
        None => no_task(call),
        Some((_, MultiState::Begin)) => ok(&format!("stream load {label} abort")),
        Some((id, MultiState::Cancelled)) => {
            call.done(id, &format!("Transaction {id} has already aborted, label is {label}"))
        }
        Some((id, MultiState::Committed)) => {
            call.failed(&format!("Can not abort COMMITTED transaction {id}, label is {label}"))
        }
    }
}
