//! Control servers for a job whose progress and answers the test sets.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::mpsc,
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;
use worker::{
    config::ListenConfig,
    control::{self, Answer, Command, JobInfo, Request},
    progress::{LoadDone, Progress, Stage},
    table::TableName,
};

pub(crate) struct Worker {
    pub(crate) progress: Arc<Progress>,
    pub(crate) requests: mpsc::Receiver<Request>,
    pub(crate) grpc: SocketAddr,
    pub(crate) http: SocketAddr,
    pub(crate) stop: CancellationToken,
    servers: JoinSet<()>,
}

pub(crate) fn loopback(http_commands: bool) -> ListenConfig {
    let any = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 0);
    ListenConfig { grpc: any, http: any, http_commands, token: None }
}

impl Worker {
    pub(crate) async fn start() -> Self {
        Self::listening(loopback(true)).await
    }

    pub(crate) async fn listening(listen: ListenConfig) -> Self {
        let tables = vec![TableName::parse("orders").unwrap(), TableName::parse("sales.items").unwrap()];
        let progress = Arc::new(Progress::new(&tables));
        let (commands, requests) = mpsc::channel(4);
        let stop = CancellationToken::new();
        let info = JobInfo { slot: "dbmazz_slot".into(), version: "1.2.3" };
        let server =
            control::serve(&listen, Arc::clone(&progress), commands, info, stop.clone()).await.unwrap();
        let (grpc, http) = (server.grpc_address, server.http_address);
        let mut servers = JoinSet::new();
        servers.spawn(server.run());
        Self { progress, requests, grpc, http, stop, servers }
    }

    /// A streaming job, with one load of ten changes done and two changes waiting.
    pub(crate) async fn streaming() -> Self {
        let worker = Self::start().await;
        let progress = &worker.progress;
        progress.set_stage(Stage::Cdc);
        progress.set_streaming(true);
        progress.received("1/20".parse().unwrap());
        progress.durable("1/10".parse().unwrap());
        progress.confirmed("1/8".parse().unwrap());
        progress.changes_received(12);
        let done = LoadDone { changes: 10, rows: 9, bytes: 900, seconds: 0.02, lag_seconds: 0.2 };
        progress.load_done(&TableName::parse("orders").unwrap(), done);
        worker
    }

    /// Answers the next request and returns its command.
    pub(crate) async fn answer(&mut self, success: bool, message: &str) -> Command {
        let Request { command, answer } = self.requests.recv().await.unwrap();
        answer.send(Answer { success, message: message.into() }).unwrap();
        command
    }

    pub(crate) async fn channel(&self) -> Channel {
        Channel::from_shared(format!("http://{}", self.grpc)).unwrap().connect().await.unwrap()
    }

    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.send("GET", path, "").await
    }

    pub(crate) async fn send(&self, method: &str, path: &str, headers: &str) -> Reply {
        request(self.http, method, path, headers).await
    }

    /// Stops the servers and waits for their end; a server that does not end fails the test.
    pub(crate) async fn ends(mut self) {
        self.stop.cancel();
        let ended = tokio::time::timeout(Duration::from_secs(60), self.servers.join_next()).await;
        ended.expect("the servers end").unwrap().unwrap();
    }
}

pub(crate) async fn request(server: SocketAddr, method: &str, path: &str, headers: &str) -> Reply {
    let start = format!("{method} {path} HTTP/1.1\r\nhost: {server}\r\nconnection: close\r\n");
    raw(server, &format!("{start}{headers}\r\n")).await
}

/// Sends these bytes and reads until the server closes.
pub(crate) async fn raw(server: SocketAddr, request: &str) -> Reply {
    let mut stream = TcpStream::connect(server).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // After a refusal the server may close before it has read the rest of the request.
    let _ = stream.read_to_end(&mut answer).await;
    let answer = String::from_utf8(answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    Reply { code: head[9..12].parse().unwrap(), head: head.to_ascii_lowercase(), body: body.to_owned() }
}

pub(crate) struct Reply {
    pub(crate) code: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Reply {
    pub(crate) fn json(&self) -> serde_json::Value {
        assert!(self.head.contains("content-type: application/json"), "{}", self.head);
        serde_json::from_str(&self.body).unwrap()
    }
}
