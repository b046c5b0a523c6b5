//! What may happen in a case, and how cases are drawn.

use std::fmt;

use proptest::prelude::*;

use crate::config::Deletes;

/// One thing that happens.
#[derive(Debug, Clone, Copy)]
pub(super) enum Op {
    /// Time passes, in milliseconds: the worker works.
    Wait(u16),
    /// A transaction changes rows, or the table as a whole.
    Do(Who, Change),
    Savepoint(Who),
    RollbackTo(Who),
    Prepare(Who),
    Commit(Who),
    /// The commit is in the WAL, and waits for a synchronous standby.
    CommitUnseen(Who),
    Rollback(Who),
    /// The standby answers for the oldest of them.
    See,
    Vacuum,
    /// The position that is durable is confirmed to the source.
    Confirm,
    /// The worker is killed and another one begins. Whether the loads in flight were committed.
    Crash(bool),
    /// Somebody puts a row into the target, with a version below or above every other, and the table is copied anew, in a
    /// new session.
    Anew(u8, bool),
    /// The copies are paused, or go on.
    Pause,
    Resume,
    /// From now on an attempt of a load, a statement of the copies, or an event of the stream takes so long.
    Loading(u16),
    Reading(u16),
    Streaming(u16),
    /// So many attempts of loads fail; the answers of some are only lost.
    Failing(u8),
}

/// Who changes rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Who {
    /// A transaction of its own for each change, which is visible at once.
    Auto,
    /// The same; its commit is in the WAL and not visible.
    Unseen,
    /// A transaction that stays open.
    A,
    B,
}

/// A change; rows by their keys.
#[derive(Debug, Clone, Copy)]
pub(super) enum Change {
    Insert(u8),
    /// Leaves the large value as it was.
    Update(u8),
    UpdateLarge(u8),
    Delete(u8),
    /// Changes the key of a row, and leaves its large value as it was.
    Rekey(u8, u8),
    Truncate,
    Rewrite,
    AddColumn(bool),
    DropColumn,
    SwapNames,
    Widen,
}

/// How a case is set up.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    /// Rows that exist before, and how many of them are in a block.
    pub(super) rows: u8,
    pub(super) fill: usize,
    pub(super) leaves: u32,
    /// Where the numbers of transactions begin, before 2³².
    pub(super) before_wrap: u64,
    pub(super) hard: bool,
    /// Rows of a load of changes.
    pub(super) batch_rows: usize,
    /// Between two loads.
    pub(super) interval: u64,
    /// Bytes of a load of a chunk, and whether a chunk is one load that is committed at its end.
    pub(super) copy_bytes: usize,
    pub(super) bulk: bool,
    pub(super) chunk_rows: u64,
    /// Milliseconds of a statement at the source, and of a load, at first.
    pub(super) reading: u64,
    pub(super) loading: u64,
}

impl Settings {
    pub(super) fn deletes(&self) -> Deletes {
        if self.hard { Deletes::Hard } else { Deletes::Soft }
    }
}

/// A case.
#[derive(Clone)]
pub(super) struct Case {
    pub(super) settings: Settings,
    /// What happens before the table joins the publication and the job begins.
    pub(super) before: Vec<Op>,
    pub(super) ops: Vec<Op>,
}

/// Short, whatever form was asked for.
impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { settings, before, ops } = self;
        let list = |ops: &[Op]| ops.iter().map(|op| format!("\n    {op:?}")).collect::<String>();
        write!(f, "{settings:?}\n  before:{}\n  then:{}", list(before), list(ops))
    }
}

pub(super) fn cases() -> impl Strategy<Value = Case> {
    let part = || prop_oneof![12 => op().prop_map(|op| vec![op]), 1 => unseen()];
    let ops = |most| prop::collection::vec(part(), 0..most).prop_map(|parts| parts.concat());
    (settings(), ops(8), ops(40)).prop_map(|(settings, before, ops)| Case { settings, before, ops })
}

