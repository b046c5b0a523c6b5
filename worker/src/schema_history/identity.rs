//! The identity of a table beyond its name: the relation of the source, how it is published, the table of StarRocks.
//!
//! Pure. Compares two observations; a change that cannot have lost a row is not a difference.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};

use crate::lsn::Lsn;

/// A relation of the source, by its numbers in the stream and the catalogue.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceIdentity {
    /// Its `oid`, which does not change when it is renamed.
    pub relation: u32,
    /// Its `relfilenode`; 0 when it has none of its own. A new one alone does not make another table: VACUUM FULL writes one.
    #[serde(default)]
    pub file: u32,
    /// A partitioned table or a partition: under which name it is published depends on the publication.
    #[serde(default)]
    pub partitioned: bool,
    /// The position at which the job began with the table: rows of earlier commits may be of another relation with this name.
    #[serde(default)]
    pub since: Lsn,
    /// Its partitions at all levels, as last seen. Not stored.
    #[serde(skip)]
    pub partitions: Vec<u32>,
    /// Whether it had no row when the job began with it, where known. Not stored here.
    #[serde(skip)]
    pub empty: Option<bool>,
    /// How it is published; none before the publication exists.
    #[serde(default)]
    pub published: Option<Published>,
}

/// How a publication publishes a table.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Published {
    /// Its `oid`: a recreated publication has another one.
    pub publication: u32,
    /// The transaction that last altered the publication itself (`xmin`), not its list of tables.
    pub altered: u32,
    pub owner: u32,
    /// The published operations: `iudt` for all of them.
    pub kinds: String,
    /// Whether partitions are published under the name of the root.
    pub via_root: bool,
    /// The entries that publish the table; it is not published when there are none.
    pub members: Vec<Membership>,
}

/// One entry by which a publication publishes a table.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Membership {
    /// `table`, `schema` or `all`.
    pub by: String,
    /// The `oid` of the entry: a table that was removed and added again has another one.
    pub entry: u32,
    /// The transaction that created the entry.
    pub made: u32,
    /// The row filter; empty when there is none.
    #[serde(default)]
    pub filter: String,
    /// The column list; empty when there is none.
    #[serde(default)]
    pub columns: String,
}

/// All published operations.
const ALL_KINDS: &str = "iudt";

/// How a table differs from its earlier identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Difference {
    /// Another relation has the name.
    Replaced,
    /// The publication does not publish it.
    Unpublished,
    /// The publication leaves out operations.
    Kinds,
    /// Changes of partitions are published under other names.
    ViaRoot,
    /// The publication was recreated or altered, and may have left changes out for a while.
    Altered,
    /// The table was removed and added again, or its row filter or column list has changed.
    Membership,
}

impl SourceIdentity {
    /// Whether the publication has a column list for the table.
    pub fn is_listed(&self) -> bool {
        let published = self.published.as_ref();
        published.is_some_and(|published| published.members.iter().any(|member| !member.columns.is_empty()))
    }

    /// How `now` differs: another table, or one whose changes may not all have been sent.
    pub fn differs(&self, now: &Self) -> Option<Difference> {
        if self.relation != now.relation {
            return Some(Difference::Replaced);
        }
        // Without an earlier publication there is nothing to compare.
        let then = self.published.as_ref()?;
        // A missing publication is reported elsewhere: nothing can be decoded without it.
        now.published.as_ref().and_then(|published| then.differs(published, now.partitioned))
    }

    /// The identity to store from now on; `since` is kept.
    #[must_use]
    pub fn renewed(&self, now: Self) -> Self {
        let published = now.published.or_else(|| self.published.clone());
        Self { since: self.since, published, ..now }
    }
}

impl Published {
    /// A difference that needs no earlier observation: not published, or not all operations.
    pub fn lacks(&self) -> Option<Difference> {
        let is_missing = |kind| !self.kinds.contains(kind);
        if self.members.is_empty() {
            return Some(Difference::Unpublished);
        }
        ALL_KINDS.chars().any(is_missing).then_some(Difference::Kinds)
    }

    fn differs(&self, now: &Self, partitioned: bool) -> Option<Difference> {
        if let Some(lack) = now.lacks() {
            return Some(lack);
        }
        if partitioned && self.via_root != now.via_root {
            return Some(Difference::ViaRoot);
        }
        if self.publication != now.publication {
            return (!self.is_continued_by(now)).then_some(Difference::Altered);
        }
        // A visible change of owner or `via_root` explains another `xmin`; otherwise something was set and set back.
        let explained = self.owner != now.owner || self.via_root != now.via_root;
        if self.altered != now.altered && !explained {
            return Some(Difference::Altered);
        }
        (!self.is_held_by(&now.members)).then_some(Difference::Membership)
    }

    /// Whether `now` is a publication recreated together with this table and not altered since: while there was none,
    /// PostgreSQL could not decode any change.
    fn is_continued_by(&self, now: &Self) -> bool {
        let same = |one: &Membership, other: &Membership| {
            one.filter == other.filter && one.columns == other.columns && other.made == now.altered
        };
        now.members.iter().any(|member| self.members.iter().any(|known| same(known, member)))
    }

    /// Whether one and the same entry has published the table all the time, and no other entry changes what it sends.
    fn is_held_by(&self, now: &[Membership]) -> bool {
        let stays = |known: &&Membership| now.contains(known);
        let is_plain = |known: &Membership| known.filter.is_empty() && known.columns.is_empty();
        let mut staying = self.members.iter().filter(stays);
        staying.any(is_plain)
            || (self.members.len() == now.len() && self.members.iter().all(|known| now.contains(known)))
    }
}

