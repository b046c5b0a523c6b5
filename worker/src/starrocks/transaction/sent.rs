//! The keys of rows that earlier parts have sent into the open transaction.
//!
//! Pure. StarRocks keeps the order of rows with one key within a load, but not between two loads of one transaction:
//! they share a rowset, and on shared data deletes are applied after upserts. So no key may be in two parts of a step.
//! Of each key a hash of eight bytes is kept. The chance that two keys of a transaction have the same hash is below one
//! in a million, and a collision would halt the job, not damage a row.

use crds::Reason;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::{
    change::{Tuple, Value},
    fault::{Fault, Part as Concerned},
    pipeline::Part,
    table::{Table, TableName},
};

/// So many keys take 8 MiB, about what a process may use in addition to its buffer.
pub(super) const LEAST_KEYS: usize = 1 << 20;
/// With a larger buffer, the keys may take this fraction of its size in addition to it: one in `PARTS`.
const PARTS: usize = 4;

/// How many keys are remembered with a buffer of `buffer` bytes.
pub(super) fn most_keys(buffer: usize) -> usize {
    (buffer / PARTS / size_of::<u64>()).max(LEAST_KEYS)
}

/// The keys of one transaction. Each part is a sorted run of its own, so that no vector is copied in order to grow.
#[derive(Debug, Default)]
pub(super) struct Sent(Vec<Vec<u64>>);

impl Sent {
    /// Records the keys of a part that is about to be sent; a fault when one of them was sent before, or when there are
    /// too many keys to know.
    pub(super) fn note(&mut self, part: &Part, most: usize) -> Result<(), Fault> {
        let known: usize = self.0.iter().map(Vec::len).sum();
        let mut run = Vec::new();
        for batch in &part.batches {
            let table = batch.table();
            if known + run.len() + batch.row_count() > most {
                return Err(too_many(&table.name, most));
            }
            for row in batch.rows() {
                let key = hash(table, row.values);
                if self.0.iter().any(|run| run.binary_search(&key).is_ok()) {
                    return Err(again(&table.name));
                }
                run.push(key);
            }
        }
        run.sort_unstable();
        self.0.push(run);
        Ok(())
    }
}

/// Hash of the key in the spelling that StarRocks stores.
fn hash(table: &Table, values: Tuple<'_>) -> u64 {
    let of_table = xxh3_64_with_seed(table.target.as_bytes(), 0);
    table.key.iter().fold(of_table, |hash, place| {
        let text = match (values.values().nth(*place), table.columns.get(*place)) {
            (Some(Value::Text(text)), Some(column)) => column.kind.key_text(text),
            _ => b"",
        };
        xxh3_64_with_seed(text, hash)
    })
}

fn again(table: &TableName) -> Fault {
    refused(
        table,
        format!(
            "a transaction larger than the buffer changes a row of {table} again after an earlier change of it was sent, and \
             StarRocks does not keep the order of the two within one transaction"
        ),
    )
}

fn too_many(table: &TableName, most: usize) -> Fault {
    refused(
        table,
        format!(
            "a transaction larger than the buffer changes more than {most} rows ({table} among others), too many to be sure \
             that no row is changed twice"
        ),
    )
}

fn refused(table: &TableName, message: String) -> Fault {
    let fix =
        "give worker.buffer room for the whole transaction, or set consistency to Row until it is loaded";
    Fault::halt(Concerned::Table(table.clone()), Reason::BadConfiguration, message, fix)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        starrocks::double::{inserts, table},
        table::Kind,
    };

    fn part(target: &str, keys: &[&str]) -> Part {
        let table = Table { target: target.to_owned(), ..table(&[("id", Kind::Numeric), ("v", Kind::Text)]) };
        let rows: Vec<_> =
            keys.iter().map(|key| vec![Value::Text(key.as_bytes()), Value::Text(b"x")]).collect();
        Part { batches: vec![inserts(&table, &rows)], reached: None }
    }

    #[test]
    fn rule_9_no_key_goes_into_two_parts_of_one_step() {
        let mut sent = Sent::default();
        sent.note(&part("a", &["1", "2"]), 10).unwrap();
        sent.note(&part("b", &["1", "2"]), 10).unwrap();
        sent.note(&part("a", &["3", "12"]), 10).unwrap();
        for twice in ["2", "2.0", "12"] {
            let fault = sent.note(&part("a", &["7", twice]), 10).unwrap_err();
            assert_eq!(fault.reason, Reason::BadConfiguration, "{twice}");
            assert!(fault.fix.contains("consistency to Row"), "{}", fault.fix);
        }
    }

    #[test]
    fn rule_9_more_keys_than_can_be_remembered_are_not_sent() {
        let mut sent = Sent::default();
        sent.note(&part("a", &["1", "2"]), 3).unwrap();
        assert!(sent.note(&part("a", &["3", "4"]), 3).is_err());
        assert!(sent.note(&part("a", &["3"]), 3).is_ok());
    }
}
