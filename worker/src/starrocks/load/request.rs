//! One attempt at a load: to the frontend with a head only, to the backend it names with the body.
//!
//! ```text
//! frontend  PUT, Content-Length: 0        ◄ 307, where to
//! backend   PUT, every header             ◄ 100, or the final answer instead of it
//!           the body, piece by piece      ◄ the answer
//! ```
//!
//! A load within a transaction over several tables is planned by the frontend from the headers of its own hop, so
//! there both hops carry all of them; `transaction::room` says which tables have the room.
//!
//! The frontend never gets a byte of the body. What comes out is an answer to classify, or what is known of
//! a load that got none.

use std::{ops::ControlFlow, time::Duration};

use tokio::time::timeout;

use super::{body::Body, label::Label};
use crate::{
    slot_lease::LoadPermit,
    starrocks::http::{
        connection::{Connection, Head, WireError},
        frontend::{Address, Answer, Frontend, LoadError, redirect},
    },
};

/// Seconds that StarRocks lets a load take. Short, because what a lost worker left behind may commit
/// until they are over.
pub(crate) const LOAD_TIMEOUT: Duration = Duration::from_secs(120);
/// StarRocks notices a load that ran out of time within thirty seconds.
const MARGIN: Duration = Duration::from_secs(35);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// A frontend may name its leader, and that a backend.
const MOST_REDIRECTS: usize = 3;
/// Above this StarRocks wants to be told that the size is meant.
const JSON_LIMIT: u64 = 100 * 1024 * 1024;

/// One load to be sent.
#[derive(Debug)]
pub(crate) struct Order<'a> {
    pub(crate) target: &'a str,
    pub(crate) label: &'a Label,
    pub(crate) body: &'a Body<'a>,
    pub(crate) manner: Manner,
    /// Without it nothing holds the load back.
    pub(crate) right: Option<&'a LoadPermit>,
}

/// Whether a load is committed by itself, or is one of a transaction over several tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    Alone,
    /// With the time that the transaction was given.
    Within(Duration),
}

impl Frontend {
    /// Sends the load once. Dropping the future leaves the outcome open: its label tells.
    pub(crate) async fn send(&self, order: &Order<'_>) -> Result<Answer, LoadError> {
        let mut at = self.address();
        let (answer, head) = self.ask(&at, &self.first_head(order, &at)).await?;
        let mut next = match redirect(&head) {
            Some(location) => self.follow(&at, location)?,
            None => return Ok(answer),
        };
        for _ in 1..MOST_REDIRECTS {
            at = next;
            match self.send_whole(order, &at).await? {
                ControlFlow::Break(answer) => return Ok(answer),
                ControlFlow::Continue(location) => next = self.follow(&at, &location)?,
            }
        }
        Err(LoadError::BadRedirect { at: at.to_string() })
    }

    async fn send_whole(
        &self,
        order: &Order<'_>,
        at: &Address,
    ) -> Result<ControlFlow<Answer, Vec<u8>>, LoadError> {
        let opened = timeout(CONNECT_TIMEOUT, Connection::open(&at.host, at.port)).await;
        let not_begun = |source| LoadError::NotBegun { at: at.to_string(), source };
        let mut connection = opened.unwrap_or(Err(WireError::TimedOut)).map_err(not_begun)?;
        let exchange = exchange(&mut connection, self.second_head(order, at), order);
        let outcome = timeout(LOAD_TIMEOUT + MARGIN, exchange).await.unwrap_or(Err(WireError::TimedOut));
        outcome.map_err(|source| LoadError::Unanswered { at: at.to_string(), source })
    }

    /// What the frontend needs and no more: it takes 32 KiB of headers, which a wide table's columns pass.
    fn first_head(&self, order: &Order<'_>, at: &Address) -> String {
        let plan = match order.manner {
            Manner::Alone => String::new(),
            Manner::Within(_) => plan_headers(order),
        };
        format!("{}{plan}Content-Length: 0\r\n\r\n", self.common_head(order, at))
    }

    fn second_head(&self, order: &Order<'_>, at: &Address) -> String {
        let (common, plan) = (self.common_head(order, at), plan_headers(order));
        format!("{common}{plan}Content-Length: {}\r\n\r\n", order.body.length())
    }

    fn common_head(&self, order: &Order<'_>, at: &Address) -> String {
        let (database, target, authorization) = (&self.database, order.target, &self.authorization);
        let (path, place) = match order.manner {
            Manner::Alone => (format!("/api/{database}/{target}/_stream_load"), String::new()),
            Manner::Within(_) => {
                ("/api/transaction/load".to_owned(), transaction_headers(database, Some(target)))
            }
        };
        format!(
            "PUT {path} HTTP/1.1\r\nHost: {at}\r\nAuthorization: {authorization}\r\n\
             Expect: 100-continue\r\nlabel: {}\r\n{place}",
            order.label
        )
    }
}

/// What StarRocks makes the plan of the load from: the same on every hop that carries it.
fn plan_headers(order: &Order<'_>) -> String {
    let (plan, body) = (order.body.plan(), order.body);
    let (timeout, adds_up) = match order.manner {
        Manner::Alone => (LOAD_TIMEOUT, false),
        Manner::Within(timeout) => (timeout, true),
    };
    let partial = if plan.is_partial() { "partial_update: true\r\n" } else { "" };
    let large = if adds_up || body.length() > JSON_LIMIT { "ignore_json_size: true\r\n" } else { "" };
    let (columns, timeout) = (plan.columns(), timeout.as_secs());
    format!(
        "format: json\r\ncolumns: {columns}\r\nstrict_mode: true\r\nmax_filter_ratio: 0\r\n\
         timeout: {timeout}\r\n{partial}{large}"
    )
}

/// Gives the answer, or where else to send the load. Much time may have passed since the load was let go; StarRocks
/// has begun it with the head, so from here on its time-out bounds it, even when this process stops now.
async fn exchange(
    connection: &mut Connection,
    head: String,
    order: &Order<'_>,
) -> Result<ControlFlow<Answer, Vec<u8>>, WireError> {
    connection.send(head.as_bytes()).await?;
    let mut head = connection.read_head().await?;
    if head.status == 100 {
        if order.right.is_some_and(|right| !right.is_granted()) {
            return Err(WireError::LeaseEnded);
        }
        send_body(connection, order.body).await?;
        head = final_head(connection).await?;
    } else if let Some(location) = redirect(&head) {
        return Ok(ControlFlow::Continue(location.to_vec()));
    }
    let body = connection.read_body(&head).await?;
    Ok(ControlFlow::Break(Answer { status: head.status, body }))
}

async fn send_body(connection: &mut Connection, body: &Body<'_>) -> Result<(), WireError> {
    let (mut next, mut piece) = (body.pieces(), Vec::new());
    loop {
        // A refusal cannot be: the body was checked when it was measured. A short body would not be taken.
        next(&mut piece).map_err(|refusal| std::io::Error::other(refusal.problem))?;
        if piece.is_empty() || connection.send_piece(&piece).await?.is_break() {
            return Ok(());
        }
    }
}

async fn final_head(connection: &mut Connection) -> Result<Head, WireError> {
    loop {
        let head = connection.read_head().await?;
        if head.status >= 200 {
            return Ok(head);
        }
    }
}

/// The headers that tell where a call belongs.
pub(crate) fn transaction_headers(database: &str, target: Option<&str>) -> String {
    let table = target.map_or_else(String::new, |target| format!("table: {target}\r\n"));
    format!("db: {database}\r\n{table}transaction_type: multi\r\n")
}
