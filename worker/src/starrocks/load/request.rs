//! One attempt of a load: the head goes to the frontend, head and body to the backend that it names.
//!
//! ```text
//! frontend  PUT, Content-Length: 0        ◄ 307 with the backend's address
//! backend   PUT, every header             ◄ 100, or the final answer instead of it
//!           the body, piece by piece      ◄ the answer
//! ```
//!
//! The frontend plans a load within a transaction over several tables from the headers of its own hop, so there both
//! hops carry all headers; `schema::header_room` checks that a table's headers fit.
//!
//! The frontend never receives the body. The output is an answer to classify, or an error that says whether the load
//! can have begun.

use std::{ops::ControlFlow, time::Duration};

use tokio::time::timeout;

use super::{
    body::{Body, Content},
    label::Label,
};
use crate::{
    slot_lease::LoadPermit,
    starrocks::http::{
        connection::{Connection, Head, WireError},
        frontend::{Address, Answer, Frontend, LoadError, redirect},
    },
};

/// The `timeout` header of a load. Short, because a load that a lost worker left behind may commit until it is over.
pub(crate) const LOAD_TIMEOUT: Duration = Duration::from_secs(120);
/// StarRocks looks for loads that have timed out every 30 s.
const MARGIN: Duration = Duration::from_secs(35);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// A frontend may redirect to its leader, and the leader to a backend.
const MOST_REDIRECTS: usize = 3;
/// StarRocks refuses larger JSON bodies without `ignore_json_size`.
const JSON_LIMIT: u64 = 100 * 1024 * 1024;

/// One load to be sent.
#[derive(Debug)]
pub(crate) struct Order<'a> {
    pub(crate) target: &'a str,
    pub(crate) label: &'a Label,
    pub(crate) body: Content<'a>,
    pub(crate) manner: Manner,
    /// None where no lease applies.
    pub(crate) permit: Option<&'a LoadPermit>,
}

/// Whether a load is committed by itself or is part of a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    Alone,
    /// With the time-out of the transaction.
    Within(Duration),
    /// Part of a transaction over one table.
    InBulk,
}

impl Frontend {
    /// Sends the load once. If the future is dropped the outcome is unknown, and the label's state tells it.
    pub(crate) async fn send(&self, order: &Order<'_>) -> Result<Answer, LoadError> {
        let at = self.address();
        let (answer, head) = self.ask(&at, &self.first_head(order, &at)).await?;
        let next = match redirect(&head) {
            Some(location) => self.follow(&at, location)?,
            None => return Ok(answer),
        };
        self.send_from(order, next).await
    }

    /// Sends the load once to this server, which may name another.
    pub(crate) async fn send_from(&self, order: &Order<'_>, mut at: Address) -> Result<Answer, LoadError> {
        for _ in 1..MOST_REDIRECTS {
            match self.send_whole(order, &at).await? {
                ControlFlow::Break(answer) => return Ok(answer),
                ControlFlow::Continue(location) => at = self.follow(&at, &location)?,
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

    /// Only what the frontend needs: it accepts 32 KiB of headers, which the columns of a wide table exceed.
    fn first_head(&self, order: &Order<'_>, at: &Address) -> String {
        let plan = match order.manner {
            Manner::Alone | Manner::InBulk => String::new(),
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
            Manner::InBulk => ("/api/transaction/load".to_owned(), bulk_headers(database, target)),
        };
        format!(
            "PUT {path} HTTP/1.1\r\nHost: {at}\r\nAuthorization: {authorization}\r\n\
             Expect: 100-continue\r\nlabel: {}\r\n{place}",
            order.label
        )
    }
}

/// The headers from which StarRocks plans the load: the same on every hop that carries them.
fn plan_headers(order: &Order<'_>) -> String {
    let (plan, body) = (order.body.plan(), order.body);
    let (timeout, adds_up) = match order.manner {
        Manner::Alone => (LOAD_TIMEOUT, false),
        Manner::Within(timeout) => (timeout, true),
        Manner::InBulk => (LOAD_TIMEOUT, true),
    };
    let partial = if plan.is_partial() { "partial_update: true\r\n" } else { "" };
    let large = if adds_up || body.length() > JSON_LIMIT { "ignore_json_size: true\r\n" } else { "" };
    let (columns, timeout) = (plan.columns(), timeout.as_secs());
    format!(
        "format: json\r\ncolumns: {columns}\r\nstrict_mode: true\r\nmax_filter_ratio: 0\r\n\
         timeout: {timeout}\r\n{partial}{large}"
    )
}

/// Returns the answer, or the address to send the load to instead. The lease is checked again before the body, because
/// much time may have passed since the load was permitted. StarRocks begins the load at its head, so from here on its
/// time-out bounds it, even if this process stops now.
async fn exchange(
    connection: &mut Connection,
    head: String,
    order: &Order<'_>,
) -> Result<ControlFlow<Answer, Vec<u8>>, WireError> {
    connection.send(head.as_bytes()).await?;
    let mut head = connection.read_head().await?;
    if head.status == 100 {
        if order.permit.is_some_and(|permit| !permit.is_granted()) {
            return Err(WireError::LeaseEnded);
        }
        match order.body {
            Content::Measured(body) => send_body(connection, body).await?,
            Content::Encoded { lines, .. } => drop(connection.send_piece(lines).await?),
        }
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
        // A refusal is impossible, because the body was checked when it was measured; and StarRocks rejects a short body.
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

/// The headers that name the database and the table of a transaction over one table.
pub(crate) fn bulk_headers(database: &str, target: &str) -> String {
    format!("db: {database}\r\ntable: {target}\r\n")
}

/// The headers that name the database, the table and the kind of transaction.
pub(crate) fn transaction_headers(database: &str, target: Option<&str>) -> String {
    let table = target.map_or_else(String::new, |target| format!("table: {target}\r\n"));
    format!("db: {database}\r\n{table}transaction_type: multi\r\n")
}
