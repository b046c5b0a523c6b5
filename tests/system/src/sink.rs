//! The StarRocks stand-in as a process: started here, controlled by its admin port, read by MySQL protocol.

use std::process::Command;

use anyhow::{Context, Result};
use mysql_async::{Conn, OptsBuilder, Row, Value, prelude::Queryable};
use serde_json::Value as Json;
use testbed::kubernetes::Cluster;

use crate::{
    pod::Forwarded,
    process::{Process, program},
    wait,
};

/// A running stand-in and how to reach it.
#[derive(Debug)]
pub struct Sink {
    host: String,
    ports: Ports,
    /// The address for this process; the same as `host` unless the stand-in runs in a cluster's network.
    reached: Ports,
    _forwarders: Vec<testbed::forward::Forwarder>,
    _process: Process,
}

#[derive(Debug, Clone, Copy)]
struct Ports {
    fe: u16,
    be: u16,
    sql: u16,
    admin: u16,
}

/// The ports that the stand-in takes unless told otherwise: frontend, backend, MySQL protocol, admin.
pub(crate) const STANDARD_PORTS: [u16; 4] = [8030, 8040, 9030, 8050];

impl Sink {
    /// A stand-in on loopback.
    pub async fn start() -> Result<Self> {
        Self::with(&[]).await
    }

    /// A stand-in on loopback with more arguments.
    pub async fn with(arguments: &[&str]) -> Result<Self> {
        let mut command = Command::new(program("starrocks-standin", "starrocks-standin")?);
        command.args(["--fe-port=0", "--be-port=0", "--sql-port=0", "--admin-port=0"]).args(arguments);
        let process = Process::start("starrocks", &mut command)?;
        let ports = wait::until("the stand-in listens", async || Ok(ports(&process.said()))).await?;
        Ok(Self {
            host: "127.0.0.1".into(),
            ports,
            reached: ports,
            _forwarders: Vec::new(),
            _process: process,
        })
    }

    /// A stand-in in the network of a cluster, where pods reach it.
    pub async fn inside(cluster: &Cluster, arguments: &[&str]) -> Result<Self> {
        let host = testbed::kubernetes::ADDRESS.to_string();
        let program = program("starrocks-standin", "starrocks-standin")?;
        let mut command = cluster.command(&program.to_string_lossy())?;
        command.args(["--listen", &host, "--admin-listen", &host, "--advertise", &host]);
        command.args(["--fe-port=0", "--be-port=0", "--sql-port=0", "--admin-port=0"]).args(arguments);
        let process = Process::start("starrocks", &mut command)?;
        let ports = wait::until("the stand-in listens", async || Ok(ports(&process.said()))).await?;
        let forward = |port| cluster.forward(testbed::kubernetes::address(port));
        let forwarders = vec![forward(ports.fe)?, forward(ports.sql)?, forward(ports.admin)?];
        let [fe, sql, admin] = [0, 1, 2].map(|place: usize| forwarders[place].port());
        let reached = Ports { fe, sql, admin, ..ports };
        Ok(Self { host, ports, reached, _forwarders: forwarders, _process: process })
    }

    /// A stand-in in a pod, reached by kubectl's forwarding.
    pub(crate) fn in_pod(forwarded: Forwarded) -> Result<Self> {
        let [fe, be, sql, admin] = STANDARD_PORTS;
        let ports = Ports { fe, be, sql, admin };
        let reached = Ports {
            fe: forwarded.port(fe)?,
            sql: forwarded.port(sql)?,
            admin: forwarded.port(admin)?,
            ..ports
        };
        let Forwarded { host, process, .. } = forwarded;
        Ok(Self { host, ports, reached, _forwarders: Vec::new(), _process: process })
    }

    /// The host as the worker names it.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The frontend's HTTP port as the worker names it.
    pub fn http_port(&self) -> u16 {
        self.ports.fe
    }

    /// The frontend's MySQL port as the worker names it.
    pub fn query_port(&self) -> u16 {
        self.ports.sql
    }

    /// The frontend's HTTP port of 127.0.0.1.
    pub fn reached_http_port(&self) -> u16 {
        self.reached.fe
    }

