//! Databases whose encoding is not UTF-8: a text that has no form in UTF-8 halts only its table, or is named in the
//! fault.

use anyhow::{Context, Result};
use system::{
    source::Source,
    worker::{Settings, Worker},
};

use super::rig::{DATABASE, Rig};

/// Makes the rig's source a database in this encoding, with two tables.
async fn encoded(encoding: &str) -> Result<Rig> {
    let mut rig = Rig::of("SELECT 1", "good,bad").await?;
    rig.source
        .run(&format!("CREATE DATABASE other ENCODING '{encoding}' LOCALE 'C' TEMPLATE template0"))
        .await?;
    let url = rig.postgres.url("other");
    rig.source = Source::connect(&url).await?;
    rig.source
        .run("CREATE TABLE good (id int PRIMARY KEY, v text); CREATE TABLE bad (id int PRIMARY KEY, v text)")
        .await?;
    rig.settings = Settings::new(&url, &rig.sink, DATABASE, "good,bad")?.with("FLUSH_INTERVAL_MS", "50");
    Ok(rig)
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_of_a_database_without_an_encoding_that_are_not_utf8_halt_their_table_alone() -> Result<()> {
    let rig = encoded("SQL_ASCII").await?;
    let mut worker = rig.worker().await?;
    rig.source.run("INSERT INTO bad VALUES (1, 'ascii'); INSERT INTO good VALUES (1, E'\\xc3\\xa9')").await?;
    rig.until_equal().await?;
    let walsender = rig.walsender().await?;
    rig.source.run("INSERT INTO bad VALUES (2, E'\\xff\\xfe'); INSERT INTO good VALUES (2, 'after')").await?;
    let fault = worker.until_fault("ValueNotRepresentable").await?;
    assert!(
        fault.halted && fault.message.contains("public.bad") && fault.message.contains("UTF-8"),
        "{fault:?}"
    );
    assert_eq!(rig.until_table_equal("good").await?, 2);
    assert_eq!(rig.walsender().await?, walsender, "nothing was torn down for it");
    worker.crash()?;
    worker.until_fault("ValueNotRepresentable").await?;
    rig.source.run("INSERT INTO good VALUES (3, 'later')").await?;
    assert_eq!(rig.until_table_equal("good").await?, 3, "also after a restart");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_that_cannot_be_sent_is_named_and_the_remedy_brings_the_job_behind_it() -> Result<()> {
    let rig = encoded("WIN1252").await?;
    let mut worker = Worker::ready(&rig.settings).await?;
    rig.source.run("INSERT INTO good VALUES (1, 'é'); INSERT INTO bad VALUES (1, 'a')").await?;
    rig.until_equal().await?;
    rig.source.run("INSERT INTO bad VALUES (2, '\u{20AC}')").await?;
    rig.until_equal().await?;
    rig.source.run("INSERT INTO bad VALUES (3, E'\\x81')").await?;
    let fault = worker.until_fault("SourceEncodingInvalid").await?;
    assert!(fault.message.contains("public.bad") && fault.message.contains("WIN1252"), "{fault:?}");
    let quoted = |before: &str| -> Result<String> {
        let rest = fault.fix.split_once(before).with_context(|| format!("{before} in {}", fault.fix))?.1;
        Ok(format!("{before}{rest}"))
    };
    let drop = quoted("SELECT pg_drop_replication_slot(")?;
    rig.source.run("UPDATE bad SET v = 'mended' WHERE id = 3").await?;
    let drop = drop.split_once(" if ").context("a condition")?.0;
    system::wait::until("the slot is dropped as told", async || Ok(Some(rig.source.run(drop).await?)))
        .await?;
    rig.forget_as_told(&fault).await?;
    worker.until_ready().await?;
    rig.source.run("ALTER TABLE bad REPLICA IDENTITY FULL; UPDATE bad SET v = v").await?;
    rig.until_equal().await?;
    Ok(())
}
