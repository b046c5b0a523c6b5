//! Health: the contract's service, and the standard `grpc.health.v1`.
//!
//! Both report readiness, computed on request. Watches report a change within a second.

use std::{pin::Pin, sync::Arc, time::Duration};

use futures::{Stream, stream};
use proto::{
    HealthCheckRequest, HealthCheckResponse,
    health_check_response::{ServingStatus, Stage as ProtoStage},
    health_service_server::HealthService,
};
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, async_trait};
use tonic_health::pb::{self, health_check_response::ServingStatus as StandardStatus};

use crate::{
    control::{known::Known, words},
    fault::Fault,
    progress::Stage,
};

const LOOK: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Health(pub(super) Arc<Known>);

#[async_trait]
impl HealthService for Health {
    async fn check(&self, _: Request<HealthCheckRequest>) -> Result<Response<HealthCheckResponse>, Status> {
        let view = self.0.view();
        let status = if view.is_ready() { ServingStatus::Serving } else { ServingStatus::NotServing };
        let stage = match view.stage {
            Stage::Init => ProtoStage::Init,
            Stage::Setup => ProtoStage::Setup,
            Stage::Cdc => ProtoStage::Cdc,
        };
        Ok(Response::new(HealthCheckResponse {
            status: status.into(),
            stage: stage.into(),
            stage_detail: words::stage_detail(&view).to_owned(),
            error_detail: sentences(&view.faults),
        }))
    }
}

/// One line per fault.
fn sentences(faults: &[Fault]) -> String {
    faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// `grpc.health.v1.Health`, for the empty name and for each of our services.
#[derive(Debug)]
pub(super) struct Standard {
    pub(super) known: Arc<Known>,
    pub(super) stop: CancellationToken,
}

const SERVICES: [&str; 5] = [
    "",
    "dbmazz.HealthService",
    "dbmazz.CdcControlService",
    "dbmazz.CdcStatusService",
    "dbmazz.CdcMetricsService",
];

fn named(request: &Request<pb::HealthCheckRequest>) -> Result<(), Status> {
    let known = SERVICES.contains(&request.get_ref().service.as_str());
    known.then_some(()).ok_or_else(|| Status::not_found("no such service"))
}

fn answer(known: &Known) -> pb::HealthCheckResponse {
    let ready = known.view().is_ready();
    let status = if ready { StandardStatus::Serving } else { StandardStatus::NotServing };
    pb::HealthCheckResponse { status: status.into() }
}

#[async_trait]
impl pb::health_server::Health for Standard {
    async fn check(
        &self,
        request: Request<pb::HealthCheckRequest>,
    ) -> Result<Response<pb::HealthCheckResponse>, Status> {
        named(&request)?;
        Ok(Response::new(answer(&self.known)))
    }

    type WatchStream = Pin<Box<dyn Stream<Item = Result<pb::HealthCheckResponse, Status>> + Send>>;

    async fn watch(
        &self,
        request: Request<pb::HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        named(&request)?;
        let (known, stop) = (Arc::clone(&self.known), self.stop.clone());
        let changes = stream::unfold((known, stop, None), |(known, stop, told)| async move {
            loop {
                let now = answer(&known);
                if told.as_ref() != Some(&now) {
                    return Some((Ok(now), (known, stop, Some(now))));
                }
                stop.run_until_cancelled(tokio::time::sleep(LOOK)).await?;
            }
        });
        Ok(Response::new(Box::pin(changes)))
    }
}
