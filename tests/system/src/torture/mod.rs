//! Seeded faults of every part, under seeded traffic, until nothing is left to break; then both sides are compared.
//!
//! ```text
//! writers (traffic) ─► PostgreSQL ─► proxy ─► dbmazz ─► proxies ─► StarRocks stand-in ◄─ versions (watching)
//!                          ▲           ▲        ▲          ▲              ▲
//!                          └───────────┴─── strokes (kill, cut, restart, fault) ───┘
//! ```
//!
//! A [`round`] is one seed: everything started anew, a number of strokes, everything healed, `dbmazz verify`. What
//! the processes do between two strokes is not in our hands, so a seed repeats the traffic and the strokes and not
//! every interleaving: a difference that it found once, it finds again by being repeated.

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
