//! Reads the catalogue for the router before it continues.
//!
//! On a separate session: that of the stream cannot run SQL. The query has to see the transaction that the stream is
//! in. It nearly always does; a commit that waits for a synchronous standby is streamed before other sessions see it.

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

/// Limit for the transaction to become visible: the walsender must not wait too long. After it the stream starts anew.
const LIMIT: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(20);

/// Passes the router what the catalogue shows now.
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
