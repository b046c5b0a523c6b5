//! Why a table cannot be replicated, and what to do about it.

use crds::Reason;

use crate::{
    fault::{Fault, Part},
    postgres::{
        setup::catalogue::{Attribute, Index, Relation},
        sql,
    },
    table::{Table, TableName},
};

fn refusal(name: &TableName, reason: Reason, message: impl Into<String>, fix: impl Into<String>) -> Fault {
    Fault::halt(Part::Table(name.clone()), reason, message, fix)
}

pub(super) fn reserved(name: &TableName) -> Fault {
    refusal(
        name,
        Reason::BadConfiguration,
        format!("table {name} has a name that begins with dbmazz_, as this worker's own do"),
        "take it out of the job's tables",
    )
}

pub(super) fn missing(name: &TableName) -> Fault {
    refusal(
        name,
        Reason::SourceTableMissing,
        format!("table {name} is not in the source database"),
        "check the name (it is exact, also in upper and lower case) and the database, or create the table",
    )
}

pub(super) fn not_a_table(name: &TableName, what: &str) -> Fault {
    refusal(
        name,
        Reason::BadConfiguration,
        format!("{name} is {what}, and only ordinary and partitioned tables can be replicated"),
        "take it out of the job's tables, or select the tables behind it",
    )
}

pub(super) fn not_via_root(name: &TableName, publication: &str) -> Fault {
    refusal(
        name,
        Reason::BadConfiguration,
        format!("the publication publishes the partitions of {name} and not itself"),
        format!(
            "run ALTER PUBLICATION {publication} SET (publish_via_partition_root = true), or select its partitions"
        ),
    )
}

pub(super) fn keyless(name: &TableName) -> Fault {
    let table = sql::table(name);
    refusal(
        name,
        Reason::PrimaryKeyMissing,
        format!("table {name} has no primary key, nor a unique index as its replica identity"),
        format!(
            "run ALTER TABLE {table} ADD PRIMARY KEY (…), or ALTER TABLE {table} REPLICA IDENTITY USING INDEX … with \
             a unique index over columns that are NOT NULL, or take the table out of the job"
        ),
    )
}

/// `whose` is the table to alter, as SQL. Partitions do not inherit the replica identity of their table.
pub(super) fn insufficient(name: &TableName, of: &str, whose: &str) -> Fault {
    refusal(
        name,
        Reason::ReplicaIdentityInsufficient,
        format!("the replica identity {of} does not tell which row of {name} was changed"),
        format!(
            "run ALTER TABLE {whose} REPLICA IDENTITY DEFAULT (with a primary key that is not deferrable)"
        ),
    )
}

pub(super) fn partial_identity(table: &Table, of: &str) -> Fault {
    let fix = if table.facts.refuses_full() {
        format!(
            "set consistency to Row, or take the table out of the job; not all columns of {of} are published, and under \
             REPLICA IDENTITY FULL PostgreSQL may refuse every update of it (from 15 on for a list of columns, from 18 \
             on for generated columns that are not published)"
        )
    } else {
        format!("run ALTER TABLE {of} REPLICA IDENTITY FULL, or set consistency to Row")
    };
    refusal(
        &table.name,
        Reason::ReplicaIdentityInsufficient,
        format!("consistency Transaction needs whole rows, and PostgreSQL does not send those of {of} whole"),
        fix,
    )
}

pub(super) fn unpublished_key(name: &TableName, relation: &Relation, key: &Index) -> Fault {
    let mut columns = relation.columns.iter().filter(|column| key.columns.contains(&column.number));
    match columns.find(|column| column.generated.is_some()) {
        Some(column) => generated_key(name, column),
        None => refusal(
            name,
            Reason::ReplicaIdentityInsufficient,
            format!("the publication leaves out columns of the key of {name}"),
            format!("add the whole key to the column list of {} in the publication", sql::table(name)),
        ),
    }
}

fn generated_key(name: &TableName, column: &Attribute) -> Fault {
    refusal(
        name,
        Reason::ReplicaIdentityInsufficient,
        format!("PostgreSQL does not send the generated column {} of the key of {name}", column.name),
        format!(
            "make a unique index over other columns that are NOT NULL and run ALTER TABLE {} REPLICA IDENTITY USING \
             INDEX … with it; from PostgreSQL 18 on ALTER PUBLICATION … SET (publish_generated_columns = stored) will \
             do, too",
            sql::table(name)
        ),
    )
}
