//! Waits for a future on a plain thread, with a limit.

use std::{
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Wake, Waker},
    thread::{self, Thread},
    time::{Duration, Instant},
};

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// The output, or `None` when the limit passes first. Suitable for channels, which need no runtime to be awaited.
pub(super) fn wait_for<F: Future>(future: F, limit: Duration) -> Option<F::Output> {
    let deadline = Instant::now() + limit;
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return Some(output);
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return None;
        }
        thread::park_timeout(left);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_ends_the_wait() {
        let (sender, mut receiver) = tokio::sync::mpsc::channel(1);
        let sending = thread::spawn(move || sender.blocking_send(7).unwrap());
        assert_eq!(wait_for(receiver.recv(), Duration::from_secs(60)), Some(Some(7)));
        sending.join().unwrap();
    }

    #[test]
    fn the_limit_ends_the_wait() {
        assert_eq!(wait_for(std::future::pending::<()>(), Duration::from_millis(1)), None);
    }
}
