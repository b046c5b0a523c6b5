//! The identities in the cluster: certificates of one authority, and a kubeconfig for each client of the API server.

use std::{net::SocketAddr, path::Path};

use anyhow::Result;
use serde_json::json;

use super::{ADDRESS, NODE, api_address, folder::Folder};
use crate::certificate::{Authority, Identity, write_secret};

/// File name, certificate name, organization. The organization decides the permissions.
const CLIENTS: [(&str, &str, &str); 5] = [
    ("admin", "admin", "system:masters"),
    ("kube-controller-manager", "system:kube-controller-manager", ""),
    ("kube-scheduler", "system:kube-scheduler", ""),
    ("kube-proxy", "system:kube-proxy", ""),
    ("kubelet", NODE, "system:nodes"),
];

/// The address of the API server's Service, which pods call.
const SERVICE: &str = "10.96.0.1";

/// Writes the certificates and kubeconfigs of the components.
pub(super) fn write(folder: &Folder) -> Result<()> {
    let authority = Authority::new("test bed Kubernetes authority")?;
    let pki = folder.path.join("pki");
    super::folder::write(&pki.join("ca.crt"), &authority.certificate)?;
    let address = ADDRESS.to_string();
    let hosts = [
        "kubernetes",
        "kubernetes.default",
        "kubernetes.default.svc",
        "localhost",
        "127.0.0.1",
        SERVICE,
        &address,
    ];
    authority.issue("kube-apiserver", "", &hosts)?.write(&pki, "kube-apiserver")?;
    authority.issue("kube-apiserver-kubelet-client", "system:masters", &[])?.write(&pki, "kubelet-client")?;
    authority.issue("kubelet", "", &[NODE, &address])?.write(&pki, "kubelet-server")?;
    // A plain key pair: the controller manager signs tokens with it, and the API server verifies them.
    authority.issue("service accounts", "", &[])?.write(&pki, "service-accounts")?;
    for (file, name, organization) in CLIENTS {
        let name = if file == "kubelet" { format!("system:node:{name}") } else { name.to_owned() };
        let identity = authority.issue(&name, organization, &[])?;
        identity.write(&pki, file)?;
        kubeconfig(
            &folder.config(&format!("{file}.kubeconfig")),
            api_address(),
            &authority.certificate,
            &identity,
        )?;
    }
    Ok(())
}

/// Writes the administrator's kubeconfig for a server reached at `address`.
pub(super) fn admin_kubeconfig(folder: &Folder, file: &Path, address: SocketAddr) -> Result<()> {
    let read = |name: &str| std::fs::read_to_string(folder.pki(name));
    let identity = Identity { certificate: read("admin.crt")?, key: read("admin.key")? };
    kubeconfig(file, address, &read("ca.crt")?, &identity)
}

/// A kubeconfig with everything inline. JSON is valid YAML.
fn kubeconfig(file: &Path, address: SocketAddr, authority: &str, identity: &Identity) -> Result<()> {
    let Identity { certificate, key } = identity;
    let user = json!({"client-certificate-data": base64(certificate), "client-key-data": base64(key)});
    let server =
        json!({"server": format!("https://{address}"), "certificate-authority-data": base64(authority)});
    let config = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "testbed",
        "clusters": [{"name": "testbed", "cluster": server}],
        "users": [{"name": "testbed", "user": user}],
        "contexts": [{"name": "testbed", "context": {"cluster": "testbed", "user": "testbed"}}],
    });
    write_secret(file, &serde_json::to_string_pretty(&config)?)
}

fn base64(text: &str) -> String {
    use base64::{Engine, engine::general_purpose::STANDARD};
    STANDARD.encode(text)
}
