//! Writes to a resource: its status, the events of a change, and its finalizer. Without a change nothing is written.

mod announce;
mod events;
mod finalizer;
mod status;

pub use self::{
    announce::{publish_deletion, publish_events, warn_of_leak},
    events::Events,
    finalizer::set_finalizer,
    status::patch,
};
