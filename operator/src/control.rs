//! The operator's end of a worker's control interface: gRPC, to the address of its pod.
//!
//! Plain in this version: who can reach a worker's port can steer it. Every call has a time limit, and
//! no answer is an answer of its own ([`Silence`]), never an assumption.

use std::{net::IpAddr, time::Duration};

use proto::{
    BatchSizes, ControlResponse, PauseRequest, ReloadConfigRequest, ResumeRequest, StatusRequest,
    StatusResponse, StopRequest, cdc_control_service_client::CdcControlServiceClient,
    cdc_status_service_client::CdcStatusServiceClient,
};
use tonic::transport::{Channel, Endpoint};

use crate::plan::GRPC_PORT;

const TO_CONNECT: Duration = Duration::from_secs(2);
const TO_ANSWER: Duration = Duration::from_secs(4);

/// The worker did not answer.
#[derive(Debug, thiserror::Error)]
pub enum Silence {
    #[error("address {address} cannot be dialled")]
    Address {
        address: String,
        #[source]
        source: tonic::transport::Error,
    },
    #[error("worker at {address} cannot be reached")]
    Unreachable {
        address: String,
        #[source]
        source: tonic::transport::Error,
    },
    #[error("worker gave no answer")]
    Unanswered(#[source] Box<tonic::Status>),
}

impl From<tonic::Status> for Silence {
    fn from(status: tonic::Status) -> Self {
        Self::Unanswered(Box::new(status))
    }
}

/// A connection to one worker.
#[derive(Debug, Clone)]
pub struct Control {
    channel: Channel,
}

impl Control {
    /// Dials the worker.
    pub async fn dial(address: IpAddr, longest_answer: Duration) -> Result<Self, Silence> {
        let address = format!("http://{}", std::net::SocketAddr::new(address, GRPC_PORT));
        let endpoint = Endpoint::from_shared(address.clone())
            .map_err(|source| Silence::Address { address: address.clone(), source })?
            .connect_timeout(TO_CONNECT)
            .timeout(longest_answer.max(TO_ANSWER));
        let channel = endpoint.connect().await;
        channel.map(|channel| Self { channel }).map_err(|source| Silence::Unreachable { address, source })
    }

    /// What the worker says of itself.
    pub async fn status(&self) -> Result<StatusResponse, Silence> {
        let mut client = CdcStatusServiceClient::new(self.channel.clone());
        Ok(client.get_status(StatusRequest {}).await?.into_inner())
    }

    /// Asks the worker to stop reading.
    pub async fn pause(&self) -> Result<ControlResponse, Silence> {
        Ok(self.control().pause(PauseRequest {}).await?.into_inner())
    }

    /// Asks the worker to read on.
    pub async fn resume(&self) -> Result<ControlResponse, Silence> {
        Ok(self.control().resume(ResumeRequest {}).await?.into_inner())
    }

    /// Asks the worker for these sizes of loads, and these tables.
    pub async fn reload(&self, sizes: BatchSizes, tables: &[String]) -> Result<ControlResponse, Silence> {
        let BatchSizes { max_rows, max_bytes, min_interval_ms } = sizes;
        let (flush_size, tables) = (max_rows, tables.to_vec());
        let request =
            ReloadConfigRequest { flush_size, max_bytes, min_interval_ms, tables, ..Default::default() };
        Ok(self.control().reload_config(request).await?.into_inner())
    }

    /// Asks the worker to drain, to stop, and to drop what is not to be kept.
    pub async fn stop(&self, keep_slot: bool, keep_publication: bool) -> Result<ControlResponse, Silence> {
        let request =
            StopRequest { skip_slot_cleanup: keep_slot, skip_publication_cleanup: keep_publication };
        Ok(self.control().stop(request).await?.into_inner())
    }

    fn control(&self) -> CdcControlServiceClient<Channel> {
        CdcControlServiceClient::new(self.channel.clone())
    }
}
