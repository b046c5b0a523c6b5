//! What a cluster's users rely on: pods, logs, exec, enforced rights, quick restarts, the audit log, Helm.

use testbed::run;

use crate::pod::{CLUSTER, LIMIT, Namespace};

#[test]
fn an_imported_image_runs_without_rights_and_its_output_is_kept() {
    let namespace = Namespace::create("runs");
    namespace.bash("shell", "echo running as $UID").unwrap();
    namespace.await_output("shell", "running as 65532");
}

#[test]
fn exec_runs_a_program_in_a_container() {
    let namespace = Namespace::create("exec");
    namespace.perl("sleeper", "sleep").unwrap();
    namespace.await_ready("sleeper");
    let said = namespace.kubectl(&["exec", "sleeper", "--", "/usr/local/bin/perl", "-e", "print 6 * 7"]);
    assert_eq!(said.unwrap(), "42");
}

#[test]
fn the_restricted_standard_is_enforced() {
    let namespace = Namespace::create("restricted");
    let error = namespace.bash_as_root("root").unwrap_err().to_string();
    assert!(error.contains("violates PodSecurity"), "{error}");
}

#[test]
fn a_crashing_container_is_restarted_again_and_again() {
    let namespace = Namespace::create("crashes");
    namespace.bash("crasher", "exit 1").unwrap();
    let restarts = ["get", "pod", "crasher", "--output=jsonpath={.status.containerStatuses[0].restartCount}"];
    run::wait_until("the container has crashed five times", LIMIT, || {
        Ok(namespace.kubectl(&restarts)?.parse::<u32>().unwrap_or(0) >= 5)
    })
    .unwrap();
}

#[test]
fn the_audit_log_tells_who_wrote_what() {
    let namespace = Namespace::create("audited");
    let create = ["create", "configmap", "noted", "--as=auditor", "--as-group=system:masters"];
    namespace.kubectl(&create).unwrap();
    let entries = CLUSTER.audit().unwrap();
    let written: Vec<_> =
        entries.iter().filter(|entry| entry.is_write() && entry.object_ref.name == "noted").collect();
    assert_eq!(written.len(), 1);
    assert_eq!(written[0].caller(), "auditor");
    assert_eq!(written[0].object_ref.namespace, "audited");
    assert_eq!(written[0].response_status.code, 201);
}

#[test]
fn helm_speaks_to_the_cluster() {
    assert!(CLUSTER.helm(&["version"]).unwrap().contains("v4.1"));
    CLUSTER.helm(&["list", "--all-namespaces"]).unwrap();
}

#[test]
fn a_program_in_the_clusters_network_uses_kubectl_there() {
    let mut command = CLUSTER.command("kubectl").unwrap();
    assert_eq!(run::output(command.args(["get", "--raw=/readyz"])).unwrap(), "ok");
}

#[test]
fn two_users_share_one_cluster() {
    let again = testbed::kubernetes::Cluster::running_or_start().unwrap();
    let identity = ["get", "namespace", "kube-system", "--output=jsonpath={.metadata.uid}"];
    assert_eq!(again.kubectl(&identity).unwrap(), CLUSTER.kubectl(&identity).unwrap());
    drop(again);
    CLUSTER.kubectl(&identity).unwrap();
}

#[test]
fn helm_runs_from_the_command_without_a_cluster() {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_testbed"));
    assert!(run::output(command.args(["helm", "version", "--short"])).unwrap().starts_with("v4.1"));
}
