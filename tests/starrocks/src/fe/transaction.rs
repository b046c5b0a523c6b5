//! The transaction interface at the frontend: which server handles a call, and the calls that the frontend handles
//! itself (§11.1).
//!
//! The state of a transaction over one table is in a BE: the FE redirects, and handles only prepared and finished
//! transactions.

use super::{
    Reply, authenticate, broken, multi, redirect,
    result::{failed, pretty, quote},
};
use crate::{
    cluster::Cluster,
    fault::{Action, Stage},
    http::{Request, Response},
    loaded::LabelKey,
    locked,
    outcome::Publication,
    transaction::{State, Transaction},
};

/// How long the FE waits for the publication, in seconds, when the call names no timeout (§11.1).
const PUBLISH_SECONDS: u64 = 20;

/// The calls of the interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operation {
    Begin,
    Load,
    Prepare,
    Commit,
    Rollback,
}

impl Operation {
    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "begin" => Self::Begin,
            "load" => Self::Load,
            "prepare" => Self::Prepare,
            "commit" => Self::Commit,
            "rollback" => Self::Rollback,
            _ => return None,
        })
    }
}

/// A call that has passed the first checks.
#[derive(Debug)]
pub(super) struct Call<'a> {
    pub(super) cluster: &'a Cluster,
    pub(super) request: &'a Request,
    pub(super) operation: Operation,
    pub(super) key: LabelKey,
    pub(super) timeout_seconds: Option<u64>,
}

pub(super) async fn serve(cluster: &Cluster, request: &Request, client: &str, operation: &str) -> Reply {
    if let Err(response) = authenticate(cluster, request, client) {
        return Reply::Answer(response);
    }
    cluster.settle();
    let call = match call(cluster, request, operation) {
        Ok(call) => call,
        Err((class, message)) => return Reply::Answer(Response::json(failed(&class, &message))),
    };
    if let Some(reply) = call.strike(Stage::Redirect).await {
        return reply;
    }
    if call.is_multi() { multi::serve(&call).await } else { call.serve().await }
}

/// Checks operation, database, label, timeout and channel, in the order of the recordings.
fn call<'a>(
    cluster: &'a Cluster,
    request: &'a Request,
    operation: &str,
) -> Result<Call<'a>, (String, String)> {
    let user_error = |message: String| (user_exception(cluster), message);
    let operation = Operation::named(operation)
        .ok_or_else(|| user_error(format!("Unknown transaction operation: {operation}")))?;
    let given =
        |name: &str| request.parameter(name).or_else(|| request.header(name)).filter(|text| !text.is_empty());
    let database = given("db").ok_or_else(|| user_error("No database selected.".to_owned()))?;
    let label = given("label").ok_or_else(|| user_error("Empty label.".to_owned()))?;
    let timeout = given("timeout").map(|text| {
        let not_a_number =
            |_| ("java.lang.NumberFormatException".to_owned(), format!("For input string: \"{text}\""));
        text.parse::<u64>().map_err(not_a_number)
    });
    let timeout_seconds = timeout.transpose()?;
    if given("channel_num").is_some() != given("channel_id").is_some() {
        let class = "com.starrocks.common.DdlException".to_owned();
        return Err((class, "Must provide channel_id when stream load begin.".to_owned()));
    }
    if !locked(&cluster.catalog).databases.contains_key(&database) {
        return Err(user_error(format!("Database[{database}] does not exist.")));
    }
    Ok(Call { cluster, request, operation, key: (database, label), timeout_seconds })
}

fn user_exception(cluster: &Cluster) -> String {
    format!("com.starrocks.common.{}", cluster.profile().exception())
}

