//! The rows of `dbmazz_dead_letters`, each a refused row as a whole.
//!
//! Pure. The id of a dead letter is a function of the job, the table, the row's key and its commit position, so that a
//! row that is read again after a crash gives the same dead letter. Its time is in `dbmazz_synced_at`, as for every row.

use std::time::SystemTime;

use serde_json::{Map, Value as Json};
use xxhash_rust::xxh3::xxh3_128;

use crate::{
    change::{Tuple, Value},
    config::{Deletes, Values},
    lsn::Lsn,
    pipeline::Batch,
    starrocks::{
        bookkeeping::own_table::{OwnRows, own_table, short_text, text},
        encode::{Encoder, Plan},
    },
    table::Table,
};

/// The table of dead letters, in the target database.
pub(crate) const DEAD_LETTERS: &str = "dbmazz_dead_letters";

/// A row that StarRocks refused.
#[derive(Debug)]
pub(crate) struct Refused {
    /// The key columns as a JSON object.
    pub(crate) key: String,
    /// The JSON line that StarRocks refused.
    line: String,
    /// The error message of StarRocks, without row values.
    error: String,
    version: Lsn,
    synced_at: SystemTime,
}

impl Refused {
    /// From the first row of a batch.
    pub(crate) fn new(batch: &Batch, deletes: Deletes, values: Values, error: String) -> Self {
        let plan = Plan::new(batch.table(), batch.columns(), deletes, values, batch.synced_at());
        let mut line = Vec::new();
        // Cannot fail, because the batch was measured before.
        let _ = Encoder::new(&plan, batch.rows().take(1)).fill(&mut line, usize::MAX);
        let row = batch.rows().next();
        Self {
            key: row.map_or_else(String::new, |row| key(batch.table(), row.values)),
            line: String::from_utf8_lossy(line.trim_ascii_end()).into_owned(),
            error,
            version: row.map_or(Lsn(0), |row| row.version),
            synced_at: batch.synced_at(),
        }
    }
}

/// The key of a row, as the column `row_key` contains it.
pub(crate) fn key(table: &Table, row: Tuple<'_>) -> String {
    let column = |place: &usize| {
        let column = table.columns.get(*place)?;
        let text = match row.values().nth(*place)? {
            Value::Text(text) => {
                Json::String(String::from_utf8_lossy(column.kind.key_text(text)).into_owned())
            }
            Value::Null | Value::Unchanged => Json::Null,
        };
        Some((column.name.clone(), text))
    };
    Json::Object(table.key.iter().filter_map(column).collect::<Map<_, _>>()).to_string()
}

/// The dead letters of these rows of a table as a batch; none when there are none.
pub(crate) fn dead_letters(job: &str, of: &Table, refused: &[Refused]) -> Option<Batch> {
    let mut rows = OwnRows::of(table());
    for row in refused {
        put(&mut rows, job, of, row)?;
    }
    rows.batch(refused.first()?.synced_at)
}

/// The id of a row's dead letter.
pub(crate) fn id(job: &str, of: &Table, refused: &Refused) -> String {
    let (name, key, lsn) = (of.name.to_string(), &refused.key, refused.version);
    format!("{:032x}", xxh3_128(format!("{job:?} {name:?} {key:?} {lsn}").as_bytes()))
}

/// A batch that marks resolved dead letters as deleted; none when there are none.
pub(crate) fn resolved(ids: &[(String, Lsn)], synced_at: SystemTime) -> Option<Batch> {
    let mut rows = OwnRows::of(table());
    for (id, version) in ids {
        rows.delete(id, *version)?;
    }
    rows.batch(synced_at)
}

fn put(rows: &mut OwnRows, job: &str, of: &Table, refused: &Refused) -> Option<()> {
    let (id, name, lsn) = (id(job, of, refused), of.name.to_string(), refused.version.to_string());
    let values = [&id, job, &name, &of.target, &refused.key, &refused.line, &refused.error, &lsn];
    rows.put(&values, refused.version)
}

/// The definition of the table of dead letters.
pub(crate) fn table() -> Table {
    own_table(
        DEAD_LETTERS,
        vec![
            short_text("id", 32),
            short_text("job", 512),
            short_text("source_table", 512),
            short_text("target_table", 512),
            text("row_key"),
            text("row_json"),
            text("error"),
            short_text("lsn", 32),
        ],
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        starrocks::double::{inserts, table as source},
        table::Kind,
    };

    fn refused(values: [&str; 2]) -> Refused {
        let table = source(&[("id", Kind::Numeric), ("name", Kind::Text)]);
        let batch = inserts(&table, &[values.map(|value| Value::Text(value.as_bytes())).to_vec()]);
        Refused::new(&batch, Deletes::Soft, Values::default(), "too long".to_owned())
    }

    fn texts(refused: &[Refused]) -> Vec<Vec<String>> {
        let batch = dead_letters("job", &source(&[("id", Kind::Numeric)]), refused);
        let text = |value| match value {
            Value::Text(text) => String::from_utf8(text.to_vec()).unwrap(),
            other => panic!("{other:?}"),
        };
        let rows = batch.iter().flat_map(Batch::rows);
        rows.map(|row| row.values.values().map(text).collect()).collect()
    }

    #[test]
    fn a_dead_letter_holds_the_key_the_row_and_the_error() {
        let dead_letters = texts(&[refused(["1.0", "a\"b"])]);
        let [dead_letter] = dead_letters.as_slice() else { panic!("{dead_letters:?}") };
        assert_eq!(dead_letter[1..5], ["job", "public.t", "t", "{\"id\":\"1\"}"]);
        let row: Json = serde_json::from_str(&dead_letter[5]).unwrap();
        assert_eq!(
            (&row["id"], &row["name"], &row["dbmazz_op_type"]),
            (&"1".into(), &"a\"b".into(), &0.into())
        );
        assert_eq!(dead_letter[6..], ["too long", "0/1234"]);
    }

    #[test]
    fn the_same_row_is_the_same_dead_letter() {
        let id = |refused| texts(&[refused])[0][0].clone();
        assert_eq!(id(refused(["1", "a"])), id(refused(["1.0", "a"])));
        assert_ne!(id(refused(["1", "a"])), id(refused(["2", "a"])));
        assert_eq!(texts(&[refused(["1", "a"]), refused(["1", "a"])]).len(), 1);
        assert!(texts(&[]).is_empty());
    }
}
