//! Requests of any client to the control servers of a running job.

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
    time::timeout,
};
use tokio_util::sync::CancellationToken;
use worker::{
    config::ListenConfig,
    control::{self, Answer, JobInfo, Request},
    progress::Progress,
    table::TableName,
};

use super::{Fuzzed, chosen, sink::runtime};

/// A limit that no answer needs.
const LIMIT: Duration = Duration::from_secs(10);

/// Sends the bytes to the HTTP server, or with an odd choice to the gRPC server. The servers must keep running.
pub(super) fn control() -> Fuzzed {
    let runtime = runtime();
    let (http, grpc, servers) = runtime.block_on(serve());
    Box::new(move |bytes| {
        assert_eq!(servers.len(), 2, "the server lives");
        let (choice, bytes) = chosen(bytes);
        let at = if choice & 1 == 0 { http } else { grpc };
        runtime.block_on(async { timeout(LIMIT, talk(at, bytes)).await.expect("the server lets go of us") });
    })
}

async fn talk(at: SocketAddr, bytes: &[u8]) {
    let mut stream = TcpStream::connect(at).await.expect("the server lives");
    let mut answer = Vec::new();
    // A server may close at any time after a refusal.
    let _said = stream.write_all(bytes).await.is_ok() && stream.shutdown().await.is_ok();
    let _heard = stream.read_to_end(&mut answer).await.is_ok();
}

async fn serve() -> (SocketAddr, SocketAddr, JoinSet<()>) {
    let tables = vec![TableName { schema: "public".to_owned(), name: "every".to_owned() }];
    let any = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 0);
    let listen = ListenConfig { grpc: any, http: any, http_commands: true, token: None };
    let (commands, mut requests) = mpsc::channel::<Request>(4);
    let progress = Arc::new(Progress::new(&tables));
    let info = JobInfo { slot: "orders".to_owned(), version: "0" };
    let server = control::serve(&listen, progress, commands, info, CancellationToken::new()).await;
    let server = server.expect("loopback has ports");
    let (http, grpc, mut servers) = (server.http_address, server.grpc_address, JoinSet::new());
    servers.spawn(server.run());
    servers.spawn(async move {
        while let Some(Request { answer, .. }) = requests.recv().await {
            // The caller may have disconnected.
            let _told = answer.send(Answer { success: true, message: String::new() }).is_ok();
        }
    });
    (http, grpc, servers)
}
