//! Seeded faults of every part under seeded traffic; then all faults are removed and both sides are compared.
//!
//! ```text
//! writers (traffic) ─► PostgreSQL ─► proxy ─► dbmazz ─► proxies ─► StarRocks stand-in ◄─ versions (watching)
//!                          ▲           ▲        ▲          ▲              ▲
//!                          └───────────┴─── strokes (kill, cut, restart, fault) ───┘
//! ```
//!
//! A [`round`] is one seed: fresh processes, a number of strokes, all faults removed, `dbmazz verify`. The scheduling
//! of the processes between two strokes is not controlled, so a seed repeats the traffic and the strokes but not every
//! interleaving: a difference may need several runs of the seed to appear again.

mod arena;
mod conditions;
pub mod proxy;
pub mod round;
mod schema;
mod seam;
mod set_back;
mod settle;
mod statement;
mod stroke;
pub mod tally;
mod traffic;
mod versions;
mod writer;

pub use conditions::Conditions;
pub use round::{Plan, run};
pub use stroke::Means;
pub use tally::Tally;
pub use traffic::Switches;
