//! Checks names: StarRocks must accept them, and they must be safe in a URL, a header and a quoted identifier.
//!
//! Pure. StarRocks deletes backticks inside quoted names instead of unescaping them, and its versions decode the path of
//! a URL differently; so a name that needs either is refused here, before any connection, and never altered.

use crds::Reason;

use crate::{
    fault::{Fault, Part},
    starrocks::{
        AUDIT_COLUMNS, HEX_PREFIX,
        bookkeeping::{checkpoint::CHECKPOINTS, claim::CLAIMS, schema_histories::HISTORIES},
        dead_letter::row::DEAD_LETTERS,
    },
    table::Table,
};

/// Column names that StarRocks reserves.
const RESERVED: [&str; 3] = ["__op", "__row", "___count___"];
const RESERVED_PREFIXES: [&str; 2] = ["__generated_partition_column_", "__starrocks_shadow_"];
/// The bookkeeping tables.
const OWN: [&str; 4] = [CLAIMS, HISTORIES, DEAD_LETTERS, CHECKPOINTS];
const LONGEST: usize = 1024;
const LONGEST_DATABASE: usize = 256;

/// Checks the name of the database.
pub(crate) fn check_database(name: &str) -> Result<(), Fault> {
    let first = name.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_');
    if first && fits_url(name) && name.len() <= LONGEST_DATABASE {
        return Ok(());
    }
    Err(refusal(
        Part::Sink,
        format!("the StarRocks database name {name:?} is not usable"),
        "choose a database name of letters, digits and underscores that begins with a letter",
    ))
}

/// Checks the names of the target and of all its columns.
pub(crate) fn check_table(table: &Table) -> Result<(), Fault> {
    let part = || Part::Table(table.name.clone());
    if !fits_url(&table.target) || table.target.len() > LONGEST {
        let message = format!("the target name {:?} of table {} is not usable", table.target, table.name);
        return Err(refusal(
            part(),
            message,
            "rename the table so that its name has only letters, digits and _ - . ~ $",
        ));
    }
    // StarRocks can be configured to compare table names without regard to case.
    if OWN.iter().any(|own| own.eq_ignore_ascii_case(&table.target)) {
        let message = format!(
            "the target name {:?} of table {} is the name of a bookkeeping table of the worker",
            table.target, table.name
        );
        return Err(refusal(part(), message, "rename the table"));
    }
    for (place, column) in table.columns.iter().enumerate() {
        let earlier = &table.columns[..place];
        let twice = earlier.iter().any(|other| same_column(&other.name, &column.name));
        let problem = if twice {
            Some("differs from another column only in case")
        } else {
            column_problem(&column.name)
        };
        if let Some(problem) = problem {
            let message = format!("column {:?} of table {} {problem}", column.name, table.name);
            return Err(refusal(part(), message, "rename the column"));
        }
    }
    Ok(())
}

/// StarRocks compares column names without regard to case.
pub(crate) fn same_column(one: &str, other: &str) -> bool {
    one.to_lowercase() == other.to_lowercase()
}

fn fits_url(name: &str) -> bool {
    let usable = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.~$".contains(&byte);
    !name.is_empty() && name.bytes().all(usable) && !name.bytes().all(|byte| byte == b'.')
}

fn column_problem(name: &str) -> Option<&'static str> {
    let lower = name.to_lowercase();
    if name.is_empty() || name.len() > LONGEST {
        Some("has an empty name or one longer than 1024 bytes, which StarRocks does not accept")
    } else if name.chars().any(|letter| letter.is_control() || "`=<>!*".contains(letter)) {
        Some("has a character in its name that StarRocks cannot express")
    } else if RESERVED.contains(&lower.as_str())
        || RESERVED_PREFIXES.iter().any(|prefix| lower.starts_with(prefix))
    {
        Some("has a name that StarRocks reserves")
    } else if lower.starts_with(HEX_PREFIX) {
        Some("has a name that begins with dbmazz_hex_, which loads use")
    } else if AUDIT_COLUMNS.iter().any(|(audit, _)| *audit == lower) {
        Some("has the name of an audit column")
    } else {
        None
    }
}

fn refusal(part: Part, message: String, fix: &str) -> Fault {
    Fault::halt(part, Reason::UnsupportedName, message, fix)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{starrocks::double::table, table::Kind};

    #[test]
    fn a_database_is_named_as_starrocks_and_urls_allow() {
        for (name, usable) in
            [("app", true), ("_x9", true), ("a-b", true), ("9a", false), ("", false), ("a b", false)]
        {
            assert_eq!(check_database(name).is_ok(), usable, "{name}");
        }
    }

    #[test]
    fn a_table_name_that_a_url_would_alter_is_refused() {
        for (target, usable) in [
            ("t", true),
            ("s__t", true),
            ("a.b$~-", true),
            ("t x", false),
            ("é", false),
            ("..", false),
            ("a/b", false),
            ("a%b", false),
        ] {
            let table = Table { target: target.to_owned(), ..table(&[("id", Kind::Integer)]) };
            assert_eq!(check_table(&table).is_ok(), usable, "{target}");
        }
    }

    #[test]
    fn every_table_of_the_workers_own_is_a_reserved_name() {
        let own = [
            crate::starrocks::bookkeeping::claim::table(),
            crate::starrocks::bookkeeping::schema_histories::table(),
            crate::starrocks::dead_letter::row::table(),
            crate::starrocks::bookkeeping::checkpoint::table(),
        ];
        for own in own {
            let upper = own.target.to_uppercase();
            for target in [own.target, upper] {
                let fault = check_table(&Table { target, ..table(&[("id", Kind::Integer)]) }).unwrap_err();
                assert_eq!(fault.reason, Reason::UnsupportedName);
                assert!(fault.message.contains("public.t"), "{}", fault.message);
            }
        }
    }

    #[test]
    fn a_column_name_that_cannot_be_quoted_or_is_taken_is_refused() {
        for (name, usable) in [
            ("naïve name", true),
            ("a,b", true),
            ("a`b", false),
            ("a\r\nlabel: x", false),
            ("a=b", false),
            ("__OP", false),
            ("dbmazz_synced_at", false),
            ("dbmazz_hex_1", false),
            ("ID", false),
        ] {
            assert_eq!(
                check_table(&table(&[("id", Kind::Integer), (name, Kind::Text)])).is_ok(),
                usable,
                "{name}"
            );
        }
    }
}
