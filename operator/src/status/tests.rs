//! The status for given observations.

use crds::{Reason, ReplicationJobStatus, spec::DesiredState, status::Stage};
use jiff::Timestamp;
use proto::{CdcState, Fault, StatusResponse, fault::Part};

use super::{Facts, status, transition::transitions};
use crate::{
    job::Job,
    observe::{Observation, Report},
    plan::{Defaults, Fingerprint, Plan, plan},
    pod::PodFacts,
    problem::Problem,
    validate::tests::job,
};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

fn planned() -> Plan {
    let defaults = Defaults { image: "dbmazz.dev/dbmazz:1".into(), image_pull_policy: "Always".into() };
    plan(&job(), Some(&Fingerprint("f".into())), &Default::default(), &defaults).unwrap()
}

fn pod() -> PodFacts {
    PodFacts { name: "dbmazz-orders-abc".into(), running: true, ..PodFacts::default() }
}

fn healthy() -> StatusResponse {
    StatusResponse {
        ready: true,
        current_lsn: 0x30,
        durable_lsn: 0x30,
        confirmed_lsn: 0x20,
        slot_name: "dbmazz_shop_orders".into(),
        version: "0.1.0".into(),
        ..StatusResponse::default()
    }
}

fn fault(part: Part, reason: &str, halted: bool) -> Fault {
    let table = if part == Part::Table { "public.orders".to_owned() } else { String::new() };
    let (message, fix) = ("it does not work".to_owned(), "make it work".to_owned());
    Fault { part: part.into(), table, reason: reason.into(), message, fix, halted }
}

fn faulty(part: Part, reason: &str, halted: bool) -> StatusResponse {
    StatusResponse {
        faults: vec![fault(part, reason, halted)],
        version: "0.1.0".into(),
        ..StatusResponse::default()
    }
}

fn answered(report: StatusResponse) -> Observation {
    Observation { pods: vec![pod()], report: Report::Answered(Box::new(report)), ..Observation::default() }
}

fn facts<'a>(job: &'a Job, plan: &'a Plan, observation: &'a Observation) -> Facts<'a> {
    Facts {
        generation: 3,
        job: Ok(job),
        secrets: None,
        plan: Some(plan),
        apply: None,
        altered: None,
        observation,
        deleting: None,
    }
}

/// `stage Type=Status/Reason …`, the form of the cases below.
fn brief(status: &ReplicationJobStatus, types: &[&str]) -> String {
    let shown = status.conditions.iter().filter(|condition| types.contains(&condition.type_.as_str()));
    let shown: Vec<_> = shown.map(|c| format!("{}={}/{}", c.type_, c.status, c.reason)).collect();
    format!("{} {}", status.stage.as_str(), shown.join(" "))
}

fn seen(observation: &Observation, types: &[&str]) -> String {
    brief(&status(&ReplicationJobStatus::default(), &facts(&job(), &planned(), observation), at(0)), types)
}

#[test]
fn a_healthy_job_is_true_in_everything() {
    let all = ["Ready", "WorkerAvailable", "SourceHealthy", "SinkHealthy", "UpToDate", "Stalled"];
    assert_eq!(
        seen(&answered(healthy()), &all),
        "Streaming Ready=True/Replicating WorkerAvailable=True/Healthy SourceHealthy=True/Healthy \
         SinkHealthy=True/Healthy UpToDate=True/AsSpecified Stalled=False/Healthy"
    );
}

#[test]
fn a_fault_shows_where_it_is() {
    let types = ["Ready", "SourceHealthy", "SinkHealthy", "Stalled"];
    let cases = [
        (
            faulty(Part::Source, "SourceAuthenticationFailed", false),
            "Pending Ready=False/SourceAuthenticationFailed SourceHealthy=False/SourceAuthenticationFailed \
             SinkHealthy=Unknown/NotObserved Stalled=False/Healthy",
        ),
        (
            faulty(Part::Source, "SlotLost", true),
            "Failed Ready=False/SlotLost SourceHealthy=False/SlotLost SinkHealthy=Unknown/NotObserved Stalled=True/SlotLost",
        ),
        (
            StatusResponse {
                ready: false,
                faults: vec![fault(Part::Sink, "SinkUnreachable", false)],
                ..healthy()
            },
            "Streaming Ready=False/SinkUnreachable SourceHealthy=True/Healthy SinkHealthy=False/SinkUnreachable Stalled=False/Healthy",
        ),
        (
            StatusResponse { faults: vec![fault(Part::Table, "RowsRefused", true)], ..healthy() },
            "Streaming Ready=True/Replicating SourceHealthy=True/Healthy SinkHealthy=True/Healthy Stalled=True/RowsRefused",
        ),
        (
            faulty(Part::Job, "Sunspots", false),
            "Pending Ready=False/WorkerFault SourceHealthy=Unknown/NotObserved SinkHealthy=Unknown/NotObserved Stalled=False/Healthy",
        ),
    ];
    for (report, expected) in cases {
        assert_eq!(seen(&answered(report), &types), expected);
    }
}

