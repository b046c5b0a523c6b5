//! The cluster that the tests share, and small pods in it.

use std::{path::Path, sync::LazyLock, time::Duration};

use testbed::{
    image::{self, Recipe},
    kubernetes::Cluster,
    run,
};

pub(crate) const LIMIT: Duration = Duration::from_secs(90);

/// Images of programs that this machine has; each of them can do what a test needs.
const BASH: &str = "dbmazz.dev/bash:test";
const PERL: &str = "dbmazz.dev/perl:test";

pub(crate) static CLUSTER: LazyLock<Cluster> = LazyLock::new(|| {
    let cluster = Cluster::running_or_start().unwrap();
    let folder = tempfile::tempdir().unwrap();
    for (reference, binary, program) in [(BASH, "/bin/bash", "bash"), (PERL, "/usr/bin/perl", "perl")] {
        let image =
            image::build(&Recipe { reference, binary: Path::new(binary), program }, folder.path()).unwrap();
        cluster.import(&image.archive).unwrap();
    }
    cluster
});

/// A Kubernetes namespace of one test, under the restricted standard; removed at the end.
pub(crate) struct Namespace(pub(crate) &'static str);

impl Namespace {
    pub(crate) fn create(name: &'static str) -> Self {
        drop(CLUSTER.kubectl(&["delete", "namespace", name, "--ignore-not-found"]));
        let labels = r#"{"pod-security.kubernetes.io/enforce":"restricted"}"#;
        CLUSTER
            .apply(&format!(
                r#"{{"apiVersion":"v1","kind":"Namespace","metadata":{{"name":"{name}","labels":{labels}}}}}"#
            ))
            .unwrap();
        let account = ["get", "serviceaccount", "default", "--namespace", name];
        run::wait_until("the namespace has its service account", LIMIT, || {
            Ok(CLUSTER.kubectl(&account).is_ok())
        })
        .unwrap();
        Self(name)
    }

    pub(crate) fn kubectl(&self, arguments: &[&str]) -> anyhow::Result<String> {
        CLUSTER.kubectl(&[&["--namespace", self.0], arguments].concat())
    }

    pub(crate) fn bash(&self, name: &str, script: &str) -> anyhow::Result<String> {
        self.run(name, BASH, &["-c", script], "true")
    }

    pub(crate) fn perl(&self, name: &str, script: &str) -> anyhow::Result<String> {
        self.run(name, PERL, &["-e", script], "true")
    }

    /// A pod that asks for more than the restricted standard allows.
    pub(crate) fn bash_as_root(&self, name: &str) -> anyhow::Result<String> {
        self.run(name, BASH, &["-c", "true"], "false")
    }

    fn run(&self, name: &str, image: &str, arguments: &[&str], non_root: &str) -> anyhow::Result<String> {
        let arguments = serde_json::to_string(arguments)?;
        let namespace = self.0;
        CLUSTER.apply(&format!(
            "apiVersion: v1
kind: Pod
metadata: {{name: {name}, namespace: {namespace}, labels: {{app: {name}}}}}
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - name: main
    image: {image}
    args: {arguments}
    securityContext:
      runAsNonRoot: {non_root}
      allowPrivilegeEscalation: false
      readOnlyRootFilesystem: true
      capabilities: {{drop: [ALL]}}
      seccompProfile: {{type: RuntimeDefault}}
"
        ))
    }

    pub(crate) fn await_ready(&self, pod: &str) {
        self.kubectl(&["wait", "--for=condition=Ready", "--timeout=90s", &format!("pod/{pod}")]).unwrap();
    }

    /// Waits until the pod's output has the text.
    pub(crate) fn await_output(&self, pod: &str, text: &str) {
        let mut output = String::new();
        let outcome = run::wait_until("the pod says it", LIMIT, || {
            output = self.kubectl(&["logs", pod]).unwrap_or_default();
            Ok(output.contains(text))
        });
        assert!(outcome.is_ok(), "{text:?} is not in the output of {pod}: {output:?}");
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        drop(CLUSTER.kubectl(&["delete", "namespace", self.0, "--wait=false"]));
    }
}
