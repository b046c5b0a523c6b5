//! Requests to copy tables anew, on their way from the supervisor to the session that records them.
//!
//! A request ends the session in order; the next one records it with the tables' histories before it loads anything, and
//! only then it is answered. So a request that was answered with success survives every crash.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, oneshot, watch};

use crate::{config::BatchConfig, control::Answer, table::TableName};

/// What may change while the job runs, beside the intake.
#[derive(Debug)]
pub(super) struct Inputs {
    pub(super) batch: watch::Receiver<BatchConfig>,
    pub(super) tables: watch::Receiver<Vec<TableName>>,
    pub(super) requests: Requests,
}

/// A request that is not recorded yet.
#[derive(Debug)]
pub(super) struct Asked {
    /// Empty where it has none: then it is never one that was handled already.
    pub(super) name: String,
    /// Empty for every table of the job.
    pub(super) tables: Vec<TableName>,
    pub(super) answer: oneshot::Sender<Answer>,
}

/// The requests that wait for a session.
#[derive(Debug, Clone, Default)]
pub(super) struct Requests(Arc<Waiting>);

#[derive(Debug, Default)]
struct Waiting {
    asked: Mutex<Vec<Asked>>,
    news: Notify,
}

impl Requests {
    pub(super) fn put(&self, asked: Asked) {
        self.asked().push(asked);
        self.0.news.notify_waiters();
        self.0.news.notify_one();
    }

    /// Resolves when a request waits that somebody still waits for.
    pub(super) async fn come(&self) {
        while self.are_none() {
            self.0.news.notified().await;
        }
    }

    /// Takes the requests that somebody still waits for; the others were answered as failed.
    pub(super) fn take(&self) -> Taken {
        let mut asked = std::mem::take(&mut *self.asked());
        asked.retain(|asked| !asked.answer.is_closed());
        Taken { asked, messages: Vec::new(), requests: self.clone() }
    }

    fn are_none(&self) -> bool {
        self.asked().iter().all(|asked| asked.answer.is_closed())
    }

    // A list is valid whatever a thread that panicked was doing.
    fn asked(&self) -> MutexGuard<'_, Vec<Asked>> {
        self.0.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Requests that a session has taken. What it does not answer waits for the next one.
#[derive(Debug)]
pub(super) struct Taken {
    asked: Vec<Asked>,
    /// What is answered when the requests are recorded, in their order.
    messages: Vec<String>,
    requests: Requests,
}

impl Taken {
    /// Whether one of the requests is for the table.
    pub(super) fn has(&self, table: &TableName) -> bool {
        self.asked.iter().any(|asked| asked.tables.is_empty() || asked.tables.contains(table))
    }

    /// Applies each request; one that cannot be is answered at once.
    pub(super) fn apply(&mut self, mut apply: impl FnMut(&Asked) -> Result<String, String>) {
        for asked in std::mem::take(&mut self.asked) {
            match apply(&asked) {
                Ok(message) => {
                    self.asked.push(asked);
                    self.messages.push(message);
                }
                // The requester may have gone.
                Err(message) => drop(asked.answer.send(Answer { success: false, message })),
            }
        }
    }

    /// The requests are recorded. Returns the name of the last one that has one.
    pub(super) fn recorded(mut self) -> Option<String> {
        let mut last = None;
        for (asked, message) in
            std::mem::take(&mut self.asked).into_iter().zip(std::mem::take(&mut self.messages))
        {
            tracing::info!(request = %asked.name, "copy on demand: {message}");
            last = Some(asked.name).filter(|name| !name.is_empty()).or(last);
            drop(asked.answer.send(Answer { success: true, message }));
        }
        last
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        let asked = std::mem::take(&mut self.asked);
        asked.into_iter().for_each(|asked| self.requests.put(asked));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(name: &str) -> (Asked, oneshot::Receiver<Answer>) {
        let (answer, answered) = oneshot::channel();
        (Asked { name: name.to_owned(), tables: Vec::new(), answer }, answered)
    }

    #[tokio::test]
    async fn a_request_is_answered_when_it_is_recorded_and_waits_for_the_next_session_until_then() {
        let requests = Requests::default();
        let (first, mut answered) = asked("a");
        requests.put(first);
        let mut taken = requests.take();
        taken.apply(|_| Ok("begun".to_owned()));
        drop(taken); // the session has failed
        assert!(answered.try_recv().is_err());
        requests.come().await;
        let mut taken = requests.take();
        taken.apply(|_| Ok("begun".to_owned()));
        assert_eq!(taken.recorded().as_deref(), Some("a"));
        assert_eq!(answered.await, Ok(Answer { success: true, message: "begun".to_owned() }));
        assert!(requests.are_none());
    }

    #[tokio::test]
    async fn a_request_that_nobody_waits_for_or_that_cannot_be_is_not_taken_up() {
        let requests = Requests::default();
        let (left, gone) = asked("left");
        drop(gone);
        requests.put(left);
        assert!(requests.are_none());
        let (wrong, answered) = asked("wrong");
        requests.put(wrong);
        let mut taken = requests.take();
        assert!(taken.has(&TableName::parse("public.t").unwrap()));
        taken.apply(|_| Err("unknown table".to_owned()));
        assert!(!answered.await.unwrap().success);
        assert_eq!(taken.recorded(), None);
    }
}
