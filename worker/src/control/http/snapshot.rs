//! Starts copies of tables on demand.

use std::time::Duration;

use axum::{
    body::to_bytes,
    extract::{Request, State},
    http::StatusCode,
    response::Response,
};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio::time::timeout;

use super::{
    Site,
    answer::{json, refused},
};
use crate::{
    config::changed_tables,
    control::{Answer, known::Ended},
};

/// Bytes of a body that names a thousand tables.
const LARGEST: usize = 256 << 10;
const UNTIL_READ: Duration = Duration::from_secs(10);

/// Which tables; all of them where none is named.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Wanted {
    tables: Vec<String>,
    request: String,
}

/// The token is checked before the body is read.
pub(super) async fn start(State(site): State<Site>, request: Request) -> Response {
    if let Err((code, why)) = site.allows(request.headers()) {
        return refused(code, &why);
    }
    let body = timeout(UNTIL_READ, to_bytes(request.into_body(), LARGEST)).await;
    let Ok(Ok(body)) = body else {
        return refused(StatusCode::BAD_REQUEST, "the body is too large, or did not come to its end");
    };
    let wanted = match wanted(&body) {
        Ok(wanted) => wanted,
        Err(why) => return refused(StatusCode::BAD_REQUEST, &why),
    };
    match changed_tables(&wanted.tables) {
        Ok(tables) => {
            answered(&site, site.known.ask_for_copies(tables.unwrap_or_default(), wanted.request).await)
        }
        Err(error) => refused(StatusCode::BAD_REQUEST, &error.to_string()),
    }
}

fn wanted(body: &[u8]) -> Result<Wanted, String> {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Ok(Wanted::default());
    }
    let wanted = serde_json::from_slice::<Map<String, Value>>(body)
        .and_then(|wanted| Wanted::deserialize(Value::Object(wanted)));
    wanted.map_err(|error| format!("the body is not of the form {{\"tables\": [\"schema.table\"]}}: {error}"))
}

fn answered(site: &Site, answer: Result<Answer, Ended>) -> Response {
    let state = site.known.view().state.to_string();
    match answer {
        Ok(Answer { success: true, message }) => {
            json(StatusCode::OK, json!({ "ok": true, "state": state, "message": message }))
        }
        Ok(Answer { success: false, message }) => refused(StatusCode::CONFLICT, &message),
        Err(Ended) => refused(StatusCode::BAD_REQUEST, "No active replication"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_may_be_absent_and_a_wrong_one_is_refused() {
        assert!(wanted(b" \n").unwrap().tables.is_empty());
        assert_eq!(wanted(br#"{"tables": ["public.t"]}"#).unwrap().tables, ["public.t"]);
        assert_eq!(wanted(br#"{"request": "of today"}"#).unwrap().request, "of today");
        for wrong in ["[", "[]", r#"{"table": "t"}"#, r#"{"tables": "t"}"#] {
            assert!(wanted(wrong.as_bytes()).is_err(), "{wrong}");
        }
    }
}
