//! The state of a label, which tells the outcome of a load whose answer was lost.
//!
//! The next batch of the table waits until the state is final, because a load that commits late would overwrite newer
//! rows with older ones.

use std::time::Duration;

use serde::Deserialize;

use super::{
    answer::{RetryClass, Retryable, with_cause},
    label::Label,
};
use crate::starrocks::http::frontend::{Address, Answer, FRONTEND_TIMEOUT, Frontend, object, redirect};

const MOST_REDIRECTS: usize = 3;

/// The state of a label as StarRocks reports it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Said {
    Visible,
    /// Durable, and not yet visible.
    Committed,
    Running,
    /// With the reason, where StarRocks gives one.
    Aborted(String),
    /// Never begun, forgotten, or an open transaction over several tables.
    Unknown,
}

/// What the state means for a load that is not part of a transaction over several tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LoadState {
    /// Durable.
    Committed,
    /// Neither committed nor aborted.
    Running,
    /// Aborted, never begun, or forgotten: the same load may be sent again under the same label.
    Free,
}

impl Frontend {
    /// Asks for the state of a label of a single load.
    pub(crate) async fn state(&self, label: &Label) -> Result<LoadState, Retryable> {
        Ok(match self.said(label).await? {
            Said::Visible | Said::Committed => LoadState::Committed,
            Said::Running => LoadState::Running,
            Said::Aborted(_) | Said::Unknown => LoadState::Free,
        })
    }

    /// Asks for the state of a label.
    pub(crate) async fn said(&self, label: &Label) -> Result<Said, Retryable> {
        let path = format!("/api/{}/get_load_state?label={label}", self.database);
        let answer = self.request("GET", &path).await?;
        read_state(answer.status, &answer.body)
    }

    /// Asks StarRocks to abort a load that still runs. Only the state tells whether it did.
    pub(crate) async fn cancel(&self, label: &Label) -> Result<(), Retryable> {
        let path = format!("/api/{}/dbmazz/_cancel?label={label}", self.database);
        self.request("POST", &path).await.map(|_| ())
    }

    /// A request without a body to the leading frontend, the only one that knows labels.
    async fn request(&self, method: &str, path: &str) -> Result<Answer, Retryable> {
        self.request_with(method, path, "", FRONTEND_TIMEOUT).await
    }

    /// `headers` consists of whole lines.
    pub(crate) async fn request_with(
        &self,
        method: &str,
        path: &str,
        headers: &str,
        limit: Duration,
    ) -> Result<Answer, Retryable> {
        self.request_followed(method, path, headers, limit).await.map(|(answer, _)| answer)
    }

    /// Also returns the server that has answered.
    pub(crate) async fn request_followed(
        &self,
        method: &str,
        path: &str,
        headers: &str,
        limit: Duration,
    ) -> Result<(Answer, Address), Retryable> {
        let mut at = self.address();
        for _ in 0..MOST_REDIRECTS {
            let head = format!(
                "{method} {path} HTTP/1.1\r\nHost: {at}\r\nAuthorization: {}\r\n{headers}Content-Length: 0\r\n\
                 Connection: close\r\n\r\n",
                self.authorization
            );
            let unreachable = |error| Retryable::new(RetryClass::Unreachable, with_cause(&error));
            let (answer, head) = self.ask_within(&at, &head, limit).await.map_err(unreachable)?;
            match redirect(&head) {
                Some(location) => at = self.follow(&at, location).map_err(unreachable)?,
                None => return Ok((answer, at)),
            }
        }
        Err(Retryable::new(
            RetryClass::Strange,
            "StarRocks redirects a request for the state of a load in a loop",
        ))
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Reply {
    state: Option<String>,
    reason: Option<String>,
}

pub(crate) fn read_state(status: u16, body: &[u8]) -> Result<Said, Retryable> {
    let Reply { state, reason } = object(body).unwrap_or_default();
    match (status, state.unwrap_or_default().as_str()) {
        (200, "VISIBLE") => Ok(Said::Visible),
        (200, "COMMITTED") => Ok(Said::Committed),
        (200, "PREPARE" | "PREPARED") => Ok(Said::Running),
        (200, "ABORTED") => Ok(Said::Aborted(reason.unwrap_or_default())),
        (200, "UNKNOWN") => Ok(Said::Unknown),
        (401 | 403, _) => Err(Retryable::new(
            RetryClass::Authentication,
            "StarRocks refused a request for the state of a load",
        )),
        (500.., _) => Err(Retryable::new(
            RetryClass::Unreachable,
            format!("StarRocks answered with HTTP status {status}"),
        )),
        _ => Err(Retryable::new(
            RetryClass::Strange,
            "StarRocks' answer to a request for the state of a load has no known state",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_reads_as_what_it_means_for_the_rows() {
        let reply = |state: &str| {
            format!(
                r#"{{"state":"{state}","reason":"","status":"OK","code":"0","msg":"Success","message":"OK"}}"#
            )
        };
        for (state, expected) in [
            ("VISIBLE", Said::Visible),
            ("COMMITTED", Said::Committed),
            ("PREPARE", Said::Running),
            ("PREPARED", Said::Running),
            ("ABORTED", Said::Aborted(String::new())),
            ("UNKNOWN", Said::Unknown),
        ] {
            assert_eq!(read_state(200, reply(state).as_bytes()), Ok(expected));
        }
    }

    #[test]
    fn anything_else_tells_nothing() {
        for (status, body, retry_class) in [
            (
                200,
                r#"{"status":"FAILED","code":"1","msg":"unknown database, database=x","message":""}"#,
                RetryClass::Strange,
            ),
            (200, r#"{"state":"DANCING"}"#, RetryClass::Strange),
            (200, "<html>", RetryClass::Strange),
            (401, "", RetryClass::Authentication),
            (500, r#"{"state":"VISIBLE"}"#, RetryClass::Unreachable),
        ] {
            assert_eq!(read_state(status, body.as_bytes()).unwrap_err().retry_class, retry_class, "{body}");
        }
    }
}
