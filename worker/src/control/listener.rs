//! Accepts connections and owns them: their number is bounded, and they are ended in order.

use std::{future::Future, io, net::SocketAddr, time::Duration};

use crds::Reason;
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::fault::{Fault, Part};

/// Concurrent connections of one server; more wait in the kernel until one ends.
const CONNECTIONS: usize = 64;
/// Time limit for requests that are in progress when the server stops.
const GRACE: Duration = Duration::from_secs(2);
/// The pause after a failed accept: most likely the process is out of file descriptors, and a retry at once would only
/// use CPU.
const PAUSE: Duration = Duration::from_millis(100);

/// Binds the address; returns it with the port that the system chose for port 0.
pub(super) async fn bind(
    server: &str,
    variable: &str,
    address: SocketAddr,
) -> Result<(TcpListener, SocketAddr), Fault> {
    let cannot = |error: io::Error| {
        let message = format!("the {server} server cannot listen on {address} ({})", error.kind());
        let fix = format!("set {variable} to a free port");
        Fault::halt(Part::Job, Reason::BadConfiguration, message, fix)
    };
    let listener = TcpListener::bind(address).await.map_err(cannot)?;
    let address = listener.local_addr().map_err(cannot)?;
    Ok((listener, address))
}

/// Serves every connection until `stop`, then waits up to the grace period for open ones to end.
pub(super) async fn accept<F>(
    listener: TcpListener,
    stop: CancellationToken,
    connection: impl Fn(TcpStream) -> F,
) where
    F: Future<Output = ()> + Send + 'static,
{
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            biased; // leave first, then make room, then take more
            () = stop.cancelled() => break,
            Some(_) = connections.join_next() => {}
            accepted = listener.accept(), if connections.len() < CONNECTIONS => match accepted {
                Ok((stream, _)) => { connections.spawn(connection(stream)); }
                Err(error) => {
                    warn!(error = &error as &dyn std::error::Error, "a control connection was not accepted");
                    sleep(PAUSE).await;
                }
            },
        }
    }
    drop(listener);
    let all_ended = async { while connections.join_next().await.is_some() {} };
    // After the grace period the set is dropped, which ends the remaining connections.
    let _in_time = timeout(GRACE, all_ended).await.is_ok();
}
