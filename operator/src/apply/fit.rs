//! The differences between a planned object and the object in the cluster. Pure.
//!
//! The API server adds defaults and normalizes quantities (`1000m` becomes `1`), so a test for equality would send the
//! same object for ever. A field that others add (a label, a container, a port) is not a difference, as it is not for
//! server-side apply; a planned field with another value is one.

use serde_json::Value;

/// Maps that the API server treats as one value: an added entry changes their meaning.
const WHOLE_MAPS: [&str; 2] = ["selector", "matchLabels"];
/// The fields that identify the entries of a list, where any does.
const KEYS: [&str; 2] = ["name", "uid"];

/// Every planned field that is missing or has another value: its path, and the value in the cluster.
pub(super) fn differences(planned: &Value, live: &Value) -> Vec<String> {
    let mut found = Vec::new();
    compare("", planned, live, &mut found);
    found
}

fn compare(path: &str, planned: &Value, live: &Value, found: &mut Vec<String>) {
    match (planned, live) {
        (Value::Object(planned), Value::Object(live)) => {
            for (name, planned) in planned {
                let live = live.get(name).unwrap_or(&Value::Null);
                compare(&format!("{path}.{name}"), planned, live, found);
            }
            if WHOLE_MAPS.iter().any(|name| path.ends_with(&format!(".{name}"))) && live.len() > planned.len()
            {
                found.push(format!("{path} has more entries"));
            }
        }
        (Value::Array(planned), Value::Array(live)) => lists(path, planned, live, found),
        (planned, Value::Null) if is_nothing(planned) => {}
        (Value::String(planned), Value::String(live)) if same_quantity(planned, live) => {}
        (planned, live) if planned == live => {}
        (_, live) => found.push(format!("{path} is {live}")),
    }
}

fn lists(path: &str, planned: &[Value], live: &[Value], found: &mut Vec<String>) {
    match KEYS.into_iter().find(|key| planned.iter().all(|entry| entry[*key].is_string())) {
        Some(key) if !planned.is_empty() => {
            for entry in planned {
                let same = live.iter().find(|other| other[key] == entry[key]).unwrap_or(&Value::Null);
                compare(&format!("{path}[{}]", entry[key].as_str().unwrap_or_default()), entry, same, found);
            }
        }
        _ if planned.len() != live.len() => found.push(format!("{path} has {} entries", live.len())),
        _ => {
            for (place, (planned, live)) in planned.iter().zip(live).enumerate() {
                compare(&format!("{path}[{place}]"), planned, live, found);
            }
        }
    }
}

/// The API server drops empty maps and lists.
fn is_nothing(planned: &Value) -> bool {
    match planned {
        Value::Object(fields) => fields.is_empty(),
        Value::Array(items) => items.is_empty(),
        planned => planned.is_null(),
    }
}

fn same_quantity(one: &str, other: &str) -> bool {
    match (quantity(one), quantity(other)) {
        (Some(one), Some(other)) => (one - other).abs() <= one.abs() * 1e-9,
        _ => false,
    }
}

fn quantity(text: &str) -> Option<f64> {
    let digits =
        text.bytes().take_while(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'-' | b'+')).count();
    let (number, suffix) = text.split_at(digits);
    let factor = match suffix {
        "n" => 1e-9,
        "u" => 1e-6,
        "m" => 1e-3,
        "" => 1.0,
        "k" => 1e3,
        "M" => 1e6,
        "G" => 1e9,
        "T" => 1e12,
        "Ki" => 1024.0,
        "Mi" => 1_048_576.0,
        "Gi" => 1_073_741_824.0,
        "Ti" => 1_099_511_627_776.0,
        exponent => exponent
            .strip_prefix(['e', 'E'])
            .and_then(|power| power.parse().ok())
            .map(|power| 10f64.powi(power))?,
    };
    Some(number.parse::<f64>().ok()? * factor)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn defaults_of_the_api_server_and_what_others_add_do_not_matter() {
        let planned = json!({ "spec": { "replicas": 1, "list": [{ "name": "a" }], "none": {} } });
        let added = json!([{ "name": "sidecar" }, { "name": "a", "protocol": "TCP" }]);
        let live = json!({ "metadata": { "labels": { "x": "y" } }, "spec": { "replicas": 1, "paused": false, "list": added } });
        assert_eq!(differences(&planned, &live), Vec::<String>::new());
    }

    #[test]
    fn a_changed_or_missing_field_matters() {
        let planned =
            json!({ "spec": { "replicas": 1, "list": [1], "containers": [{ "name": "a", "image": "i" }] } });
        for (live, expected) in [
            (
                json!({ "spec": { "replicas": 3, "list": [1], "containers": [{ "name": "a", "image": "i" }] } }),
                ".spec.replicas is 3",
            ),
            (
                json!({ "spec": { "list": [1], "containers": [{ "name": "a", "image": "i" }] } }),
                ".spec.replicas is null",
            ),
            (
                json!({ "spec": { "replicas": 1, "list": [1, 2], "containers": [{ "name": "a", "image": "i" }] } }),
                ".spec.list has 2 entries",
            ),
            (
                json!({ "spec": { "replicas": 1, "list": [1], "containers": [{ "name": "a", "image": "mirror/i" }] } }),
                ".spec.containers[a].image is \"mirror/i\"",
            ),
            (
                json!({ "spec": { "replicas": 1, "list": [1], "containers": [{ "name": "b", "image": "i" }] } }),
                ".spec.containers[a] is null",
            ),
        ] {
            assert_eq!(differences(&planned, &live), [expected], "{live}");
        }
    }

    #[test]
    fn an_entry_that_somebody_adds_to_a_selector_matters() {
        let planned = json!({ "spec": { "selector": { "app": "a" } } });
        let live = json!({ "spec": { "selector": { "app": "a", "tier": "gold" } } });
        assert_eq!(differences(&planned, &live), [".spec.selector has more entries"]);
    }

    #[test]
    fn a_quantity_may_be_written_otherwise() {
        for (planned, live) in [("1000m", "1"), ("0.5", "500m"), ("1024Mi", "1Gi"), ("1e3", "1k")] {
            assert!(differences(&json!(planned), &json!(live)).is_empty(), "{planned} {live}");
        }
        assert!(!differences(&json!("1"), &json!("2")).is_empty());
        assert!(!differences(&json!("orders"), &json!("users")).is_empty());
    }
}