    /// The backend's HTTP port as the frontend names it.
    pub fn backend_port(&self) -> u16 {
        self.ports.be
    }

    /// The MySQL port of 127.0.0.1, for people.
    pub fn reached_query_port(&self) -> u16 {
        self.reached.sql
    }

    /// All rows of a query, each value as text.
    pub async fn rows(&self, sql: &str) -> Result<Vec<Vec<Option<String>>>> {
        let options = OptsBuilder::default()
            .ip_or_hostname("127.0.0.1")
            .tcp_port(self.reached.sql)
            .user(Some("root"))
            .prefer_socket(false);
        let mut connection = Conn::new(options).await.context("cannot reach StarRocks by MySQL protocol")?;
        let rows: Vec<Row> = connection.query(sql).await?;
        connection.disconnect().await?;
        Ok(rows.into_iter().map(|row| row.unwrap_raw().into_iter().map(text).collect()).collect())
    }

    /// The first value of the first row.
    pub async fn value(&self, sql: &str) -> Result<Option<String>> {
        let rows = self.rows(sql).await?;
        Ok(rows.into_iter().next().and_then(|row| row.into_iter().next()).flatten())
    }

    /// Arms a fault, as JSON; the stand-in documents the form.
    pub fn inject(&self, fault: &Json) -> Result<()> {
        self.post("/faults", fault)
    }

    /// Waits until every armed fault has fired.
    pub async fn until_struck(&self) -> Result<()> {
        wait::until("every fault has struck", async || Ok((self.waiting_faults()? == 0).then_some(()))).await
    }

    /// Waits until no load is in flight.
    pub async fn until_quiet(&self) -> Result<()> {
        wait::until("no load is under way", async || {
            let stats = self.stats()?;
            let labels = stats["labels"].as_object().into_iter().flat_map(|labels| labels.values());
            let running = labels.filter_map(|states| states["PREPARE"].as_u64()).sum::<u64>();
            Ok((running == 0).then_some(()))
        })
        .await
    }

    /// Removes every fault and releases held loads.
    pub fn heal(&self) -> Result<()> {
        ureq::delete(self.admin("/faults")).call()?;
        Ok(())
    }

    /// Closes all listeners and connections; the data stays.
    pub fn down(&self) -> Result<()> {
        self.down_of(&["fe", "be", "sql"])
    }

    /// Closes the listeners and connections of some parts: `fe`, `be`, `sql`.
    pub fn down_of(&self, parts: &[&str]) -> Result<()> {
        let parts: serde_json::Map<_, _> =
            parts.iter().map(|part| ((*part).to_owned(), Json::Bool(true))).collect();
        self.post("/down", &Json::Object(parts))
    }

    /// The number of armed faults that have not fired yet.
    pub fn waiting_faults(&self) -> Result<usize> {
        let text = ureq::get(self.admin("/faults")).call()?.body_mut().read_to_string()?;
        Ok(serde_json::from_str::<Vec<Json>>(&text)?.len())
    }

    pub fn up(&self) -> Result<()> {
        self.post("/up", &serde_json::json!({}))
    }

    /// The requests that it received so far.
    pub fn stats(&self) -> Result<Json> {
        let text = ureq::get(self.admin("/stats")).call()?.body_mut().read_to_string()?;
        Ok(serde_json::from_str(&text)?)
    }

    fn post(&self, path: &str, body: &Json) -> Result<()> {
        ureq::post(self.admin(path)).send_json(body)?;
        Ok(())
    }

    fn admin(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.reached.admin)
    }
}

/// The ports that the stand-in names in its first line.
fn ports(said: &str) -> Option<Ports> {
    let line: Json = said.lines().find_map(|line| serde_json::from_str(line).ok())?;
    let port = |name: &str| line[name].as_u64().and_then(|port| u16::try_from(port).ok());
    Some(Ports {
        fe: port("fe_port")?,
        be: port("be_port")?,
        sql: port("sql_port")?,
        admin: port("admin_port")?,
    })
}

fn text(value: Option<Value>) -> Option<String> {
    match value? {
        Value::NULL => None,
        Value::Bytes(bytes) => Some(String::from_utf8_lossy(&bytes).into_owned()),
        other => Some(other.as_sql(true)),
    }
}