#[test]
fn a_fault_says_what_to_do() {
    let observation = answered(faulty(Part::Source, "SourceAuthenticationFailed", false));
    let status = status(&ReplicationJobStatus::default(), &facts(&job(), &planned(), &observation), at(0));
    assert_eq!(status.conditions[0].message, "It does not work. Make it work.");
}

#[test]
fn without_a_report_nothing_is_true() {
    let silent =
        Observation { pods: vec![pod()], report: Report::Silent("refused".into()), ..Observation::default() };
    let crashed = Problem::new(Reason::WorkerCrashed, "it crashed", "");
    let crashing = PodFacts { running: false, problem: Some(crashed), ..pod() };
    let crashing = Observation { pods: vec![crashing], ..Observation::default() };
    let cases = [
        (silent, "Pending Ready=Unknown/WorkerUnreachable WorkerAvailable=False/WorkerUnreachable"),
        (crashing, "Pending Ready=False/WorkerCrashed WorkerAvailable=False/WorkerCrashed"),
        (Observation::default(), "Pending Ready=False/WorkerStarting WorkerAvailable=False/WorkerStarting"),
    ];
    for (observation, expected) in cases {
        assert_eq!(seen(&observation, &["Ready", "WorkerAvailable"]), expected);
    }
}

#[test]
fn a_missing_secret_stalls_a_job_that_never_ran_and_only_marks_one_that_runs() {
    let missing = Problem::new(Reason::SecretMissing, "secret pg does not exist", "create it");
    let (job, plan) = (job(), planned());
    let no_pod = Observation::default();
    let never = Facts { secrets: Some(&missing), plan: None, ..facts(&job, &plan, &no_pod) };
    let types = ["Ready", "UpToDate", "Stalled"];
    let shown = status(&ReplicationJobStatus::default(), &never, at(0));
    assert_eq!(
        brief(&shown, &types),
        "Failed Ready=False/SecretMissing UpToDate=False/SecretMissing Stalled=True/SecretMissing"
    );
    let well = answered(healthy());
    let runs = Facts { secrets: Some(&missing), ..facts(&job, &plan, &well) };
    let shown = status(&ReplicationJobStatus::default(), &runs, at(0));
    assert_eq!(
        brief(&shown, &types),
        "Streaming Ready=True/Replicating UpToDate=False/SecretMissing Stalled=False/Healthy"
    );
}

#[test]
fn states_by_request_are_told_from_faults() {
    let desired = |state| {
        let mut job = job();
        job.description.spec.state = state;
        job
    };
    let (paused, stopped, plan) = (desired(DesiredState::Paused), desired(DesiredState::Stopped), planned());
    let pausing = answered(StatusResponse { state: CdcState::Paused.into(), ..healthy() });
    let (draining, gone) = (answered(healthy()), Observation::default());
    let cases = [
        (facts(&paused, &plan, &pausing), "Paused Ready=True/Paused Stalled=False/Healthy"),
        (facts(&stopped, &plan, &draining), "Streaming Ready=False/Draining Stalled=False/Healthy"),
        (facts(&stopped, &plan, &gone), "Stopped Ready=False/Stopped Stalled=False/Healthy"),
        (
            Facts { deleting: Some("wait"), ..facts(&stopped, &plan, &gone) },
            "Deleting Ready=False/Deleting Stalled=False/Healthy",
        ),
    ];
    let before = ReplicationJobStatus { stage: Stage::Streaming, ..Default::default() };
    for (facts, expected) in cases {
        assert_eq!(brief(&status(&before, &facts, at(0)), &["Ready", "Stalled"]), expected);
    }
}

#[test]
fn an_unchanged_look_changes_nothing() {
    let (job, plan, observation) = (job(), planned(), answered(healthy()));
    let facts = facts(&job, &plan, &observation);
    let first = status(&ReplicationJobStatus::default(), &facts, at(0));
    assert_eq!(status(&first, &facts, at(500)), first);
}

#[test]
fn a_transition_time_is_that_of_the_transition() {
    let (job, plan) = (job(), planned());
    let (well, ill) = (answered(healthy()), answered(faulty(Part::Source, "SourceUnreachable", false)));
    let other = answered(faulty(Part::Source, "SourceAuthenticationFailed", false));
    let first = status(&ReplicationJobStatus::default(), &facts(&job, &plan, &well), at(0));
    let second = status(&first, &facts(&job, &plan, &ill), at(60));
    let third = status(&second, &facts(&job, &plan, &other), at(120));
    let times: Vec<_> =
        [first, second, third].iter().map(|s| s.conditions[0].last_transition_time.0).collect();
    assert_eq!(times, [at(0), at(60), at(60)], "another reason is no transition");
}

