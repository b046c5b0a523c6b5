//! Looks at a job's worker: its pod, and what it says of itself. Steers it to the wished state.
//!
//! Level-triggered: what is wished is compared with what the worker reports, every time, so a worker that
//! was restarted, or that missed a command, is put right by the next look.

use std::{collections::BTreeSet, time::Duration};

use crds::{Reason, measure, spec::DesiredState};
use k8s_openapi::api::core::v1::Pod;
use proto::{BatchSizes, CdcState, ControlResponse, StatusResponse};

use crate::{
    control::{Control, Silence},
    job::Job,
    live::{Kind, Live},
    names,
    plan::Plan,
    pod::{self, PodFacts},
    problem::{Problem, sentences},
};

/// What was seen in one look.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Observation {
    /// Pods that have not come to their end.
    pub pods: Vec<PodFacts>,
    pub report: Report,
    /// Why no pod could be made.
    pub pod_refused: Option<Problem>,
    /// Why the worker did not do what it was asked.
    pub command_refused: Option<Problem>,
}

/// What the worker said.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum Report {
    /// There was nobody to ask.
    #[default]
    None,
    /// The container runs and gave no answer; why.
    Silent(String),
    Answered(Box<StatusResponse>),
}

impl Observation {
    /// The pod that matters.
    pub fn pod(&self) -> Option<PodFacts> {
        pod::newest(self.pods.clone())
    }
}

/// Takes one look.
pub async fn observe(job: &Job, plan: Option<&Plan>, pods: &[Pod], live: &Live) -> Observation {
    let mut observation = look(pods, live, &job.identity.name);
    if let Some(plan) = plan {
        // What the worker before the change says is no answer to the job after it.
        observation.pods.iter_mut().for_each(|pod| pod.ending |= !plan.made(&pod.annotations));
    }
    let staying = observation.pod().filter(|pod| !pod.ending);
    if let Some(address) = staying.and_then(|pod| pod.reachable_at()) {
        match ask(address, &Wish::of(job)).await {
            Ok((status, refused)) => {
                observation.report = Report::Answered(Box::new(status));
                observation.command_refused = refused;
            }
            Err(silence) => observation.report = Report::Silent(chain(&silence)),
        }
    }
    observation
}

/// What can be seen without asking anybody. Pure.
pub fn look(pods: &[Pod], live: &Live, job: &str) -> Observation {
    Observation {
        pods: pods.iter().filter(|pod| !pod::is_over(pod)).map(pod::facts).collect(),
        pod_refused: live
            .get(Kind::Deployment, &names::object(job))
            .and_then(|deployment| pod_refused(&deployment.body)),
        ..Observation::default()
    }
}

fn pod_refused(deployment: &serde_json::Value) -> Option<Problem> {
    let conditions = deployment.pointer("/status/conditions")?.as_array()?;
    let failure = conditions.iter().find(|c| c["type"] == "ReplicaFailure" && c["status"] == "True")?;
    let why = failure["message"].as_str().unwrap_or_default();
    let fix = "the namespace's quota or policy must allow the worker's pod";
    Some(Problem::new(Reason::PodRefused, &format!("no pod could be made: {why}"), fix))
}

/// What a worker can be steered to while it runs.
#[derive(Debug, Clone, PartialEq)]
struct Wish {
    state: DesiredState,
    /// In the form in which a worker tells them.
    tables: BTreeSet<String>,
    /// None where the resource has sizes that nobody can read: `validate` refuses them.
    sizes: Option<BatchSizes>,
}

