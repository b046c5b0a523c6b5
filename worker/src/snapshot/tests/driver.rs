//! Plays a case, and compares both ends.

use std::{collections::BTreeMap, time::Duration};

use tokio::time::{Instant, sleep};

use super::{
    catalogue::{self, ID, LARGE, V},
    heap::{CAPACITY, Datum, Values},
    life::Life,
    op::{Case, Change, Op, Settings, Who},
    reader::stored,
    server::{Server, Xid, number},
    sink::Sink,
    transactions::State,
    world::World,
};
use crate::lsn::Lsn;

/// Everything has come to an end after this time.
const LONGEST: Duration = Duration::from_secs(60);

struct Driver {
    world: World,
    settings: Settings,
    life: Option<Life>,
    confirmed: Lsn,
    published: bool,
    /// The open transactions of A and B.
    open: [Option<Xid>; 2],
    /// Makes every value another one.
    values: u32,
}

/// Plays the case; an error tells how the ends differ.
pub(super) async fn play(case: &Case) -> Result<(), String> {
    let settings = case.settings.clone();
    let server = Server::new((1 << 32) - settings.before_wrap, settings.leaves);
    let world = World::new(server, Sink::new(settings.deletes(), settings.bulk));
    world.ends().reading = Duration::from_millis(settings.reading);
    world.ends().sink.loading = Duration::from_millis(settings.loading);
    let mut driver = Driver {
        world,
        settings,
        life: None,
        confirmed: Lsn(0),
        published: false,
        open: [None; 2],
        values: 0,
    };
    driver.world.ends().server.fill = case.settings.fill;
    for key in 0..case.settings.rows {
        driver.change(Who::Auto, Change::Insert(key));
    }
    driver.world.ends().server.fill = CAPACITY;
    for op in &case.before {
        driver.happen(*op).await;
    }
    driver.start();
    for op in &case.ops {
        driver.happen(*op).await;
    }
    driver.end().await
}

impl Driver {
    fn start(&mut self) {
        let mut ends = self.world.ends();
        ends.server.publish();
        for xid in &mut self.open {
            xid.take_if(|xid| ends.server.transactions.of(*xid).state == State::Visible);
        }
        self.confirmed = ends.server.end();
        drop(ends);
        self.published = true;
        self.begin(false);
    }

    async fn happen(&mut self, op: Op) {
        match op {
            Op::Wait(millis) => sleep(Duration::from_millis(millis.into())).await,
            Op::Do(who, change) => self.change(who, change),
            Op::Savepoint(who) => self.running(who, |server, xid| server.transactions.savepoint(xid)),
            Op::RollbackTo(who) => self.running(who, |server, xid| server.transactions.rollback_to(xid)),
            Op::Prepare(who) => {
                self.running(who, |server, xid| server.transactions.of(xid).state = State::Prepared);
            }
            Op::Commit(who) => self.finish(who, |server, xid| {
                server.commit(xid);
                server.transactions.end(xid, State::Visible);
            }),
            Op::CommitUnseen(who) => self.finish(who, Server::commit),
            Op::Rollback(who) => self.finish(who, |server, xid| server.transactions.end(xid, State::Aborted)),
            Op::See => self.world.ends().server.show(1),
            Op::Vacuum => self.world.ends().server.vacuum(),
            Op::Confirm => self.confirm(),
            Op::Crash(committed) => self.crash(committed).await,
            Op::Anew(key, high) => {
                self.stop().await;
                self.world.ends().sink.succeed(true);
                self.world.ends().sink.take_anew(key, high);
                self.begin(true);
            }
            Op::Pause => self.let_copy(false),
            Op::Resume => self.let_copy(true),
            Op::Loading(millis) => self.world.ends().sink.loading = Duration::from_millis(millis.into()),
            Op::Reading(millis) => self.world.ends().reading = Duration::from_millis(millis.into()),
            Op::Streaming(millis) => self.world.ends().streaming = Duration::from_millis(millis.into()),
            Op::Failing(count) => self.world.ends().sink.failing = count.into(),
        }
    }

    fn confirm(&mut self) {
        if let Some(life) = &self.life {
            self.confirmed = self.confirmed.max(*life.durable.borrow());
        }
    }

    async fn crash(&mut self, committed: bool) {
        self.stop().await;
        self.begin(committed);
    }

    async fn stop(&mut self) {
        if let Some(life) = self.life.take() {
            life.end().await;
        }
    }

    /// `committed`: what became of the loads of the life before.
    fn begin(&mut self, committed: bool) {
        if self.published {
            self.life = Some(Life::begin(&self.world, &self.settings, self.confirmed, committed));
        }
    }

    fn let_copy(&self, open: bool) {
        if let Some(life) = &self.life {
            life.open.send_replace(open);
        }
    }

    /// Does something in an open transaction that is not prepared.
    fn running(&mut self, who: Who, act: impl FnOnce(&mut Server, Xid)) {
        let server = &mut self.world.ends().server;
        if let Some(xid) = place(who).and_then(|place| self.open[place])
            && server.transactions.of(xid).state == State::Running
        {
            act(server, xid);
        }
    }

