//! The prior runs of a job, from its claims and from the journals in the state directory.

use std::{path::Path, sync::Arc};

use super::Fencing;
use crate::{
    fault::Fault,
    prior_run::{End, PriorRun},
    starrocks::{
        bookkeeping::claim::{CLAIMS, Claim, SlotIdentity, Standing, new_moment},
        load::journal::Journal,
    },
};

impl Fencing {
    /// Prior runs of this job for slots with this name.
    pub async fn prior_runs(&self, slot: &str) -> Result<Vec<PriorRun>, Fault> {
        let claims = Claim::of_job(&self.sink, &self.job).await.map_err(|error| error.of_reading(CLAIMS))?;
        let journals = self.state_directory.as_deref();
        Ok(claims.iter().filter_map(|(key, claim)| claim.prior_run(key, slot, journals)).collect())
    }

    /// Keys of the claims that workers of this job have written for slots with this name.
    pub async fn claims(&self, slot: &str) -> Result<Vec<String>, Fault> {
        let claims = Claim::of_job(&self.sink, &self.job).await.map_err(|error| error.of_reading(CLAIMS))?;
        let of_slot = claims.into_iter().filter(|(key, claim)| claim.prior_run(key, slot, None).is_some());
        Ok(of_slot.map(|(key, _)| key).collect())
    }

    /// Resolves when no load of a predecessor can commit any more. The caller holds the slot's lock.
    pub async fn prepare_to_give_up(&mut self, slot: &SlotIdentity) -> Result<(), Fault> {
        self.held = None;
        self.end_predecessor(slot).await
    }

    /// Records that the slot is lost. The caller holds the slot's lock.
    pub async fn give_up(&self, slot: &SlotIdentity) -> Result<(), Fault> {
        self.restate(&slot.slot, Standing::Lost).await
    }

    /// Records that the job has copied its tables once and ended.
    pub async fn complete(&self, slot: &str) -> Result<(), Fault> {
        self.restate(slot, Standing::Completed).await
    }

    /// Releases the job's claims when it is deleted and its slot dropped: its prior runs no longer count.
    pub async fn release(&self, slot: &str) -> Result<(), Fault> {
        self.restate(slot, Standing::Released).await
    }

    async fn restate(&self, slot: &str, standing: Standing) -> Result<(), Fault> {
        let claims = Claim::of_job(&self.sink, &self.job).await.map_err(|error| error.of_reading(CLAIMS))?;
        let prior_run = claims.into_iter().filter(|(key, claim)| claim.prior_run(key, slot, None).is_some());
        for (key, claim) in prior_run {
            let restated = Claim { standing, moment: new_moment(), ..claim };
            self.write(&key, &restated, &Arc::new(Journal::in_memory())).await?;
        }
        Ok(())
    }
}

impl Claim {
    /// The claim as a prior run of the slot with this name; `journals` is the state directory, with a journal for each slot.
    pub(crate) fn prior_run(&self, key: &str, slot: &str, journals: Option<&Path>) -> Option<PriorRun> {
        let (system, name) = key.split_once('-')?;
        if name != slot || self.standing == Standing::Released {
            return None;
        }
        let left = journals.and_then(|journals| Journal::left(&journals.join(key)));
        let end = match left.filter(|left| left.name == self.journal) {
            _ if self.standing == Standing::Ended => End::Orderly,
            _ if self.standing == Standing::Lost => End::Lost,
            _ if self.standing == Standing::Completed => End::Completed,
            _ if self.standing == Standing::Quiet => End::Cut { told: self.durable },
            Some(left) => End::Cut { told: left.durable },
            None => End::Unknown,
        };
        Some(PriorRun { system: system.parse().ok()?, timeline: self.timeline, reached: self.durable, end })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lsn::Lsn;

    fn claim(standing: Standing) -> Claim {
        let (journal, moment) = ("j".to_owned(), "1".to_owned());
        Claim { journal, standing, timeline: Some(3), durable: Lsn(7), moment }
    }

    #[test]
    fn the_prior_run_of_a_slot_is_told_by_its_claim_and_the_journal_at_hand() {
        let notes = tempfile::tempdir().unwrap();
        let journal = Journal::open(&notes.path().join("1-s")).unwrap();
        journal.durable(Lsn(9)).unwrap();
        let ours = Claim { journal: journal.name().to_owned(), ..claim(Standing::Loading) };
        let end = |claim: &Claim, key, slot| {
            claim.prior_run(key, slot, Some(notes.path())).map(|prior_run| prior_run.end)
        };
        assert_eq!(end(&ours, "1-s", "s"), Some(End::Cut { told: Lsn(9) }));
        assert_eq!(end(&claim(Standing::Loading), "1-s", "s"), Some(End::Unknown));
        assert_eq!(end(&claim(Standing::Ended), "1-s", "s"), Some(End::Orderly));
        assert_eq!(end(&claim(Standing::Quiet), "1-s", "s"), Some(End::Cut { told: Lsn(7) }));
        assert_eq!(end(&claim(Standing::Released), "1-s", "s"), None);
        assert_eq!(end(&ours, "1-s", "other"), None);
        assert_eq!(ours.prior_run("1-s", "s", None).map(|prior_run| prior_run.end), Some(End::Unknown));
    }
}
