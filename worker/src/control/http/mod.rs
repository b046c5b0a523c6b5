//! The HTTP interface: probes, status, metrics; and commands where they are allowed.
//!
//! | method, path | answer |
//! |---|---|
//! | GET `/healthz` | 200 with the stage, as long as the process answers |
//! | GET `/livez` | 503 when the job's main task has been stuck for a minute |
//! | GET `/readyz` | 503 with reason, message and fix unless replicating or paused by request |
//! | GET `/status` | everything about the job |
//! | GET `/metrics`, `/metrics/prometheus` | Prometheus |
//! | POST `/pause`, `/resume`, `/drain-stop` | standalone only; checked by `guard` (origin) and `access` (token) |
//! | POST `/api/snapshot` | the same; a body `{"tables": […], "request": "…"}` may say which tables, and a name |
//!
//! Every answer except the metrics is JSON, refusals included.

mod answer;
mod guard;
mod page;
mod snapshot;

use std::sync::Arc;

use axum::{
    Router,
    extract::State,
    http::{
        HeaderMap, StatusCode,
        header::{AUTHORIZATION, HeaderValue},
    },
    response::Response,
    routing::{MethodRouter, get, post},
};
use serde_json::json;

use self::answer::{json, refused};
use super::{
    Answer, Command,
    access::{Access, Refusal},
    known::{Ended, Known},
};

/// The state that answers requests. Cheap to clone: each connection has its own.
#[derive(Debug, Clone)]
struct Site {
    known: Arc<Known>,
    /// `None` where commands are accepted over gRPC only.
    access: Option<Access>,
}

/// Bodies are not read, but that of the one request that may have one.
pub(super) fn routes(known: Arc<Known>, access: Option<Access>) -> Router {
    Router::new()
        .route("/healthz", readable(page::healthz))
        .route("/livez", readable(page::livez))
        .route("/readyz", readable(page::readyz))
        .route("/status", readable(page::status))
        .route("/metrics", readable(page::prometheus))
        .route("/metrics/prometheus", readable(page::prometheus))
        .route("/pause", taking(Command::Pause))
        .route("/resume", taking(Command::Resume))
        .route("/drain-stop", taking(Command::DrainAndStop))
        .route("/api/snapshot", post(snapshot::start))
        .fallback(async || {
            refused(StatusCode::NOT_FOUND, "there is nothing at this path; see /status and /metrics")
        })
        .method_not_allowed_fallback(async || {
            refused(StatusCode::METHOD_NOT_ALLOWED, "this path takes another method")
        })
        .with_state(Site { known, access })
}

fn readable(page: fn(&Known) -> Response) -> MethodRouter<Site> {
    get(async move |State(site): State<Site>| page(&site.known))
}

fn taking(command: Command) -> MethodRouter<Site> {
    post(async move |State(site): State<Site>, headers: HeaderMap| site.command(command, &headers).await)
}

impl Site {
    async fn command(&self, command: Command, headers: &HeaderMap) -> Response {
        if let Err((code, why)) = self.allows(headers) {
            return refused(code, &why);
        }
        let answer = self.known.ask(command).await;
        let state = self.known.view().state.to_string();
        match answer {
            Ok(Answer { success: true, .. }) => json(StatusCode::OK, json!({ "ok": true, "state": state })),
            Ok(Answer { success: false, message }) => refused(StatusCode::CONFLICT, &message),
            Err(Ended) => refused(StatusCode::BAD_REQUEST, "No active replication"),
        }
    }

    /// Whether a command with these headers is accepted.
    fn allows(&self, headers: &HeaderMap) -> Result<(), (StatusCode, String)> {
        let Some(access) = &self.access else {
            let why = "commands are taken over gRPC only, where the worker runs in a pod";
            return Err((StatusCode::FORBIDDEN, why.to_owned()));
        };
        guard::allows(headers).map_err(|why| (StatusCode::FORBIDDEN, why.to_owned()))?;
        access.allows(headers.get(AUTHORIZATION).map(HeaderValue::as_bytes)).map_err(
            |refusal| match refusal {
                Refusal::Unknown(why) => (StatusCode::UNAUTHORIZED, why),
                Refusal::Closed(why) => (StatusCode::FORBIDDEN, why),
            },
        )
    }
}
