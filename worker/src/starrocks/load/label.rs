//! The label of a load: the same on every attempt of one load, different for every other load.
//!
//! Pure. The inputs are the job, the table, the load id and the batch's identity; the output is a label in StarRocks'
//! alphabet. The load id alone would make it unique; the identity lets a person find a position in StarRocks.

use std::fmt;

use xxhash_rust::xxh3::xxh3_64;

use super::sequence::LoadId;
use crate::{lsn::Lsn, pipeline::batch::Identity, table::Table};

/// The label of one load: `dbmazz_<hash of job, load id and table>_<table>_<first>_<last>_<digest>`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Label(String);

/// No label of a single load begins like this, because a hexadecimal hash follows `dbmazz_` there.
const STEP: &str = "dbmazz_step_";
const TABLE_PREFIX: usize = 32;
/// Longest label that StarRocks accepts.
const LONGEST: usize = 128;

impl Label {
    /// The label for loading a batch of `table` in `job`.
    pub(crate) fn new(job: &str, table: &Table, id: LoadId<'_>, identity: Identity) -> Self {
        let Table { name, target, .. } = table;
        let hash = xxh3_64(format!("{job:?} {id:?} {name:?} {target:?}").as_bytes());
        let legible = |letter: char| if letter.is_ascii_alphanumeric() { letter } else { '_' };
        let name: String = table.target.chars().map(legible).take(TABLE_PREFIX).collect();
        let Identity { first, last, digest } = identity;
        Self(format!("dbmazz_{hash:016x}_{name}_{:x}_{:x}_{digest:016x}", first.0, last.0))
    }

    /// The label of a step that reaches up to `reached`.
    pub(crate) fn of_step(job: &str, id: LoadId<'_>, reached: Lsn) -> Self {
        let hash = xxh3_64(format!("{job:?} {id:?}").as_bytes());
        Self(format!("{STEP}{hash:016x}_{:x}", reached.0))
    }

    /// Whether it is the label of a step, a transaction over several tables.
    pub(crate) fn is_of_step(&self) -> bool {
        self.0.starts_with(STEP)
    }

    /// Reads a label from the journal; none for a text that is not a label of a worker.
    pub(crate) fn noted(text: &str) -> Option<Self> {
        let in_alphabet = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        let ours = text.starts_with("dbmazz_") && text.len() <= LONGEST && in_alphabet;
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

    const LOAD_ID: LoadId<'_> = LoadId { sequence: "one", number: 0 };

    fn label(job: &str, target: &str, identity: Identity) -> Label {
        let table = Table { target: target.to_owned(), ..table(&[("id", Kind::Integer)]) };
        Label::new(job, &table, LOAD_ID, identity)
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
        fn rule_4_a_label_is_a_function_of_job_table_load_id_and_batch(
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
        let step = Label::of_step("job", LOAD_ID, Lsn(u64::MAX));
        let load = label("job", "step", Identity { first: Lsn(1), last: Lsn(2), digest: 3 });
        assert!(step.is_of_step() && !load.is_of_step());
        assert_eq!(Label::noted(step.as_str()), Some(step.clone()));
        assert_ne!(step, Label::of_step("job", LoadId { number: 1, ..LOAD_ID }, Lsn(u64::MAX)));
    }

    #[test]
    fn rule_4_the_same_bytes_under_another_load_id_are_another_load() {
        let table = table(&[("id", Kind::Integer)]);
        let identity = Identity { first: Lsn(1), last: Lsn(2), digest: 3 };
        let of = |sequence, number| Label::new("job", &table, LoadId { sequence, number }, identity);
        assert_eq!(of("one", 1), of("one", 1));
        assert_ne!(of("one", 1), of("one", 2));
        assert_ne!(of("one", 1), of("other", 1));
    }
}
