//! Writes what changed of a resource: its status, the events of the change, and its finalizer. Nothing
//! changed: nothing is written.

mod announce;
mod events;
mod finalizer;
mod status;

pub use self::{
    announce::{publish_events, tell_of_deletion, warn_of_leak},
    events::Events,
    finalizer::set_finalizer,
    status::patch,
};