/// A table of StarRocks, identified by its partition numbers, which TRUNCATE and DROP with CREATE change.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetIdentity {
    /// Partition numbers by name. A table that is not partitioned has one partition.
    pub partitions: BTreeMap<String, u64>,
}

/// Most partitions that are stored; a target created by a person may have thousands.
const MOST_PARTITIONS: usize = 64;

impl TargetIdentity {
    pub fn of(partitions: impl IntoIterator<Item = (String, u64)>) -> Self {
        let partitions: BTreeMap<_, _> = partitions.into_iter().collect();
        Self { partitions: partitions.into_iter().take(MOST_PARTITIONS).collect() }
    }

    /// Whether `now` is another table or was emptied. Partitions may be added and removed by rules of the target; one with
    /// the same name and another number was emptied, and where none is left the table was recreated.
    pub fn is_lost_in(&self, now: &Self) -> bool {
        let numbers = self.partitions.iter().map(|(name, number)| (number, now.partitions.get(name)));
        let emptied = |(then, now): (&u64, Option<&u64>)| now.is_some_and(|now| now != then);
        let gone = self.partitions.keys().all(|name| !now.partitions.contains_key(name));
        numbers.into_iter().any(emptied) || (gone && !self.partitions.is_empty())
    }
}

/// Reads a field; None when another version wrote it in a form that this version does not know.
pub(super) fn legible<'de, D: Deserializer<'de>, T: serde::de::DeserializeOwned>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    let value = serde_json::Value::deserialize(deserializer)?;
    Ok(serde_json::from_value(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(entry: u32, filter: &str) -> Membership {
        Membership { by: "table".into(), entry, made: 100, filter: filter.into(), ..Membership::default() }
    }

    fn published() -> Published {
        let members = vec![member(7, "")];
        Published {
            publication: 1,
            altered: 100,
            owner: 10,
            kinds: ALL_KINDS.into(),
            via_root: true,
            members,
        }
    }

    fn identity(published: Published) -> SourceIdentity {
        SourceIdentity { relation: 5, file: 5, published: Some(published), ..SourceIdentity::default() }
    }

    fn differs(now: Published) -> Option<Difference> {
        identity(published()).differs(&identity(now))
    }

    #[test]
    fn another_relation_of_the_name_is_another_table_and_another_file_is_not() {
        let then = identity(published());
        assert_eq!(then.differs(&SourceIdentity { file: 9, ..then.clone() }), None);
        let other = SourceIdentity { relation: 6, ..then.clone() };
        assert_eq!(then.differs(&other), Some(Difference::Replaced));
    }

    #[test]
    fn a_table_that_left_the_publication_or_came_back_is_told() {
        assert_eq!(differs(published()), None);
        let left = Published { members: vec![], ..published() };
        assert_eq!(differs(left), Some(Difference::Unpublished));
        let back =
            Published { members: vec![Membership { entry: 8, made: 120, ..member(8, "") }], ..published() };
        assert_eq!(differs(back), Some(Difference::Membership));
        let filtered = Published { members: vec![member(8, "(v > 0)")], ..published() };
        assert_eq!(differs(filtered), Some(Difference::Membership));
    }

    #[test]
    fn what_publishes_a_table_twice_may_go_once() {
        let twice = Published { members: vec![member(7, ""), member(9, "")], ..published() };
        assert_eq!(differs(twice.clone()), None);
        assert_eq!(identity(twice).differs(&identity(published())), None);
        let only_filtered = Published { members: vec![member(7, "(v > 0)")], ..published() };
        let with_schema = Published { members: vec![member(7, "(v > 0)"), member(9, "")], ..published() };
        assert_eq!(
            identity(only_filtered).differs(&identity(with_schema)),
            Some(Difference::Membership),
            "rows that the filter left out are missing"
        );
    }

    #[test]
    fn a_publication_that_was_altered_in_a_way_that_does_not_show_is_told() {
        let inserts = Published { kinds: "i".into(), altered: 120, ..published() };
        assert_eq!(differs(inserts), Some(Difference::Kinds));
        assert_eq!(differs(Published { altered: 120, ..published() }), Some(Difference::Altered));
        assert_eq!(differs(Published { altered: 120, owner: 11, ..published() }), None);
        let not_via_root = Published { altered: 120, via_root: false, ..published() };
        assert_eq!(differs(not_via_root.clone()), None, "it matters to partitions only");
        let root = |published| SourceIdentity { partitioned: true, ..identity(published) };
        assert_eq!(root(published()).differs(&root(not_via_root)), Some(Difference::ViaRoot));
    }

    #[test]
    fn a_publication_made_anew_with_the_table_in_it_goes_on() {
        let made = |made, altered| {
            let members = vec![Membership { made, ..member(8, "") }];
            Published { publication: 2, altered, members, ..published() }
        };
        assert_eq!(differs(made(130, 130)), None);
        assert_eq!(differs(made(131, 130)), Some(Difference::Altered), "it was put in later");
    }

    #[test]
    fn a_target_that_was_emptied_or_made_anew_has_other_partitions() {
        let target = |partitions: &[(&str, u64)]| {
            TargetIdentity::of(partitions.iter().map(|(name, number)| ((*name).to_owned(), *number)))
        };
        let then = target(&[("t", 10)]);
        assert!(!then.is_lost_in(&target(&[("t", 10)])));
        assert!(then.is_lost_in(&target(&[("t", 11)])));
        assert!(then.is_lost_in(&target(&[("p1", 12)])));
        assert!(!then.is_lost_in(&target(&[("t", 10), ("t2", 12)])));
        let months = target(&[("p1", 1), ("p2", 2)]);
        assert!(!months.is_lost_in(&target(&[("p2", 2), ("p3", 3)])), "an old one went by its rule");
        assert!(months.is_lost_in(&target(&[("p2", 9)])));
    }
}
