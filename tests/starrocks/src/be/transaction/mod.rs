//! The transaction interface at the backend: the data of all transactions, and every call of those over one table
//! (§11.1).
//!
//! For a transaction over several tables the BE only receives the data; the FE does the rest (§11.2).

mod end;
mod load;

use std::{sync::Arc, time::Instant};

use serde_json::Value;

use super::{
    Ending,
    answer::LoadStatus,
    stream_load::{Load, Stop},
};
use crate::{
    cluster::Cluster,
    http::{Body, Connection, Request, Response, Status},
    loaded::{Idle, LabelKey, Loaded, Single},
    locked,
};

const PREPARED_SECONDS: u32 = 86_400;

/// A call with its label, database and table.
pub(super) struct Call<'a> {
    cluster: &'a Arc<Cluster>,
    request: &'a Request,
    key: LabelKey,
    table: String,
    is_multi: bool,
    started: Instant,
}

/// How a call ends.
enum Outcome {
    Answer(Answer),
    /// The connection is closed without an answer.
    Silence,
}

/// An answer: `Status`, `Message`, and further fields.
struct Answer {
    status: &'static str,
    message: String,
    /// Errors carry no field for the transaction's id or its label.
    fields: Vec<(&'static str, Value)>,
}

impl Answer {
    fn error(status: &'static str, message: impl Into<String>) -> Self {
        Self { status, message: message.into(), fields: Vec::new() }
    }

    fn of(stop: Stop, status: &'static str) -> Outcome {
        match stop {
            Stop::Silent => Outcome::Silence,
            Stop::Answered { status: LoadStatus::LabelAlreadyExists, message, existing } => {
                let existing = ("ExistingJobStatus", existing.unwrap_or_default().into());
                Outcome::Answer(Self { status: "LABEL_ALREADY_EXISTS", message, fields: vec![existing] })
            }
            Stop::Answered { message, .. } => Outcome::Answer(Self::error(status, message)),
        }
    }
}

pub(super) async fn serve(
    cluster: &Arc<Cluster>,
    connection: &mut Connection,
    request: &Request,
    operation: &str,
) -> Ending {
    cluster.settle();
    let name = |name: &str| request.header(name).unwrap_or_default();
    let asks_for_multi = name("transaction_type").eq_ignore_ascii_case("multi");
    let call = Call {
        cluster,
        request,
        key: (name("db"), name("label")),
        table: name("table"),
        is_multi: asks_for_multi && cluster.profile().has_multi_table_transactions(),
        started: Instant::now(),
    };
    let mut body = Body::of(request);
    let outcome = match operation {
        _ if request.credentials().is_err() => {
            Outcome::Answer(Answer::error("INTERNAL_ERROR", "no valid Basic authorization"))
        }
        "load" => call.load(connection, &mut body).await,
        _ if call.is_multi => {
            let message =
                format!("{operation} of a transaction over several tables is served by the frontend");
            Outcome::Answer(Answer::error("INVALID_ARGUMENT", message))
        }
        "begin" => call.begin().await,
        "prepare" => call.prepare(),
        "commit" => call.commit().await,
        "rollback" => call.rollback(),
        _ => Outcome::Answer(Answer::error("INVALID_ARGUMENT", format!("Unknown operation {operation}"))),
    };
    match outcome {
        Outcome::Silence => Ending::Crash,
        Outcome::Answer(answer) => {
            let is_good = matches!(answer.status, "OK" | "PUBLISH_TIMEOUT");
            // An answer in place of `100 Continue` leaves the body unread.
            let response = call.response(answer);
            let response = if is_good { response } else { response.closing() };
            match connection.send(&response).await {
                Ok(()) if is_good => Ending::KeepAlive,
                Ok(()) => Ending::Close,
                Err(_) => Ending::Crash,
            }
        }
    }
}

impl Call<'_> {
    fn response(&self, answer: Answer) -> Response {
        let (database, _) = &self.key;
        let mut fields: Vec<(&str, Value)> = vec![
            ("Status", answer.status.into()),
            ("Message", answer.message.into()),
            ("Db", database.as_str().into()),
            ("Table", self.table.as_str().into()),
        ];
        fields.extend(answer.fields);
        let lines = fields.iter().map(|(name, value)| format!("    \"{name}\": {value}"));
        let text = format!("{{\n{}\n}}", lines.collect::<Vec<_>>().join(",\n"));
        Response::new(Status::Ok, "application/json", text)
    }

    fn ok(&self, id: u64, fields: Vec<(&'static str, Value)>) -> Answer {
        let (_, label) = &self.key;
        let mut all = vec![("Label", label.as_str().into()), ("TxnId", id.into())];
        all.extend(fields);
        Answer { status: "OK", message: String::new(), fields: all }
    }

    async fn begin(&self) -> Outcome {
        let (database, label) = &self.key;
        let mut load = Load::new(self.cluster, self.request, (database, &self.table), label.clone());
        let started = Instant::now();
        if let Err(stop) = load.begin().await {
            return Answer::of(stop, "INTERNAL_ERROR");
        }
        let Some(id) = load.transaction() else { return Outcome::Silence };
        let seconds = |name: &str| self.request.header(name).and_then(|text| text.parse().ok());
        let idle = Idle {
            limit_seconds: seconds("idle_transaction_timeout"),
            touched_millis: self.cluster.clock.now(),
        };
        let single = Single {
            id,
            table: self.table.clone(),
            loaded: Loaded::default(),
            headers: None,
            is_busy: false,
            prepared_seconds: seconds("prepared_timeout").unwrap_or(PREPARED_SECONDS),
            idle,
        };
        locked(&self.cluster.open).single.insert(self.key.clone(), single);
        Outcome::Answer(self.ok(id, vec![("BeginTxnTimeMs", millis(started).into())]))
    }

    fn not_found(&self) -> Answer {
        let (_, label) = &self.key;
        Answer::error("TXN_NOT_EXISTS", format!("transaction with op and label {label} not exists"))
    }

    /// Forgets a transaction over one table and aborts it.
    fn roll_back(&self, reason: &str) {
        let (database, _) = &self.key;
        if let Some(single) = locked(&self.cluster.open).single.remove(&self.key) {
            let now = self.cluster.clock.now();
            locked(&self.cluster.transactions).abort(database, single.id, reason, now);
        }
    }
}

fn millis(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}