impl Wish {
    fn of(job: &Job) -> Self {
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

async fn ask(address: std::net::IpAddr, wish: &Wish) -> Result<(StatusResponse, Option<Problem>), Silence> {
    let control = Control::dial(address, Duration::ZERO).await?;
    let (mut status, mut refused) = (control.status().await?, None);
    for command in commands(wish, &status) {
        let answer = match command {
            Command::Pause => control.pause().await?,
            Command::Resume => control.resume().await?,
            Command::Reload(sizes, ref tables) => control.reload(sizes, tables).await?,
        };
        tracing::info!(?command, success = answer.success, message = answer.message, "worker steered");
        status = control.status().await?;
        refused = refused.or(refusal(command, &answer));
    }
    Ok((status, refused))
}

#[derive(Debug, Clone, PartialEq)]
enum Command {
    Pause,
    Resume,
    /// Load in these sizes, and these tables.
    Reload(BatchSizes, Vec<String>),
}

fn commands(wish: &Wish, reported: &StatusResponse) -> Vec<Command> {
    state_command(wish.state, reported.state()).into_iter().chain(reload(wish, reported)).collect()
}

fn state_command(wish: DesiredState, reported: CdcState) -> Option<Command> {
    match (wish, reported) {
        (DesiredState::Running, CdcState::Paused | CdcState::Stopped) => Some(Command::Resume),
        (DesiredState::Paused, CdcState::Running) => Some(Command::Pause),
        // A stop is the Deployment's affair; a drain comes to its end by itself.
        _ => None,
    }
}

/// A worker that does not tell its sizes can change neither them nor its tables.
fn reload(wish: &Wish, reported: &StatusResponse) -> Option<Command> {
    let (wished, known) = wish.sizes.zip(reported.batch)?;
    let same_tables = reported.tables.iter().cloned().collect::<BTreeSet<_>>() == wish.tables;
    let is_other = wished != known || !same_tables;
    is_other.then(|| Command::Reload(wished, wish.tables.iter().cloned().collect()))
}

fn refusal(command: Command, answer: &ControlResponse) -> Option<Problem> {
    let command = match command {
        Command::Pause => "pause",
        Command::Resume => "resume",
        Command::Reload(..) => "change its tables or the sizes of its loads",
    };
    let what = format!("the worker refused to {command}: {}", answer.message);
    let fix = "delete its pod to start it anew; nothing is lost";
    (!answer.success).then(|| Problem { reason: Reason::CommandRefused, message: sentences(&[&what, fix]) })
}

fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_worker_is_steered_only_where_it_differs_from_the_wish() {
        use CdcState as Reported;
        use DesiredState as Wish;
        let cases = [
            (Wish::Running, Reported::Running, None),
            (Wish::Running, Reported::Paused, Some(Command::Resume)),
            (Wish::Running, Reported::Draining, None),
            (Wish::Running, Reported::Stopped, Some(Command::Resume)),
            (Wish::Paused, Reported::Running, Some(Command::Pause)),
            (Wish::Paused, Reported::Paused, None),
            (Wish::Stopped, Reported::Running, None),
        ];
        for (wish, reported, expected) in cases {
            assert_eq!(state_command(wish, reported), expected, "{wish:?} {reported:?}");
        }
    }

    #[test]
    fn a_worker_with_other_sizes_is_told_the_wished_ones() {
        let sizes = |max_rows| BatchSizes { max_rows, max_bytes: 1 << 20, min_interval_ms: 1000 };
        let tables = vec!["public.t".to_owned()];
        let wish = Wish {
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
            assert_eq!(commands(&wish, &reported), expected, "{known:?} {selected:?}");
        }
    }

    #[test]
    fn the_wished_sizes_are_those_of_the_resource() {
        let wish = Wish::of(&crate::validate::tests::job());
        let expected = BatchSizes { max_rows: 100_000, max_bytes: 16 << 20, min_interval_ms: 1000 };
        assert_eq!((wish.state, wish.sizes), (DesiredState::Running, Some(expected)));
    }

    #[test]
    fn a_quota_that_allows_no_pod_is_seen() {
        let deployment = json!({ "status": { "conditions": [
            { "type": "ReplicaFailure", "status": "True", "message": "exceeded quota" },
        ] } });
        let problem = pod_refused(&deployment).unwrap();
        assert_eq!(problem.reason, Reason::PodRefused);
        assert!(problem.message.contains("exceeded quota"));
    }
}
