//! Why a table could not be compared.

use crds::Reason;

use super::plan::Plan;
use crate::{
    config::SinkConfig,
    fault::{Fault, Part},
};

pub(super) fn sink(config: &SinkConfig, error: &mysql_async::Error) -> Fault {
    let at = format!("{}:{}", config.host, config.query_port);
    match error {
        // A server's message may quote the statement, which contains keys: only its first line is used.
        mysql_async::Error::Server(server) => {
            let said = server.message.lines().next().unwrap_or_default();
            let said: String = said.chars().take(200).collect();
            let reason = match server.code {
                1045 => Reason::SinkAuthenticationFailed,
                1044 | 1142 | 1227 | 1252 | 5203 => Reason::SinkPermissionDenied,
                _ => Reason::TargetIncompatible,
            };
            let message = format!("StarRocks at {at} refused a query (error {}: {said})", server.code);
            retry(reason, message, "let the user of the job SELECT from the target tables, and start again")
        }
        other => unreachable(format!("StarRocks at {at} cannot be reached by the MySQL protocol: {other}")),
    }
}

pub(super) fn sink_silent(config: &SinkConfig) -> Fault {
    unreachable(format!("StarRocks at {}:{} did not answer in time", config.host, config.query_port))
}

fn unreachable(message: String) -> Fault {
    retry(
        Reason::SinkUnreachable,
        message,
        "check that StarRocks runs and that host and query port are right",
    )
}

fn retry(reason: Reason, message: String, fix: &str) -> Fault {
    Fault::retry(Part::Sink, reason, message, fix)
}

/// A key with a value that is not of its column's type.
pub(super) fn key(plan: &Plan, side: &str) -> Fault {
    let message = format!("a key of table {} in {side} cannot be read", plan.name);
    let fix = "compare the types of the key's columns on both sides";
    Fault::halt(Part::Table(plan.name.clone()), Reason::TargetIncompatible, message, fix)
}

/// Rows that are not in the requested order.
pub(super) fn order(plan: &Plan, side: &str) -> Fault {
    let message = format!("{side} gave rows of table {} that are not in the order of their keys", plan.name);
    let fix = "report it with the types of the table's key columns";
    Fault::halt(Part::Table(plan.name.clone()), Reason::InternalDefect, message, fix)
}
