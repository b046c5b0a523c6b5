//! Serves one connection of a control server.
//!
//! Everything that a peer can make large or slow is bounded: request heads, streams, and idle time.

use std::{pin::pin, time::Duration};

use axum::Router;
use hyper::server::conn::{http1, http2};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::graceful::GracefulConnection,
    service::TowerToHyperService,
};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;

/// The time limit for the head of a request, and so for the idle time between two requests.
const HEAD: Duration = Duration::from_secs(30);
const HEAD_BYTES: usize = 16 << 10;
/// Concurrent streams of one gRPC connection.
const STREAMS: u32 = 32;

/// gRPC: HTTP/2 without TLS, with prior knowledge.
pub(super) async fn grpc(stream: TcpStream, routes: Routes, stop: CancellationToken) {
    let connection = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .keep_alive_interval(HEAD)
        .max_concurrent_streams(STREAMS)
        .max_header_list_size(HEAD_BYTES as u32)
        .max_send_buf_size(64 << 10)
        .serve_connection(prompt(stream), TowerToHyperService::new(routes));
    until(connection, stop).await;
}

/// HTTP/1.1, kept alive between requests.
pub(super) async fn http(stream: TcpStream, site: Router, stop: CancellationToken) {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_buf_size(HEAD_BYTES)
        .serve_connection(prompt(stream), TowerToHyperService::new(site));
    until(connection, stop).await;
}

/// Sets TCP_NODELAY, so that small answers are sent at once.
fn prompt(stream: TcpStream) -> TokioIo<TcpStream> {
    // A socket that refuses the option still works, with more delay.
    let _set = stream.set_nodelay(true).is_ok();
    TokioIo::new(stream)
}

/// A peer's protocol error ends its own connection only.
async fn until<C: GracefulConnection>(connection: C, stop: CancellationToken) {
    let mut connection = pin!(connection);
    tokio::select! {
        _ended = connection.as_mut() => return,
        () = stop.cancelled() => connection.as_mut().graceful_shutdown(),
    }
    let _ended = connection.await.is_ok();
}
