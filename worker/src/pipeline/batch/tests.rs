//! Folding of changes of one key.

use std::{collections::BTreeMap, time::SystemTime};

use proptest::prelude::*;

use super::*;
use crate::{
    change::{Old, Value, write_value},
    table::{Column, Kind, TableId, TableName},
};

fn table() -> Arc<Table> {
    let column = |name: &str| Column::new(name, Kind::Text, "text");
    let columns = ["id", "a", "b"].map(column).to_vec();
    let name = TableName { schema: "public".into(), name: "t".into() };
    Arc::new(Table {
        id: TableId(0),
        target: "t".into(),
        name,
        columns,
        key: vec![0],
        last_number: 0,
        facts: Default::default(),
    })
}

const SAME: &str = "=";

/// A row of three texts; `=` stands for an unchanged large value, `-` for null.
fn row(values: [&str; 3]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for value in values {
        let value = match value {
            SAME => Value::Unchanged,
            "-" => Value::Null,
            text => Value::Text(text.as_bytes()),
        };
        write_value(value, &mut bytes);
    }
    bytes
}

enum Step {
    Insert([&'static str; 3]),
    Update([&'static str; 3]),
    Move(&'static str, [&'static str; 3]),
    UpdateFull([&'static str; 3], [&'static str; 3]),
    Delete(&'static str),
    DeleteFull([&'static str; 3]),
}
use Step::*;

fn gather(deletes: Deletes, steps: &[Step]) -> Result<Vec<Batch>, IncompleteKeyChange> {
    gather_of(None, deletes, steps)
}

fn gather_of(
    transaction: Option<u32>,
    deletes: Deletes,
    steps: &[Step],
) -> Result<Vec<Batch>, IncompleteKeyChange> {
    let mut gathering = Accumulation::new(table(), deletes);
    transaction.into_iter().for_each(|xid| gathering.begin(xid));
    for (number, step) in steps.iter().enumerate() {
        let (old, new) = match step {
            Insert(new) | Update(new) => (Vec::new(), row(*new)),
            Move(key, new) => (row([key, "-", "-"]), row(*new)),
            UpdateFull(old, new) => (row(*old), row(*new)),
            Delete(key) => (row([key, "-", "-"]), Vec::new()),
            DeleteFull(old) => (row(*old), Vec::new()),
        };
        let (old, new) = (Tuple::stored(&old), Tuple::stored(&new));
        let change = match step {
            Insert(_) => Change::Insert { new },
            Update(_) => Change::Update { old: None, new },
            Move(..) => Change::Update { old: Some(Old::Key(old)), new },
            UpdateFull(..) => Change::Update { old: Some(Old::Full(old)), new },
            Delete(_) => Change::Delete { old: Old::Key(old) },
            DeleteFull(_) => Change::Delete { old: Old::Full(old) },
        };
        gathering.push(change, Lsn(number as u64 + 1))?;
    }
    Ok(gathering.close(SystemTime::UNIX_EPOCH))
}

/// Rows as `operation key values@version`; a column outside the batch's set is a blank.
fn rows(batches: &[Batch]) -> Vec<String> {
    let print = |batch: &Batch, row: Row<'_>| {
        let values = row.values.values().enumerate().map(|(column, value)| match value {
            _ if !batch.columns().contains(column) => " ".into(),
            Value::Text(text) => String::from_utf8_lossy(text).into_owned(),
            Value::Null => "-".into(),
            Value::Unchanged => "UNCHANGED".into(),
        });
        format!("{:?} {}@{}", row.operation, values.collect::<Vec<_>>().join("|"), row.version.0)
    };
    let mut rows: Vec<_> =
        batches.iter().flat_map(|batch| batch.rows().map(move |row| print(batch, row))).collect();
    rows.sort();
    rows
}

fn soft(steps: &[Step]) -> Vec<String> {
    rows(&gather(Deletes::Soft, steps).unwrap())
}

#[test]
fn the_last_change_of_a_key_wins() {
    assert_eq!(soft(&[Insert(["1", "x", "y"]), Update(["1", "z", "y"])]), ["Update 1|z|y@2"]);
}

#[test]
fn rule_5_an_unchanged_value_comes_from_an_earlier_change_of_the_key() {
    assert_eq!(soft(&[Insert(["1", "x", "large"]), Update(["1", "z", SAME])]), ["Update 1|z|large@2"]);
}

#[test]
fn rule_5_an_unchanged_value_that_nobody_knows_is_left_out_of_the_load() {
    let batches = gather(Deletes::Soft, &[Update(["1", "z", SAME]), Insert(["2", "x", "y"])]).unwrap();
    assert_eq!(batches.len(), 2, "one load for each set of columns");
    assert_eq!(rows(&batches), ["Insert 2|x|y@2", "Update 1|z| @1"]);
}

#[test]
fn rule_5_partial_changes_of_a_key_add_up() {
    assert_eq!(soft(&[Update(["1", "z", SAME]), Update(["1", SAME, "w"])]), ["Update 1|z|w@2"]);
}

#[test]
fn rule_5_the_old_row_gives_the_unchanged_value() {
    let step = UpdateFull(["1", "x", "large"], ["1", "z", SAME]);
    assert_eq!(soft(&[step]), ["Update 1|z|large@1"]);
}

#[test]
fn rule_5_a_key_change_is_a_delete_and_an_upsert() {
    assert_eq!(soft(&[Move("1", ["2", "x", "y"])]), ["Delete 1| | @1", "Update 2|x|y@1"]);
}

#[test]
fn rule_5_a_swap_of_two_keys_keeps_both_rows() {
    let steps = [
        Insert(["1", "one", "-"]),
        Insert(["2", "two", "-"]),
        Move("1", ["3", "one", "-"]),
        Move("2", ["1", "two", "-"]),
        Move("3", ["2", "one", "-"]),
    ];
    let batches = gather(Deletes::Hard, &steps).unwrap();
    assert_eq!(rows(&batches), ["Delete 3| | @5", "Update 1|two|-@4", "Update 2|one|-@5"]);
}

#[test]
fn rule_5_a_key_change_takes_a_large_value_along_when_it_is_known() {
    let steps = [Insert(["1", "x", "large"]), Move("1", ["2", "x", SAME])];
    assert_eq!(soft(&steps), ["Delete 1|x|large@2", "Update 2|x|large@2"]);
}

#[test]
fn rule_5_a_key_change_without_its_large_value_is_an_error_where_the_source_cannot_be_asked() {
    let error = gather(Deletes::Soft, &[Move("1", ["2", "x", SAME])]).unwrap_err();
    assert_eq!(error.column, "b");
}

/// The rows, with `?` before those that lack values which have to be read from the source.
fn of_transaction(deletes: Deletes, steps: &[Step]) -> Vec<String> {
    let batches = gather_of(Some(7), deletes, steps).unwrap();
    let lacking = |batch: &Batch| matches!(batch.columns(), ColumnSet::Lacking(_));
    assert!(batches.iter().all(|batch| !lacking(batch) || **batch.movers() == [7]));
    let of = |batch: &Batch| {
        let mark = if lacking(batch) { "? " } else { "" };
        rows(std::slice::from_ref(batch)).into_iter().map(|row| format!("{mark}{row}")).collect::<Vec<_>>()
    };
    let mut all: Vec<_> = batches.iter().flat_map(of).collect();
    all.sort();
    all
}

#[test]
fn rule_5_a_key_change_without_its_large_value_is_no_partial_update() {
    let moved = Move("1", ["2", "x", SAME]);
    assert_eq!(of_transaction(Deletes::Soft, &[moved]), ["? Update 2|x| @1", "Delete 1| | @1"]);
}

#[test]
fn rule_5_what_follows_a_key_change_that_lacks_a_value_lacks_it_too_until_it_comes() {
    let after = |step| of_transaction(Deletes::Soft, &[Move("1", ["2", "x", SAME]), step]);
    assert_eq!(after(Update(["2", "z", SAME])), ["? Update 2|z| @2", "Delete 1| | @1"]);
    assert_eq!(after(Update(["2", "z", "y"])), ["Delete 1| | @1", "Update 2|z|y@2"]);
    assert_eq!(
        after(Move("2", ["3", "z", SAME])),
        ["? Update 3|z| @2", "Delete 1| | @1", "Delete 2|x| @2"],
        "a delete is loaded as it is"
    );
    assert_eq!(after(Delete("2")), ["Delete 1| | @1", "Delete 2|x| @2"]);
}

#[test]
fn rule_5_a_row_under_a_new_key_takes_nothing_from_the_row_that_had_the_key_before() {
    let steps = [Insert(["2", "x", "of another"]), Delete("2"), Move("1", ["2", "y", SAME])];
    assert_eq!(of_transaction(Deletes::Soft, &steps), ["? Update 2|y| @3", "Delete 1| | @3"]);
}

#[test]
fn rule_5_a_key_that_is_a_large_value_comes_with_the_old_key() {
    assert_eq!(soft(&[Move("1", [SAME, "x", "y"])]), ["Update 1|x|y@1"]);
    assert_eq!(soft(&[Move("1", [SAME, "x", SAME])]), ["Update 1|x| @1"]);
    let error = gather_of(Some(7), Deletes::Soft, &[Update([SAME, "x", "y"])]).unwrap_err();
    assert_eq!(error.column, "id", "and is an error without it");
}

#[test]
fn rule_8_a_soft_delete_keeps_the_last_values() {
    assert_eq!(soft(&[Delete("1")]), ["Delete 1| | @1"], "they stay as they are in the sink");
    assert_eq!(soft(&[Insert(["1", "x", "y"]), Delete("1")]), ["Delete 1|x|y@2"]);
    assert_eq!(soft(&[DeleteFull(["1", "x", "y"])]), ["Delete 1|x|y@1"]);
}

#[test]
fn rule_8_a_hard_delete_carries_the_key_alone() {
    let batches = gather(Deletes::Hard, &[Insert(["1", "x", "y"]), DeleteFull(["1", "x", "y"])]).unwrap();
    assert_eq!(rows(&batches), ["Delete 1| | @2"]);
}

#[test]
fn a_row_that_comes_back_is_a_whole_row() {
    assert_eq!(soft(&[Delete("1"), Insert(["1", "x", "y"])]), ["Insert 1|x|y@2"]);
}

#[test]
fn batches_of_equal_content_have_equal_identities() {
    let identity = |steps: &[Step]| gather(Deletes::Soft, steps).unwrap()[0].identity();
    let one = identity(&[Insert(["1", "x", "y"])]);
    assert_eq!(one, identity(&[Insert(["1", "x", "y"])]));
    assert_ne!(one, identity(&[Insert(["1", "x", "z"])]));
    assert_ne!(one, identity(&[Update(["1", "x", "y"])]));
}

#[test]
fn a_row_larger_than_a_segment_is_kept_whole() {
    let large = "v".repeat(3 << 18);
    let mut gathering = Accumulation::new(table(), Deletes::Soft);
    for key in ["1", "2", "3"] {
        let bytes = row([key, if key == "2" { &large } else { "small" }, "-"]);
        gathering.push(Change::Insert { new: Tuple::stored(&bytes) }, Lsn(1)).unwrap();
    }
    let batches = gathering.close(SystemTime::UNIX_EPOCH);
    let lengths: Vec<_> = batches[0].rows().map(|row| row.values.as_bytes().len()).collect();
    assert_eq!(lengths, [17, 12 + large.len(), 17].map(|length| length));
}

proptest! {
    /// Any changes of full rows end as a map would: one row per key, the last one.
    #[test]
    fn a_batch_holds_what_a_map_would(changes in prop::collection::vec((0_u8..20, any::<bool>(), 0_u16..500), 1..300)) {
        let mut gathering = Accumulation::new(table(), Deletes::Hard);
        let mut expected = BTreeMap::new();
        for (number, (key, delete, value)) in changes.iter().enumerate() {
            let (key, value) = (key.to_string(), value.to_string());
            let bytes = row([&key, &value, "-"]);
            let tuple = Tuple::stored(&bytes);
            let change = if *delete { Change::Delete { old: Old::Key(tuple) } } else { Change::Insert { new: tuple } };
            gathering.push(change, Lsn(number as u64)).unwrap();
            expected.insert(key, (!delete).then_some(value));
        }
        let batches = gathering.close(SystemTime::UNIX_EPOCH);
        let mut found = BTreeMap::new();
        for batch in &batches {
            for row in batch.rows() {
                let texts: Vec<_> = row.values.values().map(|value| match value {
                    Value::Text(text) => String::from_utf8_lossy(text).into_owned(),
                    Value::Null | Value::Unchanged => String::new(),
                }).collect();
                let value = (row.operation != Operation::Delete).then(|| texts[1].clone());
                prop_assert!(found.insert(texts[0].clone(), value).is_none(), "two rows of one key");
            }
        }
        prop_assert_eq!(found, expected);
    }
}

#[test]
fn a_key_in_another_spelling_is_the_same_key() {
    let mut numeric = Table::clone(&table());
    numeric.columns[0].kind = Kind::Numeric;
    let mut gathering = Accumulation::new(Arc::new(numeric), Deletes::Hard);
    let (one, other) = (row(["1.0", "a", "-"]), row(["1.00", "b", "-"]));
    let (old, new) = (Tuple::stored(&one), Tuple::stored(&other));
    gathering.push(Change::Insert { new: old }, Lsn(1)).unwrap();
    gathering.push(Change::Update { old: Some(Old::Key(old)), new }, Lsn(2)).unwrap();
    let batches = gathering.close(SystemTime::UNIX_EPOCH);
    assert_eq!(batches.iter().map(Batch::row_count).sum::<usize>(), 1);
}

proptest! {
    #[test]
    fn halves_hold_every_row_once_and_are_no_load_of_the_other(count in 1_usize..40) {
        let keys: Vec<&'static str> = (0..count).map(|key| &*key.to_string().leak()).collect();
        let steps: Vec<_> = keys.iter().map(|key| Insert([*key, "a", "-"])).collect();
        let whole = gather(Deletes::Soft, &steps).unwrap().pop().unwrap();
        let (mut parts, mut single, mut digests) = (vec![whole], Vec::new(), Vec::new());
        let expected = rows(&parts);
        while let Some(part) = parts.pop() {
            digests.push(part.identity().digest);
            match part.halves() {
                Some(halves) => parts.extend(halves),
                None => single.push(part),
            }
        }
        single.reverse();
        prop_assert_eq!(rows(&single), expected);
        digests.sort_unstable();
        digests.dedup();
        prop_assert_eq!(digests.len(), 2 * count - 1);
    }
}

#[test]
fn a_large_row_is_kept_in_the_bytes_it_came_in() {
    let mut bytes = vec![b'?'; 100];
    for value in ["1".to_owned(), "x".repeat(2 << 20), "b".to_owned()] {
        write_value(Value::Text(value.as_bytes()), &mut bytes);
    }
    let block = Bytes::from(bytes);
    let new = Tuple::stored(&block[100..]);
    let mut gathering = Accumulation::new(table(), Deletes::Soft);
    gathering.push_from(&block, Change::Insert { new }, Lsn(1)).unwrap();
    assert!(gathering.held_bytes() < (2 << 20) + (64 << 10), "{}", gathering.held_bytes());
    let batches = gathering.close(SystemTime::UNIX_EPOCH);
    let kept = batches[0].rows().next().unwrap().values.as_bytes();
    assert_eq!(kept.as_ptr(), block[100..].as_ptr());
    assert_eq!(kept, &block[100..]);
}

#[test]
fn a_large_row_that_is_a_small_part_of_its_block_does_not_keep_it() {
    let mut bytes = vec![b'?'; 4 << 20];
    let start = bytes.len();
    for value in ["1".to_owned(), "x".repeat(2 << 20), "b".to_owned()] {
        write_value(Value::Text(value.as_bytes()), &mut bytes);
    }
    let block = Bytes::from(bytes);
    let mut gathering = Accumulation::new(table(), Deletes::Soft);
    let new = Tuple::stored(&block[start..]);
    gathering.push_from(&block, Change::Insert { new }, Lsn(1)).unwrap();
    let batches = gathering.close(SystemTime::UNIX_EPOCH);
    let kept = batches[0].rows().next().unwrap().values.as_bytes();
    assert_ne!(kept.as_ptr(), block[start..].as_ptr());
    assert_eq!(kept, &block[start..]);
}

#[test]
fn a_large_row_that_is_superseded_makes_room_at_once() {
    let mut gathering = Accumulation::new(table(), Deletes::Soft);
    for letter in ["x", "y", "z"] {
        let row: Vec<u8> = ["1", &letter.repeat(2 << 20), "b"]
            .into_iter()
            .flat_map(|value| {
                let mut bytes = Vec::new();
                write_value(Value::Text(value.as_bytes()), &mut bytes);
                bytes
            })
            .collect();
        gathering.push(Change::Insert { new: Tuple::stored(&row) }, Lsn(1)).unwrap();
    }
    assert!(gathering.held_bytes() < 3 << 20, "{}", gathering.held_bytes());
    let batches = gathering.close(SystemTime::UNIX_EPOCH);
    let rows: Vec<_> = batches[0].rows().map(|row| row.values.as_bytes()[20]).collect();
    assert_eq!(rows, [b'z']);
}
