//! Memory under loads of every shape: wide rows, forty tables at once, one giant transaction.

use anyhow::{Context, Result};
use system::{sink::Sink, source::Source};
use testbed::{postgres::Postgres, progress};

use crate::{backlog, crowd::mib, measure, measure::Way, report::Findings};

/// A kind of backlog.
struct Bulk {
    name: &'static str,
    tables: String,
    setup: String,
    fill: String,
}

pub(crate) async fn measure(postgres: &Postgres, findings: &mut Findings) -> Result<()> {
    for bulk in [wide(), tables()] {
        for (buffer, goal) in [("32Mi", "≤ 42 MiB"), ("8Mi", "≤ 18 MiB")] {
            drain(postgres, &bulk, buffer, goal, findings).await?;
        }
    }
    Ok(())
}

/// A transaction of this many gigabytes.
pub(crate) async fn giant(postgres: &Postgres, gigabytes: u32, findings: &mut Findings) -> Result<()> {
    drain(postgres, &transaction(gigabytes), "32Mi", "≤ 42 MiB", findings).await
}

async fn drain(
    postgres: &Postgres,
    bulk: &Bulk,
    buffer: &str,
    goal: &str,
    findings: &mut Findings,
) -> Result<()> {
    let Bulk { name, tables, setup, fill } = bulk;
    let sink = Sink::with(&["--discard"]).await?;
    for (way, above) in [(Way::Stream, "streaming"), (Way::CatchUp, "catch-up")] {
        progress::say(format!("{name}, {above}, a buffer of {buffer}"));
        let source = Source::connect(&postgres.url("postgres")).await?;
        source.run(setup).await?;
        let settings = backlog::settings_for(postgres, &sink, "bench_bulk", tables)?;
        let settings = settings.with("SOURCE_PUBLICATION_NAME", "bench_bulk").with("DBMAZZ_BUFFER", buffer);
        measure::set_up(&settings).await?;
        source.run(fill).await?;
        source.run("CHECKPOINT").await?;
        let end = source.value("SELECT pg_current_wal_insert_lsn() - '0/0'").await?.context("a position")?;
        let run = measure::drained(&settings, &sink, way, end.parse()?).await?;
        findings.add(
            format!("peak resident memory, {name}, {above}, buffer {buffer}"),
            &mib(run.peak_memory),
            goal,
        );
        findings.add("the same: loads of a table in a second", &format!("{:.2}", run.loads_of_a_table()), "");
        measure::drop_slot(postgres, "bench_bulk").await?;
        source.run("DROP PUBLICATION bench_bulk").await?;
    }
    Ok(())
}

/// Rows of a megabyte.
fn wide() -> Bulk {
    Bulk {
        name: "rows of 1 MB",
        tables: "wide".into(),
        setup: "DROP TABLE IF EXISTS wide; CREATE TABLE wide (id bigint PRIMARY KEY, note text)".into(),
        fill: "INSERT INTO wide SELECT id, repeat(md5(id::text), 31000) FROM generate_series(1, 400) id"
            .into(),
    }
}

/// Forty tables, whose changes alternate.
fn tables() -> Bulk {
    let names: Vec<_> = (0..40).map(|place| format!("many_{place}")).collect();
    let each = |form: &dyn Fn(&String) -> String| names.iter().map(form).collect::<Vec<_>>().join("\n");
    let setup = each(&|name| {
        format!("DROP TABLE IF EXISTS {name}; CREATE TABLE {name} (id bigint PRIMARY KEY, note text);")
    });
    let inserts = each(&|name| {
        format!("INSERT INTO {name} SELECT n * 50 + i, repeat('note ', 20) FROM generate_series(0, 49) i;")
    });
    let fill = format!("DO $$ BEGIN FOR n IN 0 .. 499 LOOP {inserts} COMMIT; END LOOP; END $$");
    Bulk { name: "forty tables", tables: names.join(","), setup, fill }
}

fn transaction(gigabytes: u32) -> Bulk {
    let rows = u64::from(gigabytes) * 1_000_000;
    Bulk {
        name: "one giant transaction",
        tables: "giant".into(),
        setup: "DROP TABLE IF EXISTS giant; CREATE TABLE giant (id bigint PRIMARY KEY, note text)".into(),
        fill: format!(
            "INSERT INTO giant SELECT id, repeat(md5(id::text), 30) FROM generate_series(1, {rows}) id"
        ),
    }
}
