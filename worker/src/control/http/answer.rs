//! HTTP responses: JSON, or text.

use axum::{
    Json,
    http::{
        StatusCode,
        header::{CACHE_CONTROL, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS},
    },
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

pub(super) fn json(status: StatusCode, value: Value) -> Response {
    answer(status, Json(value))
}

/// A refusal, with its reason.
pub(super) fn refused(status: StatusCode, why: &str) -> Response {
    json(status, json!({ "ok": false, "error": why }))
}

pub(super) fn text(status: StatusCode, media_type: &'static str, text: String) -> Response {
    answer(status, ([(CONTENT_TYPE, media_type)], text))
}

/// Headers of every response: not to be cached, and not to be interpreted as another media type.
fn answer(status: StatusCode, body: impl IntoResponse) -> Response {
    (status, [(CACHE_CONTROL, "no-store"), (X_CONTENT_TYPE_OPTIONS, "nosniff")], body).into_response()
}
