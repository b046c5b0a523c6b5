//! The control interface of a job: status, health, metrics and commands, over gRPC and HTTP.
//!
//! ```text
//! gRPC ──┐                    ┌── progress   (read only)
//!        ├── what is known ◄──┤
//! HTTP ──┘         │          └── process    (memory, CPU)
//!                  └─ requests ─► job
//! ```
//!
//! Both servers listen before any connection to a database is made, and stay up when those fail, so that a fault can be
//! read from the worker itself. Nothing here changes the job: a [`Request`] goes to the supervisor, and its [`Answer`]
//! is returned unchanged. `access` decides which commands are accepted.

mod access;
mod command;
mod connection;
mod grpc;
mod http;
mod known;
mod listener;
mod metrics;
mod process;
mod rate;
mod words;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use tokio::{net::TcpListener, sync::mpsc};
use tokio_util::sync::CancellationToken;

pub use command::{Answer, Command, Request};

use self::{access::Access, known::Known};
use crate::{
    config::{JobConfig, ListenConfig},
    fault::Fault,
    progress::Progress,
};

/// The constants of a job that are reported.
#[derive(Debug, Clone)]
pub struct JobInfo {
    pub slot: String,
    pub version: &'static str,
}

impl JobInfo {
    pub fn of(config: &JobConfig) -> Self {
        Self { slot: config.source.slot.clone(), version: env!("CARGO_PKG_VERSION") }
    }
}

/// Both servers, listening; requests are answered from [`Server::run`] on.
#[derive(Debug)]
pub struct Server {
    grpc: TcpListener,
    http: TcpListener,
    /// The actual address of the gRPC server, with the port that the system chose for port 0.
    pub grpc_address: SocketAddr,
    /// The actual address of the HTTP server.
    pub http_address: SocketAddr,
    known: Arc<Known>,
    grpc_access: Access,
    /// `None` where HTTP accepts no commands.
    http_access: Option<Access>,
    stop: CancellationToken,
}

/// Listens on both addresses; a fault names the address and the variable that sets it.
pub async fn serve(
    listen: &ListenConfig,
    progress: Arc<Progress>,
    commands: mpsc::Sender<Request>,
    info: JobInfo,
    stop: CancellationToken,
) -> Result<Server, Fault> {
    let (grpc, grpc_address) = listener::bind("gRPC", "GRPC_PORT", listen.grpc).await?;
    let (http, http_address) = listener::bind("HTTP", "HTTP_API_PORT", listen.http).await?;
    tracing::info!(grpc = %grpc_address, http = %http_address, "control listened");
    let known = Arc::new(Known::new(progress, info, commands));
    let grpc_access = Access::of(grpc_address, listen.token.as_ref());
    let http_access = listen.http_commands.then(|| Access::of(http_address, listen.token.as_ref()));
    Ok(Server { grpc, http, grpc_address, http_address, known, grpc_access, http_access, stop })
}

impl Server {
    /// Serves until `stop`; then ends requests in progress, within two seconds.
    pub async fn run(self) {
        let Self { grpc, http, known, grpc_access, http_access, stop, .. } = self;
        let routes = grpc::routes(&known, grpc_access, &stop);
        let site = http::routes(Arc::clone(&known), http_access);
        tokio::join!(
            listener::accept(grpc, stop.clone(), |stream| connection::grpc(
                stream,
                routes.clone(),
                stop.clone()
            )),
            listener::accept(http, stop.clone(), |stream| connection::http(
                stream,
                site.clone(),
                stop.clone()
            )),
            measure(&known, &stop),
        );
    }
}

/// Samples the count of changes every second, for the rate.
async fn measure(known: &Known, stop: &CancellationToken) {
    let mut second = tokio::time::interval(Duration::from_secs(1));
    while stop.run_until_cancelled(second.tick()).await.is_some() {
        known.measure();
    }
}
