//! `dbmazz-operator`: one process, which watches ReplicationJobs and serves its own metrics.

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
    // Its spans would repeat in every line what our own fields say.
    let filter = filter.add_directive("kube_runtime=warn".parse()?);
    tracing_subscriber::fmt().with_env_filter(filter).with_ansi(false).init();
    let settings = Settings::parse();
    let mut terminate = unix::signal(unix::SignalKind::terminate())?;
    let mut interrupt = unix::signal(unix::SignalKind::interrupt())?;
    let mut tasks = start(&settings).await?;
    // Nothing needs an end in order: what is half done is read from the cluster by the next operator.
    tokio::select! {
        _ = terminate.recv() => tracing::info!("asked to end"),
        _ = interrupt.recv() => tracing::info!("asked to end"),
        ended = tasks.join_next() => ended.context("no task was started")??.context("a task ended by itself")?,
    }
    Ok(())
}

async fn start(settings: &Settings) -> anyhow::Result<JoinSet<anyhow::Result<()>>> {
    let config = Config::infer().await.context("no way to the api server")?;
    let watching = Client::try_from(config.clone()).context("no way to the api server")?;
    let client = Client::try_from(answered(config)).context("no way to the api server")?;
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

/// A request that gets no answer would leave its job with an old status. Watches are silent for minutes, and have a
/// client of their own.
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
