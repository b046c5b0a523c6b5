//! Transactions over several tables: begun, committed and rolled back by the FE from its memory (§11.2).
//!
//! The hazards are StarRocks' own: a state nobody can ask for before the commit, and a commit that fails and says `OK`.

use super::{
    Reply,
    result::{pretty, quote},
    transaction::{Call, Operation},
};
use crate::{
    fault::{Action, Stage},
    http::Response,
    loaded::{Idle, Multi, MultiState},
    locked,
    outcome::Publication,
};

const DEFAULT_SECONDS: u32 = 600;
/// What a `begin` without a timeout gets from 4.0.7 on.
const SHORT_SECONDS: u32 = 20;

/// What becomes of a commit.
enum Fate {
    Visible,
    Late,
    /// Nothing is committed.
    Failed,
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

/// `OK` and no word more, as `begin` is answered.
fn ok() -> Response {
    Response::json(pretty(&[("Status", quote("OK")), ("Message", quote(""))]))
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
        None => Reply::Answer(ok()),
    }
}

/// The state of a label that cannot begin again.
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

fn load(call: &Call<'_>) -> Response {
    let open = locked(&call.cluster.open);
    match open.multi.get(&call.key) {
        Some(multi) if multi.state == MultiState::Begin => call.redirect(),
        _ => call.not_found(),
    }
}

async fn commit(call: &Call<'_>) -> Reply {
    let (database, label) = &call.key;
    let cluster = call.cluster;
    let (mut late, mut denial) = (0, None);
    match cluster.faults.meet(Stage::Commit, &format!("{database}."), label).await {
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
        None => return Reply::Answer(call.failed(&format!("No transaction found by label {label}"))),
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
        MultiState::Cancelled => return Reply::Answer(ok()),
    }
    let fate = decide(call, late, denial);
    if let Some(reply) = call.strike(Stage::Answer).await {
        return reply;
    }
    Reply::Answer(match fate {
        Fate::Visible => call.done(id, ""),
        Fate::Late => call.failed("publish timeout"),
        // The answer does not know that nothing was committed; the label does.
        Fate::Failed => call.done(id, ""),
    })
}

/// Registers the label, at last, and commits or aborts.
fn decide(call: &Call<'_>, late: u64, denial: Option<String>) -> Fate {
    let (database, label) = &call.key;
    let (cluster, now) = (call.cluster, call.cluster.clock.now());
    let Some((id, seconds, loaded)) = take(call) else { return Fate::Failed };
    let tables = loaded.parts.iter().map(|part| part.table_id).collect();
    let mut transactions = locked(&cluster.transactions);
    if transactions.begin_as(id, database, label, tables, seconds, now).is_err() {
        return Fate::Failed;
    }
    let verdict = if loaded.has_too_many_filtered() {
        Err("abnormal data more than max filter rate".to_owned())
    } else {
        loaded.verdict(cluster.profile())
    };
    if let Err(reason) = denial.map_or(verdict, Err) {
        transactions.abort(database, id, &reason, now);
        return Fate::Failed;
    }
    if transactions.commit(database, id, now).is_err() {
        return Fate::Failed;
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

/// Marks the transaction as committed and takes its rows.
fn take(call: &Call<'_>) -> Option<(u64, u32, crate::loaded::Loaded)> {
    let mut open = locked(&call.cluster.open);
    let multi = open.multi.get_mut(&call.key)?;
    multi.state = MultiState::Committed;
    Some((multi.id, multi.timeout_seconds, std::mem::take(&mut multi.loaded)))
}

/// Forgets the rows; says what the transaction was before.
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
        None => call.not_found(),
        Some((id, MultiState::Begin)) => call.done(id, ""),
        Some((id, MultiState::Cancelled)) => {
            call.done(id, &format!("Transaction {id} has already aborted, label is {label}"))
        }
        Some((id, MultiState::Committed)) => {
            call.failed(&format!("Can not abort COMMITTED transaction {id}, label is {label}"))
        }
    }
}
