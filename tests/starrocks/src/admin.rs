//! The admin port, for tests in other processes: faults, stats, the clock, and taking listeners down and up.

use std::{sync::Arc, time::Duration};

use serde::Deserialize;

use crate::{
    Fault, Part,
    http::{Body, Connection, Request, Response, Status},
    server::Servers,
};

const MAX_HEAD: usize = 64 * 1024;
const MAX_BODY: usize = 1024 * 1024;

/// The listeners that a request names; without any it means all of them.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Parts {
    fe: bool,
    be: bool,
    sql: bool,
}

impl Parts {
    fn chosen(self) -> Vec<Part> {
        let parts = [(self.fe, Part::Fe), (self.be, Part::Be), (self.sql, Part::Sql)];
        let chosen: Vec<Part> =
            parts.into_iter().filter(|(is_chosen, _)| *is_chosen).map(|(_, part)| part).collect();
        if chosen.is_empty() { Part::ALL.to_vec() } else { chosen }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Advance {
    advance_seconds: u64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Leader {
    frontend: usize,
}

pub(crate) async fn serve(servers: Arc<Servers>, mut connection: Connection) {
    while let Ok(Some(request)) = connection.head(MAX_HEAD).await {
        let Some(body) = read_body(&mut connection, &request).await else { return };
        let response = answer(&servers, &request, &body).await;
        if connection.send(&response).await.is_err() || request.wants_close() {
            return;
        }
    }
}

async fn read_body(connection: &mut Connection, request: &Request) -> Option<Vec<u8>> {
    if request.expects_continue() {
        connection.send_continue().await.ok()?;
    }
    let mut body = Body::of(request);
    let mut bytes = Vec::new();
    while let Some(piece) = body.next(connection).await.ok()? {
        bytes.extend_from_slice(&piece);
        if bytes.len() > MAX_BODY {
            return None;
        }
    }
    Some(bytes)
}

async fn answer(servers: &Servers, request: &Request, body: &[u8]) -> Response {
    let cluster = &servers.cluster;
    match (request.method.as_str(), request.path()) {
        ("GET", "/health") => Response::json(r#"{"status":"OK"}"#),
        ("GET", "/stats") => json(&cluster.stats()),
        ("GET", "/faults") => json(&cluster.faults.list()),
        ("POST", "/faults") => match serde_json::from_slice::<OneOrMany>(body) {
            Ok(faults) => {
                faults.into_vec().into_iter().for_each(|fault| cluster.faults.add(fault));
                done()
            }
            Err(error) => bad(&error.to_string()),
        },
        ("DELETE", "/faults") => {
            cluster.faults.clear();
            done()
        }
        ("POST", "/clock") => match serde_json::from_slice::<Advance>(body) {
            Ok(Advance { advance_seconds }) => {
                cluster.clock.advance(Duration::from_secs(advance_seconds));
                done()
            }
            Err(error) => bad(&error.to_string()),
        },
        ("GET", "/settings") => json(&cluster.settings()),
        ("POST", "/settings") => match cluster.change_settings(body) {
            Ok(()) => done(),
            Err(error) => bad(&error.to_string()),
        },
        ("POST", "/leader") => match serde_json::from_slice::<Leader>(body) {
            Ok(Leader { frontend }) => {
                cluster.change_leader(frontend);
                done()
            }
            Err(error) => bad(&error.to_string()),
        },
        ("POST", "/down") => down(servers, body).await,
        ("POST", "/up") => up(servers, body).await,
        _ => Response::html(Status::NotFound, "no such path"),
    }
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    Many(Vec<Fault>),
    One(Fault),
}

impl OneOrMany {
    fn into_vec(self) -> Vec<Fault> {
        match self {
            Self::Many(faults) => faults,
            Self::One(fault) => vec![fault],
        }
    }
}

fn parts(body: &[u8]) -> Result<Vec<Part>, Response> {
    if body.trim_ascii().is_empty() {
        return Ok(Part::ALL.to_vec());
    }
    serde_json::from_slice::<Parts>(body).map(Parts::chosen).map_err(|error| bad(&error.to_string()))
}

async fn down(servers: &Servers, body: &[u8]) -> Response {
    match parts(body) {
        Ok(parts) => {
            for part in parts {
                servers.down(part).await;
            }
            done()
        }
        Err(response) => response,
    }
}

async fn up(servers: &Servers, body: &[u8]) -> Response {
    let parts = match parts(body) {
        Ok(parts) => parts,
        Err(response) => return response,
    };
    for part in parts {
        if let Err(error) = servers.up(part).await {
            return Response::html(
                Status::InternalServerError,
                format!("{part:?} does not come up: {error}"),
            );
        }
    }
    done()
}

fn done() -> Response {
    Response::json("{}")
}

fn bad(reason: &str) -> Response {
    Response::html(Status::BadRequest, reason)
}

fn json(value: &impl serde::Serialize) -> Response {
    match serde_json::to_vec(value) {
        Ok(body) => Response::json(body),
        Err(error) => Response::html(Status::InternalServerError, error.to_string()),
    }
}
