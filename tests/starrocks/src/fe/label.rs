//! `get_load_state` and `_cancel` (§2, §6.3).

use super::result::RestResult;
use crate::{
    cluster::Cluster,
    http::{Request, Response, decode_percent},
    locked,
    transaction::State,
};

pub(super) fn state(cluster: &Cluster, request: &Request, database: &str) -> Response {
    answer(label_of(cluster, request, database).map(|(database, label)| {
        cluster.settle();
        let found = locked(&cluster.transactions).find(&database, &label, cluster.clock.now());
        let Some(transaction) = found else {
            return RestResult::ok().preceded_by(vec![("state", "UNKNOWN".to_owned())]);
        };
        let mut fields = vec![("state", transaction.state.name().to_owned())];
        if cluster.profile().gives_a_reason_with_a_state() {
            let reason = if transaction.state == State::Aborted { transaction.reason } else { String::new() };
            fields.push(("reason", reason));
        }
        RestResult::ok().preceded_by(fields)
    }))
}

pub(super) fn cancel(cluster: &Cluster, request: &Request, database: &str) -> Response {
    answer(label_of(cluster, request, database).and_then(|(database, label)| {
        let is_cancelled = locked(&cluster.transactions).cancel(&database, &label, cluster.clock.now());
        if is_cancelled { Ok(RestResult::ok()) } else { Err(format!("transaction not found: {label}")) }
    }))
}

fn label_of(cluster: &Cluster, request: &Request, database: &str) -> Result<(String, String), String> {
    let label = request.parameter("label").filter(|label| !label.is_empty());
    let label = label.ok_or("No label selected.")?;
    let database = decode_percent(database);
    if !locked(&cluster.catalog).databases.contains_key(&database) {
        return Err(format!("unknown database, database={database}"));
    }
    Ok((database, label))
}

fn answer(result: Result<RestResult, String>) -> Response {
    let result = result.unwrap_or_else(|message| RestResult::failed("1", &message));
    Response::json(result.compact())
}
