//! A reader on its own thread, with the test in place of the pipeline.

use std::{
    sync::Arc,
    thread::JoinHandle,
    time::{Duration, Instant},
};

use tokio::sync::{mpsc, watch};
use worker::{
    change::{Block, Change, Event, Old, ReceivedBlock, Tuple, Value, channel},
    config::SourceConfig,
    fault::Fault,
    lsn::Lsn,
    postgres::{Intake, Prepared, Reader, ReaderEnds, Router, prepare},
    progress::{Progress, SlotHealth},
    schema_history::SchemaHistory,
    table::{Table, TableName},
};

#[derive(Debug)]
pub(crate) struct Follow {
    pub(crate) prepared: Prepared,
    pub(crate) progress: Arc<Progress>,
    pub(crate) blocks: mpsc::Receiver<ReceivedBlock>,
    pub(crate) durable: watch::Sender<Lsn>,
    pub(crate) intake: watch::Sender<Intake>,
    reader: JoinHandle<Result<(), Fault>>,
    /// Everything received, as text: `+1`, `1>2`, `-2`, `!reason`.
    pub(crate) seen: Vec<String>,
    /// The end of the last complete transaction, or of a keepalive outside one.
    pub(crate) settled: Lsn,
    in_transaction: bool,
}

impl Follow {
    pub(crate) fn start(config: &SourceConfig) -> Self {
        Self::with_room(config, 1 << 20)
    }

    pub(crate) fn with_room(config: &SourceConfig, room: usize) -> Self {
        let prepared = prepare(config, &[]).unwrap();
        Self::from(config, prepared, room)
    }

    pub(crate) fn from(config: &SourceConfig, prepared: Prepared, room: usize) -> Self {
        Self::seeing(config, prepared, room, None)
    }

    /// Starts with this result of a check of the slot.
    pub(crate) fn seeing(
        config: &SourceConfig,
        prepared: Prepared,
        room: usize,
        health: Option<SlotHealth>,
    ) -> Self {
        let names: Vec<TableName> = config.tables.clone();
        let progress = Arc::new(Progress::new(&names));
        progress.slot_seen(health);
        let (entrance, blocks) = channel(room);
        let (durable, durable_seen) = watch::channel(prepared.confirmed);
        let (intake, intake_seen) = watch::channel(Intake::Open);
        let history = |table: &Table| (table.clone(), SchemaHistory::beginning(table, Vec::new()));
        let router = Router::new(prepared.tables.iter().map(history), prepared.visibility.clone());
        let start = prepared.confirmed;
        let board = Arc::clone(&progress);
        let (hold, _) = watch::channel(worker::slot_lease::SlotHold::Sought);
        let ends = ReaderEnds { blocks: entrance, durable: durable_seen, intake: intake_seen, hold };
        let reader = Reader::new(config.clone(), router, start, ends, board);
        let reader = std::thread::spawn(move || reader.run());
        let settled = prepared.confirmed;
        Self {
            prepared,
            progress,
            blocks,
            durable,
            intake,
            reader,
            seen: Vec::new(),
            settled,
            in_transaction: false,
        }
    }

    /// Receives what is available, as a pipeline that makes everything durable at once.
    pub(crate) fn take(&mut self) {
        while let Ok(block) = self.blocks.try_recv() {
            self.note(&block);
        }
        self.durable.send_replace(self.settled);
        self.progress.durable(self.settled);
    }

    pub(crate) fn note(&mut self, block: &Block) {
        for event in block.events() {
            match event {
                Event::Begin { .. } => self.in_transaction = true,
                Event::Commit { end } => {
                    (self.in_transaction, self.settled) = (false, self.settled.max(end));
                }
                Event::Keepalive { lsn } if !self.in_transaction => self.settled = self.settled.max(lsn),
                Event::Keepalive { .. } => {}
                Event::Change { change, .. } => self.seen.push(describe(change)),
                Event::Truncate { .. } => self.seen.push("0".to_owned()),
                Event::Reshape { reshape, .. } => {
                    let names = reshape.rows.columns.iter().map(|column| column.name.as_str());
                    self.seen.push(format!("({})", names.collect::<Vec<_>>().join(",")));
                }
                Event::Halt { fault, .. } => self.seen.push(format!("!{}", fault.reason)),
            }
        }
    }

    /// Receives until the condition holds.
    pub(crate) fn until(&mut self, what: &str, is_so: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            self.take();
            if is_so(self) {
                return;
            }
            assert!(Instant::now() < deadline, "waited in vain: {what}; seen {:?}", self.seen);
            assert!(!self.reader.is_finished(), "the reader ended before: {what}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits until the reader reports a fault with this reason.
    pub(crate) fn until_raised(&self, reason: crds::Reason) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while !self.progress.view().faults.iter().any(|fault| fault.reason == reason) {
            assert!(Instant::now() < deadline, "waited in vain for {reason}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub(crate) fn until_seen(&mut self, count: usize) {
        self.until(&format!("{count} changes"), |follow| follow.seen.len() >= count);
        assert_eq!(self.seen.len(), count, "{:?}", self.seen);
    }

    /// Drains the reader; every change it still sends becomes durable.
    pub(crate) fn drain(mut self) -> (Vec<String>, Lsn) {
        self.intake.send_replace(Intake::Closed);
        while let Some(block) = self.blocks.blocking_recv() {
            self.note(&block);
        }
        self.durable.send_replace(self.settled);
        drop(self.durable);
        self.reader.join().unwrap().unwrap();
        (self.seen, self.settled)
    }

    /// Waits until the reader ends by itself, and returns its fault.
    pub(crate) fn fault(mut self) -> Fault {
        let deadline = Instant::now() + Duration::from_secs(60);
        while !self.reader.is_finished() {
            assert!(Instant::now() < deadline, "waited in vain for the end of the reader");
            self.take();
            std::thread::sleep(Duration::from_millis(5));
        }
        self.reader.join().unwrap().unwrap_err()
    }

    /// Ends without confirming anything, as in a crash of the job.
    pub(crate) fn abandon(self) {
        let Self { blocks, durable, reader, .. } = self;
        drop(blocks);
        reader.join().unwrap().unwrap();
        drop(durable);
    }
}

fn describe(change: Change<'_>) -> String {
    match change {
        Change::Insert { new } => format!("+{}", text(new)),
        Change::Update { old, new } => format!("{}>{}", old.map(old_text).unwrap_or_default(), text(new)),
        Change::Delete { old } => format!("-{}", old_text(old)),
    }
}

fn old_text(old: Old<'_>) -> String {
    match old {
        Old::Key(row) => format!("key {}", text(row)),
        Old::Full(row) => format!("full {}", text(row)),
    }
}

fn text(row: Tuple<'_>) -> String {
    let value = |value| match value {
        Value::Null => "null".to_owned(),
        Value::Unchanged => "same".to_owned(),
        Value::Text(text) => String::from_utf8_lossy(text).into_owned(),
    };
    row.values().map(value).collect::<Vec<_>>().join(",")
}
