//! References to Secrets in the job's namespace.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

const SECRET_NAME: &str = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$";
const SECRET_KEY: &str = r"^[-._a-zA-Z0-9]+$";

/// A user name and a password, in a Secret of the job's namespace.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Credentials {
    /// The Secret, and its keys.
    pub secret_ref: CredentialsSecret,
}

/// A Secret with a user name and a password.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CredentialsSecret {
    /// Name of the Secret.
    #[schemars(length(min = 1, max = 253), regex(pattern = SECRET_NAME))]
    pub name: String,
    /// The key of the user name.
    #[serde(default = "username_key")]
    #[schemars(length(min = 1, max = 253), regex(pattern = SECRET_KEY))]
    pub username_key: String,
    /// The key of the password.
    #[serde(default = "password_key")]
    #[schemars(length(min = 1, max = 253), regex(pattern = SECRET_KEY))]
    pub password_key: String,
}

fn username_key() -> String {
    "username".into()
}

fn password_key() -> String {
    "password".into()
}

/// A Secret with a certificate authority in PEM.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CaSecret {
    /// Name of the Secret.
    #[schemars(length(min = 1, max = 253), regex(pattern = SECRET_NAME))]
    pub name: String,
    /// The key of the certificate.
    #[serde(default = "ca_key")]
    #[schemars(length(min = 1, max = 253), regex(pattern = SECRET_KEY))]
    pub key: String,
}

fn ca_key() -> String {
    "ca.crt".into()
}
