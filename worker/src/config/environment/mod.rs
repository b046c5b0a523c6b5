//! The variables of the dbmazz contract: the configuration of a worker without Kubernetes.
//!
//! | variable | default | note |
//! |---|---|---|
//! | `SOURCE_TYPE` | `postgres` | also `postgresql`, in any case |
//! | `SOURCE_URL` | required | with and without `replication=database` |
//! | `SOURCE_PASSWORD` | – | for a URL without one |
//! | `SOURCE_SLOT_NAME`, `SOURCE_PUBLICATION_NAME` | `dbmazz_slot`, `dbmazz_pub` | the slot is also the job's name |
//! | `TABLES` | `orders,order_items` | `schema.table`, or bare for `public` |
//! | `SINK_TYPE` | `starrocks` | in any case |
//! | `SINK_URL` | required | port 8030 unless it names one |
//! | `SINK_PORT` | 9030 | MySQL protocol |
//! | `SINK_DATABASE` | required | |
//! | `SINK_USER`, `SINK_PASSWORD` | `root`, empty | |
//! | `FLUSH_SIZE` | 10000 | maximum rows per load |
//! | `FLUSH_INTERVAL_MS` | 5000 | 10 or more; an upper bound: loads of one table begin at most a second apart |
//! | `DBMAZZ_DELETES` | Soft | or Hard |
//! | `DBMAZZ_CONSISTENCY` | Row | or Transaction: all tables in one StarRocks transaction (4.0.7 and later) |
//! | `DBMAZZ_BUFFER` | 32Mi | maximum bytes held between source and sink |
//! | `DBMAZZ_MEMORY` | limit of the cgroup | memory limit of the process: a row that exceeds it halts its table |
//! | `DBMAZZ_VALUES_DATES`, `_DECIMALS`, `_JSON` | Halt | or Null, Text: for values that StarRocks cannot represent |
//! | `DBMAZZ_VALUES_JSON_NUMBERS` | Exact | or Round |
//! | `DBMAZZ_VALUES_TOO_LONG` | Halt | or Null, Truncate |
//! | `DBMAZZ_ON_REFUSED_ROW` | Halt | or DeadLetter |
//! | `DO_SNAPSHOT` | false | existing rows are copied |
//! | `INITIAL_SNAPSHOT_ONLY` | false | true: existing rows are copied, and the worker ends when they all are |
//! | `DBMAZZ_CATCH_UP` | `256Mi` | a longer backlog is read in chunks; `Never` to always stream |
//! | `DBMAZZ_STATE_DIR` | `$XDG_STATE_HOME/dbmazz`, `~/.local/state/dbmazz` | journal of loads in flight; keep it across restarts |
//! | `SNAPSHOT_CHUNK_SIZE`, `SNAPSHOT_PARALLEL_WORKERS` | 500000, 2 | rows of a chunk at most, tables that are copied at once |
//!
//! `listen` has the ports and addresses of the control servers. An empty variable counts as absent. Every secret
//! (`SOURCE_URL`, `SOURCE_PASSWORD`, `SINK_PASSWORD`) may be in a file instead, named by the variable with the suffix
//! `_FILE`; setting both is an error.

use std::{
    ops::RangeInclusive,
    path::{Path, PathBuf},
    time::Duration,
};

use super::{
    BatchConfig, ConfigError, Consistency, Deletes, JobConfig, JsonNumbers, LogLevel, OnLost, OnRefusedRow,
    OnTargetLost, Secret, SinkConfig, SnapshotConfig, SourceConfig, TooLong, Unfit, Values, file, limits,
    listen, memory, sink_url, source_url,
};
use crate::table::TableName;

/// Upper bound of the time between the begins of two loads of a table, whatever `FLUSH_INTERVAL_MS` allows.
pub const SOON_ENOUGH: Duration = Duration::from_secs(1);

/// The job that the variables describe. Reads only the variables and the files that they name.
pub fn read(vars: impl Fn(&str) -> Option<String>) -> Result<JobConfig, ConfigError> {
    let listen = listen::standalone(&vars)?;
    let variables = Variables(vars);
    let (source, sink) = (source(&variables)?, sink(&variables)?);
    Ok(JobConfig {
        job: source.slot.clone(),
        source: SourceConfig { whole_rows: sink.consistency == Consistency::Transaction, ..source },
        sink,
        snapshot: snapshot(&variables)?,
        batch: batch(&variables)?,
        buffer: buffer(&variables)?,
        memory: memory(&variables)?,
        drain_timeout: limits::DEFAULT_DRAIN,
        state_directory: state_directory(&variables),
        paused: false,
        listen,
        log_level: LogLevel::Info,
    })
}

