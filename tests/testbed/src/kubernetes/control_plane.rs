//! The command lines of etcd, API server, controller manager and scheduler.

use anyhow::Result;
use serde_json::json;

use super::{ADDRESS, API_PORT, folder, folder::Folder, namespaces::Namespaces};

pub(super) const SERVICES: &str = "10.96.0.0/16";

/// Starts etcd and the API server; the other components need an API server that answers.
pub(super) fn start_api(namespaces: &Namespaces, folder: &Folder) -> Result<()> {
    folder::write(&folder.config("audit-policy.json"), audit_policy().to_string())?;
    namespaces.daemon(folder, "etcd", &etcd())?;
    namespaces.daemon(folder, "kube-apiserver", &api_server(folder))
}

pub(super) fn start_controllers(namespaces: &Namespaces, folder: &Folder) -> Result<()> {
    namespaces.daemon(folder, "kube-controller-manager", &controller_manager(folder))?;
    let kubeconfig = folder.config("kube-scheduler.kubeconfig");
    namespaces.daemon(
        folder,
        "kube-scheduler",
        &[flag("kubeconfig", kubeconfig.display()), flag("leader-elect", false)],
    )
}

pub(super) fn flag(name: &str, value: impl std::fmt::Display) -> String {
    format!("--{name}={value}")
}

/// The data is in memory, like all of /var/lib here, so there is nothing to sync.
fn etcd() -> Vec<String> {
    vec![flag("data-dir", "/var/lib/etcd"), "--unsafe-no-fsync".into(), flag("log-level", "warn")]
}

fn api_server(folder: &Folder) -> Vec<String> {
    let pki = |name: &str| folder.pki(name).display().to_string();
    vec![
        flag("etcd-servers", "http://127.0.0.1:2379"),
        flag("bind-address", ADDRESS),
        flag("advertise-address", ADDRESS),
        flag("secure-port", API_PORT),
        flag("service-cluster-ip-range", SERVICES),
        flag("client-ca-file", pki("ca.crt")),
        flag("tls-cert-file", pki("kube-apiserver.crt")),
        flag("tls-private-key-file", pki("kube-apiserver.key")),
        flag("kubelet-client-certificate", pki("kubelet-client.crt")),
        flag("kubelet-client-key", pki("kubelet-client.key")),
        // Without this flag, logs and exec would resolve the name of the node.
        flag("kubelet-preferred-address-types", "InternalIP"),
        flag("service-account-issuer", "https://kubernetes.default.svc"),
        flag("service-account-key-file", pki("service-accounts.crt")),
        flag("service-account-signing-key-file", pki("service-accounts.key")),
        flag("authorization-mode", "Node,RBAC"),
        flag("enable-admission-plugins", "NodeRestriction"),
        flag("allow-privileged", true),
        flag("audit-policy-file", folder.config("audit-policy.json").display()),
        flag("audit-log-path", folder.path.join("logs/audit.log").display()),
        flag("audit-log-mode", "blocking"),
        flag("cert-dir", "/var/lib/kube-apiserver"),
    ]
}

fn controller_manager(folder: &Folder) -> Vec<String> {
    let kubeconfig = folder.config("kube-controller-manager.kubeconfig");
    vec![
        flag("kubeconfig", kubeconfig.display()),
        flag("leader-elect", false),
        flag("use-service-account-credentials", true),
        // The controller manager creates this folder; its default is outside the cluster's own folders.
        flag("flex-volume-plugin-dir", "/var/lib/kubelet/volume-plugins"),
        flag("service-account-private-key-file", folder.pki("service-accounts.key").display()),
        flag("root-ca-file", folder.pki("ca.crt").display()),
    ]
}

/// Logs every request of people, pods and tests once, without bodies; requests of the cluster's own components are left
/// out.
fn audit_policy() -> serde_json::Value {
    let parts = ["kube-scheduler", "kube-proxy", "kube-controller-manager", "apiserver"]
        .map(|part| format!("system:{part}"));
    json!({
        "apiVersion": "audit.k8s.io/v1", "kind": "Policy", "omitStages": ["RequestReceived"],
        "rules": [
            {"level": "None", "users": parts},
            {"level": "None", "userGroups": ["system:nodes", "system:serviceaccounts:kube-system"]},
            {"level": "None", "nonResourceURLs": ["/readyz*", "/livez*", "/healthz*", "/openapi*", "/version", "/api*"]},
            {"level": "Metadata"},
        ],
    })
}
