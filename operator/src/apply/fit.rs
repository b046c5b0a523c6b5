//! Whether an object in the cluster holds everything that is planned. Pure.
//!
//! The API server adds defaults and writes quantities its own way (`1000m` becomes `1`), so equality
//! would send the same object for ever.

use serde_json::Value;

/// True when every planned field is there with the planned value; other fields do not matter.
pub(super) fn covers(planned: &Value, live: &Value) -> bool {
    match (planned, live) {
        (Value::Object(planned), Value::Object(live)) => planned.iter().all(|(name, planned)| {
            live.get(name).map_or_else(|| is_nothing(planned), |live| covers(planned, live))
        }),
        (Value::Array(planned), Value::Array(live)) => {
            planned.len() == live.len()
                && planned.iter().zip(live).all(|(planned, live)| covers(planned, live))
        }
        (Value::String(planned), Value::String(live)) => planned == live || same_quantity(planned, live),
        (planned, live) => planned == live,
    }
}

/// The API server forgets empty maps and lists.
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
    fn defaults_of_the_api_server_do_not_matter() {
        let planned = json!({ "spec": { "replicas": 1, "list": [{ "name": "a" }], "none": {} } });
        let live = json!({ "spec": { "replicas": 1, "paused": false, "list": [{ "name": "a", "protocol": "TCP" }] } });
        assert!(covers(&planned, &live));
    }

    #[test]
    fn a_changed_or_missing_field_matters() {
        let planned = json!({ "spec": { "replicas": 1, "list": [1] } });
        for live in [
            json!({ "spec": { "replicas": 3, "list": [1] } }),
            json!({ "spec": { "list": [1] } }),
            json!({ "spec": { "replicas": 1, "list": [1, 2] } }),
        ] {
            assert!(!covers(&planned, &live), "{live}");
        }
    }

    #[test]
    fn a_quantity_may_be_written_otherwise() {
        for (planned, live) in [("1000m", "1"), ("0.5", "500m"), ("1024Mi", "1Gi"), ("1e3", "1k")] {
            assert!(covers(&json!(planned), &json!(live)), "{planned} {live}");
        }
        assert!(!covers(&json!("1"), &json!("2")));
        assert!(!covers(&json!("orders"), &json!("users")));
    }
}
