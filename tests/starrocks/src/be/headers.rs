//! The headers of a load, with their domains and error texts (§4).

use crate::http::Request;

#[derive(Debug, Clone)]
pub(crate) struct LoadHeaders {
    /// The table's name, for messages.
    pub(crate) table: String,
    pub(crate) columns: Option<String>,
    pub(crate) strict_mode: bool,
    pub(crate) partial_update: bool,
    pub(crate) merge_condition: Option<String>,
    pub(crate) strip_outer_array: bool,
    pub(crate) max_filter_ratio: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Csv,
    Json,
}

const MAX_BODY_MB: u64 = 102_400;
const MAX_JSON_BYTES: u64 = 100 * 1024 * 1024;

/// Headers that ask for something this server does not do yet; silence would be a wrong answer.
const NOT_SERVED: [&str; 8] = [
    "where",
    "partitions",
    "temporary_partitions",
    "jsonpaths",
    "json_root",
    "compression",
    "content-encoding",
    "envelope",
];

/// What is checked before a transaction begins (§3.2).
#[derive(Debug, Clone)]
pub(crate) struct BeginHeaders {
    pub(crate) label: Option<String>,
    pub(crate) format: Format,
    pub(crate) timeout_seconds: i64,
}

impl BeginHeaders {
    pub(crate) fn read(request: &Request) -> Result<Self, String> {
        check_body_size(request)?;
        let format = format(request)?;
        check_json_size(request, format)?;
        let timeout_seconds = match request.header("timeout") {
            Some(text) => text.parse().map_err(|_| "Invalid timeout format".to_owned())?,
            None => 600,
        };
        Ok(Self { label: request.header("label").filter(|label| !label.is_empty()), format, timeout_seconds })
    }
}

fn check_body_size(request: &Request) -> Result<(), String> {
    let limit = MAX_BODY_MB * 1024 * 1024;
    match request.content_length() {
        Some(length) if length > limit => Err(format!(
            "body size {length} exceed limit: {limit}, {MAX_BODY_MB}. You can increase the limit by setting \
             streaming_load_max_mb in be.conf."
        )),
        _ => Ok(()),
    }
}

fn format(request: &Request) -> Result<Format, String> {
    let Some(name) = request.header("format") else { return Ok(Format::Csv) };
    match name.to_lowercase().as_str() {
        "csv" => Ok(Format::Csv),
        "json" => Ok(Format::Json),
        "gzip" | "bzip2" | "lz4" | "deflate" | "zstd" => {
            Err(format!("compressed CSV is not served by this stand-in, format={name}"))
        }
        _ => Err(format!("unknown data format, format={name}")),
    }
}

fn check_json_size(request: &Request, format: Format) -> Result<(), String> {
    let lifted = request.header("ignore_json_size").is_some_and(|value| value.eq_ignore_ascii_case("true"));
    match request.content_length() {
        Some(length) if format == Format::Json && length > MAX_JSON_BYTES && !lifted => Err(format!(
            "The size of this batch exceed the max size [{MAX_JSON_BYTES}]  of json type data  data [ {length} ]. \
             Set ignore_json_size to skip the check, although it may lead huge memory consuming."
        )),
        _ => Ok(()),
    }
}

impl LoadHeaders {
    pub(crate) fn read(request: &Request, table: &str) -> Result<Self, String> {
        let flag = |name: &str, message: &str| match request.header(name).map(|text| text.to_lowercase()) {
            None => Ok(false),
            Some(text) if text == "true" => Ok(true),
            Some(text) if text == "false" => Ok(false),
            Some(_) => Err(message.to_owned()),
        };
        if let Some(name) = NOT_SERVED.into_iter().find(|name| request.header(name).is_some()) {
            return Err(format!("the header {name} is not served by this stand-in"));
        }
        Ok(Self {
            table: table.to_owned(),
            columns: request.header("columns").filter(|columns| !columns.is_empty()),
            strict_mode: flag("strict_mode", "Invalid strict mode format. Must be bool type")?,
            partial_update: flag("partial_update", "Invalid partial update flag format. Must be bool type")?,
            merge_condition: request.header("merge_condition").filter(|column| !column.is_empty()),
            // Anything but `true` is false, without complaint.
            strip_outer_array: request
                .header("strip_outer_array")
                .is_some_and(|v| v.eq_ignore_ascii_case("true")),
            // Read leniently: text is 0.
            max_filter_ratio: request.header("max_filter_ratio").and_then(|v| v.parse().ok()).unwrap_or(0.0),
        })
    }
}
