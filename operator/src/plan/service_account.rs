//! The worker's ServiceAccount, without permissions.

use serde_json::{Value, json};

use super::object::object;
use crate::job::Job;

pub(super) fn service_account(job: &Job) -> Value {
    object(job, "v1", "ServiceAccount", json!({ "automountServiceAccountToken": false }))
}
