//! `docs/reference.md`: every field of the resource, from the schema and from what restarts a worker.

use std::fmt::Write as _;

use serde_json::Value;
use testbed::docs::{is_current, row};

use super::RELOADED;

#[test]
fn docs_list_every_field() {
    let crd = crds::manifest::crd().unwrap();
    let schema = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"];
    let mut fields = [row(&["Field", "Type", "Default", "A change", "Meaning"]), row(&["---"; 5])].concat();
    list(&mut fields, "spec", &schema["spec"], true);
    is_current("reference.md", "spec", &fields).unwrap();
    let mut fields = [row(&["Field", "Type", "Meaning"]), row(&["---"; 3])].concat();
    list(&mut fields, "status", &schema["status"], false);
    is_current("reference.md", "status", &fields).unwrap();
}

/// The fields below `path`, each followed by its own fields.
fn list(rows: &mut String, path: &str, schema: &Value, of_spec: bool) {
    let required: Vec<_> =
        schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        let path = format!("{path}.{name}");
        let (shown, kind, meaning) = (format!("`{path}`"), kind(field), meaning(field));
        if of_spec {
            let default = default(field, required.contains(&name.as_str()));
            rows.push_str(&row(&[&shown, &kind, &default, change(&path, field), &meaning]));
        } else {
            rows.push_str(&row(&[&shown, &kind, &meaning]));
        }
        list(rows, &path, field, of_spec);
        list(rows, &format!("{path}[]"), &field["items"], of_spec);
    }
}

fn kind(field: &Value) -> String {
    let kind = field["type"].as_str().unwrap_or_default();
    let words = |values: &Vec<Value>| {
        values.iter().filter_map(Value::as_str).map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
    };
    match (field["enum"].as_array(), kind) {
        (Some(values), _) => words(values),
        (None, "array") => format!("list of {}", kind_of_items(&field["items"])),
        (None, "object") if field["additionalProperties"].is_object() => "map of strings".to_owned(),
        (None, kind) => [kind, &bounds(field)].concat(),
    }
}

fn kind_of_items(items: &Value) -> &str {
    items["type"].as_str().unwrap_or_default()
}

fn bounds(field: &Value) -> String {
    match (field["minimum"].as_f64(), field["maximum"].as_f64()) {
        (Some(least), Some(most)) => format!(", {least} to {most}"),
        _ => String::new(),
    }
}

/// The default of a field; that of an object is in its fields.
fn default(field: &Value, required: bool) -> String {
    match &field["default"] {
        _ if required => "required".to_owned(),
        Value::Null | Value::Object(_) => String::new(),
        Value::String(text) if text.is_empty() => "empty".to_owned(),
        Value::String(text) => format!("`{text}`"),
        other => format!("`{other}`"),
    }
}

/// The effect of a change to a field; empty for a field that only contains others.
fn change(path: &str, field: &Value) -> &'static str {
    let pointer = format!("/{}", path.replace('.', "/"));
    let rules = field["x-kubernetes-validations"].to_string();
    match () {
        () if rules.contains("self == oldSelf || ") => "restart; not to or from `Text`",
        () if rules.contains("self == oldSelf") => "refused",
        () if field["properties"].is_object() => "",
        () if RELOADED.iter().any(|reloaded| pointer.starts_with(reloaded)) => "no restart",
        () => "restart",
    }
}

/// One line: the description, and the API server's rules for the value.
fn meaning(field: &Value) -> String {
    let described =
        field["description"].as_str().unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ");
    let rules = [&field["x-kubernetes-validations"], &field["items"]["x-kubernetes-validations"]];
    let rules = rules.into_iter().filter_map(Value::as_array).flatten();
    let required =
        rules.filter_map(|rule| rule["message"].as_str()).filter(|message| message.starts_with("must "));
    required.fold(described, |mut text, message| {
        let _ = write!(text, " It {message}.");
        text
    })
}
