//! Starts what the demo needs: PostgreSQL, the StarRocks stand-in, Kubernetes, the operator, one job.

use anyhow::Result;
use system::{
    cluster::{self, Platform},
    sink::Sink,
    source::Source,
};
use testbed::{kubernetes::Cluster, progress};

use crate::{guest, rows, servers::Servers};

pub(crate) const NAMESPACE: &str = "shop";
pub(crate) const JOB: &str = "orders";
pub(crate) const DATABASE: &str = "shop";
const SINK_PASSWORD: &str = "demo-starrocks";

#[derive(Debug)]
pub(crate) struct Stage {
    // Dropped first: the servers are in the platform's network.
    servers: Servers,
    source_url: String,
    platform: Platform,
}

impl Stage {
    pub(crate) async fn set() -> Result<Self> {
        match Cluster::existing()? {
            None => Self::on(Cluster::running_or_start()?).await,
            Some(cluster) => {
                guest::enter(&cluster)?;
                let set = Self::on(cluster).await;
                if set.is_err() {
                    // What stands in the way of the demo is worth more to read than what stands in the way of this.
                    drop(Cluster::existing().map(|cluster| cluster.map(|cluster| guest::leave(&cluster))));
                }
                set
            }
        }
    }

    async fn on(cluster: Cluster) -> Result<Self> {
        let platform = Platform::on(cluster)?;
        progress::say("starting PostgreSQL and the StarRocks stand-in");
        let writer = format!("writer:{SINK_PASSWORD}");
        let servers = Servers::start(&platform, NAMESPACE, &[&writer, "root:"]).await?;
        let stage = Self { source_url: servers.url()?, servers, platform };
        progress::say("filling two tables with two million rows");
        rows::fill(&stage.source_url).await?;
        stage.apply_job().await?;
        Ok(stage)
    }

    async fn apply_job(&self) -> Result<()> {
        progress::say("applying the ReplicationJob");
        let namespace = self.platform.namespace(NAMESPACE)?;
        namespace.credentials("pg", "postgres", self.servers.password())?;
        namespace.credentials("sr", "writer", SINK_PASSWORD)?;
        let tables = ["public.orders", "public.customers"];
        let (host, port) = self.servers.address();
        namespace.apply(&cluster::job(NAMESPACE, JOB, (&host, port), self.sink(), DATABASE, &tables))?;
        namespace.until_condition(JOB, "Ready", "True", "").await?;
        Ok(())
    }

    /// The URL of PostgreSQL for this machine.
    pub(crate) fn source_url(&self) -> String {
        self.source_url.clone()
    }

    pub(crate) async fn source(&self) -> Result<Source> {
        Source::connect(&self.source_url()).await
    }

    pub(crate) fn sink(&self) -> &Sink {
        &self.servers.sink
    }

    pub(crate) fn kubectl(&self, arguments: &[&str]) -> Result<String> {
        let mut all = vec!["--namespace", NAMESPACE];
        all.extend(arguments);
        self.platform.cluster.kubectl(&all)
    }

    /// Whether every row that existed before the job is in StarRocks.
    pub(crate) fn is_copied(&self) -> Result<bool> {
        let status = "--output=jsonpath={.status.conditions[?(@.type=='SnapshotComplete')].status}";
        Ok(self.kubectl(&["get", "replicationjob", JOB, status])? == "True")
    }

    /// Commands to inspect the demo from another terminal.
    pub(crate) fn hints(&self) -> Vec<String> {
        let kubeconfig = self.platform.cluster.kubeconfig().display();
        vec![
            format!("KUBECONFIG={kubeconfig} kubectl --namespace {NAMESPACE} describe replicationjob {JOB}"),
            format!("psql '{}'", self.source_url()),
            format!(
                "mysql --protocol=tcp --port={} --user=root --execute='SELECT * FROM {DATABASE}.orders LIMIT 5'",
                self.sink().reached_query_port()
            ),
            format!(
                "KUBECONFIG={kubeconfig} kubectl --namespace {NAMESPACE} port-forward deployment/{JOB} 50051 \
                 & grpcurl -plaintext 127.0.0.1:50051 dbmazz.CdcStatusService/GetStatus"
            ),
        ]
    }

    /// Removes the job and its namespace; everything else ends with this process, but for an existing cluster, from
    /// which all is removed.
    pub(crate) fn clear(self) -> Result<()> {
        progress::say("removing the job");
        if !self.platform.cluster.is_own() {
            return guest::leave(&self.platform.cluster);
        }
        self.kubectl(&["delete", "replicationjob", JOB, "--timeout=60s"])?;
        self.platform.cluster.kubectl(&["delete", "namespace", NAMESPACE, "--wait=false"])?;
        Ok(())
    }
}
