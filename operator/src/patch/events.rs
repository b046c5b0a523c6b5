//! Events: what people see with `kubectl describe` and `kubectl get events`.
//!
//! The same message again within six minutes increments the count of its event. Another message is an event of its
//! own, also under the same reason: a person must be able to read each of them.

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

/// The content of an event.
#[derive(Debug, Clone, Hash)]
pub struct Announcement {
    pub warning: bool,
    pub reason: String,
    pub action: &'static str,
    pub note: String,
}

/// Writes events, and remembers them for six minutes.
#[allow(missing_debug_implementations, reason = "a client has no such form")]
pub struct Events {
    client: Client,
    published: Mutex<HashMap<u64, Published>>,
}

#[derive(Debug, Clone, PartialEq)]
struct Published {
    name: String,
    count: i32,
    last: Timestamp,
}

impl Events {
    pub fn new(client: Client) -> Self {
        Self { client, published: Mutex::default() }
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
                // The API server keeps events for one hour by default, so the event may be gone.
                Err(kube::Error::Api(status)) if status.code == 404 => {}
                result => {
                    self.remember(key, again);
                    return result.map(|_| ());
                }
            }
        }
        let published = Published { name: name(object, now), count: 1, last: now };
        api.create(&PostParams::default(), &event(announcement, object, &published)).await?;
        self.remember(key, published);
        Ok(())
    }

    /// The event of the same message, with its count incremented.
    fn again(&self, key: u64, now: Timestamp) -> Option<Published> {
        let mut published = self.published.lock().unwrap_or_else(PoisonError::into_inner);
        published.retain(|_, event| now.duration_since(event.last) < EVENT_COUNTED_FOR);
        published.get(&key).map(|before| Published {
            count: before.count.saturating_add(1),
            last: now,
            ..before.clone()
        })
    }

    fn remember(&self, key: u64, event: Published) {
        self.published.lock().unwrap_or_else(PoisonError::into_inner).insert(key, event);
    }
}

fn key(announcement: &Announcement, object: &ObjectReference) -> u64 {
    let mut hasher = DefaultHasher::new();
    (announcement, &object.uid, &object.namespace, &object.name).hash(&mut hasher);
    hasher.finish()
}

/// Unique for an object: no two of its events are written in the same nanosecond.
fn name(object: &ObjectReference, now: Timestamp) -> String {
    format!("{}.{:x}", object.name.as_deref().unwrap_or(names::FIELD_MANAGER), now.as_nanosecond())
}

fn series(published: &Published) -> EventSeries {
    EventSeries { count: published.count, last_observed_time: MicroTime(published.last) }
}

fn event(announcement: &Announcement, object: &ObjectReference, published: &Published) -> Event {
    let Announcement { warning, reason, action, note } = announcement;
    Event {
        metadata: ObjectMeta {
            name: Some(published.name.clone()),
            namespace: object.namespace.clone(),
            ..ObjectMeta::default()
        },
        type_: Some(if *warning { "Warning" } else { "Normal" }.to_owned()),
        reason: Some(reason.clone()),
        action: Some((*action).to_owned()),
        note: Some(note.clone()),
        regarding: Some(object.clone()),
        event_time: Some(MicroTime(published.last)),
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
