//! The JSON answer to a load (§5.1).

use serde::Serialize;

use crate::http::Response;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(super) enum LoadStatus {
    Success,
    #[serde(rename = "Publish Timeout")]
    PublishTimeout,
    #[serde(rename = "Label Already Exists")]
    LabelAlreadyExists,
    Fail,
}

impl LoadStatus {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Success => "Success",
            Self::PublishTimeout => "Publish Timeout",
            Self::LabelAlreadyExists => "Label Already Exists",
            Self::Fail => "Fail",
        }
    }
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Answer {
    pub(super) txn_id: i64,
    pub(super) label: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) db: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) table: Option<String>,
    pub(super) status: LoadStatus,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) existing_job_status: Option<&'static str>,
    pub(super) message: String,
    pub(super) number_total_rows: u64,
    pub(super) number_loaded_rows: u64,
    pub(super) number_filtered_rows: u64,
    pub(super) number_unselected_rows: u64,
    pub(super) load_bytes: u64,
    pub(super) load_time_ms: u64,
    pub(super) begin_txn_time_ms: u64,
    pub(super) stream_load_plan_time_ms: u64,
    pub(super) read_data_time_ms: u64,
    pub(super) write_data_time_ms: u64,
    pub(super) commit_and_publish_time_ms: u64,
    #[serde(rename = "ErrorURL", skip_serializing_if = "Option::is_none")]
    pub(super) error_url: Option<String>,
}

impl Answer {
    pub(super) fn response(&self) -> Response {
        let mut body = Vec::new();
        let style = serde_json::ser::PrettyFormatter::with_indent(b"    ");
        // Writing strings and numbers into memory cannot fail.
        let _ = self.serialize(&mut serde_json::Serializer::with_formatter(&mut body, style));
        Response::new(crate::http::Status::Ok, "application/json", body)
    }
}
