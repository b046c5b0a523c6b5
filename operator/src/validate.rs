//! From a resource to a [`Job`], or to the reason why not. Pure.
//!
//! The API server has checked nearly everything. What arrives here wrong was stored under an older
//! schema, or slipped past a rule; it must end in a condition, never in a worker that guesses.

use std::time::Duration;

use crds::{JobDescription, Reason, ReplicationJob, measure};

use crate::{
    job::{Deletion, Identity, Job},
    names,
    problem::Problem,
};

/// Checks a resource once, so that nobody has to do it again.
pub fn validate(resource: &ReplicationJob) -> Result<Job, Problem> {
    let identity = identity(resource)?;
    let spec = &resource.spec;
    let sink = &spec.sink.starrocks;
    amount("spec.worker.buffer", &spec.worker.buffer)?;
    amount("spec.sink.starrocks.batch.maxBytes", &sink.batch.max_bytes)?;
    time("spec.sink.starrocks.batch.minInterval", &sink.batch.min_interval)?;
    let drain_timeout = time("spec.worker.drainTimeout", &spec.worker.drain_timeout)?;
    let timeout = time("spec.deletion.timeout", &spec.deletion.timeout)?;
    tables(&spec.source.postgres.tables)?;
    Ok(Job {
        description: description(&identity, resource),
        identity,
        drain_timeout,
        deletion: Deletion::new(spec.deletion.slot, spec.deletion.publication, timeout),
    })
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

fn amount(field: &str, text: &str) -> Result<u64, Problem> {
    let fix = "write a whole number with Ki, Mi or Gi, such as 32Mi";
    measure::bytes(text).ok_or_else(|| wrong(field, &format!("is {text:?}"), fix))
}

fn time(field: &str, text: &str) -> Result<Duration, Problem> {
    let fix = "write a whole number with ms, s, m or h, such as 30s";
    measure::duration(text).ok_or_else(|| wrong(field, &format!("is {text:?}"), fix))
}

fn tables(tables: &[String]) -> Result<(), Problem> {
    let field = "spec.source.postgres.tables";
    if tables.is_empty() {
        return Err(wrong(field, "is empty", "name at least one table"));
    }
    match tables.iter().find(|table| table.split('.').filter(|part| !part.is_empty()).count() != 2) {
        Some(table) => Err(wrong(field, &format!("holds {table:?}"), "write each table as schema.table")),
        None => Ok(()),
    }
}

fn wrong(field: &str, what: &str, fix: &str) -> Problem {
    Problem {
        reason: Reason::BadConfiguration,
        // A field's path keeps its spelling, so it does not begin a sentence.
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
    fn what_slipped_past_the_schema_names_its_field() {
        type Spoil = fn(&mut ReplicationJob);
        let cases: [(Spoil, &str); 4] = [
            (|r| r.spec.worker.buffer = "much".into(), "spec.worker.buffer is \"much\""),
            (|r| r.spec.worker.drain_timeout = "1".into(), "spec.worker.drainTimeout is \"1\""),
            (|r| r.spec.source.postgres.tables = vec![], "spec.source.postgres.tables is empty"),
            (|r| r.spec.source.postgres.tables = vec!["orders".into()], "holds \"orders\""),
        ];
        for (spoil, expected) in cases {
            let mut resource = resource();
            spoil(&mut resource);
            let problem = validate(&resource).unwrap_err();
            assert_eq!(problem.reason, Reason::BadConfiguration);
            assert!(problem.message.contains(expected), "{problem}");
        }
    }
}
