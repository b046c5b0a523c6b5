//! Whether a person has to act before replication continues.

use crds::Reason;

use super::{
    super::Facts,
    ConditionStatus, Verdict, problem,
    ready::{ready, unreported},
};

pub(super) fn stalled(facts: &Facts<'_>) -> Verdict {
    if needs_a_person(facts) {
        let why = ready(facts);
        let halted =
            facts.report().and_then(|report| report.faults.iter().find(|fault| fault.halted)).map(problem);
        return match halted {
            Some(problem) => Verdict { status: ConditionStatus::True, ..Verdict::no(&problem) },
            None => Verdict { status: ConditionStatus::True, ..why },
        };
    }
    Verdict::new(ConditionStatus::False, Reason::Healthy, "Nothing requires a person to act.")
}

/// Whether a person has to act; a problem that passes by itself does not count.
pub(crate) fn needs_a_person(facts: &Facts<'_>) -> bool {
    if facts.deleting.is_some() || facts.is_completed() {
        return false;
    }
    match (facts.job, facts.report()) {
        (Err(_), _) => true,
        (_, Some(report)) => report.faults.iter().any(|fault| fault.halted),
        (_, None) => facts.apply.is_some() || waits_for_a_person(unreported(facts).reason),
    }
}

fn waits_for_a_person(reason: Reason) -> bool {
    use Reason::{
        BadConfiguration, ContainerRefused, ImageUnavailable, PodRefused, SecretKeyMissing, SecretMissing,
        SecretUnreadable,
    };
    matches!(
        reason,
        SecretMissing
            | SecretKeyMissing
            | SecretUnreadable
            | ImageUnavailable
            | ContainerRefused
            | PodRefused
            | BadConfiguration
    )
}
