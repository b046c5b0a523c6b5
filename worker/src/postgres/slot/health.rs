//! Health of the slot: the server's state of the slot and of the WAL that it keeps.
//!
//! Queried every 30 s on a separate connection, so that it is known also while the stream is down.

use crate::{
    config::SourceConfig,
    fault::Fault,
    lsn::Lsn,
    postgres::{connection::Connection, error::SourceError, sql},
    progress::SlotHealth,
};

/// Queries the slot's health once; `None` while there is no slot. Blocks.
pub fn look(config: &SourceConfig) -> Result<Option<SlotHealth>, Fault> {
    try_look(config).map_err(|error| error.fault(config))
}

fn try_look(config: &SourceConfig) -> Result<Option<SlotHealth>, SourceError> {
    let mut connection = Connection::open_for_sql(config)?;
    let rows = connection.query("SELECT pg_catalog.current_setting('server_version_num')")?;
    let version = rows.first().map(|row| row.parse(0)).transpose()?.unwrap_or_default();
    let rows = connection.query(&question(&config.slot, version))?;
    connection.close();
    let place = |text: Option<&str>| text?.parse::<Lsn>().ok();
    let number = |text: Option<&str>| text?.parse::<i64>().ok().map(|number| number.max(0) as u64);
    Ok(rows.first().map(|row| SlotHealth {
        wal_status: row.text(0).to_owned(),
        safe_wal_bytes: number(row.value(1)),
        retained_wal_bytes: number(row.value(2)).unwrap_or_default(),
        inactive_seconds: number(row.value(3)),
        invalidation_reason: row.text(4).to_owned(),
        restart: place(row.value(5)),
        confirmed: place(row.value(6)),
        server: place(row.value(7)),
    }))
}

fn question(slot: &str, version: u32) -> String {
    let since = |known: u32, text: &'static str| if version < known { "NULL" } else { text };
    let (status, safe) = (since(130_000, "wal_status"), since(130_000, "safe_wal_size"));
    let idle = since(170_000, "extract(epoch FROM now() - inactive_since)::bigint");
    let invalidation = since(170_000, "invalidation_reason");
    let name = sql::literal(slot);
    let server = "CASE WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_last_wal_receive_lsn() \
                  ELSE pg_catalog.pg_current_wal_lsn() END";
    format!(
        "SELECT {status}, {safe}, pg_catalog.pg_wal_lsn_diff({server}, restart_lsn)::bigint, \
         {idle}, {invalidation}, restart_lsn, confirmed_flush_lsn, {server} FROM pg_catalog.pg_replication_slots WHERE slot_name = {name}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_asked_only_what_it_knows() {
        for (version, status, idle) in
            [(120_000, false, false), (130_000, true, false), (160_000, true, false), (170_000, true, true)]
        {
            let asked = question("s", version);
            assert_eq!(asked.contains("wal_status"), status, "{version}");
            assert_eq!(asked.contains("inactive_since"), idle, "{version}");
        }
    }
}
