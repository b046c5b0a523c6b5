//! From a resource to a [`Job`], or to the problem with it. Pure.
//!
//! The API server has checked nearly everything. A resource that is invalid here was stored under an older schema, or
//! passed a rule that CEL cannot express; it becomes a condition and never reaches a worker.

use std::time::Duration;

use crds::{
    JobDescription, Reason, ReplicationJob, check::check, limits::Wrong, measure, spec::Snapshot,
    status::Stage,
};

use crate::{
    job::{CopyRequest, Deletion, Identity, Job},
    live::{Kind, Live},
    names,
    problem::Problem,
};

/// Checks a resource; no later step checks it again.
pub fn validate(resource: &ReplicationJob) -> Result<Job, Problem> {
    let identity = identity(resource)?;
    let description = description(&identity, resource);
    let mut job = checked(identity, description)?;
    job.copy_request = taken(&mut job.description.spec.snapshot);
    let shown = resource.status.as_ref().map(|status| status.stage);
    job.completed = job.only_copies() && shown == Some(Stage::Completed);
    Ok(job)
}

/// Takes the request out of the description: it is sent to a running worker, and must restart none.
fn taken(snapshot: &mut Snapshot) -> Option<CopyRequest> {
    let (name, tables) =
        (std::mem::take(&mut snapshot.request), std::mem::take(&mut snapshot.request_tables));
    (!name.is_empty()).then_some(CopyRequest { name, tables })
}

/// The job of the last applied job description: used while the resource cannot be read.
pub fn last_known(identity: Identity, live: &Live) -> Option<Job> {
    let config_map = live.get(Kind::ConfigMap, &names::object(&identity.name))?;
    let applied = config_map.body["data"]["job.json"].as_str()?;
    let description = serde_json::from_str(applied).ok().filter(|_| config_map.is_owned_by(&identity.uid))?;
    checked(identity, description).ok()
}

fn checked(identity: Identity, description: JobDescription) -> Result<Job, Problem> {
    let spec = &description.spec;
    // The rules that the worker applies to its job description, before it gets one.
    check(spec).map_err(|Wrong { field, problem }| wrong(&field, &problem, "correct it"))?;
    let drain_timeout = time("spec.worker.drainTimeout", &spec.worker.drain_timeout)?;
    let timeout = time("spec.deletion.timeout", &spec.deletion.timeout)?;
    tables("spec.source.postgres.tables", &spec.source.postgres.tables)?;
    tables("spec.snapshot.requestTables", &spec.snapshot.request_tables)?;
    let deletion = Deletion::new(spec.deletion.slot, spec.deletion.publication, timeout);
    Ok(Job { identity, description, copy_request: None, completed: false, drain_timeout, deletion })
}

fn identity(resource: &ReplicationJob) -> Result<Identity, Problem> {
    let metadata = &resource.metadata;
    let present = |field: &Option<String>, name: &str| {
        field.clone().ok_or_else(|| wrong(name, "is missing", "apply the resource again"))
    };
    Ok(Identity {
        namespace: present(&metadata.namespace, "metadata.namespace")?,
        name: present(&metadata.name, "metadata.name")?,
        uid: present(&metadata.uid, "metadata.uid")?,
        generation: metadata.generation.unwrap_or_default(),
    })
}

fn description(identity: &Identity, resource: &ReplicationJob) -> JobDescription {
    let Identity { namespace, name, uid, .. } = identity;
    let at_the_source = names::at_the_source(namespace, name, uid);
    JobDescription {
        job: format!("{namespace}/{name}"),
        slot: at_the_source.clone(),
        publication: at_the_source,
        spec: resource.spec.clone(),
    }
}

fn time(field: &str, text: &str) -> Result<Duration, Problem> {
    let fix = "write a whole number with ms, s, m or h, such as 30s";
    measure::duration(text).ok_or_else(|| wrong(field, &format!("is {text:?}"), fix))
}

/// A name without a schema is not valid in a resource; a standalone worker reads it as a table of `public`.
fn tables(field: &str, tables: &[String]) -> Result<(), Problem> {
    match tables.iter().find(|table| table.split('.').filter(|part| !part.is_empty()).count() != 2) {
        Some(table) => {
            let what = format!("holds {table:?}");
            Err(wrong(field, &what, "write each table as schema.table"))
        }
        None => Ok(()),
    }
}

