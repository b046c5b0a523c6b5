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
//!
//! Every answer except the metrics is JSON, refusals included.

mod answer;
mod guard;
mod page;

use std::{convert::Infallible, future::Future, pin::Pin, sync::Arc};

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::{
    HeaderMap, Method, Request, Response, StatusCode,
    body::Incoming,
    header::{AUTHORIZATION, HeaderValue},
    service::Service,
};

use self::answer::{json, refused};
use super::{
    Answer, Command,
    access::{Access, Refusal},
    known::{Ended, Known},
};

type Answered = Response<Full<Bytes>>;

/// The state that answers requests. Cheap to clone: each connection has its own.
#[derive(Debug, Clone)]
pub(super) struct Site {
    known: Arc<Known>,
    /// `None` where commands are accepted over gRPC only.
    access: Option<Access>,
}

impl Service<Request<Incoming>> for Site {
    type Response = Answered;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Answered, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let site = self.clone();
        // Bodies are not read: no request needs one.
        Box::pin(async move { Ok(site.answer(&request.map(|_| ())).await) })
    }
}

impl Site {
    pub(super) fn new(known: Arc<Known>, access: Option<Access>) -> Self {
        Self { known, access }
    }

    async fn answer(&self, request: &Request<()>) -> Answered {
        let path = request.uri().path();
        match (command(path), page::of(path)) {
            (Some(command), _) if request.method() == Method::POST => self.command(command, request).await,
            (_, Some(page)) if [Method::GET, Method::HEAD].contains(request.method()) => page(&self.known),
            (None, None) => {
                refused(StatusCode::NOT_FOUND, "there is nothing at this path; see /status and /metrics")
            }
            _ => refused(StatusCode::METHOD_NOT_ALLOWED, "this path takes another method"),
        }
    }

    async fn command(&self, command: Command, request: &Request<()>) -> Answered {
        if let Err((code, why)) = self.allows(request.headers()) {
            return refused(code, &why);
        }
        let answer = self.known.ask(command).await;
        let state = self.known.view().state.to_string();
        match answer {
            Ok(Answer { success: true, .. }) => {
                json(StatusCode::OK, &serde_json::json!({ "ok": true, "state": state }))
            }
            Ok(Answer { success: false, message }) => refused(StatusCode::CONFLICT, &message),
            Err(Ended) => refused(StatusCode::BAD_REQUEST, "No active replication"),
        }
    }
}

impl Site {
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

fn command(path: &str) -> Option<Command> {
    match path {
        "/pause" => Some(Command::Pause),
        "/resume" => Some(Command::Resume),
        "/drain-stop" => Some(Command::DrainAndStop),
        _ => None,
    }
}
