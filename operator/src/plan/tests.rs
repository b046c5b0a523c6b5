//! The plan, byte for byte, and the parts that a running worker keeps.

use serde_json::{Value, json};

use super::{Defaults, Fingerprint, Freshness, Plan, plan};
use crate::{
    deletion::cleanup_job::cleanup_job,
    job::Job,
    live::{Kind, Live, LiveObject},
    validate::{
        tests::{job, resource},
        validate,
    },
};

const SNAPSHOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/plan/planned.json");

fn defaults() -> Defaults {
    Defaults { image: "dbmazz.dev/dbmazz:1".into(), image_pull_policy: "IfNotPresent".into() }
}

fn secrets() -> Fingerprint {
    Fingerprint("abc123".into())
}

fn planned(job: &Job) -> Plan {
    plan(job, Some(&secrets()), &Live::default(), &defaults()).unwrap()
}

/// The cluster after the plan was applied.
fn applied(plan: &Plan) -> Live {
    let objects = plan.objects.in_order();
    Live { objects: objects.map(|(kind, body)| LiveObject { kind, body: body.clone() }).to_vec() }
}

fn template(plan: &Plan) -> &Value {
    &plan.objects.deployment["spec"]["template"]
}

#[test]
fn the_objects_of_a_job_are_these() {
    let plan = planned(&job());
    let objects = plan.objects.in_order().map(|(_, body)| body.clone()).to_vec();
    let all = json!({ "objects": objects, "cleanup": cleanup_job(&job(), &plan, "dbmazz-orders-cleanup") });
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        std::fs::write(SNAPSHOT, format!("{all:#}\n")).unwrap();
    }
    let expected: Value = serde_json::from_str(&std::fs::read_to_string(SNAPSHOT).unwrap()).unwrap();
    assert_eq!(all, expected, "if that is meant: UPDATE_SNAPSHOTS=1 cargo test -p operator");
}

#[test]
fn the_same_job_is_planned_the_same_again() {
    let first = planned(&job());
    let second = plan(&job(), Some(&secrets()), &applied(&first), &defaults()).unwrap();
    assert_eq!(first, second);
}

#[test]
fn a_change_of_state_leaves_the_pod_alone() {
    let running = planned(&job());
    for (state, replicas) in [("Paused", 1), ("Stopped", 0)] {
        let mut resource = resource();
        resource.spec.state = serde_json::from_value(json!(state)).unwrap();
        let next =
            plan(&validate(&resource).unwrap(), Some(&secrets()), &applied(&running), &defaults()).unwrap();
        assert_eq!(template(&next), template(&running), "{state}");
        assert_eq!(next.objects.deployment["spec"]["replicas"], replicas);
        let description = next.objects.config_map["data"]["job.json"].as_str().unwrap();
        assert!(description.contains(&format!("\"state\": \"{state}\"")), "{description}");
    }
}

#[test]
fn other_sizes_of_loads_are_there_for_a_worker_that_starts_again() {
    let running = planned(&job());
    let mut resource = resource();
    resource.spec.sink.starrocks.batch.max_rows = 7;
    let changed = validate(&resource).unwrap();
    let next = plan(&changed, Some(&secrets()), &applied(&running), &defaults()).unwrap();
    let description = next.objects.config_map["data"]["job.json"].as_str().unwrap();
    assert!(description.contains("\"maxRows\": 7"), "{description}");
    let again = plan(&changed, Some(&secrets()), &applied(&next), &defaults()).unwrap();
    assert_eq!(again, next, "and that is all");
}

#[test]
fn what_a_worker_reads_restarts_it_and_what_it_does_not_read_leaves_it() {
    type Change = fn(&mut crds::ReplicationJob);
    let cases: [(&str, Change, bool); 6] = [
        ("tables", |r| r.spec.source.postgres.tables.push("public.items".into()), false),
        ("log level", |r| r.spec.worker.log_level = crds::spec::LogLevel::Debug, true),
        ("consistency", |r| r.spec.sink.starrocks.consistency = crds::spec::Consistency::Transaction, true),
        ("sizes of loads", |r| r.spec.sink.starrocks.batch.max_rows = 7, false),
        ("deletion", |r| r.spec.deletion.timeout = "1m".into(), false),
        ("nothing", |_| {}, false),
    ];
    let running = planned(&job());
    for (name, change, restarts) in cases {
        let mut resource = resource();
        change(&mut resource);
        let next =
            plan(&validate(&resource).unwrap(), Some(&secrets()), &applied(&running), &defaults()).unwrap();
        assert_eq!(template(&next) != template(&running), restarts, "{name}");
    }
}

