//! The API server's audit log: requests and their users. Requests of the cluster's own components are not in it.

use std::{fs, path::Path};

use anyhow::{Context, Result};
use serde::Deserialize;

/// One answered request.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AuditEntry {
    pub verb: String,
    pub user: User,
    /// The impersonated user, if any.
    pub impersonated_user: Option<User>,
    #[serde(default)]
    pub user_agent: String,
    #[serde(rename = "requestURI")]
    pub request_uri: String,
    #[serde(default)]
    pub object_ref: ObjectRef,
    #[serde(default)]
    pub response_status: ResponseStatus,
    /// The timestamp as written: RFC 3339 with microseconds, so text order is time order.
    pub request_received_timestamp: String,
}

#[derive(Debug, Clone, Deserialize)]
pub struct User {
    pub username: String,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ObjectRef {
    pub resource: String,
    pub subresource: String,
    pub namespace: String,
    pub name: String,
    pub api_group: String,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct ResponseStatus {
    pub code: u16,
}

impl AuditEntry {
    /// The user whose permissions the request used.
    pub fn caller(&self) -> &str {
        &self.impersonated_user.as_ref().unwrap_or(&self.user).username
    }

    /// Whether the request changes something.
    pub fn is_write(&self) -> bool {
        ["create", "update", "patch", "delete", "deletecollection"].contains(&self.verb.as_str())
    }
}

pub(super) fn read(log: &Path) -> Result<Vec<AuditEntry>> {
    let text = fs::read_to_string(log).with_context(|| format!("cannot read {}", log.display()))?;
    // The last line may be incomplete.
    let whole = text.rfind('\n').map_or("", |end| text.split_at(end).0);
    let parse = |line| serde_json::from_str(line).with_context(|| format!("not an audit entry: {line}"));
    whole.lines().map(parse).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_on_its_way_is_left_for_the_next_read() {
        let entry = r#"{"verb":"patch","user":{"username":"admin"},"requestURI":"/api/v1/namespaces/a/configmaps/b",
            "objectRef":{"resource":"configmaps","namespace":"a","name":"b"},"responseStatus":{"code":200},
            "requestReceivedTimestamp":"2026-01-01T00:00:00.000001Z"}"#;
        let log = tempfile::NamedTempFile::new().unwrap();
        fs::write(&log, format!("{}\n{{\"verb\":\"ge", entry.replace('\n', ""))).unwrap();
        let entries = read(log.path()).unwrap();
        assert_eq!(entries.len(), 1);
        assert!(entries[0].is_write());
        assert_eq!(entries[0].object_ref.resource, "configmaps");
    }
}
