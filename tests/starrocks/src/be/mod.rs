//! The backend's HTTP side: the second hop of Stream Load, and its error logs.

mod answer;
mod codec;
mod headers;
mod stream_load;
mod transaction;

use std::sync::Arc;

use crate::{
    cluster::Cluster,
    http::{Connection, HeadError, Request, Response, Status, decode_percent},
};

pub(crate) use headers::{BeginHeaders, Framing, LoadHeaders};

/// The BE does not limit the size of the head; this limit only bounds memory (§3.1).
const MAX_HEAD: usize = 16 * 1024 * 1024;

/// What happens to the connection after a request.
pub(crate) enum Ending {
    KeepAlive,
    Close,
    /// The connection is closed without an answer, as in a crash.
    Crash,
}

pub(crate) async fn serve(cluster: Arc<Cluster>, mut connection: Connection) {
    loop {
        let request = match connection.head(MAX_HEAD).await {
            Ok(Some(request)) => request,
            Ok(None) | Err(HeadError::Lost(_)) => return,
            Err(HeadError::TooLong | HeadError::Malformed) => {
                let _ = connection.send(&Response::html(Status::BadRequest, "").closing()).await;
                connection.close_gently().await;
                return;
            }
        };
        match answer(&cluster, &mut connection, &request).await {
            Ending::KeepAlive if !request.wants_close() => {}
            Ending::KeepAlive | Ending::Close => {
                connection.close_gently().await;
                return;
            }
            Ending::Crash => return connection.drop_hard(),
        }
    }
}

async fn answer(cluster: &Arc<Cluster>, connection: &mut Connection, request: &Request) -> Ending {
    let parts: Vec<&str> = request.path().split('/').collect();
    match (request.method.as_str(), parts.as_slice()) {
        ("PUT", ["", "api", database, table, "_stream_load"]) => {
            let decode = |name: &str| {
                if cluster.profile().decodes_names() { decode_percent(name) } else { name.to_owned() }
            };
            stream_load::serve(cluster, connection, request, &decode(database), &decode(table)).await
        }
        ("PUT" | "POST", ["", "api", "transaction", operation]) => {
            transaction::serve(cluster, connection, request, operation).await
        }
        ("GET" | "HEAD", ["", "api", "_load_error_log"]) => {
            let log = request.parameter("file").and_then(|file| cluster.error_log(&file));
            let response = match log {
                Some(text) => Response::new(Status::Ok, "text/plain", text),
                None => Response::html(Status::NotFound, "file not exist."),
            };
            sent(connection, response.closing()).await
        }
        ("GET", ["", "api", "health"]) => {
            sent(connection, Response::json(r#"{"status": "OK","msg": "To Be Added"}"#).closing()).await
        }
        _ => sent(connection, Response::html(Status::NotFound, "").closing()).await,
    }
}

async fn sent(connection: &mut Connection, response: Response) -> Ending {
    let _ = connection.send(&response).await;
    Ending::Close
}
