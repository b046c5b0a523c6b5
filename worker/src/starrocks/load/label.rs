//! The name of a load at StarRocks: the same on every attempt of one load, another for every other load.
//!
//! Pure. In go the job, the table, the load's turn and the batch's identity; out comes a label of StarRocks'
//! alphabet. The turn alone would do; the identity is there for who looks for a position in StarRocks.

use std::fmt;

use xxhash_rust::xxh3::xxh3_64;

use super::sequence::LoadId;
use crate::{lsn::Lsn, pipeline::batch::Identity, table::Table};

/// The label of one load: `dbmazz_<job, table and turn>_<table>_<first>_<last>_<digest>`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Label(String);

/// No label of a single load begins like this: an owner is written in hexadecimal.
const STEP: &str = "dbmazz_step_";
const TABLE_PREFIX: usize = 32;
/// StarRocks takes no longer one.
const LONGEST: usize = 128;

impl Label {
    /// The label of a batch of `table`, as `job` sends it.
    pub(crate) fn new(job: &str, table: &Table, turn: LoadId<'_>, identity: Identity) -> Self {
        let Table { name, target, .. } = table;
        let owner = xxh3_64(format!("{job:?} {turn:?} {name:?} {target:?}").as_bytes());
        let legible = |letter: char| if letter.is_ascii_alphanumeric() { letter } else { '_' };
        let name: String = table.target.chars().map(legible).take(TABLE_PREFIX).collect();
        let Identity { first, last, digest } = identity;
        Self(format!("dbmazz_{owner:016x}_{name}_{:x}_{:x}_{digest:016x}", first.0, last.0))
    }

    /// The label of a step of all tables, that goes up to `reached`.
    pub(crate) fn of_step(job: &str, turn: LoadId<'_>, reached: Lsn) -> Self {
        let owner = xxh3_64(format!("{job:?} {turn:?}").as_bytes());
        Self(format!("{STEP}{owner:016x}_{:x}", reached.0))
    }

    /// Whether it names a transaction over several tables.
    pub(crate) fn is_of_step(&self) -> bool {
        self.0.starts_with(STEP)
    }

    /// A label as it was noted; nothing for what is no label of ours.
    pub(crate) fn noted(text: &str) -> Option<Self> {
        let letters = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        let ours = text.starts_with("dbmazz_") && text.len() <= LONGEST && letters;
        ours.then(|| Self(text.to_owned()))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{starrocks::double::table, table::Kind};

    const TURN: LoadId<'_> = LoadId { sequence: "one", number: 0 };

    fn label(job: &str, target: &str, identity: Identity) -> Label {
        let table = Table { target: target.to_owned(), ..table(&[("id", Kind::Integer)]) };
        Label::new(job, &table, TURN, identity)
    }

    fn identity() -> impl Strategy<Value = Identity> {
        any::<(u64, u64, u64)>().prop_map(|(first, last, digest)| Identity {
            first: Lsn(first),
            last: Lsn(last),
            digest,
        })
    }

    proptest! {
        #[test]
        fn a_label_keeps_to_the_alphabet_and_length_of_starrocks(job in ".*", target in ".{0,200}", identity in identity()) {
            let label = label(&job, &target, identity);
            prop_assert_eq!(Label::noted(label.as_str()), Some(label));
        }

        #[test]
        fn rule_4_a_label_is_a_function_of_job_table_turn_and_batch(
            one in ("[ab]{0,2}", "[ab_]{0,2}", identity()),
            other in ("[ab]{0,2}", "[ab_]{0,2}", identity()),
        ) {
            let of = |(job, target, identity): &(String, String, Identity)| label(job, target, *identity);
            prop_assert_eq!(of(&one), of(&one));
            prop_assert_eq!(of(&one) == of(&other), one == other);
        }
    }

    #[test]
    fn a_step_is_told_from_a_load_of_its_own_by_its_label() {
        let step = Label::of_step("job", TURN, Lsn(u64::MAX));
        let load = label("job", "step", Identity { first: Lsn(1), last: Lsn(2), digest: 3 });
        assert!(step.is_of_step() && !load.is_of_step());
        assert_eq!(Label::noted(step.as_str()), Some(step.clone()));
        assert_ne!(step, Label::of_step("job", LoadId { number: 1, ..TURN }, Lsn(u64::MAX)));
    }

    #[test]
    fn rule_4_the_same_bytes_in_another_turn_are_another_load() {
        let table = table(&[("id", Kind::Integer)]);
        let identity = Identity { first: Lsn(1), last: Lsn(2), digest: 3 };
        let of = |sequence, number| Label::new("job", &table, LoadId { sequence, number }, identity);
        assert_eq!(of("one", 1), of("one", 1));
        assert_ne!(of("one", 1), of("one", 2));
        assert_ne!(of("one", 1), of("other", 1));
    }
}
