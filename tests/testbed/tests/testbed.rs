//! The test bed tested: its parts start, do what their users rely on, and leave nothing behind.

#[cfg(test)]
#[path = "testbed/cleanliness.rs"]
mod cleanliness;
#[cfg(test)]
#[path = "testbed/cluster.rs"]
mod cluster;
#[cfg(test)]
#[path = "testbed/image.rs"]
mod image;
#[cfg(test)]
#[path = "testbed/network.rs"]
mod network;
#[cfg(test)]
#[path = "testbed/owner.rs"]
mod owner;
#[cfg(test)]
#[path = "testbed/pod.rs"]
mod pod;
#[cfg(test)]
#[path = "testbed/postgres.rs"]
mod postgres;
