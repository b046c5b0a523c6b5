//! Events: what people see with `kubectl describe` and `kubectl get events`.
//!
//! The same sentence again within some minutes is counted on its event. Another sentence is an event of its own, also
//! under the same reason: a person must be able to read each of them.

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    sync::{Mutex, PoisonError},
};

use jiff::Timestamp;
use k8s_openapi::{
    api::{
        core::v1::ObjectReference,
        events::v1::{Event, EventSeries},
    },
    apimachinery::pkg::apis::meta::v1::MicroTime,
};
use kube::{
    Api, Client,
    api::{ObjectMeta, Patch, PatchParams, PostParams},
};
use serde_json::json;

use crate::{cadence::EVENT_COUNTED_FOR, names};

/// What is to be told of an object.
#[derive(Debug, Clone, Hash)]
pub struct Announcement {
    pub warning: bool,
    pub reason: String,
    pub action: &'static str,
    pub note: String,
}

/// Tells, and remembers for some minutes what it has told.
#[allow(missing_debug_implementations, reason = "a client has no such form")]
pub struct Events {
    client: Client,
    told: Mutex<HashMap<u64, Told>>,
}

/// An event that was written.
#[derive(Debug, Clone, PartialEq)]
struct Told {
    name: String,
    count: i32,
    last: Timestamp,
}

impl Events {
    pub fn new(client: Client) -> Self {
        Self { client, told: Mutex::default() }
    }

    pub async fn publish(
        &self,
        announcement: &Announcement,
        object: &ObjectReference,
    ) -> Result<(), kube::Error> {
        let (key, now) = (key(announcement, object), Timestamp::now());
        let api =
            Api::<Event>::namespaced(self.client.clone(), object.namespace.as_deref().unwrap_or("default"));
        if let Some(again) = self.again(key, now) {
            let patch = json!({ "series": series(&again) });
            match api.patch(&again.name, &PatchParams::default(), &Patch::Merge(patch)).await {
                // The API server keeps events for an hour only.
                Err(kube::Error::Api(status)) if status.code == 404 => {}
                result => {
                    self.remember(key, again);
                    return result.map(|_| ());
                }
            }
        }
        let told = Told { name: name(object, now), count: 1, last: now };
        api.create(&PostParams::default(), &event(announcement, object, &told)).await?;
        self.remember(key, told);
        Ok(())
    }

    /// The event of the same sentence, counted once more.
    fn again(&self, key: u64, now: Timestamp) -> Option<Told> {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.retain(|_, told| now.duration_since(told.last) < EVENT_COUNTED_FOR);
        told.get(&key).map(|before| Told {
            count: before.count.saturating_add(1),
            last: now,
            ..before.clone()
        })
    }

    fn remember(&self, key: u64, told: Told) {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).insert(key, told);
    }
}

fn key(announcement: &Announcement, object: &ObjectReference) -> u64 {
    let mut hasher = DefaultHasher::new();
    (announcement, &object.uid, &object.namespace, &object.name).hash(&mut hasher);
    hasher.finish()
}

/// Unique for an object: no two of its events are written in one nanosecond.
fn name(object: &ObjectReference, now: Timestamp) -> String {
    format!("{}.{:x}", object.name.as_deref().unwrap_or(names::FIELD_MANAGER), now.as_nanosecond())
}

fn series(told: &Told) -> EventSeries {
    EventSeries { count: told.count, last_observed_time: MicroTime(told.last) }
}

fn event(announcement: &Announcement, object: &ObjectReference, told: &Told) -> Event {
    let Announcement { warning, reason, action, note } = announcement;
    Event {
        metadata: ObjectMeta {
            name: Some(told.name.clone()),
            namespace: object.namespace.clone(),
            ..ObjectMeta::default()
        },
        type_: Some(if *warning { "Warning" } else { "Normal" }.to_owned()),
        reason: Some(reason.clone()),
        action: Some((*action).to_owned()),
        note: Some(note.clone()),
        regarding: Some(object.clone()),
        event_time: Some(MicroTime(told.last)),
        reporting_controller: Some(names::FIELD_MANAGER.to_owned()),
        reporting_instance: Some(names::FIELD_MANAGER.to_owned()),
        ..Event::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn announcement(note: &str) -> Announcement {
        let (reason, note) = ("BadConfiguration".to_owned(), note.to_owned());
        Announcement { warning: true, reason, action: "Reconcile", note }
    }

    fn object(name: &str) -> ObjectReference {
        ObjectReference { name: Some(name.to_owned()), ..ObjectReference::default() }
    }

    #[test]
    fn one_sentence_of_one_object_is_one_event_and_every_other_is_another() {
        let of = |name, note| key(&announcement(note), &object(name));
        assert_eq!(of("orders", "one"), of("orders", "one"));
        assert_ne!(of("orders", "one"), of("orders", "other"));
        assert_ne!(of("orders", "one"), of("events", "one"));
    }
}
