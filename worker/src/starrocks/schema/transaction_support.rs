//! Whether a StarRocks server supports transactions over several tables.
//!
//! Pure. Transactions over several tables have defects before 4.0.7. On shared data, the deletes of a transaction are
//! applied after all of its upserts, so a row that a large transaction deletes and inserts again would be lost.

use crds::Reason;

use crate::{
    config::Deletes,
    fault::{Fault, Part},
};

const OLDEST: [u32; 3] = [4, 0, 7];
/// A table property that exists only on shared data.
const SHARED: &str = "\"storage_volume\"";

/// `version` is the value of `@@version_comment`, `create` the SHOW CREATE TABLE statement of one of the tables.
pub(in crate::starrocks) fn check(version: &str, create: &str, deletes: Deletes) -> Result<(), Fault> {
    match numbers(version) {
        Some(known) if known >= OLDEST => {}
        _ => return Err(too_old(version)),
    }
    if deletes == Deletes::Hard && create.contains(SHARED) {
        return Err(shared());
    }
    Ok(())
}

/// Reads `4.0.7-5f1c2d9`, also with words before it.
fn numbers(version: &str) -> Option<[u32; 3]> {
    let start = version.find(|letter: char| letter.is_ascii_digit())?;
    let mut numbers = version[start..].split(|letter: char| !letter.is_ascii_digit()).map(str::parse);
    let mut next = || numbers.next()?.ok();
    Some([next()?, next()?, next()?])
}

fn too_old(version: &str) -> Fault {
    let version: String = version.chars().filter(|letter| !letter.is_control()).take(40).collect();
    let message =
        format!("the StarRocks version is {version:?}; consistency Transaction needs 4.0.7 or later");
    Fault::halt(
        Part::Sink,
        Reason::TargetIncompatible,
        message,
        "upgrade StarRocks, or set consistency to Row",
    )
}

fn shared() -> Fault {
    let message = "consistency Transaction with deletes Hard is not possible on shared data: StarRocks applies the \
                   deletes of a transaction after all of its upserts there";
    Fault::halt(
        Part::Sink,
        Reason::TargetIncompatible,
        message,
        "set consistency to Row, or create the job anew with deletes Soft",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_from_4_0_7_are_taken() {
        for (version, expected) in [
            ("4.0.7-5f1c2d9", true),
            ("4.0.10", true),
            ("4.1.0-ad83983", true),
            ("StarRocks version 5.0.0", true),
            ("4.0.6-5f1c2d9", false),
            ("3.5.1-d0b920c", false),
            ("3.9.99", false),
            ("", false),
            ("main", false),
            ("99999999999.0.0", false),
        ] {
            assert_eq!(check(version, "", Deletes::Hard).is_ok(), expected, "{version}");
        }
    }

    #[test]
    fn hard_deletes_on_shared_data_are_refused() {
        let create = "PROPERTIES (\n\"storage_volume\" = \"builtin_storage_volume\"\n);";
        for (create, deletes, expected) in
            [(create, Deletes::Hard, false), (create, Deletes::Soft, true), ("", Deletes::Hard, true)]
        {
            assert_eq!(check("4.1.0", create, deletes).is_ok(), expected, "{create} {deletes:?}");
        }
    }
}
