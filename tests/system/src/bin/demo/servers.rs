//! PostgreSQL and the StarRocks stand-in: beside our own cluster, or as pods in an existing one.

use anyhow::Result;
use system::{
    cluster::Platform,
    pod::{self, Forwarded},
    sink::Sink,
};
use testbed::{
    forward::Forwarder,
    kubernetes,
    postgres::{Postgres, PostgresOptions, ServerImage},
};

const PASSWORD: &str = "demo";

#[derive(Debug)]
pub(crate) struct Servers {
    source: Source,
    pub(crate) sink: Sink,
}

#[derive(Debug)]
enum Source {
    Here(Box<Postgres>, Forwarder),
    Pod(Forwarded),
}

impl Servers {
    pub(crate) async fn start(platform: &Platform, namespace: &str, users: &[&str]) -> Result<Self> {
        if platform.cluster.is_own() {
            Self::here(platform, users).await
        } else {
            Self::as_pods(platform, namespace, users).await
        }
    }

    async fn here(platform: &Platform, users: &[&str]) -> Result<Self> {
        let postgres =
            platform.postgres(PostgresOptions { password: PASSWORD.into(), ..Default::default() })?;
        let arguments: Vec<_> = users.iter().flat_map(|user| ["--user", user]).collect();
        let sink = Sink::inside(&platform.cluster, &arguments).await?;
        let forwarder = platform.cluster.forward(kubernetes::address(postgres.port()))?;
        Ok(Self { source: Source::Here(Box::new(postgres), forwarder), sink })
    }

    async fn as_pods(platform: &Platform, namespace: &str, users: &[&str]) -> Result<Self> {
        let namespace = platform.namespace(namespace)?;
        let source = pod::postgres(&namespace, &platform.cluster, PASSWORD).await?;
        let sink = pod::sink(&namespace, &platform.cluster, users).await?;
        Ok(Self { source: Source::Pod(source), sink })
    }

    /// The password of PostgreSQL's superuser.
    pub(crate) fn password(&self) -> &'static str {
        PASSWORD
    }

    /// PostgreSQL's address for pods.
    pub(crate) fn address(&self) -> (String, u16) {
        match &self.source {
            Source::Here(postgres, _) => (kubernetes::ADDRESS.to_string(), postgres.port()),
            Source::Pod(forwarded) => (forwarded.host.clone(), ServerImage::PORT),
        }
    }

    /// PostgreSQL's URL for this machine.
    pub(crate) fn url(&self) -> Result<String> {
        let port = match &self.source {
            Source::Here(_, forwarder) => forwarder.port(),
            Source::Pod(forwarded) => forwarded.port(ServerImage::PORT)?,
        };
        Ok(format!("postgres://postgres:{PASSWORD}@127.0.0.1:{port}/postgres"))
    }
}
