//! The closed list of reasons: one word for one fact, the same in the worker's report and in `kubectl get`.

use std::fmt;

macro_rules! reasons {
    ($($origin:ident { $($(#[doc = $doc:literal])+ $name:ident { remedy: $remedy:expr, by_itself: $by_itself:expr $(,)? }),+ $(,)? })+) => {
        /// Why a job is as it is, fit for a Kubernetes condition or event.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Reason { $($($(#[doc = $doc])+ $name),+),+ }

        impl Reason {
            /// Every reason there is, in the order of the documentation.
            pub const ALL: &[Self] = &[$($(Self::$name),+),+];

            /// The reason in CamelCase.
            pub fn as_str(self) -> &'static str {
                match self { $($(Self::$name => stringify!($name)),+),+ }
            }

            /// Whether worker or operator reports it.
            pub fn origin(self) -> Origin {
                match self { $($(Self::$name)|+ => Origin::$origin),+ }
            }

            /// Its meaning, the remedy, and what the job does by itself: the text of `docs/reasons.md`.
            pub fn guide(self) -> Guide {
                match self {
                    $($(Self::$name => Guide {
                        meaning: concat!($($doc),+),
                        remedy: $remedy,
                        by_itself: $by_itself,
                    }),+),+
                }
            }
        }
    };
}

/// The part of the system that reports a reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The worker, as a fault; the operator shows it in the conditions.
    Worker,
    /// The operator, from what it observes in the cluster.
    Operator,
}

/// The documentation of a reason.
#[derive(Debug, Clone, Copy)]
pub struct Guide {
    pub meaning: &'static str,
    pub remedy: &'static str,
    pub by_itself: &'static str,
}

mod list;

pub use self::list::Reason;

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::str::FromStr for Reason {
    type Err = UnknownReason;

    fn from_str(word: &str) -> Result<Self, UnknownReason> {
        Self::ALL.iter().copied().find(|reason| reason.as_str() == word).ok_or(UnknownReason)
    }
}

/// The reason is unknown: the worker is newer than the operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnknownReason;

impl fmt::Display for UnknownReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the reason is unknown")
    }
}

impl std::error::Error for UnknownReason {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn docs_list_every_reason() {
        for (origin, part) in [(Origin::Worker, "worker"), (Origin::Operator, "operator")] {
            let reasons = Reason::ALL.iter().filter(|reason| reason.origin() == origin);
            testbed::docs::is_current("reasons.md", part, &reasons.map(section).collect::<String>()).unwrap();
        }
    }

    fn section(reason: &Reason) -> String {
        let Guide { meaning, remedy, by_itself } = reason.guide();
        let meaning = meaning.trim();
        format!("### {reason}\n\n{meaning}\n\n- What to do: {remedy}\n- By itself: {by_itself}\n\n")
    }

    #[test]
    fn every_reason_reads_back_as_itself() {
        for reason in Reason::ALL {
            assert_eq!(reason.as_str().parse(), Ok(*reason));
        }
        assert_eq!("Sunspots".parse::<Reason>(), Err(UnknownReason));
    }
}
