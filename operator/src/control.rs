//! The operator's end of a worker's control interface: gRPC, to the address of its pod.
//!
//! Every command carries the job's token; a worker refuses commands without it. Every call has a time limit, and a
//! missing answer is an error of its own ([`ControlError`]), never an assumption about the worker's state.

use std::{net::IpAddr, time::Duration};

use proto::{
    BatchSizes, ControlResponse, PauseRequest, ReloadConfigRequest, ResumeRequest, StartSnapshotRequest,
    StatusRequest, StatusResponse, StopRequest, cdc_control_service_client::CdcControlServiceClient,
    cdc_status_service_client::CdcStatusServiceClient,
};
use tonic::{
    Code, Request,
    metadata::AsciiMetadataValue,
    transport::{Channel, Endpoint},
};

use crate::{
    cadence::{CALL_TIMEOUT, CONNECT_TIMEOUT},
    job::CopyRequest,
    plan::GRPC_PORT,
    token::Token,
};

/// The worker did not answer.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
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
    /// The worker answers, and refuses the command because of its token or because it has none.
    #[error("{0}")]
    Unauthorized(String),
}

impl From<tonic::Status> for ControlError {
    fn from(status: tonic::Status) -> Self {
        match status.code() {
            Code::Unauthenticated | Code::PermissionDenied => Self::Unauthorized(status.message().to_owned()),
            _ => Self::Unanswered(Box::new(status)),
        }
    }
}

/// A connection to one worker.
#[derive(Debug, Clone)]
pub struct Control {
    channel: Channel,
    token: Option<Token>,
}

impl Control {
    /// Dials the worker.
    pub async fn dial(
        address: IpAddr,
        longest_answer: Duration,
        token: Option<Token>,
    ) -> Result<Self, ControlError> {
        let address = format!("http://{}", std::net::SocketAddr::new(address, GRPC_PORT));
        let endpoint = Endpoint::from_shared(address.clone())
            .map_err(|source| ControlError::Address { address: address.clone(), source })?
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(longest_answer.max(CALL_TIMEOUT));
        let channel = endpoint.connect().await;
        channel
            .map(|channel| Self { channel, token })
            .map_err(|source| ControlError::Unreachable { address, source })
    }

    /// Asks the worker for its status.
    pub async fn status(&self) -> Result<StatusResponse, ControlError> {
        let mut client = CdcStatusServiceClient::new(self.channel.clone());
        Ok(client.get_status(StatusRequest {}).await?.into_inner())
    }

    /// Asks the worker to stop reading.
    pub async fn pause(&self) -> Result<ControlResponse, ControlError> {
        Ok(self.control().pause(self.command(PauseRequest {})).await?.into_inner())
    }

    /// Asks the worker to resume reading.
    pub async fn resume(&self) -> Result<ControlResponse, ControlError> {
        Ok(self.control().resume(self.command(ResumeRequest {})).await?.into_inner())
    }

    /// Asks the worker to load with these batch sizes, and these tables.
    pub async fn reload(
        &self,
        sizes: BatchSizes,
        tables: &[String],
    ) -> Result<ControlResponse, ControlError> {
        let BatchSizes { max_rows, max_bytes, min_interval_ms } = sizes;
        let (flush_size, tables) = (max_rows, tables.to_vec());
        let request =
            ReloadConfigRequest { flush_size, max_bytes, min_interval_ms, tables, ..Default::default() };
        Ok(self.control().reload_config(self.command(request)).await?.into_inner())
    }

    /// Asks the worker to copy existing rows anew.
    pub async fn copy(&self, request: &CopyRequest) -> Result<ControlResponse, ControlError> {
        let CopyRequest { name, tables } = request.clone();
        let request = StartSnapshotRequest { tables, request: name };
        Ok(self.control().start_snapshot(self.command(request)).await?.into_inner())
    }

    /// Asks the worker of a deleted job to drain, to stop, and to drop slot and publication unless they are kept.
    pub async fn stop(
        &self,
        keep_slot: bool,
        keep_publication: bool,
    ) -> Result<ControlResponse, ControlError> {
        let request = StopRequest {
            skip_slot_cleanup: keep_slot,
            skip_publication_cleanup: keep_publication,
            release_past: true,
        };
        Ok(self.control().stop(self.command(request)).await?.into_inner())
    }

    /// The request with the token. A worker of an earlier version ignores it.
    fn command<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        let authorization = self.token.as_ref().map(Token::authorization);
        // Our tokens consist of letters and digits, so they are valid in a header.
        if let Some(mut value) = authorization.and_then(|text| AsciiMetadataValue::try_from(text).ok()) {
            value.set_sensitive(true);
            request.metadata_mut().insert("authorization", value);
        }
        request
    }

    fn control(&self) -> CdcControlServiceClient<Channel> {
        CdcControlServiceClient::new(self.channel.clone())
    }
}
