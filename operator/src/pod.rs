//! What a pod's status says about its worker. Pure.

use std::{collections::BTreeMap, net::IpAddr};

use crds::{Reason, status::LastExit};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ContainerState, ContainerStateTerminated, ContainerStatus, Pod, PodStatus};

use crate::{cadence::POD_REMOVAL, names, problem::Problem};

/// The exit code of a worker whose job description is invalid, and the prefix of the log line that says why.
const UNUSABLE_DESCRIPTION: i32 = 2;
const CANNOT_START: &str = "dbmazz cannot start: ";

/// A worker's pod, reduced to the facts that decisions need.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PodFacts {
    pub name: String,
    pub address: Option<IpAddr>,
    /// The container runs. The state of the worker in it comes from the worker's own report.
    pub running: bool,
    /// The pod is being deleted, or will be, because the job has changed since.
    pub ending: bool,
    /// The end of its grace period, if it is being deleted.
    pub gone_by: Option<Timestamp>,
    pub annotations: BTreeMap<String, String>,
    pub created: Option<Timestamp>,
    pub restarts: i32,
    pub last_exit: Option<LastExit>,
    /// Why the container does not run, where Kubernetes says so.
    pub problem: Option<Problem>,
}

impl PodFacts {
    /// The address of a running worker.
    pub fn reachable_at(&self) -> Option<IpAddr> {
        self.address.filter(|_| self.running)
    }

    /// The pod is past its grace period and still there: most likely its node is dead, and the object stays until a
    /// person removes it.
    pub fn is_stuck(&self, now: Timestamp) -> bool {
        self.gone_by.is_some_and(|gone_by| now.duration_since(gone_by) > POD_REMOVAL)
    }
}

/// Reads one pod.
pub fn facts(pod: &Pod) -> PodFacts {
    let status = pod.status.clone().unwrap_or_default();
    let container = container(&status);
    let running = container.is_some_and(|c| c.state.as_ref().is_some_and(|state| state.running.is_some()));
    PodFacts {
        name: pod.metadata.name.clone().unwrap_or_default(),
        address: status.pod_ip.as_deref().and_then(|address| address.parse().ok()),
        running,
        ending: pod.metadata.deletion_timestamp.is_some(),
        gone_by: pod.metadata.deletion_timestamp.as_ref().map(|time| time.0),
        annotations: pod.metadata.annotations.clone().unwrap_or_default(),
        created: pod.metadata.creation_timestamp.as_ref().map(|time| time.0),
        restarts: container.map_or(0, |container| container.restart_count),
        last_exit: container.and_then(last_exit),
        problem: if running { None } else { unscheduled(&status).or_else(|| waiting(container?)) },
    }
}

/// The newest of the pods that stay, else the newest of those that are ending.
pub fn newest(pods: Vec<PodFacts>) -> Option<PodFacts> {
    pods.into_iter().max_by_key(|pod| (!pod.ending, pod.created))
}

/// Whether a pod has terminated and only its object is left.
pub fn is_over(pod: &Pod) -> bool {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    matches!(phase, Some("Succeeded" | "Failed"))
}

fn container(status: &PodStatus) -> Option<&ContainerStatus> {
    status.container_statuses.as_ref()?.iter().find(|container| container.name == names::CONTAINER)
}

fn last_exit(container: &ContainerStatus) -> Option<LastExit> {
    let ended = last_end(container)?;
    Some(LastExit {
        code: ended.exit_code,
        reason: ended.reason.unwrap_or_else(|| "Unknown".into()),
        at: ended.finished_at,
    })
}

fn last_end(container: &ContainerStatus) -> Option<ContainerStateTerminated> {
    let ended = |state: &Option<ContainerState>| state.clone()?.terminated;
    ended(&container.state).or_else(|| ended(&container.last_state))
}

fn unscheduled(status: &PodStatus) -> Option<Problem> {
    let conditions = status.conditions.iter().flatten();
    let refused = conditions.into_iter().find(|c| c.type_ == "PodScheduled" && c.status == "False")?;
    let why = refused.message.clone().unwrap_or_default();
    let fix = "make room in the cluster, or ask for less in spec.worker.resources";
    Some(Problem::new(Reason::PodUnschedulable, &format!("no node takes the worker: {why}"), fix))
}

fn waiting(container: &ContainerStatus) -> Option<Problem> {
    let state = container.state.as_ref()?;
    let waiting = match (&state.waiting, &state.terminated) {
        (Some(waiting), _) => waiting,
        (None, Some(_)) => return Some(crashed(container)),
        (None, None) => return None,
    };
    let why = waiting.message.clone().unwrap_or_default();
    match waiting.reason.as_deref()? {
        "ErrImagePull" | "ImagePullBackOff" | "InvalidImageName" | "ErrImageNeverPull" => {
            let what = format!("image {} cannot be pulled: {why}", container.image);
            Some(Problem::new(
                Reason::ImageUnavailable,
                &what,
                "correct spec.worker.image, or the access to its registry",
            ))
        }
        "CrashLoopBackOff" => Some(crashed(container)),
        "CreateContainerConfigError" | "CreateContainerError" | "RunContainerError" => {
            let what = format!("the container cannot be created: {why}");
            Some(Problem::new(Reason::ContainerRefused, &what, "see the events of the pod"))
        }
        _ => None,
    }
}

