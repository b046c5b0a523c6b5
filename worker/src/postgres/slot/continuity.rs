//! Checks that a new connection continues the old stream: same server, a timeline that contains what was received, same
//! slot.
//!
//! A continuity that cannot be proven stops the stream: an unnoticed gap is the worst failure.

use crate::{
    config::SourceConfig,
    lsn::Lsn,
    postgres::{
        connection::Connection,
        error::{SourceError, behind, set_back},
        server::Origin,
        slot::Slot,
        sql,
    },
};

/// The command that starts the stream at `position`, in the form of pgoutput that this worker decodes.
pub(crate) fn start_command(config: &SourceConfig, position: Lsn) -> String {
    let slot = sql::identifier(&config.slot);
    // A list of names inside a literal: quoted as both.
    let publications = sql::replication_literal(&sql::identifier(&config.publication));
    format!(
        "START_REPLICATION SLOT {slot} LOGICAL {position} (proto_version '1', publication_names {publications})"
    )
}

/// The server must be the one of the previous connection, or have been promoted from it at or after `position`.
pub(crate) fn check_origin(
    connection: &mut Connection,
    config: &SourceConfig,
    known: Origin,
    now: Origin,
    position: Lsn,
) -> Result<(), SourceError> {
    if now.system != known.system {
        return Err(SourceError::Gap(format!(
            "another server answers: its system identifier is {} and was {}",
            now.system, known.system
        )));
    }
    if now.timeline == known.timeline {
        return check_end(connection, config, now.flushed, position);
    }
    match timeline_end(connection, known.timeline, now)? {
        Some(end) if end >= position => Ok(()),
        _ => Err(SourceError::Gap(format!(
            "the server is on timeline {} and does not have all that was received on timeline {} up to {position}",
            now.timeline, known.timeline
        ))),
    }
}

/// The server must have all WAL that was received; otherwise it was set back in time, or is a standby that lags.
fn check_end(
    connection: &mut Connection,
    config: &SourceConfig,
    flushed: Lsn,
    position: Lsn,
) -> Result<(), SourceError> {
    if flushed >= position {
        return Ok(());
    }
    let rows = connection.query("SELECT pg_catalog.pg_is_in_recovery()")?;
    match rows.first().is_some_and(|row| row.flag(0)) {
        true => Err(behind(config, flushed, position).into()),
        false => Err(SourceError::Gap(set_back(flushed, position))),
    }
}

/// The position at which the server's history left `timeline`; `None` when it was never on it, or still is.
pub(in crate::postgres) fn timeline_end(
    connection: &mut Connection,
    timeline: u32,
    now: Origin,
) -> Result<Option<Lsn>, SourceError> {
    if timeline >= now.timeline {
        return Ok(None);
    }
    let rows = connection.query(&format!("TIMELINE_HISTORY {}", now.timeline))?;
    Ok(left_at(rows.first().map(|row| row.text(1)).unwrap_or_default(), timeline))
}

/// The position at which a history left `timeline`. Each line has the timeline, the position, the reason.
fn left_at(history: &str, timeline: u32) -> Option<Lsn> {
    history.lines().find_map(|line| {
        let mut words = line.split_ascii_whitespace();
        let is_it = words.next()?.parse::<u32>().ok()? == timeline;
        if is_it { words.next()?.parse().ok() } else { None }
    })
}

/// The confirmed position of the slot, which must exist and be usable.
pub(crate) fn confirmed(connection: &mut Connection, config: &SourceConfig) -> Result<Lsn, SourceError> {
    let rows = connection.query("SELECT pg_catalog.current_setting('server_version_num')")?;
    let version = rows.first().map(|row| row.parse(0)).transpose()?.unwrap_or_default();
    let slot = Slot::find(connection, &config.slot, version)?;
    let slot = slot.ok_or_else(|| SourceError::SlotLost("it does not exist any more".to_owned()))?;
    Ok(slot.usable(config)?)
}

/// The slot must not be ahead of the durable position: otherwise the changes in between are lost.
pub(crate) fn check_slot(confirmed: Lsn, durable: Lsn) -> Result<(), SourceError> {
    if confirmed <= durable {
        return Ok(());
    }
    Err(SourceError::Gap(format!(
        "it was moved to {confirmed} by another client, and StarRocks has everything only up to {durable}"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::error::tests::config;

    #[test]
    fn names_are_quoted_as_often_as_they_are_nested() {
        let mut config = config();
        config.publication = "it's \"p\"".into();
        assert_eq!(
            start_command(&config, Lsn(0x16_B374_D848)),
            "START_REPLICATION SLOT \"orders\" LOGICAL 16/B374D848 \
             (proto_version '1', publication_names '\"it''s \"\"p\"\"\"')"
        );
    }

    #[test]
    fn a_history_tells_where_a_timeline_was_left() {
        let history = "1\t0/3000000\tno recovery target specified\n\n2\t0/5000000\tbefore 2024\n";
        assert_eq!(left_at(history, 2), Some(Lsn(0x500_0000)));
        assert_eq!(left_at(history, 3), None);
        assert_eq!(left_at("garbage\n1 x", 1), None);
    }
}