#[test]
fn another_content_of_the_secrets_restarts_the_worker_and_a_missing_secret_does_not() {
    let running = planned(&job());
    let rotated = plan(&job(), Some(&Fingerprint("def456".into())), &applied(&running), &defaults()).unwrap();
    assert_ne!(template(&rotated), template(&running));
    let missing = plan(&job(), None, &applied(&running), &defaults()).unwrap();
    assert_eq!(template(&missing), template(&running));
    assert_eq!(
        plan(&job(), None, &Live::default(), &defaults()),
        None,
        "nothing is started without credentials"
    );
}

#[test]
fn a_new_default_image_waits_for_the_next_restart() {
    let running = planned(&job());
    let upgraded = Defaults { image: "dbmazz.dev/dbmazz:2".into(), ..defaults() };
    let same = plan(&job(), Some(&secrets()), &applied(&running), &upgraded).unwrap();
    assert_eq!(template(&same), template(&running));
    assert_eq!(same.freshness, Freshness::OtherImage(upgraded.image.clone()));
    let rotated = plan(&job(), Some(&Fingerprint("def456".into())), &applied(&running), &upgraded).unwrap();
    assert_eq!((rotated.image.as_str(), rotated.freshness), ("dbmazz.dev/dbmazz:2", Freshness::Fresh));
}

#[test]
fn a_stopped_job_takes_the_new_image_before_it_starts_again() {
    let mut resource = resource();
    resource.spec.state = crds::spec::DesiredState::Stopped;
    let stopped = planned(&validate(&resource).unwrap());
    let upgraded = Defaults { image: "dbmazz.dev/dbmazz:2".into(), ..defaults() };
    let started = plan(&job(), Some(&secrets()), &applied(&stopped), &upgraded).unwrap();
    assert_eq!(started.image, "dbmazz.dev/dbmazz:2");
}

#[test]
fn an_operator_that_writes_templates_otherwise_restarts_nobody() {
    let running = planned(&job());
    let mut live = applied(&running);
    // As written by an older operator, without one of today's fields.
    let old = running.objects.deployment.to_string().replace("enableServiceLinks", "olderField");
    live.objects[3].body = serde_json::from_str(&old).unwrap();
    let next = plan(&job(), Some(&secrets()), &live, &defaults()).unwrap();
    assert_eq!(template(&next)["spec"]["olderField"], false);
    assert_eq!(next.freshness, Freshness::OtherTemplate);
}

#[test]
fn a_description_of_another_moment_is_not_mixed_with_a_template() {
    // The watch shows the new ConfigMap and still the old Deployment: the old template must not be applied again.
    let mut resource = resource();
    resource.spec.worker.log_level = crds::spec::LogLevel::Debug;
    let changed = validate(&resource).unwrap();
    let (old, new) = (planned(&job()), planned(&changed));
    let mut mixed = applied(&new);
    mixed.objects[3] = applied(&old).objects[3].clone();
    let next = plan(&changed, Some(&secrets()), &mixed, &defaults()).unwrap();
    assert_eq!(template(&next), template(&new));
}

#[test]
fn what_belongs_to_another_job_of_the_same_name_is_not_taken_over() {
    let mut foreign = applied(&planned(&job()));
    for object in &mut foreign.objects {
        object.body["metadata"]["ownerReferences"][0]["uid"] = json!("another");
    }
    assert_eq!(plan(&job(), None, &foreign, &defaults()), None);
}

