//! Faults at the start: what a person sees, and the recovery when the cause is gone.

use anyhow::Result;
use system::{
    source::Source,
    worker::{Settings, Worker},
};
use testbed::postgres::PostgresOptions;

use super::rig::{DATABASE, Rig};

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_is_named_and_heals() -> Result<()> {
    let mut rig = Rig::of("CREATE TABLE t (id int PRIMARY KEY); CREATE ROLE repl LOGIN REPLICATION PASSWORD 'old'; ALTER TABLE t OWNER TO repl; GRANT CREATE ON DATABASE postgres TO repl", "t").await?;
    let url = format!("postgres://repl:n%40w%2F%3A%25@127.0.0.1:{}/postgres", rig.postgres.port());
    rig.settings = rig.settings.clone().with("SOURCE_URL", &url);
    let mut worker = Worker::start(&rig.settings)?;
    let fault = worker.until_fault("SourceAuthenticationFailed").await?;
    assert!(fault.message.contains("repl"), "{}", fault.message);
    assert!(!worker.process().said().contains("n@w/:%"), "a password is never logged");
    rig.source.run("ALTER ROLE repl PASSWORD 'n@w/:%'").await?;
    worker.until_ready().await?;
    rig.source.run("INSERT INTO t VALUES (1)").await?;
    rig.until_table_equal("t").await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn wal_level_is_named_and_heals() -> Result<()> {
    let options = PostgresOptions::default().with("wal_level", "replica");
    let mut rig = Rig::with(options, "CREATE TABLE t (id int PRIMARY KEY)", "t").await?;
    let mut worker = Worker::start(&rig.settings)?;
    let fault = worker.until_fault("WalLevelNotLogical").await?;
    assert!(fault.fix.contains("wal_level"), "{}", fault.fix);
    rig.source.run("ALTER SYSTEM SET wal_level = 'logical'").await?;
    rig.postgres.restart()?;
    rig.source = Source::connect(&rig.postgres.url("postgres")).await?;
    worker.until_ready().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_table_and_a_missing_key_are_named_and_heal() -> Result<()> {
    let rig = Rig::of("CREATE TABLE t (id int)", "t").await?;
    let mut worker = Worker::start(&rig.settings)?;
    let fault = worker.until_fault("PrimaryKeyMissing").await?;
    assert!(fault.message.contains("public.t"), "{}", fault.message);
    rig.source.run("DROP TABLE t").await?;
    worker.until_fault("SourceTableMissing").await?;
    rig.source.run("CREATE TABLE t (id int PRIMARY KEY)").await?;
    worker.until_ready().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_is_mended_is_followed_without_a_restart() -> Result<()> {
    let rig = Rig::of("CREATE TABLE t (id int PRIMARY KEY); CREATE TABLE late (id int)", "t,late").await?;
    let mut worker = Worker::start(&rig.settings)?;
    worker.until_fault("PrimaryKeyMissing").await?;
    rig.source.run("INSERT INTO t VALUES (1)").await?;
    assert_eq!(rig.until_table_equal("t").await?, 1, "the other table flows meanwhile");
    rig.source.run("ALTER TABLE late ADD PRIMARY KEY (id)").await?;
    worker.until_ready().await?;
    rig.source.run("INSERT INTO late VALUES (1), (2)").await?;
    assert_eq!(rig.until_table_equal("late").await?, 2);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn starrocks_that_is_down_at_the_start_is_named_and_heals() -> Result<()> {
    let rig = Rig::of("CREATE TABLE t (id int PRIMARY KEY)", "t").await?;
    rig.sink.down()?;
    let mut worker = Worker::start(&rig.settings)?;
    worker.until_fault("SinkUnreachable").await?;
    rig.sink.up()?;
    worker.until_ready().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_does_not_fit_is_named() -> Result<()> {
    let rig = Rig::of("CREATE TABLE t (id int PRIMARY KEY, a text)", "t").await?;
    rig.sink.rows(&format!("CREATE DATABASE {DATABASE}")).await?;
    let create = "CREATE TABLE app.t (id INT NOT NULL, a INT) PRIMARY KEY (id) DISTRIBUTED BY HASH(id) PROPERTIES (\"replication_num\" = \"1\")";
    rig.sink.rows(create).await?;
    let worker = Worker::start(&rig.settings)?;
    let fault = worker.until_fault("TargetIncompatible").await?;
    assert!(fault.message.contains('a'), "{}", fault.message);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_that_verifies_the_host_connects_and_one_without_trust_does_not() -> Result<()> {
    let options = PostgresOptions { tls: true, ..PostgresOptions::default() };
    let mut rig = Rig::with(options, "CREATE TABLE t (id int PRIMARY KEY)", "t").await?;
    let folder = tempfile::tempdir()?;
    let ca = folder.path().join("ca.crt");
    std::fs::write(&ca, rig.postgres.ca_certificate().unwrap_or_default())?;
    let plain = rig.postgres.url("postgres");
    let trusted = format!("{plain}?sslmode=verify-full&sslrootcert={}", ca.display());
    rig.settings = rig.settings.clone().with("SOURCE_URL", &trusted);
    let worker = rig.worker().await?;
    let used = "SELECT ssl FROM pg_stat_ssl JOIN pg_stat_replication USING (pid)";
    assert_eq!(rig.source.value(used).await?.as_deref(), Some("t"));
    drop(worker);
    let untrusted = rig.settings.clone().with("SOURCE_URL", &format!("{plain}?sslmode=verify-full"));
    Worker::start(&untrusted)?.until_fault("SourceTlsFailed").await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_variable_that_is_missing_or_wrong_ends_the_worker_with_its_name() -> Result<()> {
    let rig = Rig::of("CREATE TABLE t (id int PRIMARY KEY)", "t").await?;
    let cases = [("SINK_PORT", "many"), ("SOURCE_URL", ""), ("INITIAL_SNAPSHOT_ONLY", "maybe")];
    for (name, value) in cases {
        let settings: Settings = rig.settings.clone().with(name, value);
        let mut worker = Worker::start(&settings)?;
        let status = system::wait::until("the worker ends", async || worker.process().ended()).await?;
        assert_eq!(status.code(), Some(2));
        let said = worker.process().said();
        assert!(said.contains(name), "{name}: {said}");
    }
    Ok(())
}

/// StarRocks uses the error number 1064 for almost everything. Obstacles that pass by themselves are retried.
#[tokio::test(flavor = "multi_thread")]
async fn a_backend_that_is_away_while_targets_are_made_and_changed_is_told_and_waited_for() -> Result<()> {
    let rig =
        Rig::of("CREATE TABLE t (id int PRIMARY KEY); CREATE TABLE u (id int PRIMARY KEY)", "t,u").await?;
    rig.sink.down_of(&["be"])?;
    let mut worker = Worker::start(&rig.settings)?;
    let fault = worker.until_fault("SinkUnreachable").await?;
    assert!(!fault.halted && fault.fix.contains("backends"), "{fault:?}");
    rig.sink.up()?;
    worker.until_ready().await?;
    rig.source.run("INSERT INTO t VALUES (1); INSERT INTO u VALUES (1)").await?;
    rig.until_equal().await?;
    let words = "Table replication num should be less than or equal to the number of available backends.";
    let refuse = serde_json::json!({"fail": {"message": words}});
    rig.sink.inject(&serde_json::json!({"stage": "statement", "label": "ALTER TABLE*", "action": refuse}))?;
    rig.source
        .run(
            "ALTER TABLE t ADD COLUMN v int DEFAULT 7; INSERT INTO t VALUES (2, 8); INSERT INTO u VALUES (2)",
        )
        .await?;
    let fault = worker.until_fault("SinkUnreachable").await?;
    assert!(!fault.halted, "{fault:?}");
    assert_eq!(rig.until_table_equal("u").await?, 2, "the others go on");
    rig.sink.heal()?;
    rig.until_equal().await?;
    system::wait::until("no fault stands", async || {
        Ok(worker.status().await?.faults.is_empty().then_some(()))
    })
    .await
}
