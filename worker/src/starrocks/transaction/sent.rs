//! The keys of rows that went ahead into the open transaction.
//!
//! Pure. StarRocks keeps the order of rows of one key within a load, and promises none between two loads of one
//! transaction: they share a rowset, and where data is shared deletes are applied after upserts. So no key may go
//! into two parts of a step. What is kept of a key are eight bytes: that two keys of a transaction share them by
//! chance is less likely than one in a million, and would halt the job, not harm a row.

use crds::Reason;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::{
    change::{Tuple, Value},
    fault::{Fault, Part as Concerned},
    pipeline::Part,
    table::{Table, TableName},
};

/// So many keys take 8 MiB: what a process may take beside its buffer is not much more.
pub(super) const LEAST_KEYS: usize = 1 << 20;
/// Of a larger buffer, one of so many parts is for keys beside it.
const PARTS: usize = 4;

/// How many keys are remembered with a buffer of so many bytes.
pub(super) fn most_keys(buffer: usize) -> usize {
    (buffer / PARTS / size_of::<u64>()).max(LEAST_KEYS)
}

/// Of one transaction. Each part is a sorted run, so that no memory is taken twice to grow.
#[derive(Debug, Default)]
pub(super) struct Sent(Vec<Vec<u64>>);

impl Sent {
    /// Notes the keys of a part that is about to go; a fault when one of them went before, or nobody could tell any
    /// more.
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

/// Of the key as StarRocks holds it.
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
            "a transaction that is larger than the buffer changes a row of {table} again after an earlier change of it \
             went ahead, and StarRocks keeps no order between the two in one step"
        ),
    )
}

fn too_many(table: &TableName, most: usize) -> Fault {
    refused(
        table,
        format!(
            "a transaction that is larger than the buffer changes more than {most} rows ({table} among others), too many \
             to be sure that none of them comes twice in one step"
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
