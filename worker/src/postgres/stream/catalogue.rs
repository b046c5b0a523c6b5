//! What the router has to know of the catalogue before it goes on.
//!
//! On a session of its own: the one of the stream speaks of nothing else. The look has to see the transaction that
//! the stream is in. Nearly always it does; a commit that waits for a synchronous standby is streamed before others
//! see it.

use std::{
    thread,
    time::{Duration, Instant},
};

use crate::{
    config::SourceConfig,
    postgres::{
        error::SourceError,
        route::Router,
        setup::{Shapes, shapes},
    },
    table::TableName,
};

/// Short enough for the walsender not to be kept waiting: the stream is begun anew after it.
const LIMIT: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(20);

/// Tells the router what the catalogue shows now.
pub(super) fn look(router: &mut Router, config: &SourceConfig) -> Result<(), SourceError> {
    let names: Vec<TableName> = router.tables().map(|table| table.name.clone()).collect();
    let noted = router.noted();
    let deadline = Instant::now() + LIMIT;
    loop {
        let Shapes { tables, partitions, visibility } = shapes(config, &names, &noted)?;
        router.learn(tables, partitions, visibility);
        if router.sees() {
            return Ok(());
        }
        if Instant::now() > deadline {
            let cause = "a transaction of the stream is not visible yet: its commit waits for a standby";
            return Err(SourceError::Lost(std::io::Error::other(cause)));
        }
        thread::sleep(PAUSE);
    }
}
