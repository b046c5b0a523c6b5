//! One cluster for all tests, with a namespace, a PostgreSQL and a stand-in for each.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use anyhow::{Context, Result};
use serde_json::Value as Json;
use system::{
    cluster::{self, Namespace, Platform},
    sink::Sink,
    source::Source,
    verify, wait,
    worker::Settings,
    workload::{self, Workload},
};
use testbed::{
    forward::Forwarder,
    kubernetes,
    postgres::{Postgres, PostgresOptions},
};
use tokio::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};

/// The cluster with the operator: started by the first test and shared by all tests of the process.
pub(crate) fn platform() -> Result<Arc<Platform>> {
    static SHARED: Mutex<Weak<Platform>> = Mutex::new(Weak::new());
    static KEPT: Mutex<Option<Arc<Platform>>> = Mutex::new(None);
    let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(platform) = shared.upgrade() {
        return Ok(platform);
    }
    let platform = Arc::new(Platform::start()?);
    *shared = Arc::downgrade(&platform);
    // Held until the process ends, because the next test would have to start it again.
    *KEPT.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&platform));
    Ok(platform)
}

/// What one job needs, in its own namespace.
pub(crate) struct Site {
    pub(crate) platform: Arc<Platform>,
    pub(crate) name: String,
    pub(crate) postgres: Postgres,
    pub(crate) sink: Sink,
    forwarder: Forwarder,
    _turn: Turn,
}

/// Most tests share the operator; a test that replaces it has it exclusively.
#[expect(dead_code, reason = "held for their drop")]
enum Turn {
    Shared(RwLockReadGuard<'static, ()>),
    Alone(RwLockWriteGuard<'static, ()>),
}

static OPERATOR: RwLock<()> = RwLock::const_new(());

pub(crate) const JOB: &str = "orders";
const TABLES: [&str; 2] = ["public.orders", "public.customers"];

impl Site {
    /// A site with the workload's tables and both Secrets, without a job.
    pub(crate) async fn new(name: &str) -> Result<Self> {
        Self::with(name, PostgresOptions::default()).await
    }

    /// A site whose test has the operator exclusively.
    pub(crate) async fn alone(name: &str) -> Result<Self> {
        Self::prepare(name, PostgresOptions::default(), Turn::Alone(OPERATOR.write().await)).await
    }

    pub(crate) async fn with(name: &str, options: PostgresOptions) -> Result<Self> {
        Self::prepare(name, options, Turn::Shared(OPERATOR.read().await)).await
    }

    async fn prepare(name: &str, options: PostgresOptions, turn: Turn) -> Result<Self> {
        let platform = platform()?;
        let postgres = platform.postgres(options)?;
        let sink = Sink::inside(&platform.cluster, &["--user", "writer:secret", "--user", "root:"]).await?;
        let forwarder = platform.cluster.forward(kubernetes::address(postgres.port()))?;
        let site = Self { platform, name: name.to_owned(), postgres, sink, forwarder, _turn: turn };
        site.source().await?.run(workload::SCHEMA).await?;
        site.namespace()?.credentials("pg", "postgres", site.postgres.password())?;
        site.namespace()?.credentials("sr", "writer", "secret")?;
        Ok(site)
    }

    pub(crate) fn namespace(&self) -> Result<Namespace<'_>> {
        self.platform.namespace(&self.name)
    }

    pub(crate) async fn source(&self) -> Result<Source> {
        Source::connect(&self.source_url()).await
    }

    /// The URL of PostgreSQL from this machine.
    fn source_url(&self) -> String {
        let inside = self.postgres.url("postgres");
        inside.replace(&self.postgres.address().to_string(), &format!("127.0.0.1:{}", self.forwarder.port()))
    }

    pub(crate) fn job(&self) -> Json {
        let source = (kubernetes::ADDRESS.to_string(), self.postgres.port());
        cluster::job(&self.name, JOB, (&source.0, source.1), &self.sink, "app", &TABLES)
    }

    /// Applies the job and waits until it is Ready.
    pub(crate) async fn ready(&self) -> Result<()> {
        self.namespace()?.apply(&self.job())?;
        self.until_ready().await
    }

    pub(crate) async fn until_ready(&self) -> Result<()> {
        self.namespace()?.until_condition(JOB, "Ready", "True", "").await.map(drop)
    }

    pub(crate) async fn write(&self, workload: &mut Workload, transactions: usize) -> Result<()> {
        let source = self.source().await?;
        for _ in 0..transactions {
            workload.step(&source).await?;
        }
        Ok(())
    }

    pub(crate) async fn until_equal(&self) -> Result<u64> {
        let settings = Settings::outside(&self.source_url(), &self.sink, "app", &TABLES.join(","))?;
        verify::until_equal(&settings).await
    }

    /// The worker's pod that is not being deleted.
    pub(crate) async fn pod(&self) -> Result<Json> {
        wait::until("the worker has a pod", async || Ok(self.live_pods()?.into_iter().next())).await
    }

    pub(crate) fn live_pods(&self) -> Result<Vec<Json>> {
        let pods = self.namespace()?.list("pods", &format!("dbmazz.dev/job={JOB}"))?;
        Ok(pods.into_iter().filter(|pod| pod["metadata"]["deletionTimestamp"].is_null()).collect())
    }

    /// The pod's name, how often its container was restarted, and when it began.
    pub(crate) async fn incarnation(&self) -> Result<String> {
        let pod = self.pod().await?;
        let container = &pod["status"]["containerStatuses"][0];
        Ok(format!("{} {} {}", pod["metadata"]["name"], container["restartCount"], container["containerID"]))
    }

    /// Kills the worker's process, as the kernel does when memory runs out.
    pub(crate) async fn kill_worker(&self) -> Result<()> {
        let pod = self.pod().await?;
        let id =
            pod["status"]["containerStatuses"][0]["containerID"].as_str().context("a running container")?;
        let id = id.strip_prefix("containerd://").unwrap_or(id);
        let mut command = self.platform.cluster.node_command("ctr")?;
        let command = command.args(["--namespace", "k8s.io", "tasks", "kill", "--signal", "SIGKILL", id]);
        testbed::run::output(command).map(drop)
    }

    pub(crate) async fn slots(&self) -> Result<Vec<String>> {
        let rows = self.source().await?.rows("SELECT slot_name FROM pg_replication_slots").await?;
        Ok(rows.into_iter().flatten().flatten().collect())
    }

    pub(crate) async fn publications(&self) -> Result<Vec<String>> {
        let rows = self.source().await?.rows("SELECT pubname FROM pg_publication").await?;
        Ok(rows.into_iter().flatten().flatten().collect())
    }

    /// Events about the job, as `type reason: message`.
    pub(crate) fn events(&self) -> Result<Vec<String>> {
        let selector = format!("--field-selector=involvedObject.name={JOB}");
        let text = self.namespace()?.kubectl(&["get", "events", &selector, "--output=json"])?;
        let events: Json = serde_json::from_str(&text)?;
        let event = |event: &Json| {
            let field = |name: &str| event[name].as_str().unwrap_or_default().to_owned();
            format!("{} {}: {}", field("type"), field("reason"), field("message"))
        };
        Ok(events["items"].as_array().into_iter().flatten().map(event).collect())
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        // Does not wait: the job's finalizer gives up by itself when its PostgreSQL is gone.
        let name = self.name.clone();
        drop(self.platform.cluster.kubectl(&[
            "delete",
            "namespace",
            &name,
            "--wait=false",
            "--ignore-not-found",
        ]));
    }
}
