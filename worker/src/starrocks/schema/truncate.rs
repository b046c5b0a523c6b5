//! Empties a target when nobody else is about to.
//!
//! A frontend goes on with a statement whose client has gone. So a TRUNCATE that was sent and lost, by this worker or by
//! one that was killed, is not sent again while it runs: it would empty the target once more, later, with rows in it that
//! came after. The frontend lists what it runs for a user.

use crds::Reason;

use super::of_table;
use crate::{
    config::SinkConfig,
    fault::{Fault, Part},
    slot_lease::LoadPermit,
    starrocks::sql::{Rows, Session, quoted},
    table::Table,
};

/// Empties the target. Calling again is harmless.
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

/// Whether a connection is busy with the statement. An idle one may show what it has run last.
fn runs(processes: &Rows, statement: &str) -> bool {
    let shows = |row: &[Option<String>], text: &str| row.iter().flatten().any(|cell| cell == text);
    processes.iter().any(|row| shows(row, statement) && !shows(row, "Sleep"))
}

fn still_running(table: &Table) -> Fault {
    Fault::retry(
        Part::Table(table.name.clone()),
        Reason::SinkBusy,
        format!("an earlier TRUNCATE of {} has not ended in StarRocks", table.target),
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
