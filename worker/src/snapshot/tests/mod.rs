//! The model: random cases on the real pipeline and the real copies, between a simulated PostgreSQL and a simulated
//! StarRocks, in simulated time.
//!
//! ```text
//! op ─► driver ─► server (blocks, transactions, WAL) ─► stream ─► pipeline ─┐
//!                    └────────────► reader ─► snapshot::run ────────────────┴─► sink
//! ```
//!
//! At the end of a case everything is committed and visible, and the sink has exactly the rows of the source. A case that
//! fails is shortened to few operations, which are printed.

mod catalogue;
mod driver;
mod heap;
mod life;
mod op;
mod reader;
mod server;
mod sink;
mod stream;
mod transactions;
mod wal;
mod world;

use proptest::prelude::*;
use tokio::runtime::Builder;

use self::op::{
    Case,
    Change::*,
    Op::{self, *},
    Settings,
    Who::*,
    cases,
};

/// Cases of an ordinary run. `MODEL_CASES` sets another number.
const CASES: u32 = 500;

fn run(case: &Case) -> Result<(), String> {
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(driver::play(case))
}

fn number_of_cases() -> u32 {
    std::env::var("MODEL_CASES").ok().map_or(CASES, |cases| cases.parse().unwrap())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, max_shrink_iters: 20_000, ..ProptestConfig::with_cases(number_of_cases()) })]

    #[test]
    fn both_ends_are_equal_whatever_happens_while_a_table_is_copied(case in cases()) {
        if let Err(difference) = run(&case) {
            prop_assert!(false, "{difference}");
        }
    }
}

/// Rows one to a block, chunks of one block, a load for each change, and a source that takes its time.
const SLOW: Settings = Settings {
    rows: 5,
    fill: 1,
    leaves: 1,
    before_wrap: 0,
    hard: false,
    batch_rows: 1,
    interval: 0,
    copy_bytes: 1 << 20,
    bulk: false,
    chunk_rows: 1,
    reading: 50,
    loading: 1,
};

fn equal(before: &[Op], ops: &[Op]) {
    let case = Case { settings: SLOW, before: before.to_vec(), ops: ops.to_vec() };
    assert_eq!(run(&case), Ok(()), "{case:?}");
}

/// Two loads of one transaction: the second lacks the large value that the first has, and the source does not show it yet.
#[test]
fn a_large_value_of_the_same_transaction_is_not_overwritten_by_an_older_one() {
    for wait in (400..1000).step_by(50) {
        let large = [Do(A, UpdateLarge(4)), Do(A, Update(4)), CommitUnseen(A)];
        let ops = [&[Do(Auto, Update(0)), Wait(wait)], &large[..], &[Wait(1000), See]].concat();
        equal(&[], &ops);
    }
}

/// A snapshot ends at the last transaction that has ended: one that is newer, and in the WAL, is not named in it.
#[test]
fn the_newest_commit_is_waited_for_although_no_snapshot_names_it_as_running() {
    equal(&[Do(Unseen, Insert(7))], &[Wait(5000)]);
    equal(&[], &[Do(Unseen, Update(4)), Wait(20), Confirm, Crash(true), Wait(5000)]);
}
