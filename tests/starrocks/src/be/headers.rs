//! The headers of a load, with their allowed values and error texts (§4).

use super::codec::Codec;
use crate::{
    http::Request,
    reader::{CsvFormat, delimiter},
};

#[derive(Debug, Clone)]
pub(crate) struct LoadHeaders {
    /// The table's name, for error messages.
    pub(crate) table: String,
    pub(crate) columns: Option<String>,
    pub(crate) strict_mode: bool,
    pub(crate) partial_update: bool,
    pub(crate) merge_condition: Option<String>,
    pub(crate) framing: Framing,
    /// A predicate over columns of the table.
    pub(crate) filter: Option<String>,
    pub(crate) partitions: Vec<String>,
    pub(crate) timezone: Option<String>,
    pub(crate) max_filter_ratio: f64,
}

/// The format of a body, which is known before a transaction begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Csv(Option<Codec>),
    Json,
}

/// How a decompressed body is split into rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Framing {
    Csv(CsvFormat),
    Json { strip_outer_array: bool },
}

const MAX_BODY_MB: u64 = 102_400;
const MAX_JSON_BYTES: u64 = 100 * 1024 * 1024;

/// Headers that this server does not implement. They are refused, because to ignore them would store wrong rows.
const NOT_SERVED: [&str; 4] = ["temporary_partitions", "jsonpaths", "json_root", "envelope"];

/// The headers that are checked before a transaction begins (§3.2).
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
    let Some(name) = request.header("format") else { return Ok(Format::Csv(None)) };
    match name.to_lowercase().as_str() {
        "csv" => Ok(Format::Csv(None)),
        "json" => Ok(Format::Json),
        other => match Codec::of_format(other) {
            Some(codec) => Ok(Format::Csv(Some(codec))),
            None => Err(format!("unknown data format, format={name}")),
        },
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
    /// The transaction interface ignores some headers (§11.1).
    pub(crate) fn read(
        request: &Request,
        table: &str,
        format: Format,
        in_transaction: bool,
    ) -> Result<Self, String> {
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
            partial_update: if in_transaction {
                request.header("partial_update").is_some_and(|value| value == "true")
            } else {
                flag("partial_update", "Invalid partial update flag format. Must be bool type")?
            },
            merge_condition: request.header("merge_condition").filter(|column| !column.is_empty()),
            filter: request.header("where").filter(|filter| !filter.is_empty()),
            partitions: request
                .header("partitions")
                .map(|list| list.split(',').map(|name| name.trim().trim_matches('`').to_owned()).collect())
                .unwrap_or_default(),
            timezone: request.header("timezone").filter(|zone| !zone.is_empty()),
            framing: framing(request, format, in_transaction)?,
            // Parsed leniently: text that is no number counts as 0.
            max_filter_ratio: request.header("max_filter_ratio").and_then(|v| v.parse().ok()).unwrap_or(0.0),
        })
    }
}

fn framing(request: &Request, format: Format, in_transaction: bool) -> Result<Framing, String> {
    let is_true = |name: &str| request.header(name).is_some_and(|value| value.eq_ignore_ascii_case("true"));
    if format == Format::Json {
        // Every value but `true` means false; none is an error.
        return Ok(Framing::Json { strip_outer_array: is_true("strip_outer_array") });
    }
    let mut csv = CsvFormat::default();
    // A tab is a valid separator, so the value is taken with the blanks around it.
    if let Some(written) = request.raw_header("column_separator") {
        csv.column_separator = delimiter(&written)?;
    }
    if let Some(written) = request.raw_header("row_delimiter") {
        csv.row_delimiter = delimiter(&written)?;
    }
    if in_transaction {
        return Ok(Framing::Csv(csv));
    }
    let first_byte = |name: &str| request.header(name).and_then(|value| value.bytes().next());
    (csv.enclose, csv.escape) = (first_byte("enclose"), first_byte("escape"));
    csv.trim_space = is_true("trim_space");
    if let Some(text) = request.header("skip_header") {
        csv.skip_header = text.parse().map_err(|_| format!("Invalid csv load skip_header: {text}"))?;
    }
    Ok(Framing::Csv(csv))
}

impl LoadHeaders {
    /// The compression of a JSON body. For CSV these headers are ignored, and compressed bytes are read as text.
    pub(crate) fn compression(request: &Request, format: Format) -> Result<Option<Codec>, String> {
        if let Format::Csv(codec) = format {
            return Ok(codec);
        }
        let name = match (request.header("compression"), request.header("content-encoding")) {
            (Some(_), Some(_)) => {
                return Err("Only one of http header content-encoding and compression can be set".to_owned());
            }
            (name, other) => name.or(other).filter(|name| !name.is_empty()),
        };
        name.map(|name| {
            Codec::of_compression(&name).ok_or_else(|| format!("Unsupported compression type: {name}"))
        })
        .transpose()
    }
}
