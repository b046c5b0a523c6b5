//! One table that cannot be loaded beside others that can; time is paused and advances by itself.

use std::{collections::HashSet, sync::Mutex, time::SystemTime};

use tokio::{
    sync::{Semaphore, oneshot},
    task::JoinSet,
    time::timeout,
};

use super::{behind::UNTIL_READ_AGAIN, *};
use crate::{
    change::{Block, BlockBuilder, ChannelSender, Value, channel, write_value},
    config::BatchConfig,
    fault::Part,
    pipeline::{AskBarrier, AtBarrier, Batch, Loaded, batch::Deletes, scheduler},
    table::{Column, Kind, Table, TableName},
};

/// Completes loads at once, except for stuck tables, which wait for a permit.
#[derive(Debug)]
struct Sink {
    stuck: Mutex<HashSet<String>>,
    permits: Semaphore,
    loaded: Mutex<Vec<(String, usize)>>,
    in_flight: watch::Sender<usize>,
    panics: bool,
}

impl Sink {
    fn with_stuck(tables: &[&str]) -> Self {
        let stuck = Mutex::new(tables.iter().map(ToString::to_string).collect());
        let (permits, loaded) = (Semaphore::new(0), Mutex::default());
        Self { stuck, permits, loaded, in_flight: watch::Sender::new(0), panics: false }
    }

    fn rows(&self, table: &str) -> usize {
        let loaded = self.loaded.lock().unwrap();
        loaded.iter().filter(|(name, _)| name == table).map(|(_, rows)| rows).sum()
    }

    async fn pass(&self, table: &str) {
        self.in_flight.send_modify(|count| *count += 1);
        let is_stuck = self.stuck.lock().unwrap().contains(table);
        if is_stuck {
            assert!(!self.panics, "a defect");
            let _ = self.permits.acquire().await;
        }
        self.in_flight.send_modify(|count| *count -= 1);
    }
}

impl Load for Sink {
    async fn load(&self, batch: &Batch) -> Result<Loaded, Fault> {
        let name = batch.table().target.clone();
        self.pass(&name).await;
        self.loaded.lock().unwrap().push((name, batch.row_count()));
        Ok(Loaded::default())
    }

    async fn reshape(&self, aim: &Aim) -> Result<(), Fault> {
        self.pass(&aim.table.target).await;
        Ok(())
    }

    async fn truncate(&self, table: &Table) -> Result<(), Fault> {
        self.pass(&table.target).await;
        Ok(())
    }
}

fn table(id: usize) -> Table {
    let name = TableName { schema: "public".into(), name: format!("t{id}") };
    let columns = vec![Column::new("id", Kind::Text, "text"), Column::new("v", Kind::Text, "text")];
    Table {
        id: TableId(id as u32),
        target: name.name.clone(),
        name,
        columns,
        key: vec![0],
        last_number: 2,
        facts: Default::default(),
    }
}

struct Rig {
    sink: Arc<Sink>,
    sender: ChannelSender,
    durable: watch::Receiver<Lsn>,
    progress: Arc<Progress>,
    read_again: Arc<Notify>,
    running: JoinSet<(TablePositions, bool)>,
    next: u64,
    _sizes: watch::Sender<BatchConfig>,
}

const BUFFER: usize = 256 << 10;

impl Rig {
    fn new(tables: usize, sink: Sink) -> Self {
        Self::prepared(tables, sink, |pipeline| pipeline)
    }

    fn prepared(tables: usize, sink: Sink, prepare: impl FnOnce(Pipeline<Sink>) -> Pipeline<Sink>) -> Self {
        let tables: Vec<_> = (0..tables).map(table).collect();
        let batch = BatchConfig { max_rows: 1000, max_bytes: 1 << 20, min_interval: Duration::ZERO };
        let (sizes, batch) = watch::channel(batch);
        let settings = Settings { batch, buffer: BUFFER, deletes: Deletes::Soft, holds_wal: false };
        let (made, durable) = watch::channel(Lsn(0));
        let (sink, progress, read_again) = (Arc::new(sink), Arc::new(Progress::new(&[])), Arc::default());
        let inputs = Inputs {
            settings,
            tables: &tables,
            start: Lsn(5),
            durable: made,
            progress: Arc::clone(&progress),
        };
        let pipeline = Pipeline::new(inputs, Arc::clone(&sink)).telling(Arc::clone(&read_again));
        let (sender, receiver) = channel(1);
        let mut running = JoinSet::new();
        running.spawn(prepare(pipeline).run(receiver));
        Self { sink, sender, durable, progress, read_again, running, next: 10, _sizes: sizes }
    }

