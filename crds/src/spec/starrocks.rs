//! The sink: where StarRocks is, and how rows get there.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{batch::Batch, secret::Credentials, values::Values};
use crate::rules;

/// Where StarRocks is, and how rows get there.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = rules::rule(
    "self.consistency != 'Transaction' || self.onRefusedRow == 'Halt'",
    "consistency Transaction needs onRefusedRow Halt: a row that is parked would be missing from its transaction",
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
    /// Created when missing. Fixed: what was loaded does not move.
    #[schemars(length(min = 1, max = 256), regex(pattern = r"^[A-Za-z0-9_][A-Za-z0-9_-]*$"))]
    #[schemars(extend("x-kubernetes-validations" = rules::fixed("what was loaded does not move; create another ReplicationJob")))]
    pub database: String,
    /// A user that may create, alter and load tables.
    pub credentials: Credentials,
    /// Soft: a deleted row stays, with `dbmazz_is_deleted` true. Hard: it goes. Fixed.
    #[serde(default)]
    #[schemars(extend("x-kubernetes-validations" = rules::fixed("rows deleted so far were treated the other way; create another ReplicationJob")))]
    pub deletes: Deletes,
    /// Row: each table is loaded by itself. Transaction (StarRocks 4.0.7 and later; every table with REPLICA
    /// IDENTITY FULL): all tables in one step, so that readers never see half a transaction of the source.
    #[serde(default)]
    pub consistency: Consistency,
    /// How much one load carries.
    #[serde(default)]
    pub batch: Batch,
    /// What becomes of values that StarRocks cannot hold. A key is never altered: there, every one halts its table.
    #[serde(default)]
    pub values: Values,
    /// What becomes of a row that StarRocks refuses all the same: Halt the table; or DeadLetter, park it in the
    /// table dbmazz_dead_letters of the sink's database and go on.
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

/// What readers of StarRocks see at once.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Consistency {
    /// Every row whole; tables one after the other.
    #[default]
    Row,
    /// Every transaction of the source whole, in all of its tables.
    Transaction,
}

/// What becomes of a row that StarRocks refuses.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum OnRefusedRow {
    /// The table stops, with the reason, until a person acts.
    #[default]
    Halt,
    /// The row is parked, whole, in a table of its own, and the others flow.
    DeadLetter,
}
