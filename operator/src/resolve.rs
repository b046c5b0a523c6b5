//! Reads the Secrets that a job names, and only these, by `get`. Out goes a fingerprint, never a value.
//!
//! Secrets are not watched, so the operator needs no permission to list them and keeps none in memory.
//! A fingerprint is cached for a while; a missing Secret is read again every time.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use crds::{Reason, ReplicationJob, spec::CredentialsSecret};
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client, ResourceExt as _};
use sha2::{Digest as _, Sha256};

use crate::{
    cadence::{SECRET_FRESH, SECRET_FRESH_IN_TROUBLE},
    plan::Fingerprint,
    problem::{Problem, why},
};

/// A client for the Secrets, and the cached fingerprints.
#[allow(missing_debug_implementations, reason = "a client has no such form")]
pub struct Secrets {
    client: Client,
    known: Mutex<HashMap<String, Known>>,
}

struct Known {
    generation: Option<i64>,
    read_at: Instant,
    fingerprint: Fingerprint,
}

impl Secrets {
    /// Reads through this client.
    pub fn new(client: Client) -> Self {
        Self { client, known: Mutex::default() }
    }

    /// The fingerprint of all keys that the job uses from Secrets, or what is missing.
    pub async fn resolve(&self, resource: &ReplicationJob) -> Result<Fingerprint, Problem> {
        let uid = resource.uid().unwrap_or_default();
        let trusted_for = if is_ready(resource) { SECRET_FRESH } else { SECRET_FRESH_IN_TROUBLE };
        if let Some(fingerprint) = self.known_lately(&uid, resource.metadata.generation, trusted_for) {
            return Ok(fingerprint);
        }
        let fingerprint = self.read(resource).await?;
        let known = Known {
            generation: resource.metadata.generation,
            read_at: Instant::now(),
            fingerprint: fingerprint.clone(),
        };
        self.known.lock().unwrap_or_else(PoisonError::into_inner).insert(uid, known);
        Ok(fingerprint)
    }

    /// Forgets a job that is gone.
    pub fn forget(&self, uid: &str) {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).remove(uid);
    }

    fn known_lately(&self, uid: &str, generation: Option<i64>, trusted_for: Duration) -> Option<Fingerprint> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let known = known.get(uid)?;
        let fresh = known.generation == generation && known.read_at.elapsed() < trusted_for;
        fresh.then(|| known.fingerprint.clone())
    }

    async fn read(&self, resource: &ReplicationJob) -> Result<Fingerprint, Problem> {
        let namespace = resource.namespace().unwrap_or_default();
        let api = Api::<Secret>::namespaced(self.client.clone(), &namespace);
        let postgres = &resource.spec.source.postgres;
        let mut hash = Sha256::new();
        // Salted with the resource, so that equal passwords of two jobs do not show as equal.
        absorb(&mut hash, resource.uid().unwrap_or_default().as_bytes());
        let sink = &resource.spec.sink.starrocks.credentials.secret_ref;
        for reference in [&postgres.credentials.secret_ref, sink] {
            for value in credentials(&get(&api, &reference.name).await?, reference)? {
                absorb(&mut hash, &value);
            }
        }
        if let Some(ca) = &postgres.tls.ca_secret_ref {
            absorb(&mut hash, &certificate(&get(&api, &ca.name).await?, &ca.key)?);
        }
        let short: String = hash.finalize().iter().take(10).map(|byte| format!("{byte:02x}")).collect();
        Ok(Fingerprint(short))
    }
}

fn is_ready(resource: &ReplicationJob) -> bool {
    let conditions = resource.status.iter().flat_map(|status| &status.conditions);
    conditions.into_iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

/// Hashes the length too, so that two adjacent values cannot be confused with two others.
fn absorb(hash: &mut Sha256, value: &[u8]) {
    hash.update((value.len() as u64).to_be_bytes());
    hash.update(value);
}

async fn get(api: &Api<Secret>, name: &str) -> Result<Secret, Problem> {
    match api.get_opt(name).await {
        Ok(Some(secret)) => Ok(secret),
        Ok(None) => {
            let fix = "create it; the job goes on by itself";
            Err(Problem::new(Reason::SecretMissing, &format!("secret {name} does not exist"), fix))
        }
        Err(error) => {
            let what = format!("secret {name} cannot be read: {}", why(&error));
            Err(Problem::new(
                Reason::SecretUnreadable,
                &what,
                "check the rights of the operator's service account",
            ))
        }
    }
}

fn credentials(secret: &Secret, reference: &CredentialsSecret) -> Result<[Vec<u8>; 2], Problem> {
    let username = value(secret, &reference.username_key)?;
    if username.is_empty() {
        return Err(unusable(secret, &reference.username_key, "is empty", "put the user's name there"));
    }
    Ok([username, value(secret, &reference.password_key)?])
}

fn certificate(secret: &Secret, key: &str) -> Result<Vec<u8>, Problem> {
    let certificate = value(secret, key)?;
    if String::from_utf8_lossy(&certificate).contains("-----BEGIN CERTIFICATE-----") {
        return Ok(certificate);
    }
    Err(unusable(secret, key, "has no certificate in PEM", "put the authority's certificate there"))
}

fn value(secret: &Secret, key: &str) -> Result<Vec<u8>, Problem> {
    let value = secret.data.as_ref().and_then(|data| data.get(key));
    let missing = || unusable(secret, key, "is missing", "add it, or name another key in secretRef");
    value.map(|value| value.0.clone()).ok_or_else(missing)
}

fn unusable(secret: &Secret, key: &str, what: &str, fix: &str) -> Problem {
    Problem::new(Reason::SecretKeyMissing, &format!("key {key} of secret {} {what}", secret.name_any()), fix)
}

#[cfg(test)]
mod tests {
    use k8s_openapi::ByteString;

    use super::*;

    fn secret(keys: &[(&str, &str)]) -> Secret {
        let data = keys.iter().map(|(key, value)| ((*key).to_owned(), ByteString(value.as_bytes().to_vec())));
        let mut secret = Secret { data: Some(data.collect()), ..Secret::default() };
        secret.metadata.name = Some("pg-repl".into());
        secret
    }

    #[test]
    fn a_missing_key_is_named() {
        let reference: CredentialsSecret =
            serde_json::from_value(serde_json::json!({ "name": "pg-repl" })).unwrap();
        let problem = credentials(&secret(&[("username", "u")]), &reference).unwrap_err();
        assert_eq!(problem.reason, Reason::SecretKeyMissing);
        assert!(problem.message.starts_with("Key password of secret pg-repl is missing."), "{problem}");
    }

    #[test]
    fn a_certificate_must_look_like_one() {
        assert!(certificate(&secret(&[("ca.crt", "hello")]), "ca.crt").is_err());
        assert!(certificate(&secret(&[("ca.crt", "-----BEGIN CERTIFICATE-----\n")]), "ca.crt").is_ok());
    }
}
