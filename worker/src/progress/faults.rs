//! The current faults, each with its owner.
//!
//! Only the owner of a fault clears it: a halted table stays halted although a load that was in flight completes, and
//! StarRocks counts as unreachable until every load that failed to reach it has reached it again.

use std::collections::BTreeMap;

use super::{Progress, lock};
use crate::{
    fault::{Course, Fault, Part},
    table::TableName,
};

/// The component that raised a fault and will clear it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Owner {
    /// The job: its sessions, its reader, and its halted tables.
    Job,
    /// The keeper of the slot lease.
    SlotLease,
    /// The copy of a table's existing rows.
    Copy,
    /// The reading of values that the stream does not send.
    Missing,
    /// A load of the table, while it is retried.
    Load(TableName),
}

impl Progress {
    /// Raises a fault of the job; it stays until the job clears it. Returns whether it is new.
    pub fn raise(&self, fault: Fault) -> bool {
        self.raise_of(Owner::Job, fault)
    }

    /// Replaces the faults of the job with those that the setup has found. Returns those that are new.
    pub fn raise_only(&self, faults: Vec<Fault>) -> Vec<Fault> {
        lock(&self.faults).replace(&Owner::Job, faults)
    }

    /// Clears the job's fault of the part. Returns whether there was one.
    pub fn clear(&self, part: &Part) -> bool {
        self.clear_of(Owner::Job, part)
    }

    /// Raises a fault that only its owner clears. Returns whether it is new.
    pub fn raise_of(&self, owner: Owner, fault: Fault) -> bool {
        lock(&self.faults).raise(owner, fault)
    }

    /// Clears the owner's fault of the part. Returns whether there was one.
    pub fn clear_of(&self, owner: Owner, part: &Part) -> bool {
        lock(&self.faults).clear(&owner, part)
    }

    /// Clears every fault.
    pub fn clear_all(&self) {
        lock(&self.faults).clear_all();
    }
}

#[derive(Debug, Default)]
pub(super) struct Faults(BTreeMap<(Part, Owner), Fault>);

impl Faults {
    /// Returns whether the fault is new.
    pub(super) fn raise(&mut self, owner: Owner, fault: Fault) -> bool {
        self.0.insert((fault.part.clone(), owner), fault.clone()).as_ref() != Some(&fault)
    }

    /// Returns whether there was one.
    pub(super) fn clear(&mut self, owner: &Owner, part: &Part) -> bool {
        self.0.remove(&(part.clone(), owner.clone())).is_some()
    }

    /// Replaces all faults of the owner. Returns those that are new.
    pub(super) fn replace(&mut self, owner: &Owner, faults: Vec<Fault>) -> Vec<Fault> {
        let stands = |part: &Part| faults.iter().any(|fault| fault.part == *part);
        self.0.retain(|(part, known), _| known != owner || stands(part));
        faults.into_iter().filter(|fault| self.raise(owner.clone(), fault.clone())).collect()
    }

    pub(super) fn clear_all(&mut self) {
        self.0.clear();
    }

    /// One fault per part; a halt takes precedence over a retried fault.
    pub(super) fn gravest(&self) -> Vec<Fault> {
        let mut gravest: BTreeMap<&Part, &Fault> = BTreeMap::new();
        for ((part, _), fault) in &self.0 {
            let known = gravest.entry(part).or_insert(fault);
            if known.course != Course::Halt && fault.course == Course::Halt {
                *known = fault;
            }
        }
        gravest.into_values().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use crds::Reason;

    use super::*;

    fn table(name: &str) -> TableName {
        TableName::parse(name).unwrap()
    }

    fn part() -> Part {
        Part::Table(table("t"))
    }

    #[test]
    fn a_halt_stands_although_an_earlier_load_of_the_table_ends_well() {
        let mut faults = Faults::default();
        let (load, halt) =
            (Owner::Load(table("t")), Fault::halt(part(), Reason::SourceSchemaChanged, "a", "b"));
        faults.raise(load.clone(), Fault::retry(part(), Reason::SinkBusy, "c", "d"));
        assert!(faults.raise(Owner::Job, halt.clone()));
        assert_eq!(faults.gravest(), std::slice::from_ref(&halt), "one for each part, the gravest");
        assert!(faults.clear(&load, &part()) && !faults.clear(&load, &part()));
        assert_eq!(faults.gravest(), [halt]);
        assert!(faults.clear(&Owner::Job, &part()));
        assert!(faults.gravest().is_empty());
    }

    #[test]
    fn what_is_not_found_again_is_gone_and_what_others_raised_stays() {
        let mut faults = Faults::default();
        let halt = |name| Fault::halt(Part::Table(table(name)), Reason::SourceTableMissing, name, "a");
        let sink = |reason| Fault::retry(Part::Sink, reason, "b", "c");
        faults.raise(Owner::Job, sink(Reason::SinkUnreachable));
        faults.raise(Owner::Load(table("t")), sink(Reason::SinkBusy));
        assert_eq!(faults.replace(&Owner::Job, vec![halt("t"), halt("u")]), [halt("t"), halt("u")]);
        assert_eq!(faults.gravest(), [sink(Reason::SinkBusy), halt("t"), halt("u")]);
        assert_eq!(faults.replace(&Owner::Job, vec![halt("u")]), [], "it is no news");
        assert_eq!(faults.gravest(), [sink(Reason::SinkBusy), halt("u")]);
    }

    #[test]
    fn starrocks_is_out_of_reach_until_the_last_load_has_found_it_again() {
        let mut faults = Faults::default();
        let (one, other) = (Owner::Load(table("t")), Owner::Load(table("u")));
        let fault = Fault::retry(Part::Sink, Reason::SinkUnreachable, "a", "b");
        assert!(faults.raise(one.clone(), fault.clone()) && faults.raise(other.clone(), fault.clone()));
        assert!(!faults.raise(one.clone(), fault.clone()), "it is no news");
        faults.clear(&one, &Part::Sink);
        assert_eq!(faults.gravest(), [fault]);
        faults.clear(&other, &Part::Sink);
        assert!(faults.gravest().is_empty());
    }
}
