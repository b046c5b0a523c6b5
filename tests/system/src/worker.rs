//! `dbmazz` as a process: environment variables in, gRPC out.

use std::{net::TcpListener, process::Command, sync::Arc};

use anyhow::{Context, Result};
use proto::{
    DrainRequest, PauseRequest, ResumeRequest, StartSnapshotRequest, StatusRequest, StatusResponse,
    StopRequest, cdc_control_service_client::CdcControlServiceClient,
    cdc_status_service_client::CdcStatusServiceClient,
};
use tempfile::TempDir;
use tonic::transport::Channel;

use crate::{
    process::{Process, program},
    sink::Sink,
    wait,
};

/// The settings of a worker. The variables are those of the documentation.
#[derive(Debug, Clone)]
pub struct Settings {
    variables: Vec<(String, String)>,
    grpc_port: u16,
    http_port: u16,
    /// Outlives the process, as the pod's volume does.
    _state: Arc<TempDir>,
}

impl Settings {
    /// Replicates `tables` of the database at `url` into `database` of the sink.
    pub fn new(url: &str, sink: &Sink, database: &str, tables: &str) -> Result<Self> {
        let (grpc_port, http_port) = free_ports()?;
        let state = Arc::new(tempfile::tempdir()?);
        let directory = state.path().display().to_string();
        let settings = Self { variables: Vec::new(), grpc_port, http_port, _state: state }
            .with("DBMAZZ_STATE_DIR", &directory)
            .with("SOURCE_URL", url)
            .with("TABLES", tables)
            .with("SINK_URL", &format!("{}:{}", sink.host(), sink.http_port()))
            .with("SINK_PORT", &sink.query_port().to_string())
            .with("SINK_DATABASE", database)
            .with("GRPC_PORT", &grpc_port.to_string())
            .with("HTTP_API_PORT", &http_port.to_string());
        Ok(settings)
    }

    /// The settings for a program on this machine, also when the sink is in a cluster's network.
    pub fn outside(url: &str, sink: &Sink, database: &str, tables: &str) -> Result<Self> {
        let settings = Self::new(url, sink, database, tables)?
            .with("SINK_URL", &format!("127.0.0.1:{}", sink.reached_http_port()))
            .with("SINK_PORT", &sink.reached_query_port().to_string());
        Ok(settings)
    }

    /// The variables of a process.
    pub fn variables(&self) -> impl Iterator<Item = (&str, &str)> {
        self.variables.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The same settings for a worker beside the first.
    pub fn on_free_ports(self) -> Result<Self> {
        let (grpc_port, http_port) = free_ports()?;
        let settings = Self { grpc_port, http_port, ..self };
        Ok(settings.with("GRPC_PORT", &grpc_port.to_string()).with("HTTP_API_PORT", &http_port.to_string()))
    }

    /// The same settings as on another machine: without the journal of the first.
    pub fn elsewhere(self) -> Result<Self> {
        let state = Arc::new(tempfile::tempdir()?);
        let directory = state.path().display().to_string();
        Ok(Self { _state: state, ..self }.with("DBMAZZ_STATE_DIR", &directory))
    }

    /// The directory of the journal of loads in flight.
    pub fn state_directory(&self) -> &std::path::Path {
        self._state.path()
    }

    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.variables.retain(|(known, _)| known != name);
        self.variables.push((name.into(), value.into()));
        self
    }
}

/// A running worker.
#[derive(Debug)]
pub struct Worker {
    settings: Settings,
    process: Process,
}

impl Worker {
    pub fn start(settings: &Settings) -> Result<Self> {
        let mut command = Command::new(program("worker", "dbmazz")?);
        command.env_clear().envs(settings.variables());
        let process = Process::start("dbmazz", &mut command)?;
        Ok(Self { settings: settings.clone(), process })
    }

    /// Starts one and waits until it streams without a fault.
    pub async fn ready(settings: &Settings) -> Result<Self> {
        let mut worker = Self::start(settings)?;
        worker.until_ready().await?;
        Ok(worker)
    }

    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// The port of its HTTP server, on 127.0.0.1.
    pub fn http_port(&self) -> u16 {
        self.settings.http_port
    }

    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// `kill -9`, then the same worker again.
    pub fn crash(&mut self) -> Result<()> {
        self.process.kill()?;
        *self = Self::start(&self.settings)?;
        Ok(())
    }

