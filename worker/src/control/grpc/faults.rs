//! Faults as messages of the control interface.

use proto::fault::Part as ProtoPart;

use crate::{
    control::words,
    fault::{Course, Fault, Part},
};

pub(super) fn written(fault: &Fault) -> proto::Fault {
    let part = match fault.part {
        Part::Job => ProtoPart::Job,
        Part::Source => ProtoPart::Source,
        Part::Sink => ProtoPart::Sink,
        Part::Table(_) => ProtoPart::Table,
    };
    proto::Fault {
        part: part.into(),
        table: words::part(&fault.part).1,
        reason: fault.reason.to_string(),
        message: fault.message.clone(),
        fix: fault.fix.clone(),
        halted: fault.course == Course::Halt,
    }
}

/// One line per fault.
pub(super) fn sentences(faults: &[Fault]) -> String {
    faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}
