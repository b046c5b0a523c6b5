//! Starts what the demo needs: PostgreSQL, the StarRocks stand-in, Kubernetes, the operator, one job.

use anyhow::Result;
use system::{
    cluster::{self, Platform},
    sink::Sink,
    source::Source,
    workload,
};
use testbed::{
    forward::Forwarder,
    kubernetes,
    postgres::{Postgres, PostgresOptions},
    progress,
};

pub(crate) const NAMESPACE: &str = "shop";
pub(crate) const JOB: &str = "orders";
pub(crate) const DATABASE: &str = "shop";
const SINK_PASSWORD: &str = "demo-starrocks";

#[derive(Debug)]
pub(crate) struct Stage {
    platform: Platform,
    sink: Sink,
    postgres: Postgres,
    forwarder: Forwarder,
}

impl Stage {
    pub(crate) async fn set() -> Result<Self> {
        let platform = Platform::start()?;
        progress::say("starting PostgreSQL and the StarRocks stand-in");
        let postgres =
            platform.postgres(PostgresOptions { password: "demo".into(), ..Default::default() })?;
        let sink = Sink::inside(
            &platform.cluster,
            &["--user", &format!("writer:{SINK_PASSWORD}"), "--user", "root:"],
        )
        .await?;
        let forwarder = platform.cluster.forward(kubernetes::address(postgres.port()))?;
        let stage = Self { platform, sink, postgres, forwarder };
        stage.source().await?.run(workload::SCHEMA).await?;
        stage.apply_job().await?;
        Ok(stage)
    }

    async fn apply_job(&self) -> Result<()> {
        progress::say("applying the ReplicationJob");
        let namespace = self.platform.namespace(NAMESPACE)?;
        namespace.credentials("pg", "postgres", self.postgres.password())?;
        namespace.credentials("sr", "writer", SINK_PASSWORD)?;
        let tables = ["public.orders", "public.customers"];
        namespace.apply(&cluster::job(NAMESPACE, JOB, &self.postgres, &self.sink, DATABASE, &tables))?;
        namespace.until_condition(JOB, "Ready", "True", "").await?;
        Ok(())
    }

    /// The URL of PostgreSQL for this machine.
    pub(crate) fn source_url(&self) -> String {
        let password = self.postgres.password();
        format!("postgres://postgres:{password}@127.0.0.1:{}/postgres", self.forwarder.port())
    }

    pub(crate) async fn source(&self) -> Result<Source> {
        Source::connect(&self.source_url()).await
    }

    pub(crate) fn sink(&self) -> &Sink {
        &self.sink
    }

    pub(crate) fn kubectl(&self, arguments: &[&str]) -> Result<String> {
        let mut all = vec!["--namespace", NAMESPACE];
        all.extend(arguments);
        self.platform.cluster.kubectl(&all)
    }

    /// Commands to inspect the demo from another terminal.
    pub(crate) fn hints(&self) -> Vec<String> {
        let kubeconfig = self.platform.cluster.kubeconfig().display();
        vec![
            format!("KUBECONFIG={kubeconfig} kubectl --namespace {NAMESPACE} describe replicationjob {JOB}"),
            format!("psql '{}'", self.source_url()),
            format!(
                "mysql --protocol=tcp --port={} --user=root --execute='SELECT * FROM {DATABASE}.orders LIMIT 5'",
                self.sink.reached_query_port()
            ),
            format!(
                "KUBECONFIG={kubeconfig} kubectl --namespace {NAMESPACE} port-forward deployment/{JOB} 50051 \
                 & grpcurl -plaintext 127.0.0.1:50051 dbmazz.CdcStatusService/GetStatus"
            ),
        ]
    }

    /// Removes the job and its namespace; everything else ends with this process.
    pub(crate) fn clear(self) -> Result<()> {
        progress::say("removing the job");
        self.kubectl(&["delete", "replicationjob", JOB, "--timeout=60s"])?;
        self.platform.cluster.kubectl(&["delete", "namespace", NAMESPACE, "--wait=false"])?;
        Ok(())
    }
}
