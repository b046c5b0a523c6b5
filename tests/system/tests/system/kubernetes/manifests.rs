//! Wrong manifests are refused by `kubectl apply`, with a message that names the field.

use anyhow::{Result, bail};
use serde_json::{Value as Json, json};
use system::cluster;

use super::fixture::platform;

fn minimal() -> Json {
    json!({
        "apiVersion": "dbmazz.dev/v1alpha1",
        "kind": "ReplicationJob",
        "metadata": {"name": "case", "namespace": "default"},
        "spec": {
            "source": {"postgres": {
                "host": "pg", "database": "app", "tables": ["public.orders"],
                "credentials": {"secretRef": {"name": "pg"}},
            }},
            "sink": {"starrocks": {
                "host": "sr", "database": "app", "credentials": {"secretRef": {"name": "sr"}},
            }},
        },
    })
}

/// Sets (or with null removes) the field at a JSON pointer below `spec`.
fn with(field: &str, value: Json) -> Json {
    let mut job = minimal();
    let (parent, name) = field.rsplit_once('/').unwrap_or(("", field));
    let parent = format!("/spec{parent}");
    if let Some(Json::Object(object)) = job.pointer_mut(&parent) {
        if value.is_null() {
            object.remove(name)
        } else {
            object.insert(name.to_owned(), value)
        };
    } else if let Some((above, key)) = parent.rsplit_once('/')
        && let Some(above) = job.pointer_mut(above)
    {
        above[key] = json!({ name: value });
    }
    job
}