fn crashed(container: &ContainerStatus) -> Problem {
    match last_end(container) {
        Some(ended) if ended.exit_code == UNUSABLE_DESCRIPTION => misconfigured(ended.message.as_deref()),
        _ => ended(container),
    }
}

/// Takes the invalid field from the last lines of the worker's log.
fn misconfigured(said: Option<&str>) -> Problem {
    let sentence =
        said.and_then(|said| said.lines().rev().find_map(|log_line| log_line.split_once(CANNOT_START)));
    let what = sentence.map_or("see the log of its pod with --previous", |(_, sentence)| sentence);
    Problem::new(Reason::BadConfiguration, &format!("the worker cannot start: {what}"), "")
}

fn ended(container: &ContainerStatus) -> Problem {
    let how = last_exit(container).map_or_else(
        || "the worker ended".to_owned(),
        |exit| format!("the worker ended with code {} ({})", exit.code, exit.reason),
    );
    let times = format!("{how}, restarts: {}", container.restart_count);
    Problem::new(
        Reason::WorkerCrashed,
        &times,
        "see the log of the pod with --previous; Kubernetes restarts it",
    )
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn pod(status: Value) -> Pod {
        serde_json::from_value(json!({ "metadata": { "name": "w" }, "status": status })).unwrap()
    }

    fn container(state: Value, last_state: Value) -> Value {
        json!({ "podIP": "10.88.0.9", "containerStatuses": [{
            "name": "dbmazz", "image": "worker:1", "imageID": "", "ready": false, "restartCount": 4,
            "state": state, "lastState": last_state,
        }] })
    }

    #[test]
    fn a_running_container_is_reachable() {
        let facts = facts(&pod(container(json!({ "running": {} }), json!({}))));
        assert_eq!(facts.reachable_at(), Some("10.88.0.9".parse().unwrap()));
        assert_eq!(facts.problem, None);
    }

    #[test]
    fn what_keeps_a_container_from_running_has_a_reason() {
        let waiting =
            |reason| container(json!({ "waiting": { "reason": reason, "message": "why" } }), json!({}));
        let cases = [
            (waiting("ImagePullBackOff"), Reason::ImageUnavailable),
            (waiting("CreateContainerConfigError"), Reason::ContainerRefused),
            (waiting("CrashLoopBackOff"), Reason::WorkerCrashed),
            (container(json!({ "terminated": { "exitCode": 1 } }), json!({})), Reason::WorkerCrashed),
            (
                json!({ "conditions": [{ "type": "PodScheduled", "status": "False", "message": "0/1 nodes" }] }),
                Reason::PodUnschedulable,
            ),
        ];
        for (status, reason) in cases {
            let facts = facts(&pod(status));
            assert_eq!(facts.reachable_at(), None);
            assert_eq!(facts.problem.map(|problem| problem.reason), Some(reason));
        }
    }

    #[test]
    fn a_crash_tells_how_the_worker_ended() {
        let last = json!({ "terminated": { "exitCode": 137, "reason": "OOMKilled" } });
        let facts = facts(&pod(container(json!({ "waiting": { "reason": "CrashLoopBackOff" } }), last)));
        assert!(facts.problem.unwrap().message.contains("code 137 (OOMKilled)"));
        assert_eq!(facts.last_exit.unwrap().code, 137);
    }

    #[test]
    fn a_description_that_the_worker_refuses_is_a_bad_configuration_in_its_words() {
        let log = "INFO something\ndbmazz cannot start: TABLES: must hold 1 to 1000 tables; correct TABLES\n";
        for (message, told) in [(json!(log), "TABLES: must hold"), (json!(null), "--previous")] {
            let ended = json!({ "terminated": { "exitCode": 2, "message": message } });
            let facts = facts(&pod(container(json!({ "waiting": { "reason": "CrashLoopBackOff" } }), ended)));
            let problem = facts.problem.unwrap();
            assert_eq!(problem.reason, Reason::BadConfiguration);
            assert!(problem.message.contains(told) && !problem.message.contains("INFO"), "{problem}");
        }
    }

    #[test]
    fn a_pod_whose_grace_is_long_over_is_stuck() {
        let gone_by = Timestamp::from_second(1_000).ok();
        let pod = PodFacts { ending: true, gone_by, ..PodFacts::default() };
        for (second, stuck) in [(999, false), (1_015, false), (1_016, true)] {
            assert_eq!(pod.is_stuck(Timestamp::from_second(second).unwrap()), stuck, "{second}");
        }
        assert!(!PodFacts::default().is_stuck(Timestamp::from_second(9_999_999).unwrap()));
    }

    #[test]
    fn the_pod_that_stays_matters_more_than_a_newer_one_that_ends() {
        let at = |second| Timestamp::from_second(second).ok();
        let old = PodFacts { name: "old".into(), created: at(1), ..PodFacts::default() };
        let ending = PodFacts { name: "ending".into(), created: at(2), ending: true, ..PodFacts::default() };
        assert_eq!(newest(vec![ending, old]).unwrap().name, "old");
    }
}
