//! The measured work: a backlog behind a replication slot. Every run reads a copy of the slot.

use anyhow::{Context, Result};
use system::{
    sink::Sink,
    source::Source,
    worker::{Settings, Worker},
};
use testbed::postgres::Postgres;

pub(crate) const DATABASE: &str = "bench";
pub(crate) const PUBLICATION: &str = "bench";
const ORIGIN: &str = "bench_origin";

/// Seven columns, as in other projects' benchmarks.
const TABLE: &str = "
    CREATE TABLE events (
        id bigint PRIMARY KEY, account integer NOT NULL, kind varchar(20), amount numeric(12,2),
        happened timestamptz NOT NULL, active boolean, note text
    );
    CREATE PUBLICATION bench FOR TABLE events;
";

/// Transactions of a hundred changes: seventy inserts, twenty updates of their rows, ten deletes.
const FILL: &str = "
    CREATE PROCEDURE fill(transactions bigint) LANGUAGE plpgsql AS $$
    DECLARE first bigint;
    BEGIN
        FOR number IN 0 .. transactions - 1 LOOP
            first := number * 70;
            INSERT INTO events SELECT id, id % 1000, 'kind-' || id % 7, id % 100000 / 100.0,
                timestamptz '2026-01-01 00:00+00' + id * interval '1 second', id % 2 = 0, 'note of event ' || id
                FROM generate_series(first, first + 69) id;
            UPDATE events SET amount = amount + 1, active = NOT active WHERE id BETWEEN first AND first + 19;
            DELETE FROM events WHERE id BETWEEN first + 60 AND first + 69;
            COMMIT;
        END LOOP;
    END $$;
";

#[derive(Debug)]
pub(crate) struct Backlog {
    /// The position after the last change.
    pub(crate) end: u64,
    pub(crate) end_text: String,
    runs: std::cell::Cell<u32>,
}

impl Backlog {
    pub(crate) async fn make(postgres: &Postgres, sink: &Sink, changes: u64) -> Result<Self> {
        let source = Source::connect(&postgres.url("postgres")).await?;
        source.run(TABLE).await?;
        source.run(FILL).await?;
        create_target(postgres, sink).await?;
        source.run(&format!("SELECT pg_create_logical_replication_slot('{ORIGIN}', 'pgoutput')")).await?;
        source.run(&format!("CALL fill({})", changes / 100)).await?;
        source.run("CHECKPOINT").await?;
        let end = source.value("SELECT pg_current_wal_insert_lsn() - '0/0'").await?.context("a position")?;
        let end_text = source.value("SELECT pg_current_wal_insert_lsn()").await?.context("a position")?;
        // A change after the end, by which both readers detect that they have passed it.
        source.run("CREATE TABLE after (id int)").await?;
        Ok(Self { end: end.parse()?, end_text, runs: 0.into() })
    }

    /// Drops the slot, whose WAL is not needed any more.
    pub(crate) async fn forget(&self, postgres: &Postgres) -> Result<()> {
        let source = Source::connect(&postgres.url("postgres")).await?;
        source.run(&format!("SELECT pg_drop_replication_slot('{ORIGIN}')")).await
    }

    /// A slot at the beginning of the backlog, for one run.
    pub(crate) async fn slot(&self, postgres: &Postgres) -> Result<String> {
        self.runs.set(self.runs.get() + 1);
        let slot = format!("bench_run_{}", self.runs.get());
        let source = Source::connect(&postgres.url("postgres")).await?;
        source.run(&format!("SELECT pg_copy_logical_replication_slot('{ORIGIN}', '{slot}')")).await?;
        Ok(slot)
    }
}

/// Lets a worker create the target table, so that runs measure the stream alone.
async fn create_target(postgres: &Postgres, sink: &Sink) -> Result<()> {
    let settings = settings(postgres, sink, "bench_setup")?;
    let worker = Worker::ready(&settings).await?;
    let answer = worker
        .stop(proto::StopRequest { skip_publication_cleanup: true, release_past: true, ..Default::default() })
        .await?;
    anyhow::ensure!(answer.success, "the worker could not stop: {}", answer.message);
    Ok(())
}

pub(crate) fn settings(postgres: &Postgres, sink: &Sink, slot: &str) -> Result<Settings> {
    Ok(settings_for(postgres, sink, slot, "events")?.with("SOURCE_PUBLICATION_NAME", PUBLICATION))
}

pub(crate) fn settings_for(postgres: &Postgres, sink: &Sink, slot: &str, tables: &str) -> Result<Settings> {
    // As libpq does by default: with TLS where the server supports it.
    let mode = if postgres.ca_certificate().is_some() { "require" } else { "disable" };
    let url = format!("{}?sslmode={mode}", postgres.url("postgres"));
    let settings = Settings::new(&url, sink, DATABASE, tables)?;
    Ok(settings.with("SOURCE_SLOT_NAME", slot).with("FLUSH_SIZE", "200000"))
}
