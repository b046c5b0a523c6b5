//! Keys of rows of a target that may not be rows of the source, by their versions.
//!
//! Only reads. The keys are returned as PostgreSQL spells them, so that the source can be asked about them.

use std::{sync::Arc, time::SystemTime};

use super::sql::{Session, SqlError, quoted};
use crate::{
    change::{Tuple, Value, write_value},
    config::{Deletes, SinkConfig},
    fault::{Fault, Part},
    lsn::Lsn,
    pipeline::{Batch, ColumnSet, Doubt, Operation, Rows},
    table::{Kind, Table},
};

/// Keys of one query.
const KEYS: usize = 1000;

/// Some keys; none when there are no such rows.
pub(crate) async fn find(
    config: &SinkConfig,
    table: &Arc<Table>,
    doubt: Doubt,
) -> Result<Option<Batch>, Fault> {
    let mut session = Session::open(config).await.map_err(|error| error.fault())?;
    let select = select(config, table, doubt);
    let found = session.run(&select, &format!("read keys of {}", table.target)).await;
    session.close().await;
    let found = found.map_err(|error| of_reading(&error, config, table))?;
    Ok(keys(table, &found))
}

fn select(config: &SinkConfig, table: &Table, Doubt { below, above }: Doubt) -> String {
    let columns = table.key.iter().filter_map(|place| table.columns.get(*place));
    let columns: Vec<_> = columns.map(|column| quoted(&column.name)).collect();
    let version = quoted("dbmazz_cdc_version");
    let is_doubtful = format!("({version} IS NULL OR {version} < {} OR {version} > {})", below.0, above.0);
    let deleted = quoted("dbmazz_is_deleted");
    let stands = match config.deletes {
        Deletes::Soft => format!(" AND ({deleted} IS NULL OR {deleted} = 0)"),
        Deletes::Hard => String::new(),
    };
    let (database, target) = (quoted(&config.database), quoted(&table.target));
    let columns = columns.join(", ");
    // In an order, so that the same rows are the same keys.
    format!(
        "SELECT {columns} FROM {database}.{target} WHERE {is_doubtful}{stands} ORDER BY {columns} LIMIT {KEYS}"
    )
}

fn keys(table: &Arc<Table>, found: &[Vec<Option<String>>]) -> Option<Batch> {
    let is_key: Box<[bool]> = (0..table.columns.len()).map(|place| table.key.contains(&place)).collect();
    let set = if is_key.iter().all(|key| *key) { ColumnSet::All } else { ColumnSet::Some(is_key) };
    let mut rows = Rows::new(Arc::clone(table), set);
    for key in found {
        rows.push(Operation::Update, Lsn(0), Tuple::stored(&row(table, key)));
    }
    rows.close(SystemTime::now())
}

/// A row with these values in its key columns, and nulls in all others.
fn row(table: &Table, key: &[Option<String>]) -> Vec<u8> {
    let mut row = Vec::new();
    for (place, column) in table.columns.iter().enumerate() {
        let of_key = table.key.iter().position(|of_key| *of_key == place);
        let text = of_key.and_then(|of_key| key.get(of_key)?.as_deref());
        let text = text.map(|text| at_source(column.kind, text));
        write_value(text.as_ref().map_or(Value::Null, |text| Value::Text(text.as_bytes())), &mut row);
    }
    row
}

/// A key as PostgreSQL prints it.
fn at_source(kind: Kind, text: &str) -> String {
    match kind {
        Kind::Boolean => if matches!(text, "1" | "true") { "t" } else { "f" }.to_owned(),
        Kind::Timestamp => without_zeros(text).to_owned(),
        Kind::TimestampTz => format!("{}+00", without_zeros(text)),
        Kind::Bytes => format!(r"\x{text}"),
        _ => text.to_owned(),
    }
}

/// A time without the zeros at the end of its fraction.
fn without_zeros(text: &str) -> &str {
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { text }
}

fn of_reading(error: &SqlError, config: &SinkConfig, table: &Table) -> Fault {
    let part = Part::Table(table.name.clone());
    let fault = Fault { part, ..error.of_reading(&table.target) };
    match error {
        SqlError::Permission { .. } => Fault {
            fix: format!(
                "grant the right to read it: run GRANT SELECT ON TABLE {}.{} TO USER '{}' in StarRocks",
                quoted(&config.database),
                quoted(&table.target),
                config.user
            ),
            ..fault
        },
        _ => fault,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::starrocks::double;

    #[test]
    fn a_key_is_spelled_as_the_source_prints_it() {
        for (kind, text, expected) in [
            (Kind::Boolean, "1", "t"),
            (Kind::Boolean, "0", "f"),
            (Kind::Timestamp, "2024-02-29 10:00:00.500000", "2024-02-29 10:00:00.5"),
            (Kind::Timestamp, "2024-02-29 10:00:00", "2024-02-29 10:00:00"),
            (Kind::TimestampTz, "2024-02-29 10:00:00.000000", "2024-02-29 10:00:00+00"),
            (Kind::Bytes, "00ff", r"\x00ff"),
            (Kind::Numeric, "1.5", "1.5"),
            (Kind::BigInt, "100", "100"),
        ] {
            assert_eq!(at_source(kind, text), expected, "{kind:?}");
        }
    }

    #[test]
    fn rows_are_asked_for_by_their_version_and_tombstones_stay() {
        let table = double::table(&[("id", Kind::BigInt), ("n", Kind::Integer)]);
        let doubt = Doubt { below: Lsn(7), above: Lsn(9) };
        let of = |deletes| select(&SinkConfig { deletes, ..double::sink(1) }, &table, doubt);
        assert_eq!(
            of(Deletes::Soft),
            "SELECT `id` FROM `d`.`t` WHERE (`dbmazz_cdc_version` IS NULL OR `dbmazz_cdc_version` < 7 \
             OR `dbmazz_cdc_version` > 9) AND (`dbmazz_is_deleted` IS NULL OR `dbmazz_is_deleted` = 0) \
             ORDER BY `id` LIMIT 1000"
        );
        assert!(!of(Deletes::Hard).contains("is_deleted"));
    }

    #[test]
    fn keys_are_rows_without_other_values() {
        let table = Arc::new(double::table(&[("id", Kind::BigInt), ("n", Kind::Integer)]));
        let batch = keys(&table, &[vec![Some("5".to_owned())]]).unwrap();
        let rows: Vec<Vec<_>> = batch.rows().map(|row| row.values.values().collect()).collect();
        assert_eq!(rows, [[Value::Text(b"5"), Value::Null]]);
        assert_eq!(*batch.columns(), ColumnSet::Some([true, false].into()));
        assert!(keys(&table, &[]).is_none());
    }
}
