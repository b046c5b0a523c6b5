//! The operator's own HTTP endpoint: `/livez`, `/readyz`, `/metrics`.
//!
//! Live as soon as it serves; ready once every watch has its first list, which is when reconciles begin.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use axum::{Router, extract::State, http::StatusCode, http::header, response::IntoResponse, routing::get};
use tokio::net::TcpListener;

use crate::metrics::Metrics;

/// The number of scopes (namespaces, or the cluster) that are not watched yet.
#[derive(Debug, Clone)]
pub struct Readiness(Arc<AtomicUsize>);

impl Readiness {
    /// Waits for this many scopes.
    pub fn waiting_for(scopes: usize) -> Self {
        Self(Arc::new(AtomicUsize::new(scopes)))
    }

    /// Counts one more scope as watched.
    pub fn one_more(&self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }

    fn is_complete(&self) -> bool {
        self.0.load(Ordering::Relaxed) == 0
    }
}

/// Serves until it is dropped.
pub async fn serve(
    listener: TcpListener,
    metrics: Arc<Metrics>,
    readiness: Readiness,
) -> std::io::Result<()> {
    let router = Router::new()
        .route("/livez", get(async || "ok\n"))
        .route("/readyz", get(ready).with_state(readiness))
        .route("/metrics", get(render).with_state(metrics));
    axum::serve(listener, router).await
}

async fn ready(State(readiness): State<Readiness>) -> impl IntoResponse {
    match readiness.is_complete() {
        true => (StatusCode::OK, "ok\n"),
        false => (StatusCode::SERVICE_UNAVAILABLE, "waiting for the first list of every watch\n"),
    }
}

async fn render(State(metrics): State<Arc<Metrics>>) -> Result<impl IntoResponse, StatusCode> {
    let text = metrics.render().map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
    Ok(([(header::CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], text))
}
