//! The gRPC services of the dbmazz contract, the standard health service, and reflection.

mod commands;
mod health;
mod samples;
mod status;

use std::sync::Arc;

use proto::{
    cdc_control_service_server::CdcControlServiceServer, cdc_metrics_service_server::CdcMetricsServiceServer,
    cdc_status_service_server::CdcStatusServiceServer, health_service_server::HealthServiceServer,
};
use tokio_util::sync::CancellationToken;
use tonic::service::{Routes, interceptor::InterceptedService};
use tonic_health::pb::health_server::HealthServer;
use tonic_reflection::server::Builder;

use super::{access::Access, known::Known};

/// Maximum length of a request.
const MESSAGE: usize = 64 << 10;

/// All services. Streams end at `stop`.
pub(super) fn routes(known: &Arc<Known>, access: Access, stop: &CancellationToken) -> Routes {
    let known = || Arc::clone(known);
    let samples = samples::Samples { known: known(), stop: stop.clone() };
    let health = health::Standard { known: known(), stop: stop.clone() };
    let commands =
        CdcControlServiceServer::new(commands::Commands(known())).max_decoding_message_size(MESSAGE);
    let routes =
        Routes::new(HealthServiceServer::new(health::Health(known())).max_decoding_message_size(MESSAGE))
            .add_service(InterceptedService::new(commands, commands::Gate(access)))
            .add_service(
                CdcStatusServiceServer::new(status::Status(known())).max_decoding_message_size(MESSAGE),
            )
            .add_service(CdcMetricsServiceServer::new(samples).max_decoding_message_size(MESSAGE))
            .add_service(HealthServer::new(health).max_decoding_message_size(MESSAGE));
    with_reflection(routes).prepare()
}

/// Both versions: `grpcurl` tries v1 first, older tools support v1alpha only.
fn with_reflection(routes: Routes) -> Routes {
    let descriptors = || {
        Builder::configure()
            .register_encoded_file_descriptor_set(proto::FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    let described = "the descriptors were generated with the services";
    let (v1, v1alpha) = (descriptors().build_v1(), descriptors().build_v1alpha());
    routes
        .add_service(v1.expect(described).max_decoding_message_size(MESSAGE))
        .add_service(v1alpha.expect(described).max_decoding_message_size(MESSAGE))
}
