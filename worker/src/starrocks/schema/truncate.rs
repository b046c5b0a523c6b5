//! Empties a target, unless an earlier TRUNCATE of it still runs.
//!
//! A frontend continues a statement after its client has disconnected. A TRUNCATE whose answer was lost, sent by this
//! worker or by one that was killed, could still empty the target after later rows have been loaded. So nothing is sent,
//! and nothing is loaded, while it runs. The frontend lists the running statements of a user.

use crds::Reason;

use super::fault::of_table;
use crate::{
    config::SinkConfig,
    fault::{Fault, Part},
    slot_lease::LoadPermit,
    starrocks::sql::{Rows, Session, quoted},
    table::Table,
};

/// Empties the target. May be repeated.
pub(in crate::starrocks) async fn truncate(
    config: &SinkConfig,
    table: &Table,
    permit: Option<&LoadPermit>,
) -> Result<(), Fault> {
    let statement = format!("TRUNCATE TABLE {}.{}", quoted(&config.database), quoted(&table.target));
    let mut session = Session::open(config).await.map_err(|error| error.fault())?.under(permit);
    let outcome = run(&mut session, &statement, table).await;
    session.close().await;
    outcome
}

async fn run(session: &mut Session, statement: &str, table: &Table) -> Result<(), Fault> {
    let running = session.run("SHOW FULL PROCESSLIST", "list running statements").await;
    if runs(&running.map_err(|error| error.fault())?, statement) {
        return Err(still_running(table));
    }
    let outcome = session.run(statement, &format!("truncate table {}", table.target)).await;
    outcome.map(|_| ()).map_err(|error| of_table(&error, table))
}

/// Whether a connection is running the statement. An idle one may show its last statement.
fn runs(processes: &Rows, statement: &str) -> bool {
    let shows = |row: &[Option<String>], text: &str| row.iter().flatten().any(|cell| cell == text);
    processes.iter().any(|row| shows(row, statement) && !shows(row, "Sleep"))
}

fn still_running(table: &Table) -> Fault {
    Fault::retry(
        Part::Table(table.name.clone()),
        Reason::SinkBusy,
        format!("an earlier TRUNCATE of {} is still running in StarRocks", table.target),
        "wait; if it lasts, look for it in SHOW FULL PROCESSLIST and end it there (KILL)",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_runs_while_a_connection_that_is_not_idle_shows_it() {
        let row = |command: &str, info: &str| {
            ["7", "root", command, info].map(|cell| Some(cell.to_owned())).to_vec()
        };
        let statement = "TRUNCATE TABLE `app`.`t`";
        assert!(runs(&vec![row("Sleep", ""), row("Query", statement)], statement));
        for rows in [vec![], vec![row("Sleep", statement)], vec![row("Query", "TRUNCATE TABLE `app`.`t2`")]] {
            assert!(!runs(&rows, statement), "{rows:?}");
        }
    }
}
