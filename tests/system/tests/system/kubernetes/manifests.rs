//! Wrong manifests are refused by `kubectl apply`, with a message that names the field.

use std::fs;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use serde_json::{Value as Json, json};
use system::cluster::{self, Platform};

use super::fixture::platform;

/// A case of `crds/tests/manifests.yaml`, whose head explains the fields.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    change: Json,
    update: Option<Json>,
    #[serde(default)]
    refused: Vec<String>,
}

impl Case {
    /// Applies the case. One with an update creates its resource first; the others are a dry run.
    fn apply(&self, platform: &Platform) -> Result<Result<String>> {
        let mut job = sample()?;
        merge(&mut job, &self.change);
        let Some(update) = &self.update else { return Ok(ask(platform, &job)) };
        // The job runs no worker, and its deletion has nothing to clean up.
        let quiet = json!({"state": "Stopped", "deletion": {"slot": "Retain", "publication": "Retain"}});
        merge(&mut job, &json!({"metadata": {"name": "updated"}, "spec": quiet}));
        apply(platform, &job, &[])?;
        merge(&mut job, update);
        let answer = ask(platform, &job);
        platform.cluster.kubectl(&["delete", "replicationjob", "updated", "--namespace=default"])?;
        Ok(answer)
    }

    fn check(&self, platform: &Platform) -> Result<()> {
        let answer = self.apply(platform)?.map_err(|error| format!("{error:#}"));
        match answer {
            Ok(_) => ensure!(self.refused.is_empty(), "it was accepted"),
            Err(message) => {
                let missing = self.refused.iter().find(|part| !message.contains(*part));
                ensure!(!self.refused.is_empty() && missing.is_none(), "{missing:?} is not in: {message}");
            }
        }
        Ok(())
    }
}

fn sample() -> Result<Json> {
    let text = fs::read_to_string(cluster::root().join("config/samples/replicationjob.yaml"))?;
    let mut job: Json = serde_saphyr::from_str(&text)?;
    merge(&mut job, &json!({"metadata": {"namespace": "default"}}));
    Ok(job)
}

/// Applies a JSON merge patch: null removes a field.
fn merge(target: &mut Json, patch: &Json) {
    let Some(patch) = patch.as_object() else { return target.clone_from(patch) };
    if !target.is_object() {
        *target = json!({});
    }
    for (name, value) in patch {
        match target.as_object_mut() {
            Some(target) if value.is_null() => drop(target.remove(name)),
            _ => merge(&mut target[name], value),
        }
    }
}

fn ask(platform: &Platform, job: &Json) -> Result<String> {
    apply(platform, job, &["--dry-run=server"])
}

fn apply(platform: &Platform, job: &Json, options: &[&str]) -> Result<String> {
    let mut command = platform.cluster.kubectl_command();
    command.args(["apply", "--filename=-"]).args(options);
    testbed::run::output_with_input(&mut command, &job.to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn manifests_are_accepted_or_refused_by_the_name_of_the_field() -> Result<()> {
    let platform = platform()?;
    let text = fs::read_to_string(cluster::root().join("crds/tests/manifests.yaml"))?;
    let cases: Vec<Case> = serde_saphyr::from_str(&text)?;
    ensure!(cases.len() > 50);
    cases.iter().try_for_each(|case| case.check(&platform).with_context(|| case.name.clone()))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_has_at_most_a_thousand_tables() -> Result<()> {
    let (platform, mut job) = (platform()?, sample()?);
    for (count, accepted) in [(1000, true), (1001, false)] {
        job["spec"]["source"]["postgres"]["tables"] = (0..count).map(|n| format!("public.t{n}")).collect();
        let answer = ask(&platform, &job).map_err(|error| format!("{error:#}"));
        assert_eq!(answer.is_ok(), accepted, "{answer:?}");
        assert!(answer.err().is_none_or(|message| message.contains("spec.source.postgres.tables")));
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_samples_are_accepted() -> Result<()> {
    let platform = platform()?;
    for sample in ["replicationjob.yaml", "replicationjob-full.yaml"] {
        let text = fs::read_to_string(cluster::root().join("config/samples").join(sample))?;
        let text = text.replace("namespace: shop", "namespace: default");
        let mut command = platform.cluster.kubectl_command();
        command.args(["apply", "--dry-run=server", "--filename=-"]);
        testbed::run::output_with_input(&mut command, &text)?;
    }
    Ok(())
}
