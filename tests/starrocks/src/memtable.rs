//! The order in which shared-data applies the rows of one transaction (§9.3): within a memtable the last row of a key
//! wins, but across memtables all upserts come first and all deletes after them.
//!
//! With `delete k; upsert k` on two sides of a flush the row is lost without an error. Every load ends with a flush.

use std::collections::HashSet;

use crate::{
    catalog::{Change, encode_key},
    outcome::Part,
};

/// The parts of a transaction in the order in which shared-data applies them.
pub(crate) fn upserts_then_deletes(parts: Vec<Part>, memtable_rows: usize) -> Vec<Part> {
    let (mut upserts, mut deletes) = (Vec::new(), Vec::new());
    for Part { table_id, epoch, columns, changes, manner } in parts {
        let part = |columns, changes| Part { table_id, epoch, columns, changes, manner };
        if !columns.iter().any(|column| column.is_key) {
            upserts.push(part(columns, changes));
            continue;
        }
        let (mut kept, mut removed) = (Vec::new(), Vec::new());
        let mut rest = changes;
        while !rest.is_empty() {
            let later = rest.split_off(memtable_rows.max(1).min(rest.len()));
            for change in last_of_each_key(&columns, rest) {
                if change.is_delete { removed.push(change) } else { kept.push(change) }
            }
            rest = later;
        }
        upserts.push(part(columns.clone(), kept));
        deletes.push(part(columns, removed));
    }
    upserts.into_iter().chain(deletes).collect()
}

fn last_of_each_key(columns: &[crate::catalog::Column], memtable: Vec<Change>) -> Vec<Change> {
    let mut seen = HashSet::new();
    let mut kept: Vec<Change> = memtable
        .into_iter()
        .rev()
        .filter(|change| encode_key(columns, &change.values).is_ok_and(|key| seen.insert(key)))
        .collect();
    kept.reverse();
    kept
}
