//! The StarRocks versions that this server can imitate, with one method for each difference between them.

use std::{fmt, str::FromStr};

/// A release line. Where the patches of a line differ, the profile follows the later ones.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Profile {
    V3_2,
    V3_3,
    V3_4,
    V3_5,
    #[default]
    V4_0,
    /// The 4.0 patch from which transactions over several tables may be used (§11.2).
    V4_0_7,
    V4_1,
}

impl Profile {
    pub const ALL: [Self; 7] =
        [Self::V3_2, Self::V3_3, Self::V3_4, Self::V3_5, Self::V4_0, Self::V4_0_7, Self::V4_1];

    fn name(self) -> &'static str {
        match self {
            Self::V3_2 => "3.2",
            Self::V3_3 => "3.3",
            Self::V3_4 => "3.4",
            Self::V3_5 => "3.5",
            Self::V4_0 => "4.0",
            Self::V4_0_7 => "4.0.7",
            Self::V4_1 => "4.1",
        }
    }

    /// The version in the MySQL greeting, which does not depend on the version of StarRocks (§12.1).
    pub(crate) fn greeting_version(self) -> &'static str {
        if self >= Self::V3_4 { "8.0.33" } else { "5.1.0" }
    }

    /// The value of `@@version_comment` and `current_version()` (§12.1).
    pub(crate) fn release(self) -> &'static str {
        match self {
            Self::V3_2 => "3.2.16-08c8496",
            Self::V3_3 => "3.3.14-4af6998",
            Self::V3_4 => "3.4.4-7e63e32",
            Self::V3_5 => "3.5.1-d0b920c",
            Self::V4_0 => "4.0.2-e26bc4a",
            Self::V4_0_7 => "4.0.7-5f1c2d9",
            Self::V4_1 => "4.1.0-ad83983",
        }
    }

    /// From 3.3 on, errors about missing objects and missing rights have numbers above 5000 (§12.2).
    pub(crate) fn has_new_error_codes(self) -> bool {
        self >= Self::V3_3
    }

    /// HTTP/1.0 needs no `Expect`; the 3.2 profile imitates the patches before 3.2.11 (§3.1).
    pub(crate) fn exempts_http10_from_expect(self) -> bool {
        self >= Self::V3_3
    }

    pub(crate) fn gives_a_reason_with_a_state(self) -> bool {
        self >= Self::V3_4
    }

    /// Whether the BE decodes `%20` in database and table names (§3.4).
    pub(crate) fn decodes_names(self) -> bool {
        self >= Self::V4_0
    }

    pub(crate) fn max_decimal_precision(self) -> u8 {
        if self >= Self::V4_0 { 76 } else { 38 }
    }

    pub(crate) fn has_rename_column(self) -> bool {
        self >= Self::V3_3
    }

    /// Whether fast schema evolution is on when the table does not set it (§12.4).
    pub(crate) fn evolves_fast_by_default(self) -> bool {
        self >= Self::V3_3
    }

    /// Whether ADD and DROP COLUMN are done at once in shared-data mode too (§12.6).
    pub(crate) fn evolves_fast_in_shared_data(self) -> bool {
        self >= Self::V4_1
    }

    pub(crate) fn prints_microseconds(self) -> bool {
        self >= Self::V3_3
    }

    /// From 4.1 on, the length of VARBINARY is always printed with the type (recording).
    pub(crate) fn prints_varbinary_length(self) -> bool {
        self >= Self::V4_1
    }

    pub(crate) fn allows_json_default(self) -> bool {
        self >= Self::V4_1
    }

    pub(crate) fn hides_who_was_denied(self) -> bool {
        self >= Self::V4_1
    }

    pub(crate) fn reserves_count_column(self) -> bool {
        self >= Self::V4_0
    }

    /// Whether one transaction can cover several tables (§11.2).
    pub(crate) fn has_multi_table_transactions(self) -> bool {
        self >= Self::V4_0
    }

    /// Labels of transactions over several tables are compared at `begin` and not only at commit, and the default
    /// timeout is 20 seconds.
    pub(crate) fn minds_labels_at_begin(self) -> bool {
        self >= Self::V4_0_7
    }

    /// The commit of such a transaction after its rollback is an error and not `OK`.
    pub(crate) fn minds_a_rolled_back_commit(self) -> bool {
        self >= Self::V4_1
    }

    /// The name of the exception for a user's mistake, as answers print it.
    pub(crate) fn exception(self) -> &'static str {
        if self >= Self::V3_4 { "StarRocksException" } else { "UserException" }
    }

    /// The message of a load without rows (§5.5).
    pub(crate) fn empty_load_message(self) -> &'static str {
        if self >= Self::V4_1 {
            "No rows were imported from upstream. Possible causes: 1) no rows were sent"
        } else {
            "No partitions have data available for loading. If you are sure there may be no data to be loaded, \
             you can use `ADMIN SET FRONTEND CONFIG ('empty_load_as_error' = 'false')` to ensure such load jobs \
             can succeed"
        }
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

#[derive(Debug, thiserror::Error)]
#[error("{0:?} is no StarRocks version this server knows: 3.2, 3.3, 3.4, 3.5, 4.0, 4.0.7 or 4.1")]
pub struct UnknownProfile(String);

impl FromStr for Profile {
    type Err = UnknownProfile;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|profile| profile.name() == text)
            .ok_or_else(|| UnknownProfile(text.to_owned()))
    }
}
