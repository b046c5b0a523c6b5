//! The commands that bring a worker to the desired state. Pure.

use std::collections::BTreeSet;

use crds::{Reason, measure, spec::DesiredState};
use proto::{BatchSizes, CdcState, ControlResponse, StatusResponse};

use crate::{
    job::Job,
    problem::{Problem, sentences},
};

/// The desired state, tables and sizes: what a running worker can change to.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Desired {
    state: DesiredState,
    /// In the form in which a worker reports them.
    tables: BTreeSet<String>,
    /// `None` where the sizes in the resource are invalid; `validate` refuses such a resource.
    sizes: Option<BatchSizes>,
}

impl Desired {
    pub(super) fn of(job: &Job) -> Self {
        let batch = &job.description.spec.sink.starrocks.batch;
        let (max_bytes, interval) =
            (measure::bytes(&batch.max_bytes), measure::duration(&batch.min_interval));
        let sizes = max_bytes.zip(interval).map(|(max_bytes, interval)| BatchSizes {
            max_rows: batch.max_rows.into(),
            max_bytes,
            min_interval_ms: interval.as_millis() as u64,
        });
        let tables = job.description.spec.source.postgres.tables.iter();
        Self { state: job.state(), tables: tables.cloned().collect(), sizes }
    }
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Command {
    Pause,
    Resume,
    /// Load with these sizes, and these tables.
    Reload(BatchSizes, Vec<String>),
}

pub(super) fn commands(desired: &Desired, reported: &StatusResponse) -> Vec<Command> {
    state_command(desired.state, reported.state()).into_iter().chain(reload(desired, reported)).collect()
}

fn state_command(desired: DesiredState, reported: CdcState) -> Option<Command> {
    match (desired, reported) {
        (DesiredState::Running, CdcState::Paused | CdcState::Stopped) => Some(Command::Resume),
        (DesiredState::Paused, CdcState::Running) => Some(Command::Pause),
        // Stopped is reached by scaling the Deployment; a drain ends by itself.
        _ => None,
    }
}

/// A worker that does not report its sizes supports changing neither sizes nor tables.
fn reload(desired: &Desired, reported: &StatusResponse) -> Option<Command> {
    let (sizes, known) = desired.sizes.zip(reported.batch)?;
    let same_tables = reported.tables.iter().cloned().collect::<BTreeSet<_>>() == desired.tables;
    let is_other = sizes != known || !same_tables;
    is_other.then(|| Command::Reload(sizes, desired.tables.iter().cloned().collect()))
}

/// The worker received the command and refused it.
pub(super) fn refusal(command: &Command, answer: &ControlResponse) -> Option<Problem> {
    let fix = "delete its pod to restart it: it loads what it holds first, and the next one continues from \
               the slot, or reports SlotLost where that is gone";
    (!answer.success).then(|| refused(command, &answer.message, fix))
}

/// The worker rejected the command because of the token.
pub(super) fn unauthorized(command: &Command, why: &str) -> Problem {
    let fix = "a changed token reaches the pod within two minutes; if this persists, delete the pod: the next \
               one has the current token, and continues from the slot, or reports SlotLost where that is gone";
    refused(command, why, fix)
}

fn refused(command: &Command, why: &str, fix: &str) -> Problem {
    let command = match command {
        Command::Pause => "pause",
        Command::Resume => "resume",
        Command::Reload(..) => "change its tables or the sizes of its loads",
    };
    let what = format!("the worker refused to {command}: {why}");
    Problem { reason: Reason::CommandRefused, message: sentences(&[&what, fix]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_is_steered_only_where_it_differs_from_the_desired_state() {
        use CdcState as Reported;
        use DesiredState as Desired;
        let cases = [
            (Desired::Running, Reported::Running, None),
            (Desired::Running, Reported::Paused, Some(Command::Resume)),
            (Desired::Running, Reported::Draining, None),
            (Desired::Running, Reported::Stopped, Some(Command::Resume)),
            (Desired::Paused, Reported::Running, Some(Command::Pause)),
            (Desired::Paused, Reported::Paused, None),
            (Desired::Stopped, Reported::Running, None),
        ];
        for (desired, reported, expected) in cases {
            assert_eq!(state_command(desired, reported), expected, "{desired:?} {reported:?}");
        }
    }

    #[test]
    fn a_worker_with_other_sizes_is_sent_the_desired_ones() {
        let sizes = |max_rows| BatchSizes { max_rows, max_bytes: 1 << 20, min_interval_ms: 1000 };
        let tables = vec!["public.t".to_owned()];
        let desired = Desired {
            state: DesiredState::Running,
            tables: tables.iter().cloned().collect(),
            sizes: Some(sizes(7)),
        };
        let reload = vec![Command::Reload(sizes(7), tables.clone())];
        for (known, selected, expected) in [
            (Some(sizes(7)), &tables, vec![]),
            (Some(sizes(8)), &tables, reload.clone()),
            (Some(sizes(7)), &Vec::new(), reload),
            (None, &Vec::new(), vec![]),
        ] {
            let reported = StatusResponse { batch: known, tables: selected.clone(), ..Default::default() };
            assert_eq!(commands(&desired, &reported), expected, "{known:?} {selected:?}");
        }
    }

    #[test]
    fn the_desired_sizes_are_those_of_the_resource() {
        let desired = Desired::of(&crate::validate::tests::job());
        let expected = BatchSizes { max_rows: 100_000, max_bytes: 16 << 20, min_interval_ms: 1000 };
        assert_eq!((desired.state, desired.sizes), (DesiredState::Running, Some(expected)));
    }
}