#[test]
fn the_cleanup_keeps_what_the_policy_keeps() {
    let mut resource = resource();
    resource.spec.deletion.publication = crds::spec::DeletionPolicy::Retain;
    let job = validate(&resource).unwrap();
    let cleanup = cleanup_job(&job, &planned(&job), "c");
    let container = &cleanup["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(container["args"], json!(["cleanup", "--keep-publication"]));
    assert!(container.get("livenessProbe").is_none() && container.get("ports").is_none());
}

#[test]
fn a_cleanup_neither_has_nor_waits_for_the_token_of_the_control_port() {
    let plan = planned(&job());
    assert!(plan.has_token && plan.objects.deployment.to_string().contains("dbmazz-orders-control"));
    let cleanup = cleanup_job(&job(), &plan, "c").to_string();
    assert!(!cleanup.contains("dbmazz-orders-control") && !cleanup.contains("CONTROL_TOKEN"), "{cleanup}");
}

#[test]
fn a_worker_that_an_earlier_version_set_up_stays_and_is_known_to_have_no_token() {
    let running = planned(&job());
    let mut old = template(&running).clone();
    super::template::without_token(&mut old["spec"]);
    let mut live = applied(&running);
    live.objects[3].body["metadata"]["annotations"][super::TEMPLATE] = json!(old.to_string());
    let next = plan(&job(), Some(&secrets()), &live, &defaults()).unwrap();
    assert_eq!((template(&next), next.has_token), (&old, false));
    assert_eq!(next.freshness, Freshness::OtherTemplate);
}

#[test]
fn the_control_port_is_not_offered_by_the_service() {
    let ports = planned(&job()).objects.service["spec"]["ports"].clone();
    assert_eq!(
        ports.as_array().map(|ports| ports.iter().map(|port| port["port"].clone()).collect()),
        Some(vec![json!(8080)])
    );
}

/// A stopped job of this generation, in a cluster that shows `live`.
fn stopped(generation: i64, state: &str, live: &Live) -> Plan {
    let mut resource = resource();
    resource.metadata.generation = Some(generation);
    resource.spec.state = serde_json::from_value(json!(state)).unwrap();
    plan(&validate(&resource).unwrap(), Some(&secrets()), live, &defaults()).unwrap()
}

#[test]
fn only_a_job_that_was_stopped_from_its_first_generation_on_proves_that_it_never_ran() {
    let proof =
        |plan: &Plan| plan.objects.deployment["metadata"]["annotations"][super::STOPPED_SO_FAR].clone();
    let nothing = Live::default();
    let first = stopped(1, "Stopped", &nothing);
    assert_eq!(proof(&first), json!("1"));
    let second = stopped(2, "Stopped", &applied(&first));
    assert_eq!(proof(&second), json!("2"), "edited, and still stopped");
    assert_eq!(proof(&stopped(4, "Stopped", &applied(&second))), json!(null), "it may have run in between");
    assert_eq!(proof(&stopped(1, "Running", &nothing)), json!(null));
    let started = stopped(2, "Running", &applied(&first));
    assert_eq!(proof(&stopped(3, "Stopped", &applied(&started))), json!(null));
    assert_eq!(proof(&stopped(3, "Stopped", &nothing)), json!(null), "the Deployment was deleted");
}

#[test]
fn a_pod_from_before_a_change_is_told_from_one_after_it() {
    let annotations =
        |plan: &Plan| serde_json::from_value(template(plan)["metadata"]["annotations"].clone()).unwrap();
    let mut resource = resource();
    resource.spec.worker.log_level = crds::spec::LogLevel::Debug;
    let (before, after) = (planned(&job()), planned(&validate(&resource).unwrap()));
    assert!(after.made(&annotations(&after)));
    assert!(!after.made(&annotations(&before)));
}

/// The objects that each released version applied for the job of these tests: its `planned.json`.
const RELEASED: [(&str, &str); 1] = [("0.1.0", include_str!("released/0.1.0.json"))];

fn released(text: &str) -> Live {
    let all: Value = serde_json::from_str(text).unwrap();
    let objects = all["objects"].as_array().unwrap().iter().filter_map(|body| {
        let kind = Kind::ALL.into_iter().find(|kind| body["kind"] == format!("{kind:?}"))?;
        Some(LiveObject { kind, body: body.clone() })
    });
    Live { objects: objects.collect() }
}

#[test]
fn an_upgrade_from_any_released_version_restarts_no_worker() {
    for (version, objects) in RELEASED {
        let live = released(objects);
        let running = live.get(Kind::Deployment, "dbmazz-orders").unwrap().body["spec"]["template"].clone();
        let first = plan(&job(), Some(&secrets()), &live, &defaults()).unwrap();
        assert_eq!(template(&first), &running, "{version}");
        let again = plan(&job(), Some(&secrets()), &applied(&first), &defaults()).unwrap();
        assert_eq!(again, first, "{version}: and that is all");
    }
}

/// A later version may have more fields, reload more of them without a restart, and use another pod template.
#[test]
fn a_rollback_restarts_no_worker_whatever_the_later_version_made_of_the_same_job() {
    let mut live = applied(&planned(&job()));
    let hash = json!("of another version's inputs");
    let annotation = "dbmazz.dev/job-description";
    for object in &mut live.objects {
        if object.kind == Kind::ConfigMap {
            let mut stored: Value =
                serde_json::from_str(object.body["data"]["job.json"].as_str().unwrap()).unwrap();
            stored["spec"]["sink"]["starrocks"]["novelty"] = json!("on");
            object.body["data"]["job.json"] = json!(stored.to_string());
            object.body["metadata"]["annotations"][annotation] = hash.clone();
        }
        if object.kind == Kind::Deployment {
            let template = &mut object.body["spec"]["template"];
            template["metadata"]["annotations"][annotation] = hash.clone();
            template["spec"]["containers"][0]["env"] = json!([{ "name": "NOVELTY", "value": "on" }]);
            let written = template.to_string();
            object.body["metadata"]["annotations"]["dbmazz.dev/pod-template"] = json!(written);
        }
    }
    let running = live.get(Kind::Deployment, "dbmazz-orders").unwrap().body["spec"]["template"].clone();
    let after = plan(&job(), Some(&secrets()), &live, &defaults()).unwrap();
    assert_eq!(template(&after), &running);
}
