//! Alters the target of a running table.

use super::{
    apply::prepare_table,
    prepare::{check_usable, enter_database},
    targets::{Beginning, of_source},
};
use crate::{
    change::Aim,
    config::SinkConfig,
    fault::Fault,
    schema_history::SchemaHistory,
    slot_lease::LoadPermit,
    starrocks::{bookkeeping::schema_histories, sql::Session},
};

/// Alters the target of a running table as `aim` requires; returns the history to store.
pub(in crate::starrocks) async fn reshape(
    config: &SinkConfig,
    job: &str,
    aim: &Aim,
    beginning: Option<&Beginning>,
    permit: Option<&LoadPermit>,
) -> Result<SchemaHistory, Fault> {
    check_usable(config, &aim.table)?;
    let mut session = Session::open(config).await.map_err(|error| error.fault())?.under(permit);
    let outcome = reshape_with(&mut session, config, job, aim, beginning).await;
    session.close().await;
    outcome
}

async fn reshape_with(
    session: &mut Session,
    config: &SinkConfig,
    job: &str,
    aim: &Aim,
    beginning: Option<&Beginning>,
) -> Result<SchemaHistory, Fault> {
    enter_database(session, &config.database).await.map_err(|error| error.fault())?;
    let history = match beginning {
        Some(Beginning { before, source }) => {
            let history = prepare_table(session, config, &aim.table, before.as_ref()).await?;
            of_source(history, before.as_ref(), source)
        }
        None => {
            let kept = schema_histories::find(session, config, job).await?;
            prepare_table(session, config, &aim.table, kept.get(&aim.table.target)).await?
        }
    };
    Ok(SchemaHistory { shapes: aim.shapes.clone(), ..history })
}
