//! The words that both servers use for the state of a job.

use crate::{
    fault::{Course, Fault, Part},
    progress::{Stage, State, View},
    table::TableName,
};

/// The main task reports every few seconds that it is alive; after this time without a report it is stuck.
const STUCK_AFTER_SECONDS: u64 = 60;

/// The stage in the contract's words.
pub(super) fn stage(stage: Stage) -> &'static str {
    match stage {
        Stage::Init => "init",
        Stage::Setup => "setup",
        Stage::Cdc => "cdc",
    }
}

/// A description of the stage.
pub(super) fn stage_detail(view: &View) -> &'static str {
    match (view.stage, view.state, view.streaming) {
        (_, State::Stopped, _) if has_lost_its_slot(view) => "stopped; the replication slot is gone",
        (_, State::Stopped, _) => "stopped; the replication slot keeps the position",
        (_, State::Draining, _) => "loading what is held before stopping",
        _ if has_nothing_to_follow(view) => {
            "every table stands still until its fault is mended; what changes meanwhile is kept by the replication slot, if there is one"
        }
        (Stage::Init, ..) => "starting",
        (Stage::Setup, _, false) => "connecting, checking, and creating what is missing",
        (Stage::Setup, _, true) => "making sure that no load of an earlier worker is still on its way",
        (Stage::Cdc, State::Paused, _) => "paused by request; PostgreSQL keeps the changes",
        (Stage::Cdc, State::Running, true) => "replicating changes",
        (Stage::Cdc, State::Running, false) => "connecting to PostgreSQL again",
    }
}

fn has_lost_its_slot(view: &View) -> bool {
    view.faults.iter().any(|fault| fault.reason == crds::Reason::SlotLost)
}

/// Whether every table of the job is halted.
fn has_nothing_to_follow(view: &View) -> bool {
    let is_halted = |table: &TableName| {
        let halts = |fault: &Fault| matches!(&fault.part, Part::Table(halted) if halted == table);
        view.faults.iter().any(|fault| fault.course == Course::Halt && halts(fault))
    };
    !view.selected.is_empty() && view.selected.iter().all(is_halted)
}

pub(super) fn is_alive(view: &View) -> bool {
    view.quiet_seconds <= STUCK_AFTER_SECONDS
}

/// The most important fault: one that needs a person before one that passes by itself.
pub(super) fn worst_fault(view: &View) -> Option<&Fault> {
    view.faults.iter().min_by_key(|fault| fault.course != Course::Halt)
}

/// The reason why the job is not ready.
pub(super) fn reason(view: &View) -> &'static str {
    match (worst_fault(view), view.state, view.stage) {
        (Some(fault), ..) => fault.reason.as_str(),
        (None, State::Stopped, _) => "Stopped",
        (None, State::Draining, _) => "Draining",
        (None, _, Stage::Init | Stage::Setup) => "Starting",
        (None, _, Stage::Cdc) => "Reconnecting",
    }
}

/// The part of a fault, and the table where there is one.
pub(super) fn part(part: &Part) -> (&'static str, String) {
    match part {
        Part::Job => ("job", String::new()),
        Part::Source => ("source", String::new()),
        Part::Sink => ("sink", String::new()),
        Part::Table(table) => ("table", table.to_string()),
    }
}
