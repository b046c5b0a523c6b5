//! The gRPC services of the contract, the standard health service, and reflection.

use crds::Reason;
use proto::{
    CdcState, HealthCheckRequest, MetricsRequest, StatusRequest,
    cdc_metrics_service_client::CdcMetricsServiceClient,
    cdc_status_service_client::CdcStatusServiceClient,
    health_check_response::{ServingStatus, Stage as ProtoStage},
    health_service_client::HealthServiceClient,
};
use tokio_stream::StreamExt;
use tonic::Code;
use tonic_health::pb::{
    self, health_check_response::ServingStatus as StandardStatus, health_client::HealthClient,
};
use worker::{
    fault::{Fault, Part},
    progress::Stage,
    table::TableName,
};

use crate::worker_in_test::Worker;

fn refused() -> Fault {
    Fault::halt(
        Part::Source,
        Reason::SourceAuthenticationFailed,
        "the user was refused",
        "correct the password",
    )
}

#[tokio::test]
async fn health_is_told_before_anything_is_connected() {
    let worker = Worker::start().await;
    let mut client = HealthServiceClient::new(worker.channel().await);
    let health = client.check(HealthCheckRequest::default()).await.unwrap().into_inner();
    assert_eq!((health.status(), health.stage()), (ServingStatus::NotServing, ProtoStage::Init));
    assert_eq!(health.error_detail, "");
}

#[tokio::test]
async fn health_tells_a_fault_of_the_setup_and_its_remedy() {
    let worker = Worker::start().await;
    worker.progress.set_stage(Stage::Setup);
    worker.progress.raise(refused());
    let mut client = HealthServiceClient::new(worker.channel().await);
    let health = client.check(HealthCheckRequest::default()).await.unwrap().into_inner();
    assert_eq!((health.status(), health.stage()), (ServingStatus::NotServing, ProtoStage::Setup));
    assert_eq!(health.error_detail, refused().to_string());
}

#[tokio::test]
async fn a_streaming_job_is_serving() {
    let worker = Worker::streaming().await;
    let mut client = HealthServiceClient::new(worker.channel().await);
    let health = client.check(HealthCheckRequest::default()).await.unwrap().into_inner();
    assert_eq!((health.status(), health.stage()), (ServingStatus::Serving, ProtoStage::Cdc));
}

#[tokio::test]
async fn the_status_has_every_field() {
    let worker = Worker::streaming().await;
    worker.progress.raise(Fault { part: Part::Table(TableName::parse("sales.items").unwrap()), ..refused() });
    let mut client = CdcStatusServiceClient::new(worker.channel().await);
    let status = client.get_status(StatusRequest {}).await.unwrap().into_inner();
    assert_eq!(status.state(), CdcState::Running);
    assert_eq!(
        (status.current_lsn, status.confirmed_lsn, status.durable_lsn),
        (1 << 32 | 0x20, 1 << 32 | 8, 1 << 32 | 0x10)
    );
    assert_eq!((status.pending_events, status.lag_bytes, status.ready), (2, 0x10, false));
    assert_eq!((status.slot_name.as_str(), status.version.as_str()), ("dbmazz_slot", "1.2.3"));
    assert_eq!(status.tables, ["public.orders", "sales.items"]);
    let fault = &status.faults[0];
    assert_eq!(
        (fault.part(), fault.table.as_str(), fault.halted),
        (proto::fault::Part::Table, "sales.items", true)
    );
    assert_eq!(
        (fault.reason.as_str(), fault.fix.as_str()),
        ("SourceAuthenticationFailed", "correct the password")
    );
}

#[tokio::test]
async fn samples_need_an_interval() {
    let worker = Worker::streaming().await;
    let mut client = CdcMetricsServiceClient::new(worker.channel().await);
    let refused = client.stream_metrics(MetricsRequest { interval_ms: 0 }).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
}

#[tokio::test]
async fn samples_are_real_and_end_with_the_worker() {
    let worker = Worker::streaming().await;
    let mut client = CdcMetricsServiceClient::new(worker.channel().await);
    let mut samples = client.stream_metrics(MetricsRequest { interval_ms: 10 }).await.unwrap().into_inner();
    let sample = samples.next().await.unwrap().unwrap();
    assert_eq!((sample.total_events_processed, sample.total_batches_sent), (10, 1));
    assert_eq!((sample.lag_events, sample.lag_bytes), (2, 0x10));
    assert!(sample.memory_bytes > 1 << 20 && sample.timestamp > 1_700_000_000, "{sample:?}");
    let (end, ()) = tokio::join!(
        async { while samples.next().await.is_some_and(|sample| sample.is_ok()) {} },
        worker.ends()
    );
    assert_eq!(end, ());
}

#[tokio::test]
async fn the_standard_health_service_tells_readiness_and_its_changes() {
    let worker = Worker::start().await;
    let mut client = HealthClient::new(worker.channel().await);
    let request = |service: &str| pb::HealthCheckRequest { service: service.into() };
    let before = client.check(request("dbmazz.HealthService")).await.unwrap().into_inner();
    assert_eq!(before.status(), StandardStatus::NotServing);
    assert_eq!(client.check(request("other")).await.unwrap_err().code(), Code::NotFound);
    let mut changes = client.watch(request("")).await.unwrap().into_inner();
    assert_eq!(changes.next().await.unwrap().unwrap().status(), StandardStatus::NotServing);
    worker.progress.set_stage(Stage::Cdc);
    worker.progress.set_streaming(true);
    assert_eq!(changes.next().await.unwrap().unwrap().status(), StandardStatus::Serving);
}

#[tokio::test]
async fn reflection_names_every_service_in_both_versions() {
    let worker = Worker::start().await;
    macro_rules! services {
        ($version:ident) => {{
            use tonic_reflection::pb::$version::{
                ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
                server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
            };
            let list = MessageRequest::ListServices(String::new());
            let request = ServerReflectionRequest { host: String::new(), message_request: Some(list) };
            let mut client = ServerReflectionClient::new(worker.channel().await);
            let asked = client.server_reflection_info(tokio_stream::once(request)).await.unwrap();
            match asked.into_inner().next().await.unwrap().unwrap().message_response {
                Some(MessageResponse::ListServicesResponse(list)) => {
                    list.service.into_iter().map(|service| service.name).collect::<Vec<_>>()
                }
                other => panic!("{other:?}"),
            }
        }};
    }
    for services in [services!(v1), services!(v1alpha)] {
        for name in ["HealthService", "CdcControlService", "CdcStatusService", "CdcMetricsService"] {
            assert!(services.contains(&format!("dbmazz.{name}")), "{services:?}");
        }
        assert!(services.contains(&"grpc.health.v1.Health".to_owned()), "{services:?}");
    }
}
