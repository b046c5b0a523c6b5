//! Reads which other jobs load into the targets of this job.

use super::{
    super::schema_histories::{self, HISTORIES},
    Claimant,
};
use crate::{
    config::SinkConfig,
    fault::Fault,
    schema_history::{Owner, SchemaHistory},
    starrocks::{
        bookkeeping::claim::{self, CLAIMS, Claimed, Standing},
        sql::Session,
    },
};

/// Another job that loads into a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rival {
    pub(crate) target: String,
    pub(crate) job: String,
    pub(crate) owner: Owner,
}

/// The jobs other than `claimant` that load into these targets. Both bookkeeping tables must exist.
pub(crate) async fn find(
    session: &mut Session,
    config: &SinkConfig,
    claimant: &Claimant,
    targets: &[&str],
) -> Result<Vec<Rival>, Fault> {
    let claims = claims(session, config, claimant).await?;
    if claims.is_empty() {
        return Ok(Vec::new());
    }
    let kept = schema_histories::of_targets(session, config, targets).await;
    let kept = kept.map_err(|error| error.of_reading(HISTORIES))?;
    Ok(kept
        .iter()
        .filter_map(|(job, target, history)| rival(claimant, job, target, history, &claims))
        .collect())
}

/// The claims of other slots that are not released.
pub(crate) async fn claims(
    session: &mut Session,
    config: &SinkConfig,
    claimant: &Claimant,
) -> Result<Vec<Claimed>, Fault> {
    let own = claimant.slot.key();
    let claims = claim::all(session, &config.database).await.map_err(|error| error.of_reading(CLAIMS))?;
    let counts = |claim: &Claimed| claim.slot != own && claim.standing != Standing::Released;
    Ok(claims.into_iter().filter(counts).collect())
}

/// The rival that the history belongs to, if it is of another job that loads into the target.
fn rival(
    claimant: &Claimant,
    job: &str,
    target: &str,
    history: &SchemaHistory,
    claims: &[Claimed],
) -> Option<Rival> {
    if history.left.is_some() {
        return None;
    }
    let mut of_job = claims.iter().filter(|claim| claim.job == job);
    let owner = match &history.owner {
        Some(owner) => of_job.any(|claim| claim.slot == owner.slot).then(|| owner.clone())?,
        // A history without an owner under this job's name was written by an earlier version for this job.
        None if job == claimant.job => return None,
        // A job of an earlier version that has ended counts only when it runs again.
        None => {
            let slots = of_job.filter(|claim| claim.standing == Standing::Loading).map(|claim| &claim.slot);
            Owner::of_old(slots.min()?)
        }
    };
    Some(Rival { target: target.to_owned(), job: job.to_owned(), owner })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{lsn::Lsn, starrocks::bookkeeping::claim::SlotIdentity};

    fn claimed(slot: &str, job: &str, standing: Standing) -> Claimed {
        Claimed { slot: slot.to_owned(), job: job.to_owned(), standing }
    }

    /// The slot of the rival that a row is, seen by `job` with slot `1-own`.
    fn seen(job: &str, owner: Option<&str>, claims: &[Claimed]) -> Option<String> {
        let slot = SlotIdentity { system_identifier: 1, slot: "own".to_owned() };
        let claimant = Claimant { job: "job".to_owned(), slot };
        let owner = owner.map(|slot| Owner { since: 3, slot: slot.to_owned() });
        let history = SchemaHistory { owner, ..SchemaHistory::default() };
        rival(&claimant, job, "t", &history, claims).map(|rival| rival.owner.slot)
    }

    #[test]
    fn a_job_counts_as_long_as_its_claim_is_not_released() {
        for standing in [Standing::Loading, Standing::Ended, Standing::Quiet] {
            let claims = [claimed("2-other", "other", standing)];
            assert_eq!(seen("other", Some("2-other"), &claims).as_deref(), Some("2-other"), "{standing:?}");
        }
        assert_eq!(seen("other", Some("2-other"), &[]), None, "released, or forgotten by hand");
        let slot_of_another = [claimed("2-other", "renamed", Standing::Loading)];
        assert_eq!(seen("other", Some("2-other"), &slot_of_another), None, "its slot has another job now");
    }

    #[test]
    fn a_job_of_the_same_name_and_another_slot_is_another() {
        let claims = [claimed("2-own", "job", Standing::Loading)];
        assert_eq!(seen("job", Some("2-own"), &claims).as_deref(), Some("2-own"));
        assert_eq!(seen("job", Some("1-own"), &claims), None, "ours");
    }

    #[test]
    fn what_an_earlier_version_wrote_has_no_slot_in_it() {
        let loading =
            [claimed("3-b", "other", Standing::Loading), claimed("2-a", "other", Standing::Loading)];
        assert_eq!(seen("other", None, &loading).as_deref(), Some("2-a"));
        assert_eq!(seen("job", None, &[claimed("2-own", "job", Standing::Loading)]), None);
        assert_eq!(seen("other", None, &[claimed("2-a", "other", Standing::Ended)]), None);
    }

    #[test]
    fn a_job_that_has_left_the_table_out_does_not_count() {
        let slot = SlotIdentity { system_identifier: 1, slot: "own".to_owned() };
        let claimant = Claimant { job: "job".to_owned(), slot };
        let owner = Some(Owner { since: 3, slot: "2-other".to_owned() });
        let history = SchemaHistory { owner, left: Some(Lsn(9)), ..SchemaHistory::default() };
        let claims = [claimed("2-other", "other", Standing::Loading)];
        assert_eq!(rival(&claimant, "other", "t", &history, &claims), None);
    }
}
