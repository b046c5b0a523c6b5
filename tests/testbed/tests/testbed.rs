//! The test bed tested: its parts start, do what their users rely on, and leave nothing behind.

#[path = "testbed/cleanliness.rs"]
mod cleanliness;
#[path = "testbed/cluster.rs"]
mod cluster;
#[path = "testbed/image.rs"]
mod image;
#[path = "testbed/network.rs"]
mod network;
#[path = "testbed/owner.rs"]
mod owner;
#[path = "testbed/pod.rs"]
mod pod;
#[path = "testbed/postgres.rs"]
mod postgres;