fn check(job: &Json) -> Result<String> {
    let platform = platform()?;
    let mut command = platform.cluster.kubectl_command();
    command.args(["apply", "--dry-run=server", "--filename=-"]);
    testbed::run::output_with_input(&mut command, &job.to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn right_manifests_are_accepted() -> Result<()> {
    let ca = json!({"mode": "VerifyCA", "caSecretRef": {"name": "ca"}});
    let accepted = [
        minimal(),
        with("/source/postgres/host", json!("2001:db8::1")),
        with("/source/postgres/tls", ca),
        with("/source/postgres/tables", json!(["a.b", "public.Größe"])),
        with("/sink/starrocks/deletes", json!("Hard")),
        with("/sink/starrocks/batch", json!({"maxRows": 1000, "maxBytes": "1Mi", "minInterval": "100ms"})),
        with(
            "/worker",
            json!({"buffer": "8Mi", "drainTimeout": "5m", "logLevel": "Debug", "resources": {"limits": {"memory": "128Mi"}}}),
        ),
        with("/deletion", json!({"slot": "Retain", "publication": "Retain", "timeout": "1m"})),
        with("/state", json!("Paused")),
    ];
    for job in accepted {
        check(&job).map_err(|error| error.context(job.to_string()))?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn each_wrong_field_is_refused_by_name() -> Result<()> {
    let many: Vec<_> = (0..1001).map(|number| format!("public.t{number}")).collect();
    let refused = [
        ("/source/postgres/host", json!(null), "spec.source.postgres.host"),
        ("/source/postgres/host", json!(""), "spec.source.postgres.host"),
        ("/source/postgres/host", json!("http://pg"), "spec.source.postgres.host"),
        ("/source/postgres/port", json!(0), "spec.source.postgres.port"),
        ("/source/postgres/port", json!(65536), "spec.source.postgres.port"),
        ("/source/postgres/database", json!(""), "spec.source.postgres.database"),
        ("/source/postgres/credentials", json!(null), "spec.source.postgres.credentials"),
        ("/source/postgres/credentials", json!({"secretRef": {"name": ""}}), "secretRef.name"),
        ("/source/postgres/tables", json!([]), "spec.source.postgres.tables"),
        ("/source/postgres/tables", json!(["orders"]), "spec.source.postgres.tables[0]"),
        (
            "/source/postgres/tables",
            json!(["public.orders", "public.orders"]),
            "spec.source.postgres.tables[1]",
        ),
        ("/source/postgres/tables", json!(["public.dbmazz_state"]), "spec.source.postgres.tables[0]"),
        ("/source/postgres/tables", json!(many), "spec.source.postgres.tables"),
        ("/source/postgres/tls", json!({"mode": "Sometimes"}), "spec.source.postgres.tls.mode"),
        (
            "/source/postgres/tls",
            json!({"mode": "Disable", "caSecretRef": {"name": "ca"}}),
            "spec.source.postgres.tls",
        ),
        ("/sink/starrocks/host", json!(null), "spec.sink.starrocks.host"),
        ("/sink/starrocks/httpPort", json!(0), "spec.sink.starrocks.httpPort"),
        ("/sink/starrocks/queryPort", json!(70000), "spec.sink.starrocks.queryPort"),
        ("/sink/starrocks/database", json!("no`backtick"), "spec.sink.starrocks.database"),
        ("/sink/starrocks/deletes", json!("Never"), "spec.sink.starrocks.deletes"),
        ("/sink/starrocks/batch", json!({"maxRows": 0}), "spec.sink.starrocks.batch.maxRows"),
        ("/sink/starrocks/batch", json!({"maxBytes": "lots"}), "spec.sink.starrocks.batch.maxBytes"),
        ("/sink/starrocks/batch", json!({"minInterval": "soon"}), "spec.sink.starrocks.batch.minInterval"),
        ("/worker", json!({"buffer": "1Ki"}), "spec.worker.buffer"),
        ("/worker", json!({"drainTimeout": "0s"}), "spec.worker.drainTimeout"),
        ("/worker", json!({"logLevel": "Loud"}), "spec.worker.logLevel"),
        ("/deletion", json!({"slot": "Maybe"}), "spec.deletion.slot"),
        ("/deletion", json!({"timeout": "forever"}), "spec.deletion.timeout"),
        ("/state", json!("Sleeping"), "spec.state"),
        ("/unknown", json!(1), "unknown"),
        ("/worker", json!({"cores": 4}), "cores"),
    ];
    for (field, value, named) in refused {
        let job = with(field, value);
        match check(&job) {
            Ok(_) => bail!("accepted: {job}"),
            Err(error) => {
                let message = format!("{error:#}");
                anyhow::ensure!(message.contains(named), "{named} is not named in: {message}");
            }
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn fields_that_are_fixed_cannot_be_changed() -> Result<()> {
    let platform = platform()?;
    let namespace = platform.namespace("fixed")?;
    let mut job = minimal();
    job["metadata"]["namespace"] = json!("fixed");
    job["spec"]["state"] = json!("Stopped");
    namespace.apply(&job)?;
    let changes = [
        ("/spec/source/postgres/database", json!("other")),
        ("/spec/sink/starrocks/database", json!("other")),
        ("/spec/sink/starrocks/deletes", json!("Hard")),
    ];
    for (field, value) in changes {
        let mut changed = job.clone();
        let (parent, name) = field.rsplit_once('/').unwrap_or_default();
        if let Some(parent) = changed.pointer_mut(parent) {
            parent[name] = value;
        }
        let error = namespace.apply(&changed).err().map(|error| format!("{error:#}")).unwrap_or_default();
        let named = field.trim_start_matches('/').replace('/', ".");
        assert!(error.contains(&named), "{named} is not named in: {error}");
    }
    namespace.kubectl(&["delete", "replicationjob", "case", "--wait=false"])?;
    platform.cluster.kubectl(&["delete", "namespace", "fixed", "--wait=false"])?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_samples_are_accepted() -> Result<()> {
    let platform = platform()?;
    for sample in ["replicationjob.yaml", "replicationjob-full.yaml"] {
        let text = std::fs::read_to_string(cluster::root().join("config/samples").join(sample))?;
        let text = text.replace("namespace: shop", "namespace: default");
        let mut command = platform.cluster.kubectl_command();
        command.args(["apply", "--dry-run=server", "--filename=-"]);
        testbed::run::output_with_input(&mut command, &text)?;
    }
    Ok(())
}