    pub async fn until_ready(&mut self) -> Result<()> {
        let settings = self.settings.clone();
        let ready = async || Ok(status_at(settings.grpc_port).await?.ready.then_some(()));
        let result = wait::until("the worker is ready", ready).await;
        result.with_context(|| format!("the worker said:\n{}", self.process.said()))
    }

    /// Waits for a fault with this reason, and returns its message and its remedy.
    pub async fn until_fault(&self, reason: &str) -> Result<proto::Fault> {
        let fault = async || {
            let status = self.status().await?;
            let seen = format!("{:?}", status.faults);
            let found = status.faults.into_iter().find(|fault| fault.reason == reason);
            anyhow::ensure!(found.is_some(), "faults: {seen}");
            Ok(found)
        };
        wait::until(&format!("the worker reports {reason}"), fault).await
    }

    pub async fn status(&self) -> Result<StatusResponse> {
        status_at(self.settings.grpc_port).await
    }

    pub async fn pause(&self) -> Result<proto::ControlResponse> {
        Ok(self.control().await?.pause(PauseRequest {}).await?.into_inner())
    }

    pub async fn resume(&self) -> Result<proto::ControlResponse> {
        Ok(self.control().await?.resume(ResumeRequest {}).await?.into_inner())
    }

    pub async fn drain(&self) -> Result<proto::ControlResponse> {
        Ok(self.control().await?.drain_and_stop(DrainRequest {}).await?.into_inner())
    }

    pub async fn stop(&self, request: StopRequest) -> Result<proto::ControlResponse> {
        Ok(self.control().await?.stop(request).await?.into_inner())
    }

    pub async fn reload(&self, request: proto::ReloadConfigRequest) -> Result<proto::ControlResponse> {
        Ok(self.control().await?.reload_config(request).await?.into_inner())
    }

    /// Asks for copies of these tables, or of all, under a name or none.
    pub async fn start_snapshot(&self, tables: &[&str], request: &str) -> Result<proto::ControlResponse> {
        let tables = tables.iter().map(|table| (*table).to_owned()).collect();
        let asked = StartSnapshotRequest { tables, request: request.to_owned() };
        Ok(self.control().await?.start_snapshot(asked).await?.into_inner())
    }

    async fn control(&self) -> Result<CdcControlServiceClient<Channel>> {
        Ok(CdcControlServiceClient::new(channel(self.settings.grpc_port).await?))
    }

    /// The text of an HTTP path, with its status.
    pub fn http(&self, path: &str) -> Result<(u16, String)> {
        let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
        let mut response = agent.get(format!("http://127.0.0.1:{}{path}", self.settings.http_port)).call()?;
        Ok((response.status().as_u16(), response.body_mut().read_to_string()?))
    }

    /// Sends a body to an HTTP path, and returns the answer's text with its status.
    pub fn post(&self, path: &str, body: &str) -> Result<(u16, String)> {
        let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
        let url = format!("http://127.0.0.1:{}{path}", self.settings.http_port);
        let mut response = agent.post(url).send(body)?;
        Ok((response.status().as_u16(), response.body_mut().read_to_string()?))
    }

    /// Resident memory now and at its highest, bytes.
    pub fn memory(&self) -> Result<(u64, u64)> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.pid()))?;
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            line.split_whitespace().next()?.parse::<u64>().ok().map(|kilobytes| kilobytes * 1024)
        };
        field("VmRSS:").zip(field("VmHWM:")).context("the process has ended")
    }
}

async fn status_at(port: u16) -> Result<StatusResponse> {
    let mut client = CdcStatusServiceClient::new(channel(port).await?);
    Ok(client.get_status(StatusRequest {}).await?.into_inner())
}

async fn channel(port: u16) -> Result<Channel> {
    Ok(Channel::from_shared(format!("http://127.0.0.1:{port}"))?.connect().await?)
}

/// Two different free ports: both listeners stay open until both ports are known.
fn free_ports() -> Result<(u16, u16)> {
    let (one, other) = (TcpListener::bind("127.0.0.1:0")?, TcpListener::bind("127.0.0.1:0")?);
    Ok((one.local_addr()?.port(), other.local_addr()?.port()))
}
