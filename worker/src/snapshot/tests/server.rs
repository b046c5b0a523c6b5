//! The simulated PostgreSQL: one table, its transactions, and its WAL.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    catalogue::{self, Catalogue, ID, LARGE, V},
    heap::{CAPACITY, Ctid, Datum, Heap, Values, Version},
    transactions::{Lock, Snapshot, State, Transactions},
    wal::{Committed, Record, What},
};
use crate::{lsn::Lsn, table::Table};

pub(super) type Xid = u64;

/// Bytes of a record of the WAL.
const RECORD: u64 = 8;

#[derive(Debug)]
pub(super) struct Server {
    pub(super) transactions: Transactions,
    pub(super) catalogue: Catalogue,
    heaps: BTreeMap<u32, Heap>,
    pub(super) wal: Vec<Committed>,
    end: Lsn,
    /// Changes that were written before this are never sent.
    published: Lsn,
    /// Snapshots of sessions that read; each holds a lock on the table.
    readers: BTreeMap<u64, Snapshot>,
    next_reader: u64,
    /// Versions that are put into a block.
    pub(super) fill: usize,
}

/// What a row is to a transaction that wants to change it.
enum Standing {
    Dead,
    Live,
    /// It would have to wait for another transaction.
    Busy,
}

impl Server {
    pub(super) fn new(first: Xid, leaves: u32) -> Self {
        let catalogue = Catalogue::new(leaves);
        let heaps =
            catalogue.now(|_| true).facts.files.values().map(|file| (*file, Heap::default())).collect();
        let transactions = Transactions::beginning_at(first);
        let (end, published) = (Lsn(1000), Lsn::default());
        let (wal, readers) = (Vec::new(), BTreeMap::new());
        Self { transactions, catalogue, heaps, wal, end, published, readers, next_reader: 0, fill: CAPACITY }
    }

    pub(super) fn end(&self) -> Lsn {
        self.end
    }

    fn write(&mut self) -> Lsn {
        let at = self.end;
        self.end.0 += RECORD;
        at
    }

    /// The table joins the publication: earlier changes are never sent, also those of open transactions. It has waited
    /// for transactions that change the table as a whole.
    pub(super) fn publish(&mut self) {
        for xid in self.transactions.holders(Lock::Exclusive) {
            if self.transactions.of(xid).state != State::InWal {
                self.commit(xid);
            }
            self.transactions.end(xid, State::Visible);
        }
        self.published = self.write();
    }

    pub(super) fn is_sent(&self, record: &Record) -> bool {
        record.lsn > self.published
    }

    // Transactions.

    pub(super) fn commit(&mut self, top: Xid) {
        let commit = self.write();
        let end = self.end;
        let transaction = self.transactions.of(top);
        transaction.state = State::InWal;
        let records = transaction.records.clone();
        self.wal.push(Committed { xid: top, commit, end, records });
    }

    /// Commits whatever is open, and shows every commit.
    pub(super) fn finish(&mut self) {
        for state in [State::Running, State::Prepared] {
            self.transactions.that_are(state).into_iter().for_each(|xid| self.commit(xid));
        }
        self.show(usize::MAX);
    }

    /// Shows the oldest commits that are in the WAL and not visible.
    pub(super) fn show(&mut self, count: usize) {
        for xid in self.transactions.that_are(State::InWal).into_iter().take(count) {
            self.transactions.end(xid, State::Visible);
        }
    }

    // Reading.

    pub(super) fn open_reader(&mut self) -> (u64, Snapshot) {
        let snapshot = self.transactions.snapshot();
        self.next_reader += 1;
        self.readers.insert(self.next_reader, snapshot.clone());
        (self.next_reader, snapshot)
    }

    pub(super) fn close_reader(&mut self, reader: u64) {
        self.readers.remove(&reader);
    }

    pub(super) fn is_locked(&self) -> bool {
        !self.transactions.holders(Lock::Exclusive).is_empty()
    }

    /// The table as the snapshot shows it.
    pub(super) fn described(&self, snapshot: &Snapshot) -> Table {
        self.catalogue.now(|xid| self.transactions.sees(snapshot, xid))
    }

    /// Blocks of each leaf now.
    pub(super) fn sizes(&self) -> BTreeMap<u32, u32> {
        let files = self.now().facts.files;
        files.into_iter().map(|(leaf, file)| (leaf, self.heaps[&file].blocks.len() as u32)).collect()
    }

