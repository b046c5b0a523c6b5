//! The status of a job: the contract's fields, and ours from 100 on.

use std::sync::Arc;

use proto::{
    BatchSizes, CdcState, StatusRequest, StatusResponse, TableCopy,
    cdc_status_service_server::CdcStatusService, fault::Part as ProtoPart,
};
use tonic::{Request, Response, async_trait};

use crate::{
    control::{JobInfo, known::Known, words},
    fault::{Course, Fault, Part},
    progress::{CopiesView, CopyFigures, CopyView, Sizes, SlotHealth, State, View},
};

#[derive(Debug)]
pub(super) struct Status(pub(super) Arc<Known>);

#[async_trait]
impl CdcStatusService for Status {
    async fn get_status(&self, _: Request<StatusRequest>) -> Result<Response<StatusResponse>, tonic::Status> {
        Ok(Response::new(status(&self.0.view(), &self.0.info)))
    }
}

fn status(view: &View, info: &JobInfo) -> StatusResponse {
    let CopiesView { sum, copies } = &view.copies;
    StatusResponse {
        state: state(view.state).into(),
        current_lsn: view.received.0,
        confirmed_lsn: view.confirmed.0,
        pending_events: view.changes_pending,
        slot_name: info.slot.clone(),
        tables: view.selected.iter().map(ToString::to_string).collect(),
        snapshot_active: !copies.is_empty(),
        snapshot_chunks_total: sum.blocks,
        snapshot_chunks_done: sum.blocks_done,
        snapshot_rows_synced: sum.rows,
        durable_lsn: view.durable.0,
        lag_bytes: view.lag_bytes,
        lag_ms: view.lag_ms,
        ready: view.is_ready(),
        faults: view.faults.iter().map(fault).collect(),
        version: info.version.to_owned(),
        slot: view.slot.as_ref().map(slot),
        batch: Some(batch(view.sizes)),
        copies: copies.iter().map(copy).collect(),
        snapshot_complete: view.is_whole(),
        snapshot_request: view.snapshot_request.clone(),
        completed: view.completed,
    }
}

fn copy(copy: &CopyView) -> TableCopy {
    let CopyFigures { blocks, blocks_done, rows, bytes } = copy.figures;
    TableCopy {
        table: copy.table.to_string(),
        blocks,
        blocks_done,
        rows,
        bytes,
        rows_per_second: copy.rows_per_second,
        seconds_left: copy.seconds_left,
        waits: copy.waits.to_string(),
    }
}

fn batch(Sizes { max_rows, max_bytes, min_interval_ms }: Sizes) -> BatchSizes {
    BatchSizes { max_rows, max_bytes, min_interval_ms }
}

fn slot(health: &SlotHealth) -> proto::SlotHealth {
    proto::SlotHealth {
        wal_status: health.wal_status.clone(),
        safe_wal_bytes: health.safe_wal_bytes,
        retained_wal_bytes: health.retained_wal_bytes,
        inactive_seconds: health.inactive_seconds,
        invalidation_reason: health.invalidation_reason.clone(),
        at_risk: health.is_at_risk(),
    }
}

fn state(state: State) -> CdcState {
    match state {
        State::Running => CdcState::Running,
        State::Paused => CdcState::Paused,
        State::Draining => CdcState::Draining,
        State::Stopped => CdcState::Stopped,
    }
}

fn fault(fault: &Fault) -> proto::Fault {
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
