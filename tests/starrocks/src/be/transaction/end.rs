//! `prepare`, `commit` and `rollback` of a transaction over one table.

use serde_json::Value;

use super::{Answer, Call, Outcome, millis};
use crate::{
    fault::{Action, Stage},
    loaded::{Loaded, Single},
    locked,
    outcome::Publication,
};

impl Call<'_> {
    pub(super) fn prepare(&self) -> Outcome {
        let (database, _) = &self.key;
        let Single { id, loaded, prepared_seconds, .. } = match self.finish() {
            Ok(single) => single,
            Err(answer) => return Outcome::Answer(answer),
        };
        let now = self.cluster.clock.now();
        let prepared = locked(&self.cluster.transactions).prepare(database, id, prepared_seconds, now);
        if let Err(reason) = prepared {
            return Outcome::Answer(Answer::error("INTERNAL_ERROR", reason));
        }
        let answer = self.ok(id, self.sums(&loaded));
        locked(&self.cluster.open).prepared.insert(id, loaded);
        Outcome::Answer(answer)
    }

    pub(super) async fn commit(&self) -> Outcome {
        let (database, label) = &self.key;
        let late = match self.cluster.meet_at_backend(Stage::Commit, &self.name(), label).await {
            None => 0,
            Some(Action::PublishTimeout { visible_after_millis }) => visible_after_millis,
            Some(Action::Fail { message }) => {
                self.roll_back(&message);
                return Outcome::Answer(Answer::error("INTERNAL_ERROR", message));
            }
            Some(Action::RefuseRow { .. }) => {
                let message = "too many filtered rows";
                self.roll_back(message);
                return Outcome::Answer(Answer::error("DATA_QUALITY_ERROR", message));
            }
            Some(_) => return Outcome::Silence,
        };
        let Single { id, loaded, .. } = match self.finish() {
            Ok(single) => single,
            Err(answer) => return Outcome::Answer(answer),
        };
        let mut answer = self.ok(id, self.sums(&loaded));
        let now = self.cluster.clock.now();
        if let Err(reason) = locked(&self.cluster.transactions).commit(database, id, now) {
            return Outcome::Answer(Answer::error("INTERNAL_ERROR", reason));
        }
        self.cluster.record_tables(label, &loaded.tables);
        let is_visible = self.cluster.publish(Publication {
            database: database.clone(),
            transaction: id,
            parts: loaded.parts,
            due_millis: now + i64::try_from(late).unwrap_or(i64::MAX / 4),
        });
        if self.cluster.meet_at_backend(Stage::Answer, &self.name(), label).await.is_some() {
            return Outcome::Silence;
        }
        if !is_visible {
            answer.status = "PUBLISH_TIMEOUT";
            "Publish timeout. The data will be visible after a while, ".clone_into(&mut answer.message);
        }
        Outcome::Answer(answer)
    }

    pub(super) fn rollback(&self) -> Outcome {
        let id = locked(&self.cluster.open).single.get(&self.key).map(|single| single.id);
        let Some(id) = id else { return Outcome::Answer(self.not_found()) };
        self.roll_back("User Aborted");
        Outcome::Answer(self.ok(id, Vec::new()))
    }

    fn name(&self) -> String {
        let (database, _) = &self.key;
        format!("{database}.{}", self.table)
    }

    /// Ends the loads of the transaction: the BE forgets it, whatever its outcome.
    fn finish(&self) -> Result<Single, Answer> {
        let mut open = locked(&self.cluster.open);
        let Some(single) = open.single.get(&self.key) else { return Err(self.not_found()) };
        if single.is_busy {
            return Err(Answer::error("TXN_IN_PROCESSING", "Transaction in processing, please retry later"));
        }
        let verdict = if single.loaded.loads == 0 {
            let (_, label) = &self.key;
            Err(format!("transaction with label {label} hasn't send any data yet"))
        } else {
            single.loaded.verdict(self.cluster.profile())
        };
        let Err(reason) = verdict else {
            return open.single.remove(&self.key).ok_or_else(|| self.not_found());
        };
        let log = single.loaded.log.clone();
        let status =
            if single.loaded.has_too_many_filtered() { "DATA_QUALITY_ERROR" } else { "INTERNAL_ERROR" };
        drop(open);
        self.roll_back(&reason);
        let mut answer = Answer::error(status, reason);
        if !log.is_empty() {
            answer.fields.push(("ErrorURL", self.cluster.keep_errors(log).into()));
        }
        Err(answer)
    }

    fn sums(&self, loaded: &Loaded) -> Vec<(&'static str, Value)> {
        let rows = loaded.rows;
        vec![
            ("NumberTotalRows", rows.total.into()),
            ("NumberLoadedRows", rows.loaded.into()),
            ("NumberFilteredRows", rows.filtered.into()),
            ("NumberUnselectedRows", rows.unselected.into()),
            ("LoadBytes", rows.bytes.into()),
            ("LoadTimeMs", millis(self.started).into()),
            ("StreamLoadPlanTimeMs", 0.into()),
            ("ReceivedDataTimeMs", 0.into()),
            ("WriteDataTimeMs", 0.into()),
            ("CommitAndPublishTimeMs", millis(self.started).into()),
        ]
    }
}
