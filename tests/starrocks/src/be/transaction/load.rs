//! `load`: adds rows to an open transaction.

use super::{Answer, Call, Outcome, millis};
use crate::{
    be::{
        headers::BeginHeaders,
        stream_load::{Load, Stop},
    },
    fault::Stage,
    http::{Body, Connection, Request},
    loaded::{Loaded, MultiState, load_headers, with_load_headers},
    locked,
    transaction::State,
};

const MAX_JSON_BYTES: u64 = 100 * 1024 * 1024;

impl Call<'_> {
    pub(super) async fn load(&self, connection: &mut Connection, body: &mut Body) -> Outcome {
        let id = match if self.is_multi { self.enter_multi() } else { self.enter_single() } {
            Ok(id) => id,
            Err(answer) => return Outcome::Answer(answer),
        };
        let (database, label) = &self.key;
        let request = match self.as_planned() {
            Ok(request) => request,
            Err(answer) => {
                self.leave_broken(&Stop::fail(answer.message.as_str()));
                return Outcome::Answer(answer);
            }
        };
        let load = Load::new(self.cluster, &request, (database, &self.table), label.clone());
        let mut load = load.in_transaction();
        let taken = self.take(&request, &mut load, connection, body).await;
        let loaded = match taken {
            Ok(loaded) => loaded,
            Err(stop) => {
                self.leave_broken(&stop);
                return Answer::of(stop, "ANALYSIS_ERROR");
            }
        };
        let rows = loaded.rows;
        self.leave(loaded);
        if let Err(stop) = load.strike(Stage::Answer).await {
            return Answer::of(stop, "INTERNAL_ERROR");
        }
        let times = load.times();
        let whole = |time: std::time::Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        Outcome::Answer(self.ok(
            id,
            vec![
                ("LoadBytes", rows.bytes.into()),
                ("LoadTimeMs", millis(self.started).into()),
                ("StreamLoadPlanTimeMs", whole(times.plan).into()),
                ("ReceivedDataTimeMs", whole(times.read).into()),
            ],
        ))
    }

    async fn take(
        &self,
        request: &Request,
        load: &mut Load<'_>,
        connection: &mut Connection,
        body: &mut Body,
    ) -> Result<Loaded, Stop> {
        let headers = BeginHeaders::read(request).map_err(Stop::fail)?;
        load.check_rights().map_err(Stop::fail)?;
        let content = load.take_body(connection, body, headers.format).await?;
        let (database, _) = &self.key;
        let mut loaded = load.loaded(content, None);
        loaded.tables.insert(format!("{database}.{}", self.table), loaded.rows);
        Ok(loaded)
    }

    /// Every load of a transaction has the same table and headers, and one runs at a time (§11.1).
    fn enter_single(&self) -> Result<u64, Answer> {
        if !self.is_running() {
            self.roll_back("the transaction had ended");
            return Err(self.not_found());
        }
        let mut open = locked(&self.cluster.open);
        let Some(single) = open.single.get_mut(&self.key) else { return Err(self.not_found()) };
        if single.is_busy {
            return Err(busy());
        }
        if single.table != self.table {
            let message =
                format!("Request table {} not equal transaction table {}", self.table, single.table);
            return Err(Answer::error("INVALID_ARGUMENT", message));
        }
        let headers = load_headers(self.request);
        let is_json = self.request.header("format").is_some_and(|format| format.eq_ignore_ascii_case("json"));
        let bytes = single.loaded.rows.bytes + self.request.content_length().unwrap_or(0);
        let fault = if single.headers.as_ref().is_some_and(|first| *first != headers) {
            Some("load request not equal last.".to_owned())
        } else if is_json && bytes > MAX_JSON_BYTES && self.request.header("ignore_json_size").is_none() {
            Some(format!(
                "The size of this batch exceed the max size [{MAX_JSON_BYTES}]  of json type data  data [ {bytes} ]. \
                 Set ignore_json_size to skip the check, although it may lead huge memory consuming."
            ))
        } else {
            None
        };
        single.headers = Some(headers);
        single.is_busy = fault.is_none();
        let id = single.id;
        drop(open);
        match fault {
            None => Ok(id),
            Some(message) => {
                self.roll_back(&message);
                Err(Answer::error("INVALID_ARGUMENT", message))
            }
        }
    }

    /// False when the FE has ended the transaction, by a timeout or a `_cancel`.
    fn is_running(&self) -> bool {
        let (database, label) = &self.key;
        let now = self.cluster.clock.now();
        let found = locked(&self.cluster.transactions).find(database, label, now);
        found.is_some_and(|transaction| transaction.state == State::Prepare)
    }

    /// A load into a transaction over several tables follows the plan that the FE made from the headers of the first
    /// hop (§11.2). The columns and modes in the headers of this hop are ignored; only a different format is an error.
    fn as_planned(&self) -> Result<Request, Answer> {
        if !self.is_multi {
            return Ok(self.request.clone());
        }
        let open = locked(&self.cluster.open);
        let planned = open.multi.get(&self.key).and_then(|multi| multi.planned.get(&self.table));
        let planned = with_load_headers(self.request, planned.ok_or_else(|| self.not_found())?);
        let format = |request: &Request| BeginHeaders::read(request).map(|headers| headers.format).ok();
        if format(self.request) != format(&planned) {
            let message = "stream load context's format is not same as format from cur http header";
            return Err(Answer::error("INTERNAL_ERROR", message));
        }
        Ok(planned)
    }

    /// Loads into different tables run in parallel, loads into one table one at a time (§11.2).
    fn enter_multi(&self) -> Result<u64, Answer> {
        let mut open = locked(&self.cluster.open);
        let multi = open.multi.get_mut(&self.key).filter(|multi| multi.state == MultiState::Begin);
        let Some(multi) = multi else { return Err(self.not_found()) };
        if !multi.busy.insert(self.table.clone()) {
            return Err(busy());
        }
        Ok(multi.id)
    }

    fn leave(&self, loaded: Loaded) {
        let now = self.cluster.clock.now();
        let mut open = locked(&self.cluster.open);
        if self.is_multi {
            // A transaction that was rolled back meanwhile accepts no more rows.
            let multi = open.multi.get_mut(&self.key).filter(|multi| multi.state == MultiState::Begin);
            let Some(multi) = multi else { return };
            multi.busy.remove(&self.table);
            multi.idle.touched_millis = now;
            multi.loaded.add(loaded);
        } else if let Some(single) = open.single.get_mut(&self.key) {
            single.is_busy = false;
            single.idle.touched_millis = now;
            single.loaded.add(loaded);
        }
    }

    /// After an error a transaction over one table is rolled back; one over several tables can no longer be committed.
    fn leave_broken(&self, stop: &Stop) {
        let reason = match stop {
            Stop::Answered { message, .. } => message.clone(),
            Stop::Silent => "the connection was lost".to_owned(),
        };
        if !self.is_multi {
            return self.roll_back(&reason);
        }
        if let Some(multi) = locked(&self.cluster.open).multi.get_mut(&self.key) {
            multi.busy.remove(&self.table);
            multi.loaded.fault = Some(reason);
        }
    }
}

fn busy() -> Answer {
    Answer::error("TXN_IN_PROCESSING", "Transaction in processing, please retry later")
}
