//! Commands over gRPC; the token is checked before a command is read. A refused command is an OK answer with `success = false`.

use std::{sync::Arc, time::Duration};

use proto::{
    ControlResponse, DrainRequest, PauseRequest, ReloadConfigRequest, ResumeRequest, StartSnapshotRequest,
    StopRequest, cdc_control_service_server::CdcControlService,
};
use tonic::{Request, Response, Status, async_trait, service::Interceptor};

use crate::{
    config::{BatchChange, SOON_ENOUGH, changed_tables},
    control::{
        Answer, Command,
        access::{Access, Refusal},
        known::{Ended, Known},
    },
};

/// Checks the token.
#[derive(Debug, Clone)]
pub(super) struct Gate(pub(super) Access);

impl Interceptor for Gate {
    fn call(&mut self, request: Request<()>) -> Result<Request<()>, Status> {
        let authorization = request.metadata().get("authorization").map(|value| value.as_encoded_bytes());
        match self.0.allows(authorization) {
            Ok(()) => Ok(request),
            Err(Refusal::Unknown(why)) => Err(Status::unauthenticated(why)),
            Err(Refusal::Closed(why)) => Err(Status::permission_denied(why)),
        }
    }
}

#[derive(Debug)]
pub(super) struct Commands(pub(super) Arc<Known>);

impl Commands {
    async fn ask(&self, command: Command) -> Result<Response<ControlResponse>, Status> {
        match self.0.ask(command).await {
            Ok(Answer { success, message }) => Ok(Response::new(ControlResponse { success, message })),
            Err(Ended) => refused("the job has ended"),
        }
    }
}

/// A zero leaves the setting unchanged. The contract's interval is an upper bound, as `FLUSH_INTERVAL_MS` is.
fn change(request: &ReloadConfigRequest) -> BatchChange {
    let given = |value: u64| (value > 0).then_some(value);
    let bound = given(request.flush_interval_ms).map(|millis| SOON_ENOUGH.min(Duration::from_millis(millis)));
    BatchChange {
        max_rows: given(request.flush_size),
        max_bytes: given(request.max_bytes),
        min_interval: given(request.min_interval_ms).map(Duration::from_millis).or(bound),
    }
}

fn refused(message: &str) -> Result<Response<ControlResponse>, Status> {
    Ok(Response::new(ControlResponse { success: false, message: message.to_owned() }))
}

#[async_trait]
impl CdcControlService for Commands {
    async fn pause(&self, _: Request<PauseRequest>) -> Result<Response<ControlResponse>, Status> {
        self.ask(Command::Pause).await
    }

    async fn resume(&self, _: Request<ResumeRequest>) -> Result<Response<ControlResponse>, Status> {
        self.ask(Command::Resume).await
    }

    async fn drain_and_stop(&self, _: Request<DrainRequest>) -> Result<Response<ControlResponse>, Status> {
        self.ask(Command::DrainAndStop).await
    }

    /// A kept slot keeps the publication too, without which it is useless.
    async fn stop(&self, request: Request<StopRequest>) -> Result<Response<ControlResponse>, Status> {
        let StopRequest { skip_slot_cleanup: keep_slot, skip_publication_cleanup, release_past } =
            request.into_inner();
        let keep_publication = keep_slot || skip_publication_cleanup;
        self.ask(Command::Stop { keep_slot, keep_publication, release_past }).await
    }

    async fn reload_config(
        &self,
        request: Request<ReloadConfigRequest>,
    ) -> Result<Response<ControlResponse>, Status> {
        let request = request.into_inner();
        match changed_tables(&request.tables) {
            Ok(tables) => self.ask(Command::Reload { batch: change(&request), tables }).await,
            Err(error) => refused(&error.to_string()),
        }
    }

    async fn start_snapshot(
        &self,
        request: Request<StartSnapshotRequest>,
    ) -> Result<Response<ControlResponse>, Status> {
        let StartSnapshotRequest { tables, request } = request.into_inner();
        match changed_tables(&tables) {
            Ok(tables) => match self.0.ask_for_copies(tables.unwrap_or_default(), request).await {
                Ok(Answer { success, message }) => Ok(Response::new(ControlResponse { success, message })),
                Err(Ended) => refused("the job has ended"),
            },
            Err(error) => refused(&error.to_string()),
        }
    }
}