fn source<F: Fn(&str) -> Option<String>>(variables: &Variables<F>) -> Result<SourceConfig, ConfigError> {
    variables.one_of("SOURCE_TYPE", &["postgres", "postgresql"])?;
    let url = variables.secret("SOURCE_URL")?.ok_or_else(|| missing("SOURCE_URL"))?;
    let source_url::SourceUrl { host, port, database, user, password, tls } = source_url::read(url.reveal())?;
    let password = match (password, variables.secret("SOURCE_PASSWORD")?) {
        (Some(_), Some(_)) => {
            return Err(ConfigError::new("SOURCE_PASSWORD", "must be absent when SOURCE_URL has a password"));
        }
        (in_url, apart) => in_url.or(apart).unwrap_or_default(),
    };
    let slot = variables.or("SOURCE_SLOT_NAME", "dbmazz_slot");
    let publication = variables.or("SOURCE_PUBLICATION_NAME", "dbmazz_pub");
    Ok(SourceConfig {
        host,
        port,
        database,
        user,
        password,
        tls,
        slot: limits::slot("SOURCE_SLOT_NAME", slot.trim())?,
        publication: limits::identifier("SOURCE_PUBLICATION_NAME", publication.trim())?,
        on_lost: variables
            .word("DBMAZZ_SLOT_ON_LOST", [("Fail", OnLost::Fail), ("Resnapshot", OnLost::Resnapshot)])?,
        catch_up: catch_up(variables)?,
        whole_rows: false,
        claims: Vec::new(),
        tables: tables(&variables.or("TABLES", "orders,order_items"))?,
        copy_memory: None,
    })
}

fn catch_up<F: Fn(&str) -> Option<String>>(variables: &Variables<F>) -> Result<Option<u64>, ConfigError> {
    limits::catch_up("DBMAZZ_CATCH_UP", &variables.or("DBMAZZ_CATCH_UP", limits::DEFAULT_CATCH_UP))
}

fn tables(list: &str) -> Result<Vec<TableName>, ConfigError> {
    limits::tables("TABLES", list.split(',').map(str::trim).filter(|name| !name.is_empty()))
}

fn sink<F: Fn(&str) -> Option<String>>(variables: &Variables<F>) -> Result<SinkConfig, ConfigError> {
    variables.one_of("SINK_TYPE", &["starrocks"])?;
    let (host, http_port) = sink_url::read(&variables.required("SINK_URL")?)?;
    let consistency = variables
        .word("DBMAZZ_CONSISTENCY", [("Row", Consistency::Row), ("Transaction", Consistency::Transaction)])?;
    let on_refused_row = variables.word(
        "DBMAZZ_ON_REFUSED_ROW",
        [("Halt", OnRefusedRow::Halt), ("DeadLetter", OnRefusedRow::DeadLetter)],
    )?;
    limits::fits_together("DBMAZZ_ON_REFUSED_ROW", consistency, on_refused_row)?;
    Ok(SinkConfig {
        host,
        http_port,
        query_port: variables.number("SINK_PORT", 9030, limits::PORT)?,
        database: limits::name("SINK_DATABASE", variables.required("SINK_DATABASE")?.trim())?,
        user: limits::name("SINK_USER", &variables.or("SINK_USER", "root"))?,
        password: variables.secret("SINK_PASSWORD")?.unwrap_or_default(),
        deletes: variables.word("DBMAZZ_DELETES", [("Soft", Deletes::Soft), ("Hard", Deletes::Hard)])?,
        consistency,
        values: values(variables)?,
        on_refused_row,
        on_target_lost: variables
            .word("DBMAZZ_ON_TARGET_LOST", [("Halt", OnTargetLost::Halt), ("Copy", OnTargetLost::Copy)])?,
    })
}

fn values<F: Fn(&str) -> Option<String>>(variables: &Variables<F>) -> Result<Values, ConfigError> {
    const UNFIT: [(&str, Unfit); 3] = [("Halt", Unfit::Halt), ("Null", Unfit::Null), ("Text", Unfit::Text)];
    const TOO_LONG: [(&str, TooLong); 3] =
        [("Halt", TooLong::Halt), ("Null", TooLong::Null), ("Truncate", TooLong::Truncate)];
    Ok(Values {
        dates: variables.word("DBMAZZ_VALUES_DATES", UNFIT)?,
        decimals: variables.word("DBMAZZ_VALUES_DECIMALS", UNFIT)?,
        json: variables.word("DBMAZZ_VALUES_JSON", UNFIT)?,
        json_numbers: variables.word(
            "DBMAZZ_VALUES_JSON_NUMBERS",
            [("Exact", JsonNumbers::Exact), ("Round", JsonNumbers::Round)],
        )?,
        too_long: variables.word("DBMAZZ_VALUES_TOO_LONG", TOO_LONG)?,
    })
}

/// The variable goes before the cgroup, which may have no limit or may not be visible.
fn memory<F: Fn(&str) -> Option<String>>(variables: &Variables<F>) -> Result<Option<u64>, ConfigError> {
    let Some(text) = variables.text("DBMAZZ_MEMORY") else { return Ok(memory::limit()) };
    limits::bytes("DBMAZZ_MEMORY", &text, "32Mi", "1024Gi").map(|bytes| Some(bytes as u64))
}

