//! `dbmazz-operator`: one process that watches ReplicationJobs and serves its own metrics.

use std::sync::Arc;

use anyhow::Context as _;
use clap::Parser as _;
use kube::{Client, Config};
use operator::{
    cadence::REQUEST_TIMEOUT,
    endpoint::{Readiness, serve},
    metrics::Metrics,
    patch::Events,
    plan::Defaults,
    reconcile::Operator,
    resolve::Secrets,
    settings::Settings,
    token::Tokens,
    watch::watch_jobs,
};
use tokio::{net::TcpListener, signal::unix, task::JoinSet};
use tracing_subscriber::EnvFilter;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    // The spans of `kube_runtime` repeat in every line what our own fields say.
    let filter = filter.add_directive("kube_runtime=warn".parse()?);
    tracing_subscriber::fmt().with_env_filter(filter).with_ansi(false).init();
    let settings = Settings::parse();
    let mut terminate = unix::signal(unix::SignalKind::terminate())?;
    let mut interrupt = unix::signal(unix::SignalKind::interrupt())?;
    let mut tasks = start(&settings).await?;
    // No orderly shutdown is needed: the next operator reads unfinished work from the cluster.
    tokio::select! {
        _ = terminate.recv() => tracing::info!("shutting down: signal received"),
        _ = interrupt.recv() => tracing::info!("shutting down: signal received"),
        ended = tasks.join_next() => ended.context("no task was started")??.context("a task ended unexpectedly")?,
    }
    Ok(())
}

async fn start(settings: &Settings) -> anyhow::Result<JoinSet<anyhow::Result<()>>> {
    let config = Config::infer().await.context("the api server cannot be reached")?;
    let watching = Client::try_from(config.clone()).context("the api server cannot be reached")?;
    let client = Client::try_from(answered(config)).context("the api server cannot be reached")?;
    let metrics = Metrics::new();
    let operator = Arc::new(Operator {
        events: Events::new(client.clone()),
        secrets: Secrets::new(client.clone()),
        tokens: Tokens::new(client.clone()),
        defaults: defaults(settings),
        metrics: Arc::clone(&metrics),
        memory: Default::default(),
        sent: Default::default(),
        turns: Default::default(),
        clock: Default::default(),
        client,
        watching,
    });
    let scopes = settings.scopes();
    let readiness = Readiness::waiting_for(scopes.len());
    let listener = TcpListener::bind(settings.http_address).await.context("the http address is taken")?;
    let mut tasks = JoinSet::new();
    tasks.spawn({
        let readiness = readiness.clone();
        async { Ok(serve(listener, metrics, readiness).await?) }
    });
    for namespace in scopes {
        let (operator, readiness) = (Arc::clone(&operator), readiness.clone());
        tasks.spawn(async {
            Err(anyhow::anyhow!("a watch ended: {:?}", watch_jobs(operator, namespace, readiness).await))
        });
    }
    Ok(tasks)
}

/// Gives requests a time limit: one without an answer would leave its job with an old status. Watches receive nothing
/// for minutes at a time, and use a client without this limit.
fn answered(mut config: Config) -> Config {
    config.read_timeout = Some(REQUEST_TIMEOUT);
    config.reset_reader_on_write = true;
    config
}

fn defaults(settings: &Settings) -> Defaults {
    Defaults {
        image: settings.worker_image.clone(),
        image_pull_policy: settings.worker_image_pull_policy.clone(),
    }
}
