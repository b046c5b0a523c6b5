//! The whole system with real parts: PostgreSQL, Kubernetes, and the StarRocks stand-in.
//!
//! One test binary, so that it is linked once and the cluster starts once.

mod system {
    mod changes;
    mod column_values;
    mod columns;
    mod copies_seen;
    mod delivery;
    mod encodings;
    mod faults;
    mod fencing;
    mod identity;
    mod left_out;
    mod lost_targets;
    mod operations;
    mod publications;
    mod recopy;
    mod rig;
    mod secrets;
    mod sent_columns;
    mod shared_targets;
    mod slots;
    mod snapshot;
    mod snapshot_loads;
    mod standby;
    mod standing;
    mod torture;
    mod transactions;
    mod types;
    mod versions;

    mod kubernetes;
}
