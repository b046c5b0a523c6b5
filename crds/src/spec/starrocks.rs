//! The sink: the StarRocks cluster, and how rows are loaded.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{batch::Batch, secret::Credentials, values::Values};
use crate::rules;

/// The StarRocks cluster, and how rows are loaded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = rules::rule(
    "self.consistency != 'Transaction' || self.onRefusedRow == 'Halt'",
    "consistency Transaction needs onRefusedRow Halt: a dead letter would be missing from its transaction",
)))]
pub struct Starrocks {
    /// Host name or address of a frontend.
    #[schemars(length(min = 1, max = 253), extend("x-kubernetes-validations" = rules::host()))]
    pub host: String,
    /// The frontend's HTTP port, for loads.
    #[serde(default = "http_port")]
    #[schemars(range(min = 1, max = 65535))]
    pub http_port: u16,
    /// The frontend's MySQL port, for DDL.
    #[serde(default = "query_port")]
    #[schemars(range(min = 1, max = 65535))]
    pub query_port: u16,
    /// Created if it does not exist. Fixed: loaded rows are not moved to another database.
    #[schemars(length(min = 1, max = 256), regex(pattern = r"^[A-Za-z0-9_][A-Za-z0-9_-]*$"))]
    #[schemars(extend("x-kubernetes-validations" = rules::fixed("loaded rows are not moved; create another ReplicationJob")))]
    pub database: String,
    /// A user that may create, alter and load tables.
    pub credentials: Credentials,
    /// Soft: a deleted row stays, with `dbmazz_is_deleted` true. Hard: it is deleted. Fixed.
    #[serde(default)]
    #[schemars(extend("x-kubernetes-validations" = rules::fixed("rows deleted so far were treated the other way; create another ReplicationJob")))]
    pub deletes: Deletes,
    /// Row: each table is loaded on its own. Transaction (StarRocks 4.0.7 and later; every table with REPLICA
    /// IDENTITY FULL): all tables in one StarRocks transaction, so that readers never see part of a source transaction.
    #[serde(default)]
    pub consistency: Consistency,
    /// The size of a load, and how often a table is loaded.
    #[serde(default)]
    pub batch: Batch,
    /// What happens to values that StarRocks cannot represent. Values of a key are never altered: they halt the table.
    #[serde(default)]
    pub values: Values,
    /// What happens to a row that StarRocks refuses although its values fit: Halt the table; or DeadLetter: store the
    /// row in the table dbmazz_dead_letters of the sink's database and continue.
    #[serde(default)]
    pub on_refused_row: OnRefusedRow,
}

fn http_port() -> u16 {
    8030
}

fn query_port() -> u16 {
    9030
}

/// What a delete at the source does in StarRocks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Deletes {
    #[default]
    Soft,
    Hard,
}

/// What becomes visible to readers of StarRocks atomically.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Consistency {
    /// Each table on its own.
    #[default]
    Row,
    /// Each transaction of the source, in all of its tables.
    Transaction,
}

/// What happens to a row that StarRocks refuses.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum OnRefusedRow {
    /// The table is halted, with the reason, until a person acts.
    #[default]
    Halt,
    /// The whole row is stored in a table of its own, and the other rows are loaded.
    DeadLetter,
}
