//! Validates a whole spec: the operator calls it before it creates any object, the worker for its job description.
//!
//! The schema cannot express every rule (two tables with one target, names in bytes), and a stored resource may be
//! older than the schema. A spec that passes here is accepted by every worker of this version.

use crate::{
    limits::{self, Wrong},
    spec::{Batch, Postgres, ReplicationJobSpec, Snapshot, Starrocks},
};

const SOURCE: &str = "spec.source.postgres";
const SINK: &str = "spec.sink.starrocks";

/// Returns the first invalid field as an error.
pub fn check(spec: &ReplicationJobSpec) -> Result<(), Wrong> {
    source(&spec.source.postgres)?;
    sink(&spec.sink.starrocks)?;
    snapshot(&spec.snapshot)?;
    limits::bytes("spec.worker.buffer", &spec.worker.buffer, "4Mi", "4Gi")?;
    limits::duration("spec.worker.drainTimeout", &spec.worker.drain_timeout, "1s", "1h")?;
    Ok(())
}

fn source(postgres: &Postgres) -> Result<(), Wrong> {
    let field = |name: &str| format!("{SOURCE}.{name}");
    limits::host(&field("host"), &postgres.host)?;
    limits::number(&field("port"), &postgres.port.to_string(), limits::PORT)?;
    limits::identifier(&field("database"), &postgres.database)?;
    limits::catch_up(&field("catchUp"), &postgres.catch_up)?;
    limits::tables(&field("tables"), postgres.tables.iter().map(String::as_str))?;
    Ok(())
}

fn sink(starrocks: &Starrocks) -> Result<(), Wrong> {
    let field = |name: &str| format!("{SINK}.{name}");
    limits::host(&field("host"), &starrocks.host)?;
    limits::number(&field("httpPort"), &starrocks.http_port.to_string(), limits::PORT)?;
    limits::number(&field("queryPort"), &starrocks.query_port.to_string(), limits::PORT)?;
    limits::name(&field("database"), &starrocks.database)?;
    limits::fits_together(&field("onRefusedRow"), starrocks.consistency, starrocks.on_refused_row)?;
    batch(&starrocks.batch)
}

fn snapshot(snapshot: &Snapshot) -> Result<(), Wrong> {
    let Snapshot { mode, chunk_rows, parallelism, on_target_lost: _, request, request_tables } = snapshot;
    limits::number("spec.snapshot.chunkRows", &chunk_rows.to_string(), limits::CHUNK_ROWS)?;
    limits::number("spec.snapshot.parallelism", &parallelism.to_string(), limits::PARALLELISM)?;
    limits::request("spec.snapshot.request", request, *mode)?;
    let tables = request_tables.iter().map(String::as_str);
    limits::requested("spec.snapshot.requestTables", tables, request)?;
    Ok(())
}

fn batch(batch: &Batch) -> Result<(), Wrong> {
    let field = |name: &str| format!("{SINK}.batch.{name}");
    limits::number(&field("maxRows"), &batch.max_rows.to_string(), limits::ROWS)?;
    limits::bytes(&field("maxBytes"), &batch.max_bytes, "64Ki", "1Gi")?;
    limits::duration(&field("minInterval"), &batch.min_interval, "10ms", "5m")?;
    Ok(())
}
