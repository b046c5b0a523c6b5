//! The objects of one job in the cluster, as the watches show them.

use serde_json::Value;

/// The kinds of object that a job consists of, in the order in which they are applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    ServiceAccount,
    ConfigMap,
    Service,
    Deployment,
}

impl Kind {
    /// Every kind, in order.
    pub const ALL: [Self; 4] = [Self::ServiceAccount, Self::ConfigMap, Self::Service, Self::Deployment];
}

/// An object in the cluster.
#[derive(Debug, Clone, PartialEq)]
pub struct LiveObject {
    pub kind: Kind,
    pub body: Value,
}

impl LiveObject {
    /// The object's name.
    pub fn name(&self) -> &str {
        self.body.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default()
    }

    /// The value of an annotation.
    pub fn annotation(&self, name: &str) -> Option<&str> {
        self.body["metadata"]["annotations"][name].as_str()
    }

    /// Whether the resource with this UID owns the object.
    pub fn is_owned_by(&self, uid: &str) -> bool {
        let owners = self.body.pointer("/metadata/ownerReferences").and_then(Value::as_array);
        owners.into_iter().flatten().any(|owner| owner["uid"] == uid)
    }
}

/// All objects with the job's label in its namespace.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Live {
    pub objects: Vec<LiveObject>,
}

impl Live {
    /// The object of that kind and name.
    pub fn get(&self, kind: Kind, name: &str) -> Option<&LiveObject> {
        self.objects.iter().find(|object| object.kind == kind && object.name() == name)
    }
}
