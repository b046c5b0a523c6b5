//! TLS of a connection.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::secret::CaSecret;
use crate::rules;

/// TLS of the connection to PostgreSQL.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = rules::rule(
    "!has(self.caSecretRef) || self.mode in ['VerifyCA', 'VerifyFull']",
    "caSecretRef needs mode VerifyCA or VerifyFull: the other modes check no certificate",
)))]
pub struct Tls {
    /// Disable; Require (encrypted, certificate not checked); VerifyCA; or VerifyFull (VerifyCA, and the host name).
    #[serde(default)]
    pub mode: TlsMode,
    /// The certificate authority to trust; if absent, those of the worker's image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_secret_ref: Option<CaSecret>,
}

/// What is checked of the server's certificate.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum TlsMode {
    /// No TLS.
    Disable,
    /// TLS; the certificate is not checked.
    Require,
    /// TLS; the certificate must come from a trusted authority.
    VerifyCA,
    /// TLS; the certificate must come from a trusted authority and name the host.
    #[default]
    VerifyFull,
}
