//! What outlives a worker: both ends, how fast they answer, and what was found to be wrong.

use std::{
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use tokio::time::sleep;

use super::{server::Server, sink::Sink};

/// Both ends of the job.
#[derive(Debug, Clone)]
pub(super) struct World(Arc<Mutex<Ends>>);

#[derive(Debug)]
pub(super) struct Ends {
    pub(super) server: Server,
    pub(super) sink: Sink,
    /// Time of a statement at the source, and of an event of the stream.
    pub(super) reading: Duration,
    pub(super) streaming: Duration,
}

impl World {
    pub(super) fn new(server: Server, sink: Sink) -> Self {
        let brief = Duration::from_millis(1);
        Self(Arc::new(Mutex::new(Ends { server, sink, reading: brief, streaming: Duration::ZERO })))
    }

    pub(super) fn ends(&self) -> MutexGuard<'_, Ends> {
        self.0.lock().unwrap()
    }

    /// The source takes its time for a statement.
    pub(super) async fn read(&self) {
        let time = self.ends().reading;
        sleep(time).await;
    }
}
