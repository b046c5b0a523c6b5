//! The commands that bring a worker to the desired state. Pure.

use std::collections::BTreeSet;

use crds::{Reason, measure, spec::DesiredState};
use proto::{BatchSizes, CdcState, ControlResponse, StatusResponse};

use crate::{
    job::{CopyRequest, Job},
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
    copy_request: Option<CopyRequest>,
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
        let copy_request = job.copy_request.clone();
        Self { state: job.state(), tables: tables.cloned().collect(), sizes, copy_request }
    }
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Command {
    Pause,
    Resume,
    /// Load with these sizes, and these tables.
    Reload(BatchSizes, Vec<String>),
    /// Copy existing rows anew.
    Copy(CopyRequest),
}

pub(super) fn commands(desired: &Desired, reported: &StatusResponse) -> Vec<Command> {
    // The tables first: a request may name a new one.
    let commands =
        state_command(desired.state, reported.state()).into_iter().chain(reload(desired, reported));
    commands.chain(copy(desired, reported)).collect()
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

/// A request that was not taken up. Where it was goes unsaid before the worker has reached both ends.
fn copy(desired: &Desired, reported: &StatusResponse) -> Option<Command> {
    let request = desired.copy_request.clone().filter(|request| request.name != reported.snapshot_request)?;
    let takes_requests = reported.state() == CdcState::Running && reported.current_lsn > 0;
    takes_requests.then_some(Command::Copy(request))
}

/// The worker received the command and refused it.
pub(super) fn refusal(command: &Command, answer: &ControlResponse) -> Option<Problem> {
    let fix = "delete its pod to restart it: it loads what it holds first, and the next one continues from \
               the slot, or reports SlotLost where that is gone";
    (!answer.success).then(|| refused(command, &answer.message, fix))
}

/// The worker did not take up the request, which stops nothing else.
pub(super) fn copy_refusal(request: &CopyRequest, answer: &ControlResponse) -> Option<String> {
    let what = format!("the worker refused request {}: {}", request.name, answer.message);
    let fix = "name tables of the job in snapshot.requestTables, or remove snapshot.request";
    (!answer.success).then(|| sentences(&[&what, fix]))
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
        Command::Copy(_) => "copy existing rows on request",
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
            copy_request: None,
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
    fn a_request_is_sent_until_the_worker_has_taken_it_up() {
        let mut job = crate::validate::tests::job();
        let request = CopyRequest { name: "b".into(), tables: vec!["public.orders".into()] };
        job.copy_request = Some(request.clone());
        let desired = Desired::of(&job);
        let reported = |taken: &str, state: CdcState, current_lsn| StatusResponse {
            snapshot_request: taken.into(),
            state: state.into(),
            current_lsn,
            ..StatusResponse::default()
        };
        for (report, expected) in [
            (reported("", CdcState::Running, 7), Some(Command::Copy(request.clone()))),
            (reported("a", CdcState::Running, 7), Some(Command::Copy(request))),
            (reported("b", CdcState::Running, 7), None),
            (reported("a", CdcState::Running, 0), None),
            (reported("a", CdcState::Paused, 7), None),
            (reported("a", CdcState::Draining, 7), None),
        ] {
            assert_eq!(copy(&desired, &report), expected, "{report:?}");
        }
        assert_eq!(
            copy(&Desired::of(&crate::validate::tests::job()), &reported("a", CdcState::Running, 7)),
            None
        );
    }

    #[test]
    fn the_desired_sizes_are_those_of_the_resource() {
        let desired = Desired::of(&crate::validate::tests::job());
        let expected = BatchSizes { max_rows: 100_000, max_bytes: 16 << 20, min_interval_ms: 1000 };
        assert_eq!((desired.state, desired.sizes), (DesiredState::Running, Some(expected)));
    }
}
