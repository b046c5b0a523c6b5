//! Finds other jobs that load into the same target. Two such jobs would overwrite each other's rows without an error.
//!
//! ```text
//! start, look:  histories of the target, claims ─► rivals ─► is one of them earlier? ─► this table halts
//! first load:   own history written ─► wait, if there are other jobs ─► the same check again
//! ```
//!
//! Each history says which slot owns the target and since when. A job that begins a target writes its own history first
//! and checks afterwards: of two that begin at the same time, at least one sees the other, and the later one halts. A
//! deleted job has released its claim, and a job that no longer has the table says so in its history: neither counts.

mod rivals;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crds::Reason;

pub(crate) use self::rivals::{Rival, claims, find};
use crate::{
    fault::{Fault, Part, take_anew},
    schema_history::{Owner, SchemaHistory},
    starrocks::{bookkeeping::claim::SlotIdentity, sql::quoted},
    table::Table,
};

/// A history that took longer to write is written again, with a later `since`.
pub(crate) const LONGEST_WRITE: Duration = Duration::from_millis(500);
/// Pause after writing a history, so that a concurrent write of another job that began earlier is visible. It exceeds
/// `LONGEST_WRITE` by the difference between two clocks that is tolerated.
pub(crate) const SETTLING: Duration = Duration::from_secs(1);

/// The job that checks for rivals.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claimant {
    pub job: String,
    pub slot: SlotIdentity,
}

impl Claimant {
    /// This job as the owner of a target that it begins now.
    pub(crate) fn beginning_now(&self) -> Owner {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Owner { since: u64::try_from(now.as_nanos()).unwrap_or(u64::MAX), slot: self.slot.key() }
    }

    /// A history under this job's name, reduced to what the job may rely on: one of another slot is of an earlier job.
    pub(crate) fn own(&self, history: &SchemaHistory) -> SchemaHistory {
        match &history.owner {
            Some(owner) if owner.slot != self.slot.key() => history.of_an_earlier_job(),
            Some(_) => history.clone(),
            None => SchemaHistory { owner: Some(Owner::of_old(&self.slot.key())), ..history.clone() },
        }
    }

    /// Whether a history under this job's name is this job's, and not that of another job with the same name and another
    /// slot.
    pub(crate) fn is_own(&self, history: &SchemaHistory) -> bool {
        history.owner.as_ref().is_none_or(|owner| owner.slot == self.slot.key())
    }
}

/// The fault of a table whose target another job owned first. `own` is this job's owner entry, if there is one.
pub(crate) fn shared(table: &Table, own: Option<&Owner>, rivals: &[Rival]) -> Option<Fault> {
    let of_target = rivals.iter().filter(|rival| rival.target == table.target);
    let earlier = of_target.filter(|rival| own.is_none_or(|own| rival.owner < *own));
    earlier.min_by_key(|rival| &rival.owner).map(|rival| fault(table, rival))
}

fn fault(table: &Table, Rival { job, owner, .. }: &Rival) -> Fault {
    let (name, target) = (&table.name, quoted(&table.target));
    let (system, slot) = owner.slot.split_once('-').unwrap_or(("unknown", &owner.slot));
    let message = format!(
        "job {job} loads into target table {target} of {name} too, from replication slot {slot} of the server with system \
         identifier {system}: each would overwrite the other's rows"
    );
    let fix = format!(
        "leave {name} out of this job; or, to have it here, leave it out of the other job, unless that one is gone for good, \
         and {}",
        take_anew(table)
    );
    Fault::halt(Part::Table(name.clone()), Reason::TargetShared, message, fix)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{starrocks::double::table, table::Kind};

    fn owner(since: u64, slot: &str) -> Owner {
        Owner { since, slot: slot.to_owned() }
    }

    fn rival(owner: Owner) -> Rival {
        Rival { target: "t".to_owned(), job: "other".to_owned(), owner }
    }

    #[test]
    fn of_two_owners_of_a_target_exactly_the_later_one_halts() {
        let table = table(&[("id", Kind::BigInt)]);
        let owners = [owner(0, "1-a"), owner(0, "2-a"), owner(7, "1-b"), owner(7, "1-c"), owner(9, "0-a")];
        for (place, one) in owners.iter().enumerate() {
            for (other_place, other) in owners.iter().enumerate().filter(|(other, _)| *other != place) {
                let halts = shared(&table, Some(one), &[rival(other.clone())]).is_some();
                assert_eq!(halts, other_place < place, "{one:?} beside {other:?}");
            }
            assert!(shared(&table, None, &[rival(one.clone())]).is_some(), "a job without an entry is later");
        }
    }

    #[test]
    fn the_fault_names_the_other_job_its_slot_and_the_target() {
        let fault = shared(&table(&[("id", Kind::BigInt)]), None, &[rival(owner(1, "77-its_slot"))]).unwrap();
        for told in ["job other", "`t`", "public.t", "slot its_slot", "identifier 77"] {
            assert!(fault.message.contains(told), "{told} in {}", fault.message);
        }
    }

    #[test]
    fn a_history_of_another_slot_is_of_an_earlier_job() {
        let slot = SlotIdentity { system_identifier: 1, slot: "s".to_owned() };
        let claimant = Claimant { job: "job".to_owned(), slot };
        let history =
            |owner: Option<Owner>| SchemaHistory { whole: Some(true), owner, ..SchemaHistory::default() };
        assert_eq!(claimant.own(&history(None)), history(Some(Owner::of_old("1-s"))));
        let noted = history(Some(owner(5, "1-s")));
        assert_eq!(claimant.own(&noted), noted);
        let other = claimant.own(&history(Some(owner(5, "2-s"))));
        assert_eq!((other.owner, other.whole), (None, Some(false)));
    }
}
