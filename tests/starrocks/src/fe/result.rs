//! The JSON answers of the FE, with the escapes of its JSON library.

use std::fmt::Write;

/// The lower-case form: further fields, then `status`, `code`, `msg`, `message`.
#[derive(Debug, Default)]
pub(super) struct RestResult {
    fields: Vec<(&'static str, String)>,
}

impl RestResult {
    pub(super) fn ok() -> Self {
        Self::default().with("status", "OK").with("code", "0").with("msg", "Success").with("message", "OK")
    }

    pub(super) fn failed(code: &str, message: &str) -> Self {
        Self::default()
            .with("status", "FAILED")
            .with("code", code)
            .with("msg", message)
            .with("message", message)
    }

    pub(super) fn with(mut self, name: &'static str, value: &str) -> Self {
        self.fields.push((name, value.to_owned()));
        self
    }

    pub(super) fn preceded_by(mut self, fields: Vec<(&'static str, String)>) -> Self {
        self.fields.splice(0..0, fields);
        self
    }

    pub(super) fn compact(&self) -> String {
        let fields = self.fields.iter().map(|(name, value)| format!("\"{name}\":{}", quote(value)));
        format!("{{{}}}", fields.collect::<Vec<_>>().join(","))
    }
}

/// The error of the first hop, in the form of the transaction interface (§3.1).
pub(super) fn refusal(message: &str) -> String {
    failed("com.starrocks.common.DdlException", message)
}

/// The error in the form of the transaction interface: two keys.
pub(super) fn failed(class: &str, message: &str) -> String {
    pretty(&[("Status", quote("FAILED")), ("Message", quote(&format!("class {class}: {message}")))])
}

/// An object of values that are already JSON, on several lines.
pub(super) fn pretty(fields: &[(&str, String)]) -> String {
    let lines: Vec<String> = fields.iter().map(|(name, value)| format!("  \"{name}\": {value}")).collect();
    format!("{{\n{}\n}}", lines.join(",\n"))
}

/// The FE's JSON library also escapes characters that are special in HTML.
pub(super) fn quote(text: &str) -> String {
    let mut quoted = String::from("\"");
    for letter in text.chars() {
        match letter {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            '\'' | '<' | '>' | '&' | '=' | '\0'..='\u{1f}' | '\u{2028}' | '\u{2029}' => {
                let _ = write!(quoted, "\\u{:04x}", u32::from(letter));
            }
            _ => quoted.push(letter),
        }
    }
    quoted.push('"');
    quoted
}
