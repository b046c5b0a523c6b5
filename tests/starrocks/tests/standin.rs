//! The stand-in, tested through its clients' interfaces: raw HTTP, a MySQL driver, curl.

#![allow(clippy::panic, reason = "a test that cannot go on panics")]

#[path = "standin/alter.rs"]
mod alter;
#[path = "standin/bed.rs"]
mod bed;
#[path = "standin/clients.rs"]
mod clients;
#[path = "standin/compression.rs"]
mod compression;
#[path = "standin/condition.rs"]
mod condition;
#[path = "standin/csv.rs"]
mod csv;
#[path = "standin/data.rs"]
mod data;
#[path = "standin/discard.rs"]
mod discard;
#[path = "standin/faults.rs"]
mod faults;
#[path = "standin/frontends.rs"]
mod frontends;
#[path = "standin/grants.rs"]
mod grants;
#[path = "standin/labels.rs"]
mod labels;
#[path = "standin/loads.rs"]
mod loads;
#[path = "standin/multi.rs"]
mod multi;
#[path = "standin/names.rs"]
mod names;
#[path = "standin/neighbours.rs"]
mod neighbours;
#[path = "standin/recordings.rs"]
mod recordings;
#[path = "standin/redirect.rs"]
mod redirect;
#[path = "standin/sql.rs"]
mod sql;
#[path = "standin/transactions.rs"]
mod transactions;
#[path = "standin/transactions_multi.rs"]
mod transactions_multi;
#[path = "standin/values.rs"]
mod values;
