//! The CRD as it is installed: generated from the types, plus the rules that types cannot express.
//!
//! The chart contains the result as a file and installs it from a template: Helm never upgrades a CRD of its own
//! `crds/` folder, and the API server silently drops fields that an old CRD does not have. With
//! `helm.sh/resource-policy: keep` the CRD, and so every job, outlives the release.

use kube::CustomResourceExt as _;
use serde_json::{Value, json};

use crate::ReplicationJob;

/// The path of the chart's file in this checkout.
pub const IN_THE_CHART: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/../charts/dbmazz-operator/files/crd.yaml");

/// The longest object name is `dbmazz-NAME-cleanup`, and a label value holds 63 characters.
const LONGEST_NAME: usize = 48;

/// The CustomResourceDefinition.
pub fn crd() -> Result<Value, serde_json::Error> {
    let mut crd = serde_json::to_value(ReplicationJob::crd())?;
    forget_rust_formats(&mut crd);
    crd["metadata"]["annotations"] = json!({ "helm.sh/resource-policy": "keep" });
    if let Some(root) = crd.pointer_mut("/spec/versions/0/schema/openAPIV3Schema") {
        root["x-kubernetes-validations"] = name_rule();
    }
    Ok(crd)
}

/// The CustomResourceDefinition in YAML, as the chart contains it.
pub fn yaml() -> Result<String, ManifestError> {
    let crd = serde_saphyr::to_string(&crd()?)?;
    Ok(format!("# Generated from crds/src by `make crd`. Do not edit.\n{crd}"))
}

/// The CRD could not be written.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    #[error("the schema could not be built")]
    Schema(#[from] serde_json::Error),
    #[error("the schema could not be written as yaml")]
    Yaml(#[from] serde_saphyr::ser::Error),
}

fn name_rule() -> Value {
    json!([{
        "rule": format!("self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$') && size(self.metadata.name) <= {LONGEST_NAME}"),
        "message": format!("metadata.name must begin with a letter, hold only a-z, 0-9 and -, and be at most {LONGEST_NAME} characters long: Services and labels are named after it"),
    }])
}

/// Removes formats such as `uint16`: the API server does not know them and warns at every apply.
fn forget_rust_formats(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            if fields.get("format").and_then(Value::as_str).is_some_and(|format| format.starts_with("uint")) {
                fields.remove("format");
            }
            fields.values_mut().for_each(forget_rust_formats);
        }
        Value::Array(items) => items.iter_mut().for_each(forget_rust_formats),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IN_THE_CHART: &str =
        concat!(env!("CARGO_MANIFEST_DIR"), "/../charts/dbmazz-operator/files/crd.yaml");

    #[test]
    fn the_chart_carries_the_crd_of_these_types() {
        let carried = std::fs::read_to_string(IN_THE_CHART).unwrap();
        assert!(carried == yaml().unwrap(), "the types have changed: run `make crd`");
    }

    #[test]
    fn the_crd_stays_small() {
        assert!(yaml().unwrap().len() < 60_000);
    }

    #[test]
    fn the_samples_are_resources() {
        for sample in ["replicationjob.yaml", "replicationjob-full.yaml"] {
            let path = format!("{}/../config/samples/{sample}", env!("CARGO_MANIFEST_DIR"));
            let text = std::fs::read_to_string(path).unwrap();
            let resource: ReplicationJob = serde_saphyr::from_str(&text).unwrap();
            assert_eq!(
                resource.spec.source.postgres.tables,
                ["public.orders", "public.customers"],
                "{sample}"
            );
        }
    }

    #[test]
    fn the_readme_shows_the_sample() {
        let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
        let readme = std::fs::read_to_string(format!("{root}/README.md")).unwrap();
        let (_, rest) = readme.split_once("```yaml\n").unwrap();
        let (shown, _) = rest.split_once("```").unwrap();
        let sample = std::fs::read_to_string(format!("{root}/config/samples/replicationjob.yaml")).unwrap();
        let [shown, sample] = [shown, &sample].map(|text| serde_saphyr::from_str::<Value>(text).unwrap());
        assert_eq!(shown, sample);
    }

    #[test]
    fn the_full_sample_shows_every_field_of_the_spec() {
        let full = concat!(env!("CARGO_MANIFEST_DIR"), "/../config/samples/replicationjob-full.yaml");
        let sample: Value = serde_saphyr::from_str(&std::fs::read_to_string(full).unwrap()).unwrap();
        assert_eq!(unshown("spec", &spec(), &sample["spec"]), Vec::<String>::new());
    }

    fn unshown(path: &str, schema: &Value, shown: &Value) -> Vec<String> {
        let fields = schema["properties"].as_object().into_iter().flatten();
        let below = |(name, field): (&String, &Value)| match shown.get(name) {
            Some(shown) => unshown(&format!("{path}.{name}"), field, shown),
            None => vec![format!("{path}.{name}")],
        };
        fields.flat_map(below).collect()
    }

    #[test]
    fn every_field_of_the_spec_is_described() {
        assert_eq!(undescribed("spec", &spec()), Vec::<String>::new());
    }

    fn spec() -> Value {
        let crd = crd().unwrap();
        crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"].clone()
    }

    fn undescribed(path: &str, schema: &Value) -> Vec<String> {
        let mut found = Vec::new();
        if schema.get("description").is_none() {
            found.push(path.to_owned());
        }
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            found.extend(undescribed(&format!("{path}.{name}"), property));
        }
        found
    }
}
