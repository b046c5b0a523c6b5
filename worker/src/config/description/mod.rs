//! The job description that the operator mounts: a resolved `ReplicationJob`, with the secrets as files beside it.
//!
//! The schema of the resource has the same rules and bounds; the worker does not rely on it, because the file may be of
//! an older or newer operator. Every error names the field as the user writes it. A trailing line end of a secret is
//! removed (`kubectl create secret --from-file` keeps it).

use std::path::Path;

use crds::{
    JobDescription,
    description::{JOB_FILE, SINK_PASSWORD, SINK_USERNAME, SOURCE_CA, SOURCE_PASSWORD, SOURCE_USERNAME},
    spec::{Batch, OnTargetLost, Postgres, SnapshotMode, Starrocks, Tls},
};

use super::{
    BatchConfig, ConfigError, Consistency, DesiredState, JobConfig, Secret, SinkConfig, SnapshotConfig,
    SourceConfig, TlsConfig, TlsMode, file, limits, listen, memory,
};

const SOURCE: &str = "spec.source.postgres";
const SINK: &str = "spec.sink.starrocks";
/// Maximum length of the file: a spec of a thousand tables with the longest names needs an eighth of it.
const DESCRIPTION: u64 = 1 << 20;

/// Reads the job description in `directory`. Of `vars` only the listen addresses and the state directory are used.
pub fn read(directory: &Path, vars: impl Fn(&str) -> Option<String>) -> Result<JobConfig, ConfigError> {
    let JobDescription { job, slot, publication, spec } = parsed(directory)?;
    // The operator applies the same rules, unless it is of an older version.
    crds::check::check(&spec)?;
    let buffer = limits::bytes("spec.worker.buffer", &spec.worker.buffer, "4Mi", "4Gi")?;
    let starrocks = spec.sink.starrocks;
    Ok(JobConfig {
        job: limits::name("job", &job)?,
        batch: batch(&starrocks.batch)?,
        snapshot: SnapshotConfig {
            initial: spec.snapshot.mode != SnapshotMode::Never,
            only: spec.snapshot.mode == SnapshotMode::Only,
            chunk_rows: u64::from(spec.snapshot.chunk_rows),
            parallelism: usize::from(spec.snapshot.parallelism),
        },
        source: SourceConfig {
            whole_rows: starrocks.consistency == Consistency::Transaction,
            ..source(directory, slot, publication, spec.source.postgres)?
        },
        sink: SinkConfig { on_target_lost: spec.snapshot.on_target_lost, ..sink(directory, starrocks)? },
        buffer,
        memory: memory::limit(),
        drain_timeout: limits::duration("spec.worker.drainTimeout", &spec.worker.drain_timeout, "1s", "1h")?,
        state_directory: vars("DBMAZZ_STATE_DIR").filter(|text| !text.is_empty()).map(Into::into),
        // A stopped job has no worker; if one starts, it must not read.
        paused: spec.state != DesiredState::Running,
        listen: listen::in_a_pod(&vars)?,
        log_level: spec.worker.log_level,
    })
}

fn parsed(directory: &Path) -> Result<JobDescription, ConfigError> {
    let text = file::text(JOB_FILE, &directory.join(JOB_FILE), DESCRIPTION)?;
    let mut json = serde_json::Deserializer::from_str(&text);
    let job = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let field = error.path().to_string();
        ConfigError::new(
            if field == "." { JOB_FILE.to_owned() } else { field },
            error.into_inner().to_string(),
        )
    })?;
    json.end().map_err(|error| ConfigError::new(JOB_FILE, error.to_string()))?;
    Ok(job)
}

