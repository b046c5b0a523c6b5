//! `dbmazz verify`: compares PostgreSQL with StarRocks, table by table, value by value, while the job runs.
//!
//! ```text
//! source (SQL) ─► rows ─┐
//!                       ├─► compare ─► doubt ─► report
//! sink (MySQL) ─► rows ─┘
//! ```
//!
//! In: the description of a job. Out: a [`Report`]. It reads both sides in key order and holds a few rows of each, so
//! that its memory does not depend on the size of a table. It only reads, and shares no code with the encoder that
//! writes values to StarRocks, so that a defect there is found here.
//!
//! Rows that are marked as deleted count as absent. A differing key is read again until it is equal or
//! [`Options::patience`] is over, because on a live job its change may be in flight.

mod array;
mod compare;
mod doubt;
mod fault;
mod form;
#[cfg(feature = "fuzz")]
#[doc(hidden)]
pub mod fuzz;
mod hstore;
mod json;
mod key;
mod plan;
mod report;
mod rows;
mod sink;
mod source;
mod value;

use std::time::Duration;

pub use report::Report;

use crate::{config::JobConfig, fault::Fault, table::TableName};
use plan::Plan;
use report::TableReport;
use sink::Sink;

/// The command line options.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// How long a key may differ.
    pub patience: Duration,
    /// Maximum differing keys shown per table.
    pub shown: usize,
    /// The tables to compare; all tables of the job when empty.
    pub tables: Vec<TableName>,
}

impl Default for Options {
    fn default() -> Self {
        Self { patience: Duration::from_secs(30), shown: 10, tables: Vec::new() }
    }
}

impl Options {
    /// Parses `--patience 30s`, `--show 10`, `--table schema.name` (repeatable).
    pub fn read(words: &[&str]) -> Result<Self, String> {
        let mut options = Self::default();
        for pair in words.chunks(2) {
            let [option, value] = pair else { return Err(format!("{} needs a value", pair.join(" "))) };
            let wrong = |form: &str| format!("{value} is not {form}, as {option} needs it");
            match *option {
                "--patience" => {
                    options.patience =
                        crds::measure::duration(value).ok_or_else(|| wrong("a time such as 30s"))?;
                }
                "--show" => options.shown = value.parse().map_err(|_| wrong("a number"))?,
                "--table" => {
                    options.tables.push(TableName::parse(value).ok_or_else(|| wrong("schema.name"))?);
                }
                other => return Err(format!("{other} is not known to verify")),
            }
        }
        Ok(options)
    }
}

/// Compares the tables of the job, one after the other.
pub async fn run(config: &JobConfig, options: &Options) -> Result<Report, Fault> {
    let asked = if options.tables.is_empty() { &config.source.tables } else { &options.tables };
    let mut tables = Vec::new();
    for name in asked {
        tables.push(table(config, options, name).await?);
    }
    Ok(Report { tables, shown: options.shown })
}

async fn table(config: &JobConfig, options: &Options, name: &TableName) -> Result<TableReport, Fault> {
    match plan(config, name).await? {
        Ok(plan) => compare::table(config, plan, options.patience).await,
        Err(problem) => Ok(TableReport::failed(name, Some(problem))),
    }
}

/// What to compare, or why the table cannot be compared.
async fn plan(config: &JobConfig, name: &TableName) -> Result<Result<Plan, String>, Fault> {
    let (source, table) = (config.source.clone(), name.clone());
    let described = tokio::task::spawn_blocking(move || source::describe(&source, &table)).await;
    let described = described.unwrap_or_else(|defect| Err(compare::ended_by_defect(&defect)))?;
    let Some(source) = described else { return Ok(Err("it is missing in PostgreSQL".to_owned())) };
    let target = Sink::open(&config.sink).await?.describe(name).await?;
    let Some(target) = target else { return Ok(Err("its target is missing in StarRocks".to_owned())) };
    Ok(Plan::new(name, &config.sink.database, source, &target))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read_in_any_order() {
        let options =
            Options::read(&["--table", "s.t", "--patience", "5s", "--table", "u", "--show", "3"]).unwrap();
        let tables = ["s.t", "public.u"].map(|name| TableName::parse(name).unwrap()).to_vec();
        assert_eq!(options, Options { patience: Duration::from_secs(5), shown: 3, tables });
        assert_eq!(Options::read(&[]), Ok(Options::default()));
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        for (words, named) in [
            (&["--patience"][..], "--patience"),
            (&["--patience", "5"], "5"),
            (&["--show", "all"], "all"),
            (&["--table", "."], "schema.name"),
            (&["--everything", "x"], "--everything"),
        ] {
            assert!(Options::read(words).unwrap_err().contains(named), "{words:?}");
        }
    }
}
