//! The common part of every object of a job: name, labels, owner, and the hash of its plan.

use serde_json::{Map, Value, json};

use super::{PLAN, short_hash};
use crate::{job::Job, names};

pub(crate) fn object(job: &Job, api_version: &str, kind: &str, body: Value) -> Value {
    let mut object = json!({
        "apiVersion": api_version,
        "kind": kind,
        "metadata": {
            "name": names::object(&job.identity.name),
            "namespace": job.identity.namespace,
            "labels": names::labels(&job.identity.name),
            "annotations": {},
            "ownerReferences": [job.owner()],
        },
    });
    merge(&mut object, body);
    object["metadata"]["annotations"][PLAN] = json!(short_hash(&object));
    object
}

fn merge(into: &mut Value, from: Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => merge_fields(into, from),
        (into, from) => *into = from,
    }
}

fn merge_fields(into: &mut Map<String, Value>, from: Map<String, Value>) {
    for (name, value) in from {
        merge(into.entry(name).or_insert(Value::Null), value);
    }
}
