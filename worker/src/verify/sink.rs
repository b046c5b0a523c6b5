//! StarRocks' side: the columns of a table, its rows in key order by pages, and single rows by key.

use std::time::Duration;

use mysql_async::{Conn, prelude::Queryable};
use tokio::{sync::mpsc, time::timeout};

use super::{
    fault,
    form::Side,
    key::Key,
    plan::{Plan, TargetColumn, quoted},
    rows::{CHUNK, Chunk, Row},
};
use crate::{
    config::SinkConfig,
    fault::Fault,
    mysql::{guarded, options},
    table::TableName,
};

const CONNECT_LIMIT: Duration = Duration::from_secs(20);
/// Longer than StarRocks' limit for a query.
const PAGE_LIMIT: Duration = Duration::from_secs(600);
/// The protocol's maximum: a row may have many of the longest texts.
const LARGEST_PACKET: usize = 1 << 30;
/// Keys per query.
const KEYS: usize = 50;

const FIRST_PAGE: usize = 1000;
const LARGEST_PAGE: usize = 20_000;
/// StarRocks sorts a page in memory, so its size in bytes is bounded, by the average row so far.
const PAGE_BYTES: usize = 16 << 20;

#[derive(Debug)]
pub(super) struct Sink {
    connection: Conn,
    config: SinkConfig,
}

impl Sink {
    pub(super) async fn open(config: &SinkConfig) -> Result<Self, Fault> {
        let opened = timeout(CONNECT_LIMIT, guarded(Conn::new(options(config, LARGEST_PACKET)))).await;
        let opened = opened.map_err(|_| fault::sink_silent(config))?;
        let connection = opened.map_err(|error| fault::sink(config, &error))?;
        Ok(Self { connection, config: config.clone() })
    }

    /// The target's columns; `None` when the table does not exist.
    pub(super) async fn describe(&mut self, table: &TableName) -> Result<Option<Vec<TargetColumn>>, Fault> {
        let (database, target) = (quoted(&self.config.database), table.target());
        let tables = self.texts(&format!("SHOW TABLES FROM {database}")).await?;
        if !tables.iter().any(|row| row.first().is_some_and(|name| *name == target)) {
            return Ok(None);
        }
        let columns = self.texts(&format!("DESC {database}.{}", quoted(&target))).await?;
        let column = |row: Vec<String>| match row.as_slice() {
            [name, type_name, _, key, ..] => Some(TargetColumn {
                name: name.clone(),
                type_name: type_name.clone(),
                is_key: matches!(key.to_ascii_lowercase().as_str(), "true" | "yes"),
            }),
            _ => None,
        };
        Ok(Some(columns.into_iter().filter_map(column).collect()))
    }

    async fn texts(&mut self, sql: &str) -> Result<Vec<Vec<String>>, Fault> {
        let mut texts = Vec::new();
        self.each(sql, |values| {
            let text =
                |value: &Option<&[u8]>| String::from_utf8_lossy(value.unwrap_or_default()).into_owned();
            texts.push(values.iter().map(text).collect());
            async { true }
        })
        .await?;
        Ok(texts)
    }

    /// Sends every row, in key order, and a fault at the end if there is one.
    pub(super) async fn stream(mut self, plan: Plan, rows: mpsc::Sender<Chunk>) {
        if let Err(fault) = self.try_stream(&plan, &rows).await {
            // The receiver may have been dropped.
            let _ = rows.send(Err(fault)).await;
        }
    }

    async fn try_stream(&mut self, plan: &Plan, rows: &mpsc::Sender<Chunk>) -> Result<(), Fault> {
        let (mut after, mut limit) = (None, FIRST_PAGE);
        loop {
            let page = self.page(plan, after.as_ref(), limit, rows).await?;
            if page.rows < limit {
                return Ok(());
            }
            after = page.last;
            limit = (PAGE_BYTES / (page.bytes / page.rows).max(1)).clamp(CHUNK, LARGEST_PAGE);
        }
    }

    async fn page(
        &mut self,
        plan: &Plan,
        after: Option<&Key>,
        limit: usize,
        rows: &mpsc::Sender<Chunk>,
    ) -> Result<Page, Fault> {
        let mut page = Page::default();
        let mut chunk = Vec::with_capacity(CHUNK);
        let mut unreadable = false;
        self.each(&plan.sink_page(after, limit), |values| {
            page.rows += 1;
            page.bytes += values.iter().flatten().map(|value| value.len()).sum::<usize>();
            let row = Row::read(plan, Side::Sink, values);
            unreadable |= row.is_none();
            page.last = row.as_ref().map(|row| row.key.clone()).or(page.last.take());
            chunk.extend(row);
            let full = (chunk.len() == CHUNK).then(|| std::mem::take(&mut chunk));
            async {
                match full {
                    Some(full) => rows.send(Ok(full)).await.is_ok(),
                    None => true,
                }
            }
        })
        .await?;
        if unreadable {
            return Err(fault::key(plan, "StarRocks"));
        }
        let _ = rows.send(Ok(chunk)).await;
        Ok(page)
    }

    /// The rows with one of these keys.
    pub(super) async fn look(&mut self, plan: &Plan, keys: &[Key]) -> Result<Vec<Row>, Fault> {
        let mut found = Vec::new();
        for keys in keys.chunks(KEYS) {
            let sql = plan.sink_look(&keys.iter().collect::<Vec<_>>());
            self.each(&sql, |values| {
                found.extend(Row::read(plan, Side::Sink, values));
                async { true }
            })
            .await?;
        }
        Ok(found)
    }

    /// Passes the rows of an answer of any size to `take`, one by one, until it has enough.
    async fn each<F: Future<Output = bool>>(
        &mut self,
        sql: &str,
        mut take: impl FnMut(&[Option<&[u8]>]) -> F,
    ) -> Result<(), Fault> {
        let config = &self.config;
        let wrong = |error: mysql_async::Error| fault::sink(config, &error);
        let asked = timeout(PAGE_LIMIT, guarded(self.connection.query_iter(sql))).await;
        let mut answer = asked.map_err(|_| fault::sink_silent(config))?.map_err(wrong)?;
        loop {
            let next =
                timeout(PAGE_LIMIT, guarded(answer.next())).await.map_err(|_| fault::sink_silent(config))?;
            let Some(row) = next.map_err(wrong)? else { return Ok(()) };
            let row: Vec<_> = row.unwrap_raw();
            let values: Vec<_> = row.iter().map(bytes).collect();
            if !take(&values).await {
                return Ok(());
            }
        }
    }
}

#[derive(Debug, Default)]
struct Page {
    rows: usize,
    bytes: usize,
    last: Option<Key>,
}

/// A column of the text protocol as bytes.
fn bytes(value: &Option<mysql_async::Value>) -> Option<&[u8]> {
    match value {
        Some(mysql_async::Value::Bytes(bytes)) => Some(bytes),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mysql::double;

    #[tokio::test]
    async fn a_packet_without_content_is_a_fault_and_not_the_end() {
        let (listener, config) = double::server().await;
        let (sink, _client) = tokio::join!(Sink::open(&config), double::talk(listener, &[double::EMPTY]));
        let name = TableName { schema: "public".to_owned(), name: "t".to_owned() };
        let fault = sink.unwrap().describe(&name).await.unwrap_err();
        assert_eq!(fault.reason, crds::Reason::SinkUnreachable);
    }
}
