//! Which tables a session copies anew: on demand, or because their changes are not known.

use std::time::{SystemTime, UNIX_EPOCH};

use super::requests::Asked;
use crate::{
    config::JobConfig,
    fault::{Fault, Part},
    postgres::Prepared,
    schema_history::{Request, SchemaHistory},
    starrocks::{SchemaHistories, Targets},
    table::{Table, TableName},
};

/// Changes the histories of the tables that are asked for; they are stored before the first load. Returns what is
/// answered then, or why the request cannot be taken up.
pub(super) fn apply(
    asked: &Asked,
    selected: &[TableName],
    prepared: &Prepared,
    targets: &mut Targets,
) -> Result<String, String> {
    let names = if asked.tables.is_empty() { selected } else { &asked.tables };
    let tables: Vec<_> = names.iter().map(|name| ready(name, prepared, targets)).collect::<Result<_, _>>()?;
    let request = Request { name: asked.name.clone(), at: nanos() };
    let (mut begun, mut copied) = (0_usize, Vec::new());
    for table in tables {
        let history = targets.history(table.id).cloned().unwrap_or_default();
        if history.has_taken(&asked.name) {
            continue;
        }
        begun += 1;
        let is_copied = history.copy.is_some_and(|copy| !copy.leaves.is_empty());
        copied.extend(is_copied.then(|| table.name.to_string()));
        let request = Some(request.clone());
        targets.change(table, |history| SchemaHistory { request: request.clone(), ..history.with_removal() });
    }
    Ok(message(begun, &copied))
}

/// Copies that the job's mode does not want any more: while they stand still, values that changes lack are not completed,
/// so they cannot be continued later.
pub(super) fn give_up_copies(config: &JobConfig, prepared: &Prepared, targets: &mut Targets) {
    let is_given_up =
        |history: &SchemaHistory| history.copy.as_ref().is_some_and(|copy| copy.removal.is_none());
    for table in prepared.tables.iter().filter(|_| !config.snapshot.initial) {
        if targets.history(table.id).is_some_and(is_given_up) {
            targets.change(table, |history| SchemaHistory { copy: None, ..history });
        }
    }
}

fn message(begun: usize, copied: &[String]) -> String {
    match (begun, copied) {
        (0, _) => "this request was taken up before, and nothing is begun again".to_owned(),
        (_, []) => format!("{begun} tables are copied anew"),
        (_, copied) => format!(
            "{begun} tables are copied anew; already being copied, and not begun again: {}",
            copied.join(", ")
        ),
    }
}

/// The table, if it is ready to be copied.
fn ready<'a>(name: &TableName, prepared: &'a Prepared, targets: &Targets) -> Result<&'a Table, String> {
    let part = Part::Table(name.clone());
    let Some(table) = prepared.tables.iter().find(|table| table.name == *name) else {
        let fault = prepared.refused.iter().find(|fault| fault.part == part);
        return Err(
            fault.map_or_else(|| format!("{name} is no table of this job"), |fault| halted(name, fault))
        );
    };
    if let Some((_, fault)) = targets.halted.iter().find(|(id, _)| *id == table.id) {
        return Err(halted(name, fault));
    }
    if targets.unfinished.iter().any(|(id, _)| *id == table.id) {
        return Err(format!(
            "the target of {name} is being created or altered; ask again when that has ended"
        ));
    }
    if table.key.is_empty() {
        return Err(format!("{name} has no key, so rows that are copied anew would be there twice"));
    }
    Ok(table)
}

fn halted(name: &TableName, fault: &Fault) -> String {
    format!("{name} is halted ({}): {}; remedy: {}", fault.reason, fault.message, fault.fix)
}

/// The name of the last request that was taken up.
pub(super) fn last_request(kept: &SchemaHistories) -> Option<String> {
    let requests = kept.values().filter_map(|history| history.request.as_ref());
    let last = requests.filter(|request| !request.name.is_empty()).max_by_key(|request| request.at);
    last.map(|request| request.name.clone())
}

fn nanos() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_nanos()).unwrap_or(u64::MAX)
}
