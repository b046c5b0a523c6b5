//! Observes a job's worker: its pod and its status report. Sends the commands that lead to the desired state.
//!
//! Level-triggered: every observation compares the desired state with the report, so a worker that was restarted, or
//! that missed a command, gets it at the next one.

mod steer;

use std::time::Duration;

use crds::Reason;
use k8s_openapi::api::core::v1::Pod;
use proto::{ControlResponse, StatusResponse};

use self::steer::{Command, Desired, commands, copy_refusal, refusal, unauthorized};
use crate::{
    control::{Control, ControlError},
    job::Job,
    live::{Kind, Live},
    names,
    plan::Plan,
    pod::{self, PodFacts},
    problem::Problem,
    token::Token,
};

/// The result of one observation.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Observation {
    /// Pods that have not terminated.
    pub pods: Vec<PodFacts>,
    pub report: Report,
    /// Why no pod could be created.
    pub pod_refused: Option<Problem>,
    /// Why the worker did not carry out a command.
    pub command_refused: Option<Problem>,
    /// Why the worker did not take up a request to copy existing rows. Replication goes on.
    pub copy_refused: Option<String>,
}

/// The worker's answer.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum Report {
    /// There was no worker to ask.
    #[default]
    None,
    /// The container runs and did not answer; why.
    Silent(String),
    Answered(Box<StatusResponse>),
}

impl Observation {
    /// The pod that decides: see [`pod::newest`].
    pub fn pod(&self) -> Option<PodFacts> {
        pod::newest(self.pods.clone())
    }
}

/// Observes once, and sends commands where the worker's state is not the desired one.
pub async fn observe(
    job: &Job,
    plan: Option<&Plan>,
    pods: &[Pod],
    live: &Live,
    token: Option<Token>,
) -> Observation {
    let mut observation = look(pods, live, &job.identity.name);
    if let Some(plan) = plan {
        // A pod of an earlier template reports on the job before the change.
        observation.pods.iter_mut().for_each(|pod| pod.ending |= !plan.made(&pod.annotations));
    }
    let staying = observation.pod().filter(|pod| !pod.ending);
    if let Some(address) = staying.and_then(|pod| pod.reachable_at()) {
        match ask(address, &Desired::of(job), token).await {
            Ok(answer) => {
                observation.report = Report::Answered(Box::new(answer.status));
                observation.command_refused = answer.refused;
                observation.copy_refused = answer.copy_refused;
            }
            Err(error) => observation.report = Report::Silent(chain(&error)),
        }
    }
    observation
}

/// What pods and objects show, without calling the worker. Pure.
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
    Some(Problem::new(Reason::PodRefused, &format!("no pod could be created: {why}"), fix))
}

/// What the worker answered.
#[derive(Debug, Default)]
struct Answered {
    status: StatusResponse,
    refused: Option<Problem>,
    copy_refused: Option<String>,
}

async fn ask(
    address: std::net::IpAddr,
    desired: &Desired,
    token: Option<Token>,
) -> Result<Answered, ControlError> {
    let control = Control::dial(address, Duration::ZERO, token).await?;
    let mut answered = Answered { status: control.status().await?, ..Answered::default() };
    for command in commands(desired, &answered.status) {
        match give(&control, &command).await {
            Ok(answer) => {
                tracing::info!(
                    ?command,
                    success = answer.success,
                    message = answer.message,
                    "worker steered"
                );
                match &command {
                    Command::Copy(request) => answered.copy_refused = copy_refusal(request, &answer),
                    _ => answered.refused = answered.refused.or(refusal(&command, &answer)),
                }
                answered.status = control.status().await?;
            }
            Err(ControlError::Unauthorized(why)) => {
                answered.refused = answered.refused.or(Some(unauthorized(&command, &why)));
            }
            // Its worker answers when the next session has taken it up. It is asked again, by the same name.
            Err(ControlError::Unanswered(why)) if matches!(command, Command::Copy(_)) => {
                tracing::debug!(?command, error = %why, "not answered yet");
            }
            Err(error) => return Err(error),
        }
    }
    Ok(answered)
}

async fn give(control: &Control, command: &Command) -> Result<ControlResponse, ControlError> {
    match command {
        Command::Pause => control.pause().await,
        Command::Resume => control.resume().await,
        Command::Reload(sizes, tables) => control.reload(*sizes, tables).await,
        Command::Copy(request) => control.copy(request).await,
    }
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
    fn a_quota_that_allows_no_pod_is_seen() {
        let deployment = json!({ "status": { "conditions": [
            { "type": "ReplicaFailure", "status": "True", "message": "exceeded quota" },
        ] } });
        let problem = pod_refused(&deployment).unwrap();
        assert_eq!(problem.reason, Reason::PodRefused);
        assert!(problem.message.contains("exceeded quota"));
    }
}
