//! What became of a load whose answer was lost: StarRocks remembers it by its label.
//!
//! The next batch of the table waits until this is settled, because a load that commits late would put
//! older rows over newer ones.

use serde::Deserialize;

use super::{
    answer::{Hurdle, Trouble, with_cause},
    label::Label,
    load::{Answer, Frontend, redirect},
};

const MOST_REDIRECTS: usize = 3;

/// What StarRocks knows of a label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LoadState {
    /// Durable.
    Committed,
    /// Not at its end.
    Running,
    /// Gone, never begun, or forgotten: the same load may be sent again under the same label.
    Free,
}

impl Frontend {
    /// Asks for the state of a label.
    pub(super) async fn state(&self, label: &Label) -> Result<LoadState, Trouble> {
        let path = format!("/api/{}/get_load_state?label={label}", self.database);
        let answer = self.request("GET", &path).await?;
        read_state(answer.status, &answer.body)
    }

    /// Asks StarRocks to abort a load that is not at its end. The state tells whether it did.
    pub(super) async fn cancel(&self, label: &Label) -> Result<(), Trouble> {
        let path = format!("/api/{}/dbmazz/_cancel?label={label}", self.database);
        self.request("POST", &path).await.map(|_| ())
    }

    /// A request without a body to the leader, who alone knows labels.
    async fn request(&self, method: &str, path: &str) -> Result<Answer, Trouble> {
        let mut at = self.address();
        for _ in 0..MOST_REDIRECTS {
            let head = format!(
                "{method} {path} HTTP/1.1\r\nHost: {at}\r\nAuthorization: {}\r\nContent-Length: 0\r\n\
                 Connection: close\r\n\r\n",
                self.authorization
            );
            let unreachable = |error| Trouble::new(Hurdle::Unreachable, with_cause(&error));
            let (answer, head) = self.ask(&at, &head).await.map_err(unreachable)?;
            match redirect(&head) {
                Some(location) => at = self.follow(&at, location).map_err(unreachable)?,
                None => return Ok(answer),
            }
        }
        Err(Trouble::new(
            Hurdle::Strange,
            "StarRocks redirects in circles when asked for the state of a load",
        ))
    }
}

#[derive(Debug, Deserialize)]
struct Reply {
    state: Option<String>,
}

pub(super) fn read_state(status: u16, body: &[u8]) -> Result<LoadState, Trouble> {
    let reply = serde_json::from_slice::<Reply>(body).ok();
    let state = reply.and_then(|reply| reply.state).unwrap_or_default();
    match (status, state.as_str()) {
        (200, "COMMITTED" | "VISIBLE") => Ok(LoadState::Committed),
        (200, "PREPARE" | "PREPARED") => Ok(LoadState::Running),
        (200, "ABORTED" | "UNKNOWN") => Ok(LoadState::Free),
        (401 | 403, _) => {
            Err(Trouble::new(Hurdle::Authentication, "StarRocks refused to tell the state of a load"))
        }
        (500.., _) => {
            Err(Trouble::new(Hurdle::Unreachable, format!("StarRocks answered with HTTP status {status}")))
        }
        _ => Err(Trouble::new(Hurdle::Strange, "StarRocks did not tell the state of a load")),
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
            ("VISIBLE", LoadState::Committed),
            ("COMMITTED", LoadState::Committed),
            ("PREPARE", LoadState::Running),
            ("PREPARED", LoadState::Running),
            ("ABORTED", LoadState::Free),
            ("UNKNOWN", LoadState::Free),
        ] {
            assert_eq!(read_state(200, reply(state).as_bytes()), Ok(expected));
        }
    }

    #[test]
    fn anything_else_tells_nothing() {
        for (status, body, hurdle) in [
            (
                200,
                r#"{"status":"FAILED","code":"1","msg":"unknown database, database=x","message":""}"#,
                Hurdle::Strange,
            ),
            (200, r#"{"state":"DANCING"}"#, Hurdle::Strange),
            (200, "<html>", Hurdle::Strange),
            (401, "", Hurdle::Authentication),
            (500, r#"{"state":"VISIBLE"}"#, Hurdle::Unreachable),
        ] {
            assert_eq!(read_state(status, body.as_bytes()).unwrap_err().hurdle, hurdle, "{body}");
        }
    }
}