fn settings() -> impl Strategy<Value = Settings> {
    let rows = (
        prop_oneof![1 => 0_u8..3, 3 => 3_u8..8],
        prop_oneof![2 => Just(1_usize), 1 => Just(2)],
        prop_oneof![2 => Just(1_u32), 1 => Just(2)],
    );
    let loads = (
        1_usize..4,
        prop_oneof![Just(0_u64), 1_u64..300],
        prop_oneof![Just(16_usize), Just(1 << 20)],
        any::<bool>(),
    );
    let chunks = prop_oneof![3 => Just(1_u64), 1 => Just(500_000)];
    let times = (prop_oneof![1 => 0_u64..5, 3 => 5_u64..100], prop_oneof![0_u64..5, 5_u64..100]);
    (rows, 0_u64..40, any::<bool>(), loads, chunks, times).prop_map(
        |((rows, fill, leaves), before_wrap, hard, loads, chunk_rows, (reading, loading))| {
            let (batch_rows, interval, copy_bytes, bulk) = loads;
            Settings {
                rows,
                fill,
                leaves,
                before_wrap,
                hard,
                batch_rows,
                interval,
                copy_bytes,
                bulk,
                chunk_rows,
                reading,
                loading,
            }
        },
    )
}

/// A transaction with several changes of few rows, which is not visible at once.
fn unseen() -> impl Strategy<Value = Vec<Op>> {
    let key = || prop_oneof![Just(0_u8), Just(4)];
    let change = prop_oneof![
        2 => key().prop_map(Change::Update),
        2 => key().prop_map(Change::UpdateLarge),
        1 => key().prop_map(Change::Insert),
        2 => key().prop_map(Change::Delete),
        2 => (key(), key()).prop_map(|(from, to)| Change::Rekey(from, to)),
    ];
    prop::collection::vec(change, 1..4).prop_map(|changes| {
        let changes = changes.into_iter().map(|change| Op::Do(Who::B, change));
        changes.chain([Op::CommitUnseen(Who::B)]).collect()
    })
}

fn op() -> impl Strategy<Value = Op> {
    let short = || prop_oneof![3 => 0_u16..10, 2 => 10_u16..100, 1 => 100_u16..3000];
    prop_oneof![
        12 => prop_oneof![0_u16..20, 20_u16..700].prop_map(Op::Wait),
        24 => (who(), change()).prop_map(|(who, change)| Op::Do(who, change)),
        3 => open().prop_map(Op::Commit),
        3 => open().prop_map(Op::CommitUnseen),
        1 => open().prop_map(Op::Rollback),
        1 => open().prop_map(Op::Savepoint),
        1 => open().prop_map(Op::RollbackTo),
        1 => open().prop_map(Op::Prepare),
        3 => Just(Op::See),
        2 => Just(Op::Vacuum),
        2 => Just(Op::Confirm),
        2 => any::<bool>().prop_map(Op::Crash),
        1 => (0_u8..8, any::<bool>()).prop_map(|(key, high)| Op::Anew(key, high)),
        1 => Just(Op::Pause),
        1 => Just(Op::Resume),
        1 => short().prop_map(Op::Loading),
        1 => short().prop_map(Op::Reading),
        1 => short().prop_map(Op::Streaming),
        1 => (1_u8..4).prop_map(Op::Failing),
    ]
}

fn who() -> impl Strategy<Value = Who> {
    prop_oneof![5 => Just(Who::Auto), 2 => Just(Who::Unseen), 4 => open()]
}

fn open() -> impl Strategy<Value = Who> {
    prop_oneof![2 => Just(Who::A), 1 => Just(Who::B)]
}

fn change() -> impl Strategy<Value = Change> {
    // One row is changed more often than the others, and moves.
    let key = || prop_oneof![2 => 0_u8..8, 1 => Just(4_u8)];
    prop_oneof![
        4 => key().prop_map(Change::Insert),
        10 => key().prop_map(Change::Update),
        5 => key().prop_map(Change::UpdateLarge),
        3 => key().prop_map(Change::Delete),
        1 => (key(), key()).prop_map(|(from, to)| Change::Rekey(from, to)),
        1 => Just(Change::Truncate),
        1 => Just(Change::Rewrite),
        1 => any::<bool>().prop_map(Change::AddColumn),
        1 => Just(Change::DropColumn),
        1 => Just(Change::SwapNames),
        1 => Just(Change::Widen),
    ]
}
