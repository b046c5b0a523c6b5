//! Commands over gRPC. A refused command is an OK answer with `success = false`.

use std::sync::Arc;

use proto::{
    ControlResponse, DrainRequest, PauseRequest, ReloadConfigRequest, ResumeRequest, StartSnapshotRequest,
    StopRequest, cdc_control_service_server::CdcControlService,
};
use tonic::{Request, Response, Status, async_trait};

use crate::control::{
    Answer, Command,
    known::{Ended, Known},
};

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

    /// Who keeps the slot keeps the publication, without which the slot is of no use.
    async fn stop(&self, request: Request<StopRequest>) -> Result<Response<ControlResponse>, Status> {
        let StopRequest { skip_slot_cleanup: keep_slot, skip_publication_cleanup } = request.into_inner();
        let keep_publication = keep_slot || skip_publication_cleanup;
        self.ask(Command::Stop { keep_slot, keep_publication }).await
    }

    async fn reload_config(
        &self,
        _: Request<ReloadConfigRequest>,
    ) -> Result<Response<ControlResponse>, Status> {
        refused("this version does not change its configuration while it runs; restart it with the new one")
    }

    async fn start_snapshot(
        &self,
        _: Request<StartSnapshotRequest>,
    ) -> Result<Response<ControlResponse>, Status> {
        refused("this version does not copy existing rows")
    }
}
