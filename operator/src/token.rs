//! The token of a job's control port: one Secret per job, random, created once and never changed by the operator.
//!
//! The operator may read and create Secrets, not change them. A Secret that was deleted is created again with the
//! remembered token, which the worker's pod still has.

use std::{
    collections::HashMap,
    fmt,
    sync::{Mutex, PoisonError},
    time::Instant,
};

use crds::Reason;
use k8s_openapi::{ByteString, api::core::v1::Secret, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use kube::{Api, Client, ResourceExt as _, api::PostParams};

use crate::{
    cadence::TOKEN_FRESH,
    job::Job,
    names,
    plan::TOKEN_KEY,
    problem::{Problem, why},
};

const BYTES: usize = 32;

/// The token. It prints as `***`.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// 256 random bits.
    fn random() -> Result<Self, getrandom::Error> {
        let mut bytes = [0_u8; BYTES];
        getrandom::fill(&mut bytes)?;
        Ok(Self(bytes.iter().map(|byte| format!("{byte:02x}")).collect()))
    }

    /// The token as the value of the `authorization` header.
    pub(crate) fn authorization(&self) -> String {
        format!("Bearer {}", self.0)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// A client for the Secrets, and the cached tokens by the uid of the job.
#[allow(missing_debug_implementations, reason = "a client has no such form")]
pub struct Tokens {
    client: Client,
    known: Mutex<HashMap<String, (Token, Instant)>>,
}

impl Tokens {
    /// Reads and creates through this client.
    pub fn new(client: Client) -> Self {
        Self { client, known: Mutex::default() }
    }

    /// The job's token; its Secret is created where there is none.
    pub async fn ensure(&self, job: &Job) -> Result<Token, Problem> {
        let known = self.known(&job.identity.uid);
        if let Some((token, _)) = known.as_ref().filter(|(_, read_at)| read_at.elapsed() < TOKEN_FRESH) {
            return Ok(token.clone());
        }
        let token = match self.find(job).await? {
            Some(token) => token,
            None => self.make(job, known.map(|(token, _)| token)).await?,
        };
        self.remember(job, &token);
        Ok(token)
    }

    /// The job's token, if it has one. Creates no Secret, because the job is being deleted.
    pub async fn existing(&self, job: &Job) -> Option<Token> {
        match self.known(&job.identity.uid) {
            Some((token, _)) => Some(token),
            None => {
                let found = self.find(job).await.ok().flatten();
                found.inspect(|token| self.remember(job, token))
            }
        }
    }

    /// Drops the cached token: a worker refused it, or the job is gone.
    pub fn forget(&self, uid: &str) {
        self.lock().remove(uid);
    }

    async fn find(&self, job: &Job) -> Result<Option<Token>, Problem> {
        match self.api(job).get_opt(&names::control(&job.identity.name)).await {
            Ok(None) => Ok(None),
            Ok(Some(secret)) => of_secret(&secret, &job.identity.uid).map(Some),
            Err(error) => Err(unusable(job, &format!("cannot be read: {}", why(&error)), RIGHTS)),
        }
    }

    async fn make(&self, job: &Job, known: Option<Token>) -> Result<Token, Problem> {
        let random =
            |error| unusable(job, &format!("cannot be created: {error}"), "the operator tries again");
        let token = known.map_or_else(Token::random, Ok).map_err(random)?;
        let created = self.api(job).create(&PostParams::default(), &secret_of(job, &token)).await;
        created.map_err(|error| unusable(job, &format!("cannot be created: {}", why(&error)), RIGHTS))?;
        tracing::info!(job = %job.description.job, "control token created");
        Ok(token)
    }

    fn api(&self, job: &Job) -> Api<Secret> {
        Api::namespaced(self.client.clone(), &job.identity.namespace)
    }

    fn known(&self, uid: &str) -> Option<(Token, Instant)> {
        self.lock().get(uid).cloned()
    }

    fn remember(&self, job: &Job, token: &Token) {
        self.lock().insert(job.identity.uid.clone(), (token.clone(), Instant::now()));
    }

    // The map is consistent between two calls, so a poisoned lock is usable.
    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, (Token, Instant)>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const RIGHTS: &str =
    "the operator tries again; if this persists, check that the operator's role may get and create secrets";

fn secret_of(job: &Job, token: &Token) -> Secret {
    let labels = names::labels(&job.identity.name);
    let labels = labels.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    Secret {
        metadata: ObjectMeta {
            name: Some(names::control(&job.identity.name)),
            namespace: Some(job.identity.namespace.clone()),
            labels: Some(labels),
            owner_references: Some(vec![job.owner()]),
            ..ObjectMeta::default()
        },
        data: Some([(TOKEN_KEY.to_owned(), ByteString(token.0.clone().into_bytes()))].into()),
        type_: Some("Opaque".into()),
        ..Secret::default()
    }
}

/// Never uses a foreign Secret as the job's token: its creator knows the value.
fn of_secret(secret: &Secret, uid: &str) -> Result<Token, Problem> {
    let name = secret.name_any();
    if !secret.owner_references().iter().any(|owner| owner.uid == uid) {
        let what = format!("the Secret {name} exists and does not belong to this job");
        return Err(Problem::new(Reason::NameTaken, &what, "remove it, or give the job another name"));
    }
    let value = secret.data.as_ref().and_then(|data| data.get(TOKEN_KEY));
    let text = value.and_then(|value| String::from_utf8(value.0.clone()).ok());
    // As the worker reads it: without a line end that an editor added.
    let text = text.map(|text| text.strip_suffix('\n').map(str::to_owned).unwrap_or(text));
    let usable = text.filter(|text| text.len() >= BYTES && text.bytes().all(|byte| byte.is_ascii_graphic()));
    usable.map(Token).ok_or_else(|| {
        let what = format!("key {TOKEN_KEY} of secret {name} is missing or not a valid token");
        Problem::new(Reason::SecretKeyMissing, &what, "delete that secret; the operator creates it again")
    })
}

fn unusable(job: &Job, what: &str, fix: &str) -> Problem {
    let what = format!("secret {} {what}", names::control(&job.identity.name));
    Problem::new(Reason::SecretUnreadable, &what, fix)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::validate::tests::job;

    #[test]
    fn a_token_is_long_random_and_never_printed() {
        let (one, other) = (Token::random().unwrap(), Token::random().unwrap());
        assert_eq!(one.0.len(), 2 * BYTES);
        assert_ne!(one, other);
        assert_eq!(format!("{one:?}"), "***");
    }

    #[test]
    fn a_secret_of_ours_reads_back_and_goes_with_its_job() {
        let (job, token) = (job(), Token::random().unwrap());
        let secret = secret_of(&job, &token);
        assert_eq!(of_secret(&secret, &job.identity.uid), Ok(token));
        assert_eq!(secret.owner_references()[0].uid, job.identity.uid);
    }

    #[test]
    fn a_secret_of_somebody_else_or_without_a_token_is_refused() {
        let (job, token) = (job(), Token::random().unwrap());
        let mut secret = secret_of(&job, &token);
        let problem = of_secret(&secret, "another").unwrap_err();
        assert_eq!(problem.reason, Reason::NameTaken);
        secret.data = Some([(TOKEN_KEY.to_owned(), ByteString(b"short".to_vec()))].into());
        let problem = of_secret(&secret, &job.identity.uid).unwrap_err();
        assert_eq!(problem.reason, Reason::SecretKeyMissing);
        assert!(!problem.message.contains("short"), "{problem}");
    }
}