#[test]
fn failing_tables_are_named_up_to_ten() {
    let mut report = healthy();
    report.faults = (0..12)
        .map(|n| Fault { table: format!("public.t{n:02}"), ..fault(Part::Table, "RowsRefused", true) })
        .collect();
    let tables =
        status(&ReplicationJobStatus::default(), &facts(&job(), &planned(), &answered(report)), at(0))
            .tables
            .unwrap();
    assert_eq!((tables.total, tables.failed, tables.failing.len()), (2, 12, 10));
    assert_eq!(tables.failing[0].message, "It does not work. Make it work.");
}

#[test]
fn events_tell_of_transitions_only() {
    let (job, plan) = (job(), planned());
    let (well, ill) = (answered(healthy()), answered(faulty(Part::Sink, "SinkUnreachable", false)));
    let first = status(&ReplicationJobStatus::default(), &facts(&job, &plan, &well), at(0));
    let second = status(&first, &facts(&job, &plan, &ill), at(9));
    let events = |before: &ReplicationJobStatus, now: &ReplicationJobStatus| -> Vec<_> {
        transitions(before, now).into_iter().map(|t| (t.warning, t.reason)).collect()
    };
    assert_eq!(events(&Default::default(), &first), [(false, "Replicating".to_owned())]);
    assert_eq!(events(&first, &second), [(true, "SinkUnreachable".to_owned())]);
    assert_eq!(events(&second, &second), []);
}

fn with_slot(wal_status: &str, safe_wal_bytes: u64, at_risk: bool) -> StatusResponse {
    let slot = proto::SlotHealth {
        wal_status: wal_status.into(),
        safe_wal_bytes: Some(safe_wal_bytes),
        at_risk,
        ..proto::SlotHealth::default()
    };
    StatusResponse { slot: Some(slot), ..healthy() }
}

#[test]
fn a_slot_at_risk_is_told_while_the_job_is_ready() {
    let (job, plan) = (job(), planned());
    let (well, risky) =
        (answered(with_slot("reserved", 9, false)), answered(with_slot("unreserved", 0, true)));
    let first = status(&ReplicationJobStatus::default(), &facts(&job, &plan, &well), at(0));
    let second = status(&first, &facts(&job, &plan, &risky), at(9));
    let condition = |type_: &str| second.conditions.iter().find(|c| c.type_ == type_).unwrap();
    assert_eq!(condition("Ready").status, "True");
    assert_eq!(
        (condition("SourceHealthy").status.as_str(), condition("SourceHealthy").reason.as_str()),
        ("False", "SlotAtRisk")
    );
    let events: Vec<_> = transitions(&first, &second);
    assert_eq!(
        events.iter().map(|t| (t.warning, t.reason.as_str())).collect::<Vec<_>>(),
        [(true, "SlotAtRisk")]
    );
    let slot = second.slot.unwrap();
    assert_eq!((slot.wal_status.as_str(), slot.safe_wal_bytes), ("unreserved", Some(0)));
}

#[test]
fn the_slots_figure_alone_is_no_reason_to_write() {
    let (job, plan) = (job(), planned());
    let (one, other) = (answered(with_slot("reserved", 9, false)), answered(with_slot("reserved", 8, false)));
    let first = status(&ReplicationJobStatus::default(), &facts(&job, &plan, &one), at(0));
    assert_eq!(status(&first, &facts(&job, &plan, &other), at(500)), first);
    let unknown = answered(healthy());
    assert_eq!(status(&first, &facts(&job, &plan, &unknown), at(500)).slot, first.slot);
}

#[test]
fn a_job_whose_tables_all_wait_for_a_person_has_failed_and_reaches_both_ends() {
    let (job, plan) = (job(), planned());
    for (others, stage) in [(0, Stage::Failed), (1, Stage::Pending)] {
        let mut tables = vec!["public.orders".to_owned()];
        tables.extend((0..others).map(|number| format!("public.t{number}")));
        let report = StatusResponse { tables, ..faulty(Part::Table, "PrimaryKeyMissing", true) };
        let observation = answered(report);
        let written = status(&ReplicationJobStatus::default(), &facts(&job, &plan, &observation), at(0));
        assert_eq!(written.stage, stage, "{others} others");
        let source = written.conditions.iter().find(|condition| condition.type_ == "SourceHealthy").unwrap();
        assert_eq!(source.status, "True", "a table was judged");
    }
}