impl Call<'_> {
    fn is_multi(&self) -> bool {
        let asks =
            self.request.header("transaction_type").is_some_and(|kind| kind.eq_ignore_ascii_case("multi"));
        asks && self.cluster.profile().has_multi_table_transactions()
    }

    /// Waits for a fault that a test has asked for; a reply ends the call.
    pub(super) async fn strike(&self, stage: Stage) -> Option<Reply> {
        let (database, label) = &self.key;
        let table = format!("{database}.{}", self.request.header("table").unwrap_or_default());
        Some(match self.cluster.meet(stage, &table, label).await? {
            Action::RedirectTo { address } => Reply::Answer(self.redirect_to(&address)),
            Action::NoBackend => Reply::Answer(self.failed("No backend alive.")),
            Action::Fail { message } => Reply::Answer(self.failed(&message)),
            Action::ServerError => Reply::Answer(broken()),
            _ => Reply::Nothing,
        })
    }

    pub(super) fn failed(&self, message: &str) -> Response {
        Response::json(failed(&user_exception(self.cluster), message))
    }

    pub(super) fn redirect(&self) -> Response {
        self.redirect_to(&self.cluster.backend_address())
    }

    fn redirect_to(&self, address: &str) -> Response {
        redirect::to(self.cluster.profile(), self.request, address)
    }

    pub(super) fn not_found(&self) -> Response {
        let (database, label) = &self.key;
        self.failed(&if self.operation == Operation::Load {
            format!(
                "Can't find the transaction with db [{database}] and label[{label}]. The possible reasons: 1. FE leader \
                 is started or switched; 2. The transaction timeouts and is cleaned."
            )
        } else {
            format!("No transaction found with db[{database}] and label[{label}]")
        })
    }

    /// `OK` with a message about the transaction.
    pub(super) fn done(&self, id: u64, message: &str) -> Response {
        let (_, label) = &self.key;
        let fields = [
            ("Label", quote(label)),
            ("Status", quote("OK")),
            ("TxnId", id.to_string()),
            ("Message", quote(message)),
        ];
        Response::json(pretty(&fields))
    }

    async fn serve(&self) -> Reply {
        let (database, label) = &self.key;
        let now = self.cluster.clock.now();
        let found = locked(&self.cluster.transactions).find(database, label, now);
        let is_coordinated = locked(&self.cluster.open).coordinated.contains(&self.key);
        match (self.operation, found) {
            (Operation::Begin, _) => {
                locked(&self.cluster.open).coordinated.insert(self.key.clone());
                Reply::Answer(self.redirect())
            }
            (_, None) if !is_coordinated => Reply::Answer(self.not_found()),
            (Operation::Load | Operation::Prepare, _) => Reply::Answer(self.redirect()),
            (_, None) => Reply::Answer(self.failed(&format!("No transaction found by label {label}"))),
            (Operation::Commit, Some(transaction)) => self.commit(&transaction).await,
            (Operation::Rollback, Some(transaction)) => Reply::Answer(self.rollback(&transaction)),
        }
    }

    async fn commit(&self, transaction: &Transaction) -> Reply {
        let (_, label) = &self.key;
        let id = transaction.id;
        match transaction.state {
            State::Prepare => Reply::Answer(self.redirect()),
            State::Prepared => self.commit_prepared(id).await,
            State::Committed | State::Visible => Reply::Answer(
                self.done(id, &format!("Transaction {id} has already committed, label is {label}")),
            ),
            State::Aborted => {
                let message = format!("Can not commit ABORTED transaction {id}, label is {label}");
                Reply::Answer(self.failed(&message))
            }
        }
    }

    /// The FE alone commits a prepared transaction.
    async fn commit_prepared(&self, id: u64) -> Reply {
        let (database, label) = &self.key;
        let late = match self.cluster.meet(Stage::Commit, &format!("{database}."), label).await {
            None => 0,
            Some(Action::PublishTimeout { visible_after_millis }) => visible_after_millis,
            Some(Action::Fail { message }) => return Reply::Answer(self.failed(&message)),
            Some(_) => return Reply::Nothing,
        };
        let loaded = locked(&self.cluster.open).prepared.remove(&id).unwrap_or_default();
        let now = self.cluster.clock.now();
        if let Err(reason) = locked(&self.cluster.transactions).commit(database, id, now) {
            return Reply::Answer(self.failed(&reason));
        }
        self.cluster.record_tables(label, &loaded.tables);
        let is_visible = self.cluster.publish(Publication {
            database: database.clone(),
            transaction: id,
            parts: loaded.parts,
            due_millis: now + i64::try_from(late).unwrap_or(i64::MAX / 4),
        });
        if let Some(reply) = self.strike(Stage::Answer).await {
            return reply;
        }
        let wait = self.timeout_seconds.unwrap_or(PUBLISH_SECONDS);
        // The rows are committed, although the answer reports a failure (§11.1).
        Reply::Answer(match is_visible {
            true => self.done(id, ""),
            false if late <= wait.saturating_mul(1000) => self.done(id, ""),
            false => self.failed(&format!("publish timeout: {}", wait.saturating_mul(1000))),
        })
    }

    fn rollback(&self, transaction: &Transaction) -> Response {
        let (database, label) = &self.key;
        let id = transaction.id;
        match transaction.state {
            State::Prepare => self.redirect(),
            State::Prepared => {
                let now = self.cluster.clock.now();
                locked(&self.cluster.transactions).abort(database, id, "User Aborted", now);
                locked(&self.cluster.open).prepared.remove(&id);
                self.done(id, "")
            }
            State::Committed | State::Visible => {
                let state = transaction.state.name();
                self.failed(&format!("Can not abort {state} transaction {id}, label is {label}"))
            }
            State::Aborted => {
                self.done(id, &format!("Transaction {id} has already aborted, label is {label}"))
            }
        }
    }
}
