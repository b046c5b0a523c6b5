//! The source: the PostgreSQL server, and the tables to replicate.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{secret::Credentials, tls::Tls};
use crate::rules;

/// The PostgreSQL server, and the tables to replicate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Postgres {
    /// Host name or address of the server itself, not of a connection pooler.
    #[schemars(length(min = 1, max = 253), extend("x-kubernetes-validations" = rules::host()))]
    pub host: String,
    /// The port of PostgreSQL.
    #[serde(default = "postgres_port")]
    #[schemars(range(min = 1, max = 65535))]
    pub port: u16,
    /// The database that holds the tables. Fixed: its replication slot belongs to it.
    #[schemars(length(min = 1, max = 63))]
    #[schemars(extend("x-kubernetes-validations" = rules::fixed("a slot belongs to one database; create another ReplicationJob")))]
    pub database: String,
    /// A role with LOGIN and REPLICATION that may read the tables.
    pub credentials: Credentials,
    /// TLS of the connection.
    #[serde(default)]
    pub tls: Tls,
    /// The replication slot of the job.
    #[serde(default)]
    pub slot: Slot,
    /// A backlog of more than this is read in chunks, which is faster than streaming; `Never`: always stream.
    #[serde(default = "catch_up")]
    #[schemars(length(max = 20), extend("x-kubernetes-validations" = rules::catch_up()))]
    pub catch_up: String,
    /// The tables, as `schema.name`; each needs a primary key. A change restarts no worker.
    #[schemars(length(min = 1, max = 1000), extend("x-kubernetes-list-type" = "set"))]
    #[schemars(inner(length(max = 127)), transform = rules::each_a_table)]
    pub tables: Vec<String>,
}

/// How the job treats its replication slot.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Slot {
    /// What happens when the slot, or WAL that it needs, is lost. Fail: the job halts with the reason SlotLost, and
    /// StarRocks keeps its rows; a slot is never created again over a gap. Resnapshot: the job creates a new slot and
    /// copies every table anew; rows that the source does not have any more are removed.
    #[serde(default)]
    pub on_lost: OnLost,
}

/// What happens when the slot, or WAL that it needs, is lost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum OnLost {
    #[default]
    Fail,
    Resnapshot,
}

fn catch_up() -> String {
    "256Mi".into()
}

fn postgres_port() -> u16 {
    5432
}