fn copying(done: u64) -> StatusResponse {
    let copy = proto::TableCopy { table: "public.orders".into(), ..proto::TableCopy::default() };
    StatusResponse {
        snapshot_active: true,
        snapshot_chunks_done: done,
        snapshot_chunks_total: 100,
        snapshot_rows_synced: done * 7,
        copies: vec![copy],
        ..healthy()
    }
}

#[test]
fn a_copy_has_a_stage_a_condition_and_events_of_its_own() {
    let (job, plan) = (job(), planned());
    let mut shown = ReplicationJobStatus::default();
    let mut look = |report: Option<StatusResponse>| {
        let observation = report.map_or_else(Observation::default, answered);
        let now = status(&shown, &facts(&job, &plan, &observation), at(0));
        let events = transitions(&shown, &now).into_iter().map(|event| event.reason);
        let events = events.filter(|reason| reason.starts_with("Cop")).collect::<Vec<_>>().join(" ");
        shown = now.clone();
        (brief(&now, &["SnapshotComplete"]), events, now)
    };
    let copied = || StatusResponse { snapshot_complete: true, ..healthy() };
    let asked = || StatusResponse { snapshot_request: "again".into(), ..copying(1) };
    for (report, expected, events) in [
        (Some(StatusResponse::default()), "Pending ", ""),
        (Some(copying(7)), "Snapshotting SnapshotComplete=False/Copying", "Copying"),
        (Some(copying(8)), "Snapshotting SnapshotComplete=False/Copying", ""),
        (Some(copied()), "Streaming SnapshotComplete=True/Copied", "Copied"),
        (None, "Pending SnapshotComplete=True/Copied", ""),
        (Some(asked()), "Snapshotting SnapshotComplete=False/Copying", "CopyRequested Copying"),
        (Some(healthy()), "Streaming SnapshotComplete=False/CopyPending", ""),
    ] {
        let (shown, seen, _) = look(report);
        assert_eq!((shown.as_str(), seen.as_str()), (expected, events));
    }
    let waits = |waits: &str| {
        let mut report = copying(7);
        report.copies[0].waits = waits.into();
        report
    };
    look(Some(waits("")));
    let message = look(Some(waits("StarRocks"))).2.conditions.pop().unwrap().message;
    assert!(message.ends_with("and 1 table left. Table public.orders waits for StarRocks."), "{message}");
}

#[test]
fn a_refused_request_is_told_and_leaves_the_job_ready() {
    let (job, plan) = (job(), planned());
    let mut observation = answered(StatusResponse { snapshot_complete: true, ..healthy() });
    observation.copy_refused = Some("No.".into());
    let before = status(&ReplicationJobStatus::default(), &facts(&job, &plan, &answered(healthy())), at(0));
    let shown = status(&before, &facts(&job, &plan, &observation), at(0));
    assert_eq!(brief(&shown, &["Ready"]), "Streaming Ready=True/Replicating");
    assert_eq!(shown.snapshot.as_ref().map(|snapshot| snapshot.error.as_str()), Some("No."));
    let told: Vec<_> =
        transitions(&before, &shown).into_iter().map(|event| (event.warning, event.message)).collect();
    assert!(told.contains(&(true, "No.".to_owned())), "{told:?}");
}

#[test]
fn a_job_that_only_copies_ends_as_completed_and_needs_no_worker() {
    let mut resource = crate::validate::tests::resource();
    resource.spec.snapshot.mode = crds::spec::SnapshotMode::Only;
    let valid = |resource: &crds::ReplicationJob| crate::validate::validate(resource).unwrap();
    let (job, plan) = (valid(&resource), planned());
    let report = StatusResponse { snapshot_complete: true, completed: true, ..healthy() };
    let ended = status(&ReplicationJobStatus::default(), &facts(&job, &plan, &answered(report)), at(0));
    let types = ["Ready", "WorkerAvailable", "SnapshotComplete", "Stalled"];
    let with = |available: &str| {
        format!(
            "Completed Ready=True/Completed WorkerAvailable={available} Stalled=False/Healthy SnapshotComplete=True/Copied"
        )
    };
    assert_eq!(brief(&ended, &types), with("True/Healthy"));
    assert!(!job.has_no_worker());
    resource.status = Some(ended.clone());
    let job = valid(&resource);
    assert!(job.has_no_worker());
    let gone = status(&ended, &facts(&job, &plan, &Observation::default()), at(9));
    assert_eq!(brief(&gone, &types), with("False/Completed"));
    resource.spec.snapshot.mode = crds::spec::SnapshotMode::Initial;
    assert!(!valid(&resource).has_no_worker(), "a stage alone ends no job");
}
