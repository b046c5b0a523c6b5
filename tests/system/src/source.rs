//! A database of a real PostgreSQL, by SQL.

use anyhow::Result;
use tokio::task::JoinSet;
use tokio_postgres::{Client, NoTls};

/// A connection to a database; closed when dropped.
#[derive(Debug)]
pub struct Source {
    client: Client,
    _connection: JoinSet<()>,
}

impl Source {
    pub async fn connect(url: &str) -> Result<Self> {
        let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
        let mut task = JoinSet::new();
        task.spawn(async move { drop(connection.await) });
        let source = Self { client, _connection: task };
        let spelling = "SET TimeZone = 'UTC'; SET DateStyle = 'ISO'; SET IntervalStyle = 'iso_8601'; SET extra_float_digits = 3";
        source.run(spelling).await?;
        Ok(source)
    }

    pub fn client(&mut self) -> &mut Client {
        &mut self.client
    }

    /// Runs statements without returning rows.
    pub async fn run(&self, sql: &str) -> Result<()> {
        Ok(self.client.batch_execute(sql).await?)
    }

    /// The first value of the first row, as text; `None` for NULL or no row.
    pub async fn value(&self, sql: &str) -> Result<Option<String>> {
        use tokio_postgres::SimpleQueryMessage::Row;
        let messages = self.client.simple_query(sql).await?;
        let first = messages.iter().find_map(|message| if let Row(row) = message { Some(row) } else { None });
        Ok(first.and_then(|row| row.get(0)).map(str::to_owned))
    }

    /// All rows, each value as text.
    pub async fn rows(&self, sql: &str) -> Result<Vec<Vec<Option<String>>>> {
        use tokio_postgres::SimpleQueryMessage::Row;
        let messages = self.client.simple_query(sql).await?;
        let rows =
            messages.iter().filter_map(|message| if let Row(row) = message { Some(row) } else { None });
        Ok(rows.map(|row| (0..row.len()).map(|place| row.get(place).map(str::to_owned)).collect()).collect())
    }
}
