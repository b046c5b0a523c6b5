//! Errors with which the server ends a stream: an error of decoding or sending recurs at the same position.

use crds::Reason;

use super::{
    server::{ServerError, server_fault},
    slot::begin_anew,
    source_retry,
};
use crate::{
    config::SourceConfig,
    fault::{Course, Fault},
};

/// SQLSTATEs of a text that is not valid in the encoding of the database, and of one that has no form in UTF-8.
const INVALID_TEXT: [&str; 2] = ["22021", "22P05"];
const OUT_OF_MEMORY: &str = "53200";

impl ServerError {
    /// Whether the error is about the data to be sent, and not about the session: the next stream fails in the same
    /// place.
    pub(in crate::postgres) fn is_of_the_stream(&self) -> bool {
        !["08", "57"].iter().any(|class| self.code.starts_with(class))
    }
}

pub(super) fn stream_fault(error: &ServerError, config: &SourceConfig) -> Fault {
    let fault = server_fault(error, config);
    if fault.course == Course::Halt || fault.reason != Reason::SourceUnreachable || !error.is_of_the_stream()
    {
        return fault;
    }
    let at = format!("{}:{}", config.host, config.port);
    let slot = &config.slot;
    // Messages of data exceptions (class 22) quote the data.
    let said =
        if error.code.starts_with("22") { format!("SQLSTATE {}", error.code) } else { error.to_string() };
    if error.code == OUT_OF_MEMORY {
        return source_retry(
            Reason::SourceDecodingFailed,
            format!("PostgreSQL at {at} runs out of memory while it decodes for slot {slot}: {said}"),
            "give the server more memory, or lower logical_decoding_work_mem or other consumers of it; the worker \
             tries again by itself, later and later",
        );
    }
    source_retry(
        Reason::SourceDecodingFailed,
        format!("PostgreSQL at {at} cannot decode the WAL that comes next for slot {slot}: {said}"),
        format!(
            "look into the log of the PostgreSQL server for application dbmazz {slot}, and mend what it names; the \
             worker tries again by itself, later and later; what cannot be decoded at all can only be left out: {}",
            begin_anew(config)
        ),
    )
}

/// Whether the error says that a text cannot be sent in UTF-8.
pub(in crate::postgres) fn is_invalid_text(error: &ServerError) -> bool {
    INVALID_TEXT.contains(&error.code.as_str())
}

/// The fault of a text that cannot be sent, with its encoding and its table as far as known.
pub(in crate::postgres) fn invalid_text(
    error: &ServerError,
    config: &SourceConfig,
    encoding: Option<&str>,
    table: Option<&str>,
) -> Fault {
    let encoding = encoding.unwrap_or("another encoding");
    let of = table.map(|table| format!(" of table {table}")).unwrap_or_default();
    source_retry(
        Reason::SourceEncodingInvalid,
        format!(
            "PostgreSQL at {}:{} cannot send a row{of} in UTF-8: it holds a text that is not valid in {encoding}, the \
             encoding of database {}, or that has no form in UTF-8 (SQLSTATE {})",
            config.host, config.port, config.database, error.code
        ),
        format!(
            "correct the text at the source, so that the row can be copied and sent again; the change that is in the \
             WAL already cannot be sent, and neither can what follows it, so leave them out: {}",
            begin_anew(config)
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::{super::tests::config, *};

    fn fault(code: &str, message: &str) -> Fault {
        let (code, message) = (code.into(), message.into());
        stream_fault(&ServerError { code, message, ..ServerError::default() }, &config())
    }

    #[test]
    fn an_error_of_the_stream_is_named_and_a_cut_session_is_not_taken_for_one() {
        let cases = [
            ("XX000", "output plugin failed", Reason::SourceDecodingFailed),
            ("53200", "out of memory", Reason::SourceDecodingFailed),
            ("54000", "invalid memory alloc request size", Reason::SourceDecodingFailed),
            ("57P01", "terminating connection", Reason::SourceUnreachable),
            ("08006", "gone", Reason::SourceUnreachable),
            ("55000", "can no longer get changes from replication slot \"orders\"", Reason::SlotLost),
            ("42501", "permission denied", Reason::SourcePermissionDenied),
        ];
        for (code, message, reason) in cases {
            assert_eq!(fault(code, message).reason, reason, "{code}");
        }
    }

    #[test]
    fn what_a_message_quotes_of_a_row_is_left_out() {
        let fault = fault("22P02", "invalid input syntax for type point: \"secret\"");
        assert!(!fault.to_string().contains("secret"), "{fault}");
        let error = ServerError { code: "22021".into(), message: "secret".into(), ..ServerError::default() };
        let fault = invalid_text(&error, &config(), Some("WIN1252"), Some("public.t"));
        assert!(!fault.to_string().contains("secret") && fault.message.contains("WIN1252"), "{fault}");
    }
}
