//! Whether a table's columns fit the headers of a load within a step.
//!
//! Pure. The frontend plans such a load from the headers of its own hop. It accepts 32 KiB of headers and reads them as
//! Latin-1: a column name beyond ASCII would become another name, and StarRocks ignores the values of a name that the
//! target does not have instead of reporting an error.

use std::time::SystemTime;

use crds::Reason;

use crate::{
    config::SinkConfig,
    fault::{Fault, Part},
    pipeline::ColumnSet,
    starrocks::{encode::Plan, http::frontend::Frontend},
    table::Table,
};

/// Most bytes of headers in a request to a frontend.
const MOST_HEADERS: usize = 32 * 1024;
/// Bytes of headers other than columns, database, target and credentials; includes a host of 253 bytes and a label of
/// 128.
const BESIDE: usize = 1024;

/// The fault of a table whose load within a step is impossible.
pub(in crate::starrocks) fn check(config: &SinkConfig, table: &Table) -> Result<(), Fault> {
    if let Some(column) = table.columns.iter().find(|column| !column.name.is_ascii()) {
        return Err(beyond_ascii(table, &column.name));
    }
    let plan = Plan::new(table, &ColumnSet::All, config.deletes, config.values, SystemTime::UNIX_EPOCH);
    let credentials = Frontend::new(config).authorization.len();
    let takes = plan.columns().len() + config.database.len() + table.target.len() + credentials + BESIDE;
    if takes > MOST_HEADERS { Err(too_wide(table, takes)) } else { Ok(()) }
}

fn too_wide(table: &Table, takes: usize) -> Fault {
    let message = format!(
        "the names of the {} columns of table {} make a load's headers {takes} bytes long; with consistency Transaction \
         StarRocks accepts {MOST_HEADERS}",
        table.columns.len(),
        table.name
    );
    refused(
        table,
        Reason::BadConfiguration,
        message,
        "set consistency to Row, or take the table out of the job",
    )
}

fn beyond_ascii(table: &Table, column: &str) -> Fault {
    let message = format!(
        "column {column:?} of table {} has a name beyond ASCII, which StarRocks misreads with consistency Transaction",
        table.name
    );
    refused(
        table,
        Reason::UnsupportedName,
        message,
        "set consistency to Row, or rename the column at the source",
    )
}

fn refused(table: &Table, reason: Reason, message: String, fix: &str) -> Fault {
    Fault::halt(Part::Table(table.name.clone()), reason, message, fix)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        starrocks::double::{sink, table},
        table::Kind,
    };

    fn checked(names: &[String]) -> Option<Reason> {
        let columns: Vec<_> = names.iter().map(|name| (name.as_str(), Kind::BigInt)).collect();
        check(&sink(1), &table(&columns)).err().map(|fault| fault.reason)
    }

    fn wide(columns: usize) -> Vec<String> {
        (0..columns).map(|number| format!("{number:0>57}")).collect()
    }

    #[test]
    fn a_table_whose_columns_do_not_fit_the_headers_of_a_frontend_is_refused_by_name() {
        // Each column takes its name, two quotes and a comma.
        assert_eq!(checked(&wide(520)), None);
        assert_eq!(checked(&wide(530)), Some(Reason::BadConfiguration));
        let table = table(&[(&"x".repeat(40_000), Kind::BigInt)]);
        let fault = check(&sink(1), &table).unwrap_err();
        assert!(fault.message.contains("public.t") && fault.fix.contains("consistency to Row"), "{fault:?}");
    }

    #[test]
    fn a_column_name_that_a_header_would_alter_is_refused_by_name() {
        assert_eq!(checked(&["id".to_owned(), "name".to_owned()]), None);
        assert_eq!(checked(&["id".to_owned(), "prénom".to_owned()]), Some(Reason::UnsupportedName));
    }
}