fn wrong(field: &str, what: &str, fix: &str) -> Problem {
    Problem {
        reason: Reason::BadConfiguration,
        // A field's path keeps its spelling, so it cannot be the first word of a sentence.
        message: format!("Field {field} {what}. {}", crate::problem::sentences(&[fix])),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use serde_json::json;

    use super::*;

    pub(crate) fn resource() -> ReplicationJob {
        serde_json::from_value(json!({
            "apiVersion": "dbmazz.dev/v1alpha1",
            "kind": "ReplicationJob",
            "metadata": {
                "name": "orders", "namespace": "shop", "generation": 3,
                "uid": "8c3e6f0e-6f3d-4c55-9d0e-1d5b8a3c0c11",
            },
            "spec": {
                "source": { "postgres": {
                    "host": "pg", "database": "app", "tables": ["public.orders", "public.customers"],
                    "credentials": { "secretRef": { "name": "pg-repl" } },
                } },
                "sink": { "starrocks": {
                    "host": "sr", "database": "app", "credentials": { "secretRef": { "name": "sr-writer" } },
                } },
            },
        }))
        .unwrap()
    }

    pub(crate) fn job() -> Job {
        validate(&resource()).unwrap()
    }

    #[test]
    fn the_smallest_resource_is_a_job() {
        let job = job();
        assert_eq!(job.drain_timeout, Duration::from_secs(60));
        assert_eq!(job.description.job, "shop/orders");
        assert_eq!(
            job.deletion,
            Deletion { keep_slot: false, keep_publication: false, timeout: Duration::from_secs(300) }
        );
    }

    #[test]
    fn the_last_known_job_is_read_from_the_config_map() {
        let job = job();
        let config_map = json!({
            "metadata": { "name": "dbmazz-orders", "ownerReferences": [{ "uid": job.identity.uid }] },
            "data": { "job.json": json!(job.description).to_string() },
        });
        let live =
            Live { objects: vec![crate::live::LiveObject { kind: Kind::ConfigMap, body: config_map }] };
        assert_eq!(last_known(job.identity.clone(), &live), Some(job.clone()));
        let another = Identity { uid: "another".into(), ..job.identity };
        assert_eq!(last_known(another, &live), None);
    }

    #[test]
    fn a_request_changes_no_description() {
        let mut resource = resource();
        resource.spec.snapshot.request = "a".into();
        resource.spec.snapshot.request_tables = vec!["public.orders".into()];
        let asked = validate(&resource).unwrap();
        let request = CopyRequest { name: "a".into(), tables: vec!["public.orders".into()] };
        assert_eq!(asked, Job { copy_request: Some(request), ..job() });
    }

    #[test]
    fn what_slipped_past_the_schema_names_its_field() {
        type Spoil = fn(&mut ReplicationJob);
        let long = || format!("public.{}", "\u{e9}".repeat(32));
        let cases: [(Spoil, &str); 9] = [
            (|r| r.spec.worker.buffer = "much".into(), "spec.worker.buffer must be"),
            (|r| r.spec.worker.buffer = "1Mi".into(), "spec.worker.buffer must be"),
            (|r| r.spec.worker.drain_timeout = "1".into(), "spec.worker.drainTimeout must be"),
            (|r| r.spec.deletion.timeout = "1".into(), "spec.deletion.timeout is \"1\""),
            (|r| r.spec.source.postgres.tables = vec![], "spec.source.postgres.tables must hold 1 to 1000"),
            (|r| r.spec.source.postgres.tables = vec!["orders".into()], "holds \"orders\""),
            (
                |r| r.spec.source.postgres.tables = vec!["a.b".into(), "public.a__b".into()],
                "the same target \"a__b\"",
            ),
            (|r| r.spec.source.postgres.tables = vec!["public.dbmazz_jobs".into()], "of dbmazz itself"),
            (|r| r.spec.source.postgres.database = "a\u{1}b".into(), "spec.source.postgres.database must be"),
        ];
        let mut resource_with_a_long_name = resource();
        resource_with_a_long_name.spec.source.postgres.tables = vec![long()];
        assert!(validate(&resource_with_a_long_name).is_err(), "63 letters may be more bytes");
        for (spoil, expected) in cases {
            let mut resource = resource();
            spoil(&mut resource);
            let problem = validate(&resource).unwrap_err();
            assert_eq!(problem.reason, Reason::BadConfiguration);
            assert!(problem.message.contains(expected), "{problem}");
        }
    }
}