    /// Sends a transaction with one row of this size for each table; returns its end.
    async fn write(&mut self, tables: &[usize], bytes: usize) -> Lsn {
        let (commit, end) = (self.next, self.next + 5);
        self.next += 10;
        let mut block = Block::builder();
        block.begin(Lsn(commit), SystemTime::UNIX_EPOCH, commit as u32);
        for id in tables {
            let new = row(&mut block, &commit.to_string(), bytes);
            block.insert(TableId(*id as u32), new);
        }
        block.commit(Lsn(end));
        let block = block.finish();
        self.sender.room_for(&block).await;
        self.sender.enter(block).unwrap();
        Lsn(end)
    }

    async fn until_rows(&self, table: &str, rows: usize) {
        let enough = async {
            while self.sink.rows(table) < rows {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(Duration::from_secs(3600), enough).await.expect("rows are loaded");
    }

    async fn end(mut self) -> TablePositions {
        drop(self.sender);
        let ended = timeout(Duration::from_secs(3600), self.running.join_next()).await.expect("it ends");
        ended.unwrap().unwrap().0
    }

    fn faults(&self) -> Vec<(Part, crds::Reason)> {
        self.progress.view().faults.iter().map(|fault| (fault.part.clone(), fault.reason)).collect()
    }
}

fn row(block: &mut BlockBuilder, key: &str, bytes: usize) -> std::ops::Range<u32> {
    let into = block.bytes_mut();
    let start = into.len() as u32;
    write_value(Value::Text(key.as_bytes()), into);
    write_value(Value::Text(&vec![b'x'; bytes]), into);
    start..into.len() as u32
}

fn part(table: &str) -> Part {
    Part::Table(TableName { schema: "public".into(), name: table.into() })
}

#[tokio::test(start_paused = true)]
async fn a_table_refused_without_end_falls_behind_and_the_others_go_on() {
    let mut rig = Rig::new(2, Sink::with_stuck(&["t0"]));
    let before = Lsn(5);
    // Many times the buffer, for each of the two tables.
    for _ in 0..200 {
        rig.write(&[0, 1], 10 << 10).await;
    }
    rig.until_rows("t1", 200).await;
    assert_eq!(*rig.durable.borrow(), before, "nothing is confirmed past it");
    assert_eq!(rig.faults(), [(part("t0"), crds::Reason::TableBehind)]);
    rig.sink.permits.add_permits(1000);
    timeout(Duration::from_secs(3600), rig.read_again.notified()).await.expect("it is to be read again");
    let (last, durable) = (Lsn(rig.next - 5), rig.durable.clone());
    let positions = rig.end().await;
    assert_eq!(*durable.borrow(), Lsn(15), "what was given up is not durable");
    assert_eq!(positions.of(&table(1).name), last);
    assert!(positions.of(&table(0).name) <= before);
}

#[tokio::test(start_paused = true)]
async fn what_others_have_already_is_not_loaded_again_beside_a_table_that_was_behind() {
    let reached = TablePositions::new([(table(1).name, Lsn(35))]);
    let mut rig = Rig::prepared(2, Sink::with_stuck(&[]), |pipeline| pipeline.resuming(&reached));
    for _ in 0..4 {
        rig.write(&[0, 1], 10).await; // commits at 10, 20, 30, 40
    }
    let (sink, durable) = (Arc::clone(&rig.sink), rig.durable.clone());
    rig.end().await;
    assert_eq!((sink.rows("t0"), sink.rows("t1")), (4, 1));
    assert_eq!(*durable.borrow(), Lsn(45));
}

#[tokio::test(start_paused = true)]
async fn a_sink_that_is_down_altogether_is_waited_for() {
    let mut rig = Rig::new(2, Sink::with_stuck(&["t0", "t1"]));
    for _ in 0..10 {
        rig.write(&[0, 1], 10 << 10).await;
    }
    tokio::time::sleep(Duration::from_secs(120)).await;
    assert_eq!(rig.faults(), []);
    rig.sink.permits.add_permits(1000);
    let (sink, durable) = (Arc::clone(&rig.sink), rig.durable.clone());
    rig.end().await;
    assert_eq!((sink.rows("t0"), sink.rows("t1")), (10, 10));
    assert_eq!(*durable.borrow(), Lsn(105));
}

#[tokio::test(start_paused = true)]
async fn several_stuck_tables_do_not_fill_the_buffer_with_what_is_under_way() {
    let mut rig = Rig::new(4, Sink::with_stuck(&["t0", "t1", "t2"]));
    // The first load of each is most of the buffer.
    for table in [0, 1, 2] {
        rig.write(&[table], BUFFER / 3).await;
    }
    for _ in 0..200 {
        rig.write(&[0, 1, 2, 3], 10 << 10).await;
    }
    rig.until_rows("t3", 200).await;
    assert_eq!(*rig.durable.borrow(), Lsn(5));
    timeout(UNTIL_READ_AGAIN * 2, rig.read_again.notified()).await.expect("what was given up is tried again");
}

#[tokio::test(start_paused = true)]
async fn a_load_that_panicked_is_a_fault_of_its_table() {
    let sink = Sink { panics: true, ..Sink::with_stuck(&["t0"]) };
    let mut rig = Rig::new(2, sink);
    rig.write(&[0], 10).await;
    for _ in 0..3 {
        rig.write(&[1], 10).await;
    }
    rig.until_rows("t1", 3).await;
    let (progress, durable) = (Arc::clone(&rig.progress), rig.durable.clone());
    rig.end().await;
    let faults = progress.view().faults;
    assert_eq!(
        faults.iter().map(|fault| (&fault.part, fault.reason)).collect::<Vec<_>>(),
        [(&part("t0"), crds::Reason::InternalDefect)]
    );
    assert_eq!(*durable.borrow(), Lsn(5), "nothing is confirmed past it");
}

#[tokio::test(start_paused = true)]
async fn loads_at_once_are_bounded_and_every_table_has_its_turn() {
    let tables = 3 * scheduler::AT_ONCE;
    let names: Vec<_> = (0..tables).map(|id| format!("t{id}")).collect();
    let mut rig = Rig::new(tables, Sink::with_stuck(&names.iter().map(String::as_str).collect::<Vec<_>>()));
    rig.write(&(0..tables).collect::<Vec<_>>(), 10).await;
    let mut in_flight = rig.sink.in_flight.subscribe();
    timeout(Duration::from_secs(1), in_flight.wait_for(|count| *count == scheduler::AT_ONCE))
        .await
        .unwrap()
        .unwrap();
    let more = timeout(Duration::from_secs(1), in_flight.wait_for(|count| *count > scheduler::AT_ONCE)).await;
    assert!(more.is_err(), "more at once");
    rig.sink.permits.add_permits(tables);
    let sink = Arc::clone(&rig.sink);
    rig.end().await;
    assert!(names.iter().all(|name| sink.rows(name) == 1));
}

#[tokio::test(start_paused = true)]
async fn a_target_that_is_not_ready_at_the_start_holds_up_its_table_alone() {
    let aim = Arc::new(Aim { table: table(0), shapes: Vec::new() });
    let waiting = [(TableId(0), aim)];
    let mut rig = Rig::prepared(2, Sink::with_stuck(&["t0"]), |pipeline| pipeline.awaiting(waiting));
    rig.write(&[0, 1], 10).await;
    rig.until_rows("t1", 1).await;
    assert_eq!((rig.sink.rows("t0"), *rig.durable.borrow()), (0, Lsn(5)));
    rig.sink.permits.add_permits(10);
    let (sink, durable) = (Arc::clone(&rig.sink), rig.durable.clone());
    rig.end().await;
    assert_eq!((sink.rows("t0"), *durable.borrow()), (1, Lsn(15)));
}

/// A pipeline that serves copies, and the means to ask for barriers.
fn beside_copies(sink: Sink) -> (Rig, mpsc::Sender<AskBarrier>) {
    let (ask, asked) = mpsc::channel(1);
    let copies = Copies { asked, routed: Arc::default(), reserved: 0 };
    (Rig::prepared(2, sink, |pipeline| pipeline.beside(Some(copies))), ask)
}

async fn barrier(ask: &mpsc::Sender<AskBarrier>) -> oneshot::Receiver<AtBarrier> {
    let (reached, at) = oneshot::channel();
    ask.send(AskBarrier { table: TableId(0), reached }).await.unwrap();
    at
}

#[tokio::test(start_paused = true)]
async fn a_barrier_waits_for_what_came_before_and_holds_what_comes_after() {
    let (mut rig, ask) = beside_copies(Sink::with_stuck(&["t0"]));
    rig.write(&[0], 10).await; // commits at 10
    rig.sink.in_flight.subscribe().wait_for(|count| *count == 1).await.unwrap();
    let mut at = barrier(&ask).await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert!(at.try_recv().is_err(), "the load before it is not durable");
    rig.sink.permits.add_permits(1);
    let at = at.await.unwrap();
    assert_eq!((at.version, at.received, at.routed.as_slice()), (Lsn(15), Lsn(15), &[10][..]));
    rig.sink.permits.add_permits(1000);
    rig.write(&[0, 1], 10).await;
    rig.until_rows("t1", 1).await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(rig.sink.rows("t0"), 1, "nothing passes it, and other tables flow");
    at.lift();
    rig.until_rows("t0", 2).await;
    drop(ask);
    assert_eq!(rig.faults(), []);
}

#[tokio::test(start_paused = true)]
async fn a_barrier_that_is_left_without_a_word_halts_its_table() {
    let (rig, ask) = beside_copies(Sink::with_stuck(&[]));
    drop(barrier(&ask).await.await.unwrap());
    while rig.faults().is_empty() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(rig.faults(), [(part("t0"), crds::Reason::InternalDefect)]);
    assert!(barrier(&ask).await.await.is_err(), "a halted table has no barrier");
}

#[tokio::test(start_paused = true)]
async fn rule_2_a_barrier_holds_no_position_and_a_table_that_it_halts_does() {
    let (mut rig, ask) = beside_copies(Sink::with_stuck(&[]));
    let at = barrier(&ask).await.await.unwrap();
    rig.write(&[1], 10).await;
    let mut durable = rig.durable.clone();
    let passes = durable.wait_for(|durable| *durable == Lsn(15));
    drop(tokio::time::timeout(Duration::from_secs(60), passes).await.expect("the position waits").unwrap());
    rig.write(&[0], 20).await; // waits behind the barrier, and holds its position
    rig.write(&[1], 30).await;
    rig.until_rows("t1", 2).await;
    assert_eq!(*durable.borrow(), Lsn(15));
    drop(at);
    while rig.faults().is_empty() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    rig.write(&[1], 40).await;
    rig.until_rows("t1", 3).await;
    assert_eq!(*durable.borrow(), Lsn(15), "nothing is confirmed past the change that was not loaded");
}

#[tokio::test(start_paused = true)]
async fn rule_2_a_table_that_a_barrier_halts_holds_the_position_although_no_change_waits() {
    let (mut rig, ask) = beside_copies(Sink::with_stuck(&[]));
    drop(barrier(&ask).await.await.unwrap());
    while rig.faults().is_empty() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let held = *rig.durable.borrow();
    rig.write(&[0, 1], 10).await;
    rig.until_rows("t1", 1).await;
    assert_eq!(*rig.durable.borrow(), held, "the change of the halted table was not taken");
}

#[tokio::test(start_paused = true)]
async fn a_barrier_that_nobody_wants_any_more_holds_nothing() {
    let (mut rig, ask) = beside_copies(Sink::with_stuck(&[]));
    drop(barrier(&ask).await);
    rig.write(&[0], 10).await;
    rig.until_rows("t0", 1).await;
    assert_eq!(rig.faults(), []);
}
