//! Faults of a table that differs from its recorded source identity.

use crds::Reason;

use crate::{
    fault::{Fault, Part, take_anew, take_anew_by_name},
    postgres::sql,
    schema_history::Difference,
    table::{Table, TableName},
};

pub(in crate::postgres) fn fault(
    name: &TableName,
    table: Option<&Table>,
    publication: &str,
    via_root: bool,
    difference: Difference,
    moved: Option<&TableName>,
) -> Fault {
    let anew = table.map_or_else(|| take_anew_by_name(name), take_anew);
    let quoted = sql::identifier(publication);
    let (message, first) = match difference {
        Difference::Replaced => return replaced(name, moved, anew),
        Difference::Unpublished => {
            (format!("publication {publication} does not publish {name} any more"), String::new())
        }
        Difference::Kinds => (
            format!("publication {publication} leaves out some kinds of changes of {name}"),
            format!(
                "run ALTER PUBLICATION {quoted} SET (publish = 'insert, update, delete, truncate'), then "
            ),
        ),
        Difference::ViaRoot => (
            if via_root {
                format!(
                    "publish_via_partition_root of publication {publication} of {name} was switched on: changes of \
                     partitions were published under their own names before, and are published under the name of the \
                     partitioned table now"
                )
            } else {
                format!(
                    "publish_via_partition_root of publication {publication} of {name} was switched off: changes of \
                     partitions were published under the name of the partitioned table before, and are published under \
                     their own names now"
                )
            },
            format!("run ALTER PUBLICATION {quoted} SET (publish_via_partition_root = true), then "),
        ),
        Difference::Altered => (
            format!(
                "publication {publication} was altered or created anew, and may have left out changes of {name} meanwhile"
            ),
            String::new(),
        ),
        Difference::Membership => (
            format!(
                "{name} was taken out of publication {publication} and put back, or is published with another row filter or column list"
            ),
            String::new(),
        ),
    };
    let message = format!("{message}: changes that were not published meanwhile are missing in the target");
    Fault::halt(Part::Table(name.clone()), Reason::PublicationChanged, message, format!("{first}{anew}"))
}

/// The fault of a partitioned table when changes of a partition came under the partition's own name.
pub(in crate::postgres) fn under_another_name(table: &Table, partition: &str) -> Fault {
    let name = &table.name;
    let message = format!(
        "changes of {partition}, a partition of {name}, came under its own name: publish_via_partition_root of the publication \
         was switched off, or the partition was attached with rows that were there before"
    );
    let fix = format!(
        "run ALTER PUBLICATION … SET (publish_via_partition_root = true) with the name of the job's publication, then {}",
        take_anew(table)
    );
    Fault::halt(Part::Table(name.clone()), Reason::PublicationChanged, message, fix)
}

/// The fault of a table whose name another relation has.
pub(in crate::postgres) fn replaced(name: &TableName, moved: Option<&TableName>, fix: String) -> Fault {
    let was = moved.map_or_else(
        || "the relation replicated so far was dropped or renamed".to_owned(),
        |moved| format!("the relation replicated so far is called {moved} now"),
    );
    let message = format!("{name} was replaced at the source by a different relation; {was}");
    Fault::halt(Part::Table(name.clone()), Reason::SourceTableReplaced, message, fix)
}

/// The fault of a table that was renamed, and no relation has its old name.
pub(crate) fn renamed(name: &TableName, moved: &TableName) -> Fault {
    let message = format!("{name} is called {moved} at the source now, and the job's list has the old name");
    let fix = format!(
        "give the table its name back at the source; or put {moved} into the job's list in its place, and {}",
        take_anew_by_name(moved)
    );
    Fault::halt(Part::Table(name.clone()), Reason::SourceTableReplaced, message, fix)
}