    /// The rows of a file that the snapshot shows, with their blocks.
    pub(super) fn rows<'a>(
        &'a self,
        snapshot: &'a Snapshot,
        file: u32,
    ) -> impl Iterator<Item = (u32, &'a Version)> {
        let sees = |xid| self.transactions.sees(snapshot, xid);
        let shows = move |version: &Version| sees(version.xmin) && !version.xmax.is_some_and(sees);
        let versions = self.heaps.get(&file).into_iter().flat_map(Heap::versions);
        versions
            .filter(move |(_, version)| shows(version))
            .map(|((block, _), version)| (block as u32, version))
    }

    /// The table as it is visible now.
    pub(super) fn now(&self) -> Table {
        self.described(&self.transactions.snapshot())
    }

    /// Every row that the snapshot shows.
    pub(super) fn all_rows(&self, snapshot: &Snapshot) -> (Table, Vec<Version>) {
        let table = self.described(snapshot);
        let rows = |file: &u32| self.rows(snapshot, *file).map(|(_, row)| row.clone()).collect::<Vec<_>>();
        let rows = table.facts.files.values().flat_map(rows).collect();
        (table, rows)
    }

    /// Where the commit of a transaction whose changes are sent is in the WAL.
    pub(super) fn commit_of(&self, xid: Xid) -> Option<Lsn> {
        let found = self.wal.iter().find(|committed| self.transactions.is_of(xid, committed.xid))?;
        found.records.iter().all(|record| self.is_sent(record)).then_some(found.commit)
    }

    // Writing. What would have to wait for a lock is not done.

    fn may_lock(&self, top: Xid, lock: Lock) -> bool {
        let conflict = if lock == Lock::Exclusive { Lock::Write } else { Lock::Exclusive };
        let is_free = self.transactions.holders(conflict).iter().all(|holder| *holder == top);
        is_free && (lock != Lock::Exclusive || self.readers.is_empty())
    }

    /// The table as the transaction sees it.
    fn table_of(&self, top: Xid) -> Table {
        self.catalogue.now(|xid| !self.transactions.is_aborted(xid) && self.is_done(xid, top))
    }

    fn is_done(&self, xid: Xid, top: Xid) -> bool {
        self.transactions.is_of(xid, top) || self.transactions.sees(&self.transactions.snapshot(), xid)
    }

    fn standing(&self, version: &Version, top: Xid) -> Standing {
        if self.transactions.is_aborted(version.xmin) {
            return Standing::Dead;
        }
        match version.xmax.filter(|xmax| !self.transactions.is_aborted(*xmax)) {
            _ if !self.is_done(version.xmin, top) => Standing::Busy,
            None => Standing::Live,
            Some(xmax) if self.is_done(xmax, top) => Standing::Dead,
            Some(_) => Standing::Busy,
        }
    }

    /// The row with this key: its file and place. An error if the transaction would have to wait.
    fn find(&self, top: Xid, table: &Table, key: &str) -> Result<Option<(u32, Ctid)>, ()> {
        let mut found = None;
        for file in table.facts.files.values() {
            let same = |version: &Version| version.values[&ID].as_deref() == Some(key);
            for (ctid, version) in self.heaps[file].versions().filter(|(_, version)| same(version)) {
                match self.standing(version, top) {
                    Standing::Dead => {}
                    Standing::Live => found = Some((*file, ctid)),
                    Standing::Busy => return Err(()),
                }
            }
        }
        Ok(found)
    }

    fn record(&mut self, top: Xid, table: &Table, what: What) {
        let (lsn, xid) = (self.write(), self.transactions.writer(top));
        let record = Record { lsn, xid, shape: Arc::new(table.clone()), what };
        self.transactions.of(top).records.push(record);
    }

    fn put(&mut self, top: Xid, table: &Table, values: Values) {
        let file = table.facts.files[&catalogue::leaf(&table.facts.files, &values)];
        let xmin = self.transactions.writer(top);
        self.heaps.get_mut(&file).unwrap().put(Version { values, xmin, xmax: None }, self.fill);
    }

    fn kill(&mut self, top: Xid, (file, ctid): (u32, Ctid)) -> Values {
        let xmax = Some(self.transactions.writer(top));
        let version = self.heaps.get_mut(&file).unwrap().at(ctid).unwrap();
        version.xmax = xmax;
        version.values.clone()
    }

    pub(super) fn insert(&mut self, top: Xid, key: &str, values: impl FnOnce(&Table) -> Values) -> bool {
        let table = self.table_of(top);
        if !self.may_lock(top, Lock::Write) || self.find(top, &table, key) != Ok(None) {
            return false;
        }
        self.transactions.lock(top, Lock::Write);
        let values = values(&table);
        self.record(top, &table, What::Insert(values.clone()));
        self.put(top, &table, values);
        true
    }

    /// Changes the row of the key by `change`, which may change its key.
    pub(super) fn update(&mut self, top: Xid, key: &str, change: impl FnOnce(&Table, &mut Values)) -> bool {
        let table = self.table_of(top);
        let found = self.find(top, &table, key);
        let (true, Ok(Some(place))) = (self.may_lock(top, Lock::Write), found) else { return false };
        let before = self.heaps.get_mut(&place.0).unwrap().at(place.1).unwrap().values.clone();
        let mut after = before.clone();
        change(&table, &mut after);
        let new_key = after[&ID].clone().unwrap_or_default();
        if new_key != key && self.find(top, &table, &new_key) != Ok(None) {
            return false;
        }
        self.transactions.lock(top, Lock::Write);
        self.kill(top, place);
        self.record_update(top, &table, &before, &after);
        self.put(top, &table, after);
        true
    }

    fn record_update(&mut self, top: Xid, table: &Table, before: &Values, after: &Values) {
        let leaf = |values| catalogue::leaf(&table.facts.files, values);
        if leaf(before) != leaf(after) {
            self.record(top, table, What::Delete(before[&ID].clone()));
            return self.record(top, table, What::Insert(after.clone()));
        }
        let old = (before[&ID] != after[&ID]).then(|| before[&ID].clone());
        let is_sent = before.get(&LARGE) != after.get(&LARGE) || !is_large(after.get(&LARGE));
        self.record(top, table, What::Update(old, after.clone(), is_sent));
    }

    pub(super) fn delete(&mut self, top: Xid, key: &str) -> bool {
        let table = self.table_of(top);
        let found = self.find(top, &table, key);
        let (true, Ok(Some(place))) = (self.may_lock(top, Lock::Write), found) else { return false };
        self.transactions.lock(top, Lock::Write);
        let values = self.kill(top, place);
        self.record(top, &table, What::Delete(values[&ID].clone()));
        true
    }

    // Changes of the table as a whole.

    fn lock_all(&mut self, top: Xid) -> Option<Table> {
        if !self.may_lock(top, Lock::Exclusive) {
            return None;
        }
        self.transactions.lock(top, Lock::Exclusive);
        Some(self.table_of(top))
    }

    pub(super) fn truncate(&mut self, top: Xid) -> bool {
        let Some(table) = self.lock_all(top) else { return false };
        self.move_to(top, table.clone(), |_| Vec::new());
        self.record(top, &table, What::Truncate);
        true
    }

    /// Writes all rows to new files, in another order.
    pub(super) fn rewrite(&mut self, top: Xid) -> bool {
        let Some(table) = self.lock_all(top) else { return false };
        self.rewrite_as(top, table);
        true
    }

    fn rewrite_as(&mut self, top: Xid, table: Table) {
        self.move_to(top, table, |old| old.versions().map(|(_, version)| version.clone()).collect());
    }

    fn move_to(&mut self, top: Xid, mut table: Table, rows: impl Fn(&Heap) -> Vec<Version>) {
        for file in table.facts.files.values_mut() {
            let rows = rows(&self.heaps[file]);
            let alive = |version: &Version| !matches!(self.standing(version, top), Standing::Dead);
            let alive: Vec<_> = rows.into_iter().filter(alive).rev().collect();
            *file = self.catalogue.next_file();
            let heap = self.heaps.entry(*file).or_default();
            alive.into_iter().for_each(|version| heap.put(version, self.fill));
        }
        let xid = self.transactions.writer(top);
        self.catalogue.put(xid, table);
        self.write();
    }

    /// Changes the columns by `change`; a change that says so rewrites the table.
    pub(super) fn alter(&mut self, top: Xid, change: impl FnOnce(&mut Table) -> Option<bool>) -> bool {
        let Some(mut table) = self.lock_all(top) else { return false };
        match change(&mut table) {
            None => return false,
            Some(true) => self.rewrite_as(top, table),
            Some(false) => {
                let xid = self.transactions.writer(top);
                self.catalogue.put(xid, table);
                self.write();
            }
        }
        true
    }

    /// Frees the room of rows that no session sees any more.
    pub(super) fn vacuum(&mut self) {
        let now = self.transactions.snapshot();
        let snapshots: Vec<_> = self.readers.values().chain([&now]).cloned().collect();
        let transactions = &self.transactions;
        let is_gone = |xid| snapshots.iter().all(|snapshot| transactions.sees(snapshot, xid));
        let is_dead =
            |version: &Version| transactions.is_aborted(version.xmin) || version.xmax.is_some_and(is_gone);
        self.heaps.values_mut().for_each(|heap| heap.vacuum(is_dead));
    }
}

/// A large value is stored outside of its row.
fn is_large(value: Option<&Datum>) -> bool {
    value.cloned().flatten().is_some_and(|value| value.starts_with("large"))
}

/// A value of `v` that fits its type.
pub(super) fn number(table: &Table, number: u32) -> Datum {
    let column = table.columns.iter().find(|column| column.number == V)?;
    let is_wide = column.kind == crate::table::Kind::BigInt;
    Some(if is_wide { (u64::from(number) + 5_000_000_000).to_string() } else { number.to_string() })
}