fn buffer<F: Fn(&str) -> Option<String>>(variables: &Variables<F>) -> Result<usize, ConfigError> {
    let asked = variables.text("DBMAZZ_BUFFER");
    asked.map_or(Ok(limits::DEFAULT_BUFFER), |text| limits::bytes("DBMAZZ_BUFFER", &text, "4Mi", "4Gi"))
}

/// The state directory: the variable, or a directory in the user's state home.
fn state_directory<F: Fn(&str) -> Option<String>>(variables: &Variables<F>) -> Option<PathBuf> {
    let named = variables.text("DBMAZZ_STATE_DIR").map(PathBuf::from);
    let usual = || variables.text("XDG_STATE_HOME").map(PathBuf::from);
    let home = || variables.text("HOME").map(|home| Path::new(&home).join(".local/state"));
    named.or_else(|| usual().or_else(home).map(|state| state.join("dbmazz")))
}

fn batch<F: Fn(&str) -> Option<String>>(variables: &Variables<F>) -> Result<BatchConfig, ConfigError> {
    let longest = variables.number("FLUSH_INTERVAL_MS", 5_000, 10..=3_600_000)?;
    Ok(BatchConfig {
        max_rows: variables.number("FLUSH_SIZE", 10_000, limits::ROWS)?,
        max_bytes: limits::DEFAULT_MAX_BYTES,
        min_interval: SOON_ENOUGH.min(Duration::from_millis(longest)),
    })
}

fn snapshot<F: Fn(&str) -> Option<String>>(variables: &Variables<F>) -> Result<SnapshotConfig, ConfigError> {
    let only = variables.flag("INITIAL_SNAPSHOT_ONLY")?;
    Ok(SnapshotConfig {
        initial: only || variables.flag("DO_SNAPSHOT")?,
        only,
        chunk_rows: variables.number("SNAPSHOT_CHUNK_SIZE", 500_000, 1..=u64::MAX)?,
        parallelism: variables.number("SNAPSHOT_PARALLEL_WORKERS", 2, 1..=1_000)?,
    })
}

fn missing(name: &str) -> ConfigError {
    ConfigError::new(name, "is required and not set")
}

struct Variables<F>(F);

impl<F: Fn(&str) -> Option<String>> Variables<F> {
    fn text(&self, name: &str) -> Option<String> {
        (self.0)(name).filter(|text| !text.is_empty())
    }

    fn or(&self, name: &str, default: &str) -> String {
        self.text(name).unwrap_or_else(|| default.to_owned())
    }

    fn required(&self, name: &str) -> Result<String, ConfigError> {
        self.text(name).ok_or_else(|| missing(name))
    }

    fn number<T>(&self, name: &str, default: T, bounds: RangeInclusive<T>) -> Result<T, ConfigError>
    where
        T: std::str::FromStr + PartialOrd + std::fmt::Display,
    {
        self.text(name).map_or(Ok(default), |text| limits::number(name, &text, bounds))
    }

    fn flag(&self, name: &str) -> Result<bool, ConfigError> {
        match self.or(name, "false").trim().to_ascii_lowercase().as_str() {
            "true" | "1" | "yes" | "on" => Ok(true),
            "false" | "0" | "no" | "off" => Ok(false),
            _ => Err(ConfigError::new(name, "must be true or false")),
        }
    }

    /// A value in the words of a ReplicationJob, for variables beyond the contract; its default when absent.
    fn word<T: Copy + Default, const N: usize>(
        &self,
        name: &str,
        words: [(&str, T); N],
    ) -> Result<T, ConfigError> {
        let Some(given) = self.text(name) else { return Ok(T::default()) };
        let found = words.iter().find(|(word, _)| *word == given).map(|(_, meaning)| *meaning);
        found.ok_or_else(|| {
            let known: Vec<_> = words.iter().map(|(word, _)| *word).collect();
            ConfigError::new(name, format!("must be one of {}", known.join(", ")))
        })
    }

    /// The first of `words` is the default.
    fn one_of(&self, name: &str, words: &[&str]) -> Result<(), ConfigError> {
        let given = self.or(name, words[0]);
        let known = words.iter().any(|word| given.trim().eq_ignore_ascii_case(word));
        known.then_some(()).ok_or_else(|| ConfigError::new(name, format!("must be {}", words[0])))
    }

    fn secret(&self, name: &str) -> Result<Option<Secret>, ConfigError> {
        let name_of_file = format!("{name}_FILE");
        match (self.text(name), self.text(&name_of_file)) {
            (Some(_), Some(_)) => {
                Err(ConfigError::new(name_of_file, format!("must be absent when {name} is set")))
            }
            (Some(value), None) if value.len() as u64 > file::SECRET => {
                Err(ConfigError::new(name, format!("is longer than {} bytes", file::SECRET)))
            }
            (Some(value), None) => Ok(Some(Secret::new(value))),
            (None, Some(path)) => {
                file::secret(&name_of_file, Path::new(&path)).map(|value| Some(Secret::new(value)))
            }
            (None, None) => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests;
