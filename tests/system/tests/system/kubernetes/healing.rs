//! Faults are reported as a condition with a reason and a sentence, and clear when the cause is gone.

use anyhow::Result;
use serde_json::json;
use testbed::postgres::PostgresOptions;

use super::fixture::{JOB, Site};

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_secret_is_named_and_heals() -> Result<()> {
    let site = Site::new("no-secret").await?;
    let namespace = site.namespace()?;
    namespace.kubectl(&["delete", "secret", "sr"])?;
    namespace.apply(&site.job())?;
    let message = namespace.until_condition(JOB, "Ready", "False", "SecretMissing").await?;
    assert!(message.contains("sr"), "{message}");
    namespace.credentials("sr", "writer", "secret")?;
    site.until_ready().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_is_named_and_a_corrected_secret_heals() -> Result<()> {
    let site = Site::new("wrong-password").await?;
    let namespace = site.namespace()?;
    namespace.credentials("pg", "postgres", "not the password")?;
    namespace.apply(&site.job())?;
    let message = namespace.until_condition(JOB, "Ready", "False", "SourceAuthenticationFailed").await?;
    assert!(!message.contains("not the password"), "{message}");
    namespace.until_condition(JOB, "SourceHealthy", "False", "SourceAuthenticationFailed").await?;
    namespace.credentials("pg", "postgres", site.postgres.password())?;
    site.until_ready().await?;
    let events = site.events()?;
    let told = events.iter().filter(|event| event.contains("SourceAuthenticationFailed")).count();
    assert!(told >= 1, "{events:#?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn each_sentence_is_an_event_also_under_the_same_reason() -> Result<()> {
    let site = Site::new("sentences").await?;
    let namespace = site.namespace()?;
    namespace.apply(&site.job())?;
    site.until_ready().await?;
    let tables = |more: &[&str]| {
        let tables: Vec<&str> = ["public.orders", "public.customers"].iter().chain(more).copied().collect();
        json!({"spec": {"source": {"postgres": {"tables": tables}}}})
    };
    // Two tables with the same target.
    for wrong in [["public.a__b", "a.b"], ["public.c__d", "c.d"]] {
        namespace.patch(JOB, &tables(&wrong))?;
        namespace.until_condition(JOB, "Ready", "False", "BadConfiguration").await?;
        namespace.patch(JOB, &tables(&[]))?;
        site.until_ready().await?;
    }
    let events = site.events()?;
    for wrong in ["a__b", "c__d"] {
        let told = events.iter().filter(|event| event.contains("BadConfiguration") && event.contains(wrong));
        assert_eq!(told.count(), 1, "{wrong} in {events:#?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_host_is_named_and_heals() -> Result<()> {
    let site = Site::new("wrong-host").await?;
    let mut job = site.job();
    let right = job["spec"]["source"]["postgres"]["port"].clone();
    job["spec"]["source"]["postgres"]["port"] = json!(1);
    let namespace = site.namespace()?;
    namespace.apply(&job)?;
    namespace.until_condition(JOB, "Ready", "False", "SourceUnreachable").await?;
    namespace.patch(JOB, &json!({"spec": {"source": {"postgres": {"host": "nowhere.invalid"}}}}))?;
    namespace.until_condition(JOB, "Ready", "False", "SourceUnreachable").await?;
    let host = site.job()["spec"]["source"]["postgres"]["host"].clone();
    namespace.patch(JOB, &json!({"spec": {"source": {"postgres": {"host": host, "port": right}}}}))?;
    site.until_ready().await
}

#[tokio::test(flavor = "multi_thread")]
async fn wal_level_is_named_and_heals() -> Result<()> {
    let mut site = Site::with("wal-level", PostgresOptions::default().with("wal_level", "replica")).await?;
    site.namespace()?.apply(&site.job())?;
    let message = site.namespace()?.until_condition(JOB, "Ready", "False", "WalLevelNotLogical").await?;
    assert!(message.contains("wal_level"), "{message}");
    site.source().await?.run("ALTER SYSTEM SET wal_level = 'logical'").await?;
    site.postgres.restart()?;
    site.until_ready().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_table_is_named_and_heals() -> Result<()> {
    let site = Site::new("no-table").await?;
    site.source().await?.run("ALTER TABLE customers RENAME TO clients").await?;
    site.namespace()?.apply(&site.job())?;
    let message = site.namespace()?.until_condition(JOB, "Ready", "False", "SourceTableMissing").await?;
    assert!(message.contains("public.customers"), "{message}");
    site.source().await?.run("ALTER TABLE clients RENAME TO customers").await?;
    site.until_ready().await
}

#[tokio::test(flavor = "multi_thread")]
async fn starrocks_down_is_named_and_heals() -> Result<()> {
    let site = Site::new("sink-down").await?;
    site.ready().await?;
    site.sink.down()?;
    site.source().await?.run("INSERT INTO orders (id) VALUES (1)").await?;
    site.namespace()?.until_condition(JOB, "SinkHealthy", "False", "SinkUnreachable").await?;
    site.namespace()?.until_condition(JOB, "Ready", "False", "SinkUnreachable").await?;
    site.sink.up()?;
    site.until_ready().await?;
    site.until_equal().await?;
    Ok(())
}
