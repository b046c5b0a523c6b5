//! Dead letters: rows that StarRocks refused, kept whole in a table of their own beside the targets.
//!
//! Pure. A letter's key is a function of the job, the table and the row as it was, so that a row that comes
//! again after a crash is the same letter. Its time is in `dbmazz_synced_at`, as for every row.

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

/// The table of dead letters, in the target database beside the tables.
pub(crate) const LETTERS: &str = "dbmazz_dead_letters";

/// A row that StarRocks refused.
#[derive(Debug)]
pub(crate) struct Refused {
    /// The key columns, by name.
    pub(crate) key: String,
    /// The line that StarRocks refused.
    line: String,
    /// What StarRocks said, without row values.
    error: String,
    version: Lsn,
    synced_at: SystemTime,
}

impl Refused {
    /// The first row of a batch.
    pub(crate) fn new(batch: &Batch, deletes: Deletes, values: Values, error: String) -> Self {
        let plan = Plan::new(batch.table(), batch.columns(), deletes, values, batch.synced_at());
        let mut line = Vec::new();
        // What was measured before can be written.
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

/// The key of a row, as letters name it.
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

/// The letters of these rows of a table as a batch; none when there is none.
pub(crate) fn letters(job: &str, of: &Table, refused: &[Refused]) -> Option<Batch> {
    let mut letters = OwnRows::of(table());
    for row in refused {
        put(&mut letters, job, of, row)?;
    }
    letters.batch(refused.first()?.synced_at)
}

/// The key of a row's letter.
pub(crate) fn id(job: &str, of: &Table, refused: &Refused) -> String {
    let (name, key, lsn) = (of.name.to_string(), &refused.key, refused.version);
    format!("{:032x}", xxh3_128(format!("{job:?} {name:?} {key:?} {lsn}").as_bytes()))
}

/// The letters that stand no longer, as a batch that marks them; none when there is none.
pub(crate) fn answered(ids: &[(String, Lsn)], synced_at: SystemTime) -> Option<Batch> {
    let mut letters = OwnRows::of(table());
    for (id, version) in ids {
        letters.delete(id, *version)?;
    }
    letters.batch(synced_at)
}

fn put(letters: &mut OwnRows, job: &str, of: &Table, refused: &Refused) -> Option<()> {
    let (id, name, lsn) = (id(job, of, refused), of.name.to_string(), refused.version.to_string());
    let values = [&id, job, &name, &of.target, &refused.key, &refused.line, &refused.error, &lsn];
    letters.put(&values, refused.version)
}

/// The table of letters, in the form of every other.
pub(crate) fn table() -> Table {
    own_table(
        LETTERS,
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
        let letters = letters("job", &source(&[("id", Kind::Numeric)]), refused);
        let text = |value| match value {
            Value::Text(text) => String::from_utf8(text.to_vec()).unwrap(),
            other => panic!("{other:?}"),
        };
        let rows = letters.iter().flat_map(Batch::rows);
        rows.map(|row| row.values.values().map(text).collect()).collect()
    }

    #[test]
    fn a_letter_holds_the_key_the_row_and_what_was_said() {
        let letters = texts(&[refused(["1.0", "a\"b"])]);
        let [letter] = letters.as_slice() else { panic!("{letters:?}") };
        assert_eq!(letter[1..5], ["job", "public.t", "t", "{\"id\":\"1\"}"]);
        let row: Json = serde_json::from_str(&letter[5]).unwrap();
        assert_eq!(
            (&row["id"], &row["name"], &row["dbmazz_op_type"]),
            (&"1".into(), &"a\"b".into(), &0.into())
        );
        assert_eq!(letter[6..], ["too long", "0/1234"]);
    }

    #[test]
    fn the_same_row_is_the_same_letter() {
        let id = |refused| texts(&[refused])[0][0].clone();
        assert_eq!(id(refused(["1", "a"])), id(refused(["1.0", "a"])));
        assert_ne!(id(refused(["1", "a"])), id(refused(["2", "a"])));
        assert_eq!(texts(&[refused(["1", "a"]), refused(["1", "a"])]).len(), 1);
        assert!(texts(&[]).is_empty());
    }
}
