//! PostgreSQL and the StarRocks stand-in as pods, in a cluster whose pods do not reach this machine.

use anyhow::{Context, Result};
use serde_json::{Value as Json, json};
use testbed::{kubernetes::Cluster, postgres::ServerImage};

use crate::{
    cluster::{self, Namespace},
    process::Process,
    sink::{STANDARD_PORTS, Sink},
    wait,
};

/// A server in a pod, with ports of 127.0.0.1 that lead to it.
#[derive(Debug)]
pub struct Forwarded {
    /// The address for other pods.
    pub host: String,
    ports: Vec<(u16, u16)>,
    pub(crate) process: Process,
}

impl Forwarded {
    /// The port of 127.0.0.1 that leads to a port of the pod.
    pub fn port(&self, inside: u16) -> Result<u16> {
        let found = self.ports.iter().find(|(_, port)| *port == inside);
        found.map(|(outside, _)| *outside).with_context(|| format!("port {inside} is not forwarded"))
    }
}

/// A PostgreSQL like those of the test bed. Its data ends with the pod.
pub async fn postgres(namespace: &Namespace<'_>, cluster: &Cluster, password: &str) -> Result<Forwarded> {
    let server = ServerImage::of_this_machine()?;
    let reference = cluster.reference("dbmazz-demo-postgres", &cluster::tag(server.contents()?.as_bytes()));
    let folder = tempfile::tempdir()?;
    cluster.supply(&server.build(&reference, folder.path())?)?;
    let container = json!({
        "image": reference,
        "args": ["-c", server.script],
        "env": [{"name": "PASSWORD", "value": password}],
        "volumeMounts": [{"name": "data", "mountPath": "/data"}],
        "readinessProbe": {"tcpSocket": {"port": ServerImage::PORT}, "periodSeconds": 1},
    });
    start(namespace, "postgres", &[ServerImage::PORT], |_| container).await
}

/// A stand-in with users as `name:password`.
pub async fn sink(namespace: &Namespace<'_>, cluster: &Cluster, users: &[&str]) -> Result<Sink> {
    let image =
        cluster::supply(cluster, "dbmazz-demo-starrocks-standin", "starrocks-standin", "starrocks-standin")?;
    let container = |host: &str| {
        let mut args = vec!["--listen=0.0.0.0", "--admin-listen=0.0.0.0", "--advertise", host];
        args.extend(users.iter().flat_map(|user| ["--user", user]));
        json!({"image": image, "args": args,
            "readinessProbe": {"tcpSocket": {"port": STANDARD_PORTS[2]}, "periodSeconds": 1}})
    };
    Sink::in_pod(start(namespace, "starrocks", &STANDARD_PORTS, container).await?)
}

/// Starts a pod behind a Service, whose address the container may need to know, and waits until it is ready.
async fn start(
    namespace: &Namespace<'_>,
    name: &str,
    ports: &[u16],
    container: impl FnOnce(&str) -> Json,
) -> Result<Forwarded> {
    namespace.apply(&service(&namespace.name, name, ports))?;
    let host = namespace.kubectl(&["get", "service", name, "--output=jsonpath={.spec.clusterIP}"])?;
    namespace.apply(&pod(&namespace.name, name, container(&host)))?;
    let pod = format!("pod/{name}");
    let ready = namespace.kubectl(&["wait", &pod, "--for=condition=Ready", "--timeout=180s"]);
    ready.with_context(|| format!("{name} is not ready: {}", namespace.waiting().unwrap_or_default()))?;
    let mut command = namespace.kubectl_command();
    command.args(["port-forward", &pod]).args(ports.iter().map(|port| format!(":{port}")));
    let process = Process::start("port-forward", &mut command)?;
    let ports = wait::until(&format!("{name} is forwarded"), async || {
        let found = forwarded(&process.said());
        Ok((found.len() == ports.len()).then_some(found))
    })
    .await?;
    Ok(Forwarded { host, ports, process })
}

fn service(namespace: &str, name: &str, ports: &[u16]) -> Json {
    let ports: Vec<_> =
        ports.iter().map(|port| json!({"name": format!("port-{port}"), "port": port})).collect();
    json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": namespace},
        "spec": {"selector": {"dbmazz.dev/demo": name}, "ports": ports}})
}

/// Under the restricted Pod Security Standard, as the job's own pods.
fn pod(namespace: &str, name: &str, mut container: Json) -> Json {
    container["name"] = name.into();
    container["imagePullPolicy"] = "IfNotPresent".into();
    container["securityContext"] =
        json!({"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}});
    json!({"apiVersion": "v1", "kind": "Pod",
    "metadata": {"name": name, "namespace": namespace, "labels": {"dbmazz.dev/demo": name}},
    "spec": {
        "automountServiceAccountToken": false,
        "securityContext": {"runAsNonRoot": true, "runAsUser": 65532, "fsGroup": 65532,
            "seccompProfile": {"type": "RuntimeDefault"}},
        "volumes": [{"name": "data", "emptyDir": {}}],
        "containers": [container],
    }})
}

/// Reads lines such as `Forwarding from 127.0.0.1:40123 -> 5432`: the port here, and the pod's.
fn forwarded(said: &str) -> Vec<(u16, u16)> {
    let pair = |line: &str| {
        let (outside, inside) = line.strip_prefix("Forwarding from 127.0.0.1:")?.split_once(" -> ")?;
        Some((outside.parse().ok()?, inside.trim().parse().ok()?))
    };
    said.lines().filter_map(pair).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ports_that_kubectl_chose_are_found() {
        let said = "Forwarding from 127.0.0.1:40123 -> 5432\nForwarding from [::1]:40123 -> 5432\n";
        assert_eq!(forwarded(said), [(40123, 5432)]);
    }
}
