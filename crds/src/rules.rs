//! The CEL rules of the schema: what the API server checks beyond types, with their messages.
//!
//! The API server prints the path of the field before the message, so a message starts with its verb.

use serde_json::{Value, json};

/// One rule, as the value of `x-kubernetes-validations`.
pub(crate) fn rule(rule: &str, message: &str) -> Value {
    json!([{ "rule": rule, "message": message }])
}

/// The value cannot change after the resource is created.
pub(crate) fn fixed(why: &str) -> Value {
    rule("self == oldSelf", &format!("is fixed: {why}"))
}

/// The value cannot change to or from `Text`, which decides the types of columns when they are created.
pub(crate) fn column_types() -> Value {
    rule(
        "self == oldSelf || (self != 'Text' && oldSelf != 'Text')",
        "cannot change to or from Text: the columns have their types; create another ReplicationJob",
    )
}

/// A host name or an address; not a URL.
pub(crate) fn host() -> Value {
    let name = "[A-Za-z0-9_]([A-Za-z0-9._-]*[A-Za-z0-9_.])?";
    let version_six = "[0-9A-Fa-f]*:[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*";
    rule(
        &format!("self.matches('^({name}|{version_six})$')"),
        "must be a host name or an address, without scheme, port or path",
    )
}

/// Every item of this list is a source table as `schema.table`.
pub(crate) fn each_a_table(list: &mut schemars::Schema) {
    if let Some(Value::Object(item)) = list.get_mut("items") {
        item.insert("x-kubernetes-validations".into(), table());
    }
}

fn table() -> Value {
    // In hexadecimal, because CEL and YAML treat quotes in different ways.
    let part = r"[^.\\s\\x22\\x27]{1,63}";
    json!([
        { "rule": format!(r"self.matches('^{part}\\.{part}$')"), "message": "must be written as schema.table, without quotes" },
        { "rule": "!self.matches('^[^.]*[.]dbmazz_')", "message": "must not begin with dbmazz_: such tables hold the state of replication itself" },
    ])
}

/// An amount of bytes in whole numbers, within bounds.
pub(crate) fn bytes(least: &str, most: &str) -> Value {
    let form = "self.matches('^[0-9]+(Ki|Mi|Gi)?$')";
    let bounds = format!(
        "quantity(self).compareTo(quantity('{least}')) >= 0 && quantity(self).compareTo(quantity('{most}')) <= 0"
    );
    rule(
        &format!("{form} && {bounds}"),
        &format!("must be an amount of bytes from {least} to {most}, such as 32Mi"),
    )
}

/// A backlog in bytes, or `Never`.
pub(crate) fn catch_up() -> Value {
    let bytes = "self.matches('^[0-9]+(Ki|Mi|Gi)?$') && quantity(self).compareTo(quantity('1024Gi')) <= 0";
    rule(
        &format!("self == 'Never' || {bytes}"),
        "must be an amount of bytes up to 1024Gi, such as 256Mi, or Never",
    )
}

/// The name of a request, which changes to ask once more.
pub(crate) fn request() -> Value {
    rule("self.matches('^[A-Za-z0-9._:-]*$')", "must be made of letters, digits and the characters . _ : -")
}

/// A request has a name, and a job that goes on.
pub(crate) fn snapshot() -> Value {
    json!([
        { "rule": "self.requestTables.size() == 0 || self.request != ''", "message": "requestTables needs request" },
        { "rule": "self.mode != 'Only' || self.request == ''", "message": "request cannot be set with mode Only, which ends: create another ReplicationJob" },
    ])
}

/// A duration with one unit, within bounds.
pub(crate) fn duration(least: &str, most: &str) -> Value {
    let form = "self.matches('^[0-9]+(ms|s|m|h)$')";
    let bounds = format!("duration(self) >= duration('{least}') && duration(self) <= duration('{most}')");
    rule(
        &format!("{form} && {bounds}"),
        &format!("must be a duration from {least} to {most} with one unit, such as 500ms, 30s or 5m"),
    )
}

/// This map holds Kubernetes quantities.
pub(crate) fn quantities(map: &mut schemars::Schema) {
    map.insert("maxProperties".into(), json!(3));
    map.insert("additionalProperties".into(), json!({ "type": "string", "maxLength": 32 }));
    let rules = json!([
        { "rule": "self.all(name, name in ['cpu', 'memory', 'ephemeral-storage'])", "message": "may name cpu, memory and ephemeral-storage" },
        { "rule": "self.all(name, isQuantity(self[name]))", "message": "must hold quantities, such as 500m or 128Mi" },
    ]);
    map.insert("x-kubernetes-validations".into(), rules);
}
