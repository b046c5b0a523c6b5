//! The frontend's HTTP side: the first hop of Stream Load, label states, health.
//!
//! The FE answers from the head of a request alone and never reads the body of a PUT (§3.1).

mod label;
mod multi;
mod redirect;
mod result;
mod transaction;

use std::sync::Arc;

use crate::{
    cluster::Cluster,
    fault::{Action, Stage},
    http::{BadCredentials, Body, Connection, HeadError, Request, Response, Status},
    locked,
    options::User,
};
use result::RestResult;

const MAX_REQUEST_LINE: usize = 4096;
const MAX_HEAD: usize = 32_768;
const PAGE_404: &str = "<!DOCTYPE html><html><head><title>StarRocks Cluster</title></head>\
                        <body><div class=\"container\">this is 404 page.</div></body></html>";

/// What the server does in response to a request.
pub(crate) enum Reply {
    Answer(Response),
    /// The connection is closed without an answer.
    Nothing,
}

pub(crate) async fn serve(cluster: Arc<Cluster>, mut connection: Connection, frontend: usize) {
    loop {
        let request = match connection.head(MAX_HEAD + MAX_REQUEST_LINE).await {
            Ok(Some(request)) if !is_too_long(&request) => request,
            Ok(None) | Err(HeadError::Lost(_)) => return,
            Ok(Some(_)) | Err(HeadError::TooLong | HeadError::Malformed) => {
                let _ = connection.send(&not_found().closing()).await;
                connection.close_gently().await;
                return;
            }
        };
        let is_put = request.method == "PUT";
        let client = connection.peer.ip().to_string();
        let Reply::Answer(response) = answer(&cluster, &request, &client, frontend).await else {
            return connection.drop_hard();
        };
        let response = if request.wants_close() { response.closing() } else { response };
        let closes = response.closes;
        if connection.send(&response).await.is_err() {
            return;
        }
        if closes {
            count_body(&cluster, is_put, connection.close_gently().await);
            return;
        }
        let Some(taken) = skip_body(&mut connection, &request).await else { return };
        count_body(&cluster, is_put, taken);
    }
}

fn count_body(cluster: &Cluster, is_put: bool, bytes: u64) {
    if is_put {
        locked(&cluster.stats).fe_body_bytes += bytes;
    }
}

fn is_too_long(request: &Request) -> bool {
    let headers: usize = request.headers.iter().map(|(name, value)| name.len() + value.len() + 4).sum();
    request.target.len() + request.method.len() + 11 > MAX_REQUEST_LINE || headers > MAX_HEAD
}

/// Reads and drops the body of an answered request, because the connection stays open.
async fn skip_body(connection: &mut Connection, request: &Request) -> Option<u64> {
    let mut body = Body::of(request);
    let mut taken = 0;
    while let Some(piece) = body.next(connection).await.ok()? {
        taken += piece.len() as u64;
    }
    Some(taken)
}

async fn answer(cluster: &Cluster, request: &Request, client: &str, frontend: usize) -> Reply {
    let parts: Vec<&str> = request.path().split('/').collect();
    if !cluster.is_leader(frontend) && is_for_the_leader(&parts) {
        return match authenticate(cluster, request, client) {
            Ok(_) => Reply::Answer(redirect::to(cluster.profile(), request, &cluster.leader_address())),
            Err(response) => Reply::Answer(response),
        };
    }
    match (request.method.as_str(), parts.as_slice()) {
        ("GET", ["", "api", "health"]) => Reply::Answer(health(cluster)),
        ("PUT", ["", "api", database, table, "_stream_load"]) => {
            redirect::stream_load(cluster, request, client, database, table).await
        }
        ("GET", ["", "api", database, "get_load_state"]) => {
            with_user(cluster, request, client, database, || label::state(cluster, request, database)).await
        }
        ("POST", ["", "api", database, _, "_cancel"]) => {
            with_user(cluster, request, client, database, || label::cancel(cluster, request, database)).await
        }
        ("POST" | "PUT", ["", "api", "transaction", operation]) => {
            transaction::serve(cluster, request, client, operation).await
        }
        (method, _) => Reply::Answer(unknown(method)),
    }
}

/// Requests that only the leader can answer (§2).
fn is_for_the_leader(parts: &[&str]) -> bool {
    matches!(
        parts,
        ["", "api", _, "get_load_state"] | ["", "api", _, _, "_cancel"] | ["", "api", "transaction", _]
    )
}

/// Answers requests about labels: every valid user is allowed, and faults of stage `state` apply.
async fn with_user(
    cluster: &Cluster,
    request: &Request,
    client: &str,
    database: &str,
    then: impl FnOnce() -> Response,
) -> Reply {
    if let Err(response) = authenticate(cluster, request, client) {
        return Reply::Answer(response);
    }
    let label = request.parameter("label").unwrap_or_default();
    match cluster.meet(Stage::State, &format!("{database}."), &label).await {
        None => Reply::Answer(then()),
        Some(Action::Fail { message }) => {
            Reply::Answer(Response::json(RestResult::failed("1", &message).compact()))
        }
        Some(Action::ServerError) => Reply::Answer(broken()),
        Some(_) => Reply::Nothing,
    }
}

fn broken() -> Response {
    let body = RestResult::failed("1", "unexpected exception").compact();
    Response::html(Status::InternalServerError, body).closing()
}

/// The user, or the 401 answer with its reason. The connection stays open after it.
fn authenticate(cluster: &Cluster, request: &Request, client: &str) -> Result<User, Response> {
    let refused = |message: &str| {
        let body = RestResult::failed("1", message).compact();
        Response::html(Status::Unauthorized, body).with("www-authenticate", "Basic realm=\"\"")
    };
    let credentials = request.credentials().map_err(|error| match error {
        BadCredentials::Absent => refused("Need auth information."),
        BadCredentials::Malformed { reason } => refused(&reason),
    })?;
    let user = cluster.user(&credentials.user).filter(|user| user.password == credentials.password);
    user.ok_or_else(|| refused(&format!("Access denied for {}@{client}", credentials.user)))
}

fn health(cluster: &Cluster) -> Response {
    let online = cluster.online_backends();
    Response::json(format!(r#"{{"online_backend_num":{online},"total_backend_num":1,"status":"OK"}}"#))
}

/// The answer to an unknown path, or to a path with the wrong method (§2).
fn unknown(method: &str) -> Response {
    match method {
        "GET" => not_found(),
        "POST" => {
            Response::html(Status::NotImplemented, RestResult::failed("1", "Not implemented").compact())
        }
        _ => {
            let message = format!("HTTP method is not allowed: {method}");
            Response::html(Status::MethodNotAllowed, RestResult::failed("1", &message).compact())
        }
    }
}

fn not_found() -> Response {
    Response::html(Status::NotFound, PAGE_404)
}
