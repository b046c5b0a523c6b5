//! A target that was dropped, emptied or made anew by somebody is filled again by copying its table anew: when that was
//! asked for, or when the job's rule says so.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crds::Reason;

use super::apply::prepare_table;
use crate::{
    config::{OnTargetLost, SinkConfig},
    fault::Fault,
    schema_history::{Retaken, SchemaHistory},
    starrocks::{encode::utc, sql::Session},
    table::Table,
};

/// The history with which a table begins again whose target has this fault; or the fault, if it stays.
pub(super) fn begun_again(
    config: &SinkConfig,
    before: Option<&SchemaHistory>,
    is_asked: bool,
    fault: Fault,
) -> Result<SchemaHistory, Fault> {
    let Some(before) = before.filter(|_| fault.reason == Reason::TargetLost) else { return Err(fault) };
    let anew = before.clone().taken_anew();
    if is_asked {
        return Ok(anew);
    }
    match (config.on_target_lost, before.retaken, now()) {
        (OnTargetLost::Halt, ..) => Err(fault),
        (OnTargetLost::Copy, Some(retaken), now) if now < retaken.next() => Err(not_yet(fault, retaken)),
        (OnTargetLost::Copy, retaken, now) => {
            Ok(SchemaHistory { retaken: Some(Retaken::again(retaken, now)), ..anew })
        }
    }
}

/// Prepares a target for a table that begins again: whatever the target is now, it is a new one.
pub(super) async fn prepare_anew(
    session: &mut Session,
    config: &SinkConfig,
    table: &Table,
    anew: &SchemaHistory,
) -> Result<SchemaHistory, Fault> {
    let SchemaHistory { target, sink, look, .. } = prepare_table(session, config, table, None).await?;
    tracing::warn!(table = %table.name, target = %table.target, "the target was lost: the table is copied anew");
    // What the stream sends again has the shapes that it had.
    Ok(SchemaHistory { target, sink, look, ..anew.clone() })
}

fn not_yet(fault: Fault, retaken: Retaken) -> Fault {
    let message = format!(
        "{}; the job has copied the table anew {} times, the last time at {} UTC, and does so again at {} UTC at the \
         earliest",
        fault.message,
        retaken.times,
        time(retaken.at),
        time(retaken.next())
    );
    let fix = format!("see who drops or empties the target; or, not to wait, {}", fault.fix);
    Fault { message, fix, ..fault }
}

fn time(seconds: u64) -> String {
    let text = utc(Duration::from_secs(seconds));
    text.split_once('.').map(|(whole, _)| whole.to_owned()).unwrap_or(text)
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{fault::Part, starrocks::double};

    fn again(
        rule: OnTargetLost,
        retaken: Option<Retaken>,
        asked: bool,
        reason: Reason,
    ) -> Result<u32, Fault> {
        let config = SinkConfig { on_target_lost: rule, ..double::sink(1) };
        let before = SchemaHistory { retaken, whole: Some(true), ..SchemaHistory::default() };
        let fault = Fault::halt(Part::Sink, reason, "lost", "mend it");
        let anew = begun_again(&config, Some(&before), asked, fault)?;
        assert_eq!((anew.whole, anew.copy.unwrap().removal.is_some()), (Some(false), true));
        Ok(anew.retaken.map_or(0, |retaken| retaken.times))
    }

    #[test]
    fn a_lost_target_is_filled_when_that_is_asked_for_or_the_rule_and_not_in_a_loop() {
        let lost = Reason::TargetLost;
        let just = Some(Retaken { at: now(), times: 1 });
        let long_ago = Some(Retaken { at: now() - 400, times: 1 });
        assert!(again(OnTargetLost::Halt, None, false, lost).is_err());
        assert_eq!(again(OnTargetLost::Halt, just, true, lost), Ok(1), "asked for: it does not count");
        assert_eq!(again(OnTargetLost::Copy, None, false, lost), Ok(1));
        assert_eq!(again(OnTargetLost::Copy, long_ago, false, lost), Ok(2));
        let fault = again(OnTargetLost::Copy, just, false, lost).unwrap_err();
        assert!(fault.message.contains("at the earliest") && fault.fix.contains("mend it"), "{fault}");
        assert!(again(OnTargetLost::Copy, None, true, Reason::TargetIncompatible).is_err());
    }
}