fn source(
    directory: &Path,
    slot: String,
    publication: String,
    postgres: Postgres,
) -> Result<SourceConfig, ConfigError> {
    let Postgres { host, port, database, credentials: _, tls, catch_up, tables, slot: slot_rules, .. } =
        postgres;
    let (user, password) =
        credentials(&field(SOURCE, "credentials"), directory, SOURCE_USERNAME, SOURCE_PASSWORD)?;
    Ok(SourceConfig {
        host: limits::host(&field(SOURCE, "host"), &host)?,
        port: port_of(&field(SOURCE, "port"), port)?,
        database: limits::identifier(&field(SOURCE, "database"), &database)?,
        user,
        password,
        tls: tls_config(directory, &tls)?,
        slot: limits::slot("slot", &slot)?,
        publication: limits::identifier("publication", &publication)?,
        on_lost: slot_rules.on_lost,
        catch_up: limits::catch_up(&field(SOURCE, "catchUp"), &catch_up)?,
        whole_rows: false,
        claims: Vec::new(),
        tables: limits::tables(&field(SOURCE, "tables"), tables.iter().map(String::as_str))?,
        copy_memory: None,
    })
}

fn sink(directory: &Path, starrocks: Starrocks) -> Result<SinkConfig, ConfigError> {
    let Starrocks { host, http_port, query_port, database, credentials: _, deletes, .. } = starrocks;
    let Starrocks { values, on_refused_row, consistency, .. } = starrocks;
    let (user, password) = credentials(&field(SINK, "credentials"), directory, SINK_USERNAME, SINK_PASSWORD)?;
    limits::fits_together(&field(SINK, "onRefusedRow"), consistency, on_refused_row)?;
    Ok(SinkConfig {
        host: limits::host(&field(SINK, "host"), &host)?,
        http_port: port_of(&field(SINK, "httpPort"), http_port)?,
        query_port: port_of(&field(SINK, "queryPort"), query_port)?,
        database: limits::name(&field(SINK, "database"), &database)?,
        user,
        password,
        deletes,
        consistency,
        values,
        on_refused_row,
        on_target_lost: OnTargetLost::default(),
    })
}

fn batch(batch: &Batch) -> Result<BatchConfig, ConfigError> {
    let Batch { max_rows, max_bytes, min_interval } = batch;
    let field = |name| field(SINK, &format!("batch.{name}"));
    Ok(BatchConfig {
        max_rows: limits::number(&field("maxRows"), &max_rows.to_string(), limits::ROWS)?,
        max_bytes: limits::bytes(&field("maxBytes"), max_bytes, "64Ki", "1Gi")?,
        min_interval: limits::duration(&field("minInterval"), min_interval, "10ms", "5m")?,
    })
}

fn credentials(
    field: &str,
    directory: &Path,
    username: &str,
    password: &str,
) -> Result<(String, Secret), ConfigError> {
    let user = file::secret(field, &directory.join(username))?;
    let user = limits::name(field, &user)
        .map_err(|error| ConfigError::new(field, format!("the user name {}", error.problem)))?;
    Ok((user, Secret::new(file::secret(field, &directory.join(password))?)))
}

fn tls_config(directory: &Path, tls: &Tls) -> Result<TlsConfig, ConfigError> {
    let ca_file = tls.ca_secret_ref.is_some().then(|| directory.join(SOURCE_CA));
    if let Some(path) = &ca_file {
        let field = field(SOURCE, "tls.caSecretRef");
        if matches!(tls.mode, TlsMode::Disable | TlsMode::Require) {
            return Err(ConfigError::new(
                field,
                "needs mode VerifyCA or VerifyFull: the other modes check no certificate",
            ));
        }
        let bundle = file::text(&field, path, DESCRIPTION)?;
        if !bundle.contains("-----BEGIN CERTIFICATE-----") {
            return Err(ConfigError::new(field, "must contain a certificate in PEM form"));
        }
    }
    Ok(TlsConfig { mode: tls.mode, ca_file })
}

fn port_of(field: &str, port: u16) -> Result<u16, ConfigError> {
    limits::number(field, &port.to_string(), limits::PORT)
}

fn field(section: &str, name: &str) -> String {
    format!("{section}.{name}")
}

#[cfg(test)]
mod tests;
