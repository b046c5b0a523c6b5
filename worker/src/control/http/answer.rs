//! HTTP responses: JSON, or text.

use http_body_util::Full;
use hyper::{
    Response, StatusCode,
    body::Bytes,
    header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue, X_CONTENT_TYPE_OPTIONS},
};
use serde_json::{Value, json};

use super::Answered;

pub(super) fn json(status: StatusCode, value: &Value) -> Answered {
    text(status, "application/json", value.to_string())
}

/// A refusal, with its reason.
pub(super) fn refused(status: StatusCode, why: &str) -> Answered {
    json(status, &json!({ "ok": false, "error": why }))
}

/// Headers of every response: not to be cached, and not to be interpreted as another media type.
pub(super) fn text(status: StatusCode, media_type: &'static str, text: String) -> Answered {
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}