    /// Ends an open transaction.
    fn finish(&mut self, who: Who, act: impl FnOnce(&mut Server, Xid)) {
        if let Some(xid) = place(who).and_then(|place| self.open[place].take()) {
            act(&mut self.world.ends().server, xid);
        }
    }

    fn change(&mut self, who: Who, change: Change) {
        self.values += 1;
        let values = self.values;
        let server = &mut self.world.ends().server;
        let Some(place) = place(who) else {
            let xid = server.transactions.begin();
            if !applied(server, xid, change, values) {
                return server.transactions.end(xid, State::Aborted);
            }
            server.commit(xid);
            if who == Who::Auto {
                server.transactions.end(xid, State::Visible);
            }
            return;
        };
        let xid = *self.open[place].get_or_insert_with(|| server.transactions.begin());
        if server.transactions.of(xid).state == State::Running {
            applied(server, xid, change, values);
        }
    }

    /// Everything comes to its end; then both ends are compared.
    async fn end(mut self) -> Result<(), String> {
        {
            let mut ends = self.world.ends();
            ends.server.finish();
            (ends.reading, ends.streaming) = (Duration::from_millis(1), Duration::ZERO);
            (ends.sink.loading, ends.sink.failing) = (Duration::from_millis(1), 0);
        }
        self.let_copy(true);
        let until = Instant::now() + LONGEST;
        while !self.is_done() {
            if Instant::now() >= until {
                let life = self.life.as_ref().unwrap();
                return Err(format!("never ends: {:?}", life.progress.view().faults));
            }
            sleep(Duration::from_millis(50)).await;
            self.follow_types().await;
        }
        let found = compare(&self.world);
        self.life.take().unwrap().end().await;
        found
    }

    /// A type that became wider is announced by the next change of a row, which may never come, or by a new session.
    async fn follow_types(&mut self) {
        let now = self.world.ends().server.now();
        if self.life.as_ref().is_some_and(|life| life.has_other_types(&now)) {
            self.confirm();
            self.crash(true).await;
        }
    }

    fn is_done(&mut self) -> bool {
        let life = self.life.as_mut().unwrap();
        life.check();
        let ends = self.world.ends();
        ends.sink.whole && *life.durable.borrow() >= ends.server.end()
    }
}

fn place(who: Who) -> Option<usize> {
    match who {
        Who::Auto | Who::Unseen => None,
        Who::A => Some(0),
        Who::B => Some(1),
    }
}

/// Whether the change could be made without waiting.
fn applied(server: &mut Server, xid: Xid, change: Change, value: u32) -> bool {
    let large = Some(format!("large{value}"));
    match change {
        Change::Insert(key) => server.insert(xid, &key.to_string(), |table| {
            Values::from([(ID, Some(key.to_string())), (V, number(table, value)), (LARGE, large)])
        }),
        Change::Update(key) => server.update(xid, &key.to_string(), |table, row| {
            let last =
                table.columns.iter().map(|column| column.number).filter(|number| *number > LARGE).max();
            row.insert(V, number(table, value));
            row.extend(last.map(|last| (last, Some(format!("c{value}")))));
        }),
        Change::UpdateLarge(key) => {
            server.update(xid, &key.to_string(), |_, row| drop(row.insert(LARGE, large)))
        }
        Change::Delete(key) => server.delete(xid, &key.to_string()),
        Change::Rekey(from, to) => server.update(xid, &from.to_string(), |_, row| {
            row.insert(ID, Some(to.to_string()));
        }),
        Change::Truncate => server.truncate(xid),
        Change::Rewrite => server.rewrite(xid),
        Change::AddColumn(default) => server.alter(xid, |table| catalogue::add(table, default)),
        Change::DropColumn => server.alter(xid, catalogue::drop_last),
        Change::SwapNames => server.alter(xid, catalogue::rename),
        Change::Widen => server.alter(xid, catalogue::widen),
    }
}

fn compare(world: &World) -> Result<(), String> {
    let ends = world.ends();
    let (mut table, rows) = ends.server.all_rows(&ends.server.transactions.snapshot());
    // A column that was added follows with the next change.
    table.columns.retain(|column| ends.sink.has(column));
    let source: BTreeMap<Datum, Vec<Datum>> = rows
        .iter()
        .map(|row| {
            (row.values[&ID].clone(), table.columns.iter().map(|column| stored(column, row)).collect())
        })
        .collect();
    let sink: BTreeMap<Datum, Vec<Datum>> = ends.sink.live_rows(&table);
    if source != sink {
        return Err(format!("source {source:?}\n  sink {sink:?}"));
    }
    for row in &rows {
        let (written, found) = (ends.server.commit_of(row.xmin), &ends.sink.rows[&row.values[&ID]]);
        if written.is_some_and(|written| written > found.version) {
            return Err(format!(
                "the version of {:?} is {}, before {written:?}",
                row.values[&ID], found.version
            ));
        }
    }
    ends.sink.wrong.first().cloned().map_or(Ok(()), Err)
}
