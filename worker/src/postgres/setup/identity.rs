//! The relation behind each selected table and how it is published, compared with the recorded source identity.

use std::collections::HashMap;

use crate::{
    config::SourceConfig,
    fault::Fault,
    lsn::Lsn,
    postgres::{
        connection::{Connection, Row},
        error::SourceError,
        replaced, sql,
    },
    schema_history::{Membership, Noted, Published, SourceIdentity},
    table::{Table, TableName},
};

const SCHEMAS_SINCE: u32 = 150_000;
const VIA_ROOT_SINCE: u32 = 130_000;

/// The selected tables as they are now, and their recorded identities.
#[derive(Debug, Default)]
pub(in crate::postgres) struct Identities {
    noted: Noted,
    now: HashMap<TableName, SourceIdentity>,
    /// Current names of relations that are recorded under another name.
    moved: HashMap<u32, TableName>,
    publication: String,
}

impl Identities {
    pub(super) fn read(
        connection: &mut Connection,
        config: &SourceConfig,
        tables: &[TableName],
        noted: &Noted,
        version: u32,
    ) -> Result<Self, SourceError> {
        // Read first: a change committed after it and not seen below is found by the next poll.
        let since =
            connection.query(POSITION)?.first().map(|row| row.parse(0)).transpose()?.unwrap_or_default();
        let publication = publication(connection, &config.publication, version)?;
        let mut members = match &publication {
            Some((found, all)) => members(connection, found.publication, *all, tables, version)?,
            None => HashMap::new(),
        };
        let mut now = relations(connection, tables, since)?;
        for (name, identity) in &mut now {
            let members = members.remove(name).unwrap_or_default();
            identity.published =
                publication.as_ref().map(|(found, _)| Published { members, ..found.clone() });
        }
        let moved = moved(connection, noted)?;
        Ok(Self { noted: noted.clone(), now, moved, publication: config.publication.clone() })
    }

    /// `table`, unless it differs from the recorded identity.
    pub(super) fn checked(&self, name: &TableName, table: Result<Table, Fault>) -> Result<Table, Fault> {
        match self.difference(name, table.as_ref().ok()) {
            Some(fault) => Err(fault),
            None => table,
        }
    }

    /// `table`, with whether its publication has a column list for it.
    pub(super) fn described(&self, mut table: Table) -> Table {
        table.facts.listed = self.now.get(&table.name).is_some_and(SourceIdentity::is_listed);
        table
    }

    fn difference(&self, name: &TableName, table: Option<&Table>) -> Option<Fault> {
        let noted = self.noted.get(name)?;
        let Some(now) = self.now.get(name) else {
            let moved = self.moved.get(&noted.as_ref()?.relation)?;
            return Some(replaced::renamed(name, moved));
        };
        let difference = match noted {
            Some(noted) => noted.differs(now),
            // Recorded by an earlier version: it was published, but how is not known.
            None => now.published.as_ref().and_then(Published::lacks),
        }?;
        let moved = noted.as_ref().and_then(|noted| self.moved.get(&noted.relation));
        let via_root = now.published.as_ref().is_some_and(|published| published.via_root);
        Some(replaced::fault(name, table, &self.publication, via_root, difference, moved))
    }

    /// Whether changes of the recorded relation may still come, because it exists under another name.
    pub(super) fn holds_wal(&self, name: &TableName) -> bool {
        let relation = self.noted.get(name).and_then(Option::as_ref).map(|noted| noted.relation);
        relation.is_some_and(|relation| self.moved.contains_key(&relation))
    }

    /// Whether the table has a history. Such a table is never put back into a publication by the worker.
    pub(super) fn is_kept(&self, name: &TableName) -> bool {
        self.noted.contains_key(name)
    }

    pub(super) fn note_empty(&mut self, name: &TableName, empty: Option<bool>) {
        self.now.entry(name.clone()).and_modify(|now| now.empty = empty);
    }

    pub(super) fn now(&self, name: &TableName) -> SourceIdentity {
        self.now.get(name).cloned().unwrap_or_default()
    }
}

const POSITION: &str = "SELECT CASE WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_last_wal_replay_lsn() \
                        ELSE pg_catalog.pg_current_wal_insert_lsn() END";

/// The publication without its members, and whether it publishes all tables.
fn publication(
    connection: &mut Connection,
    name: &str,
    version: u32,
) -> Result<Option<(Published, bool)>, SourceError> {
    let via_root = if version < VIA_ROOT_SINCE { "false" } else { "pubviaroot" };
    let name = sql::literal(name);
    let rows = connection.query(&format!(
        "SELECT oid, xmin, pubowner, {via_root}, puballtables, CASE WHEN pubinsert THEN 'i' ELSE '' END || \
         CASE WHEN pubupdate THEN 'u' ELSE '' END || CASE WHEN pubdelete THEN 'd' ELSE '' END || \
         CASE WHEN pubtruncate THEN 't' ELSE '' END FROM pg_catalog.pg_publication WHERE pubname = {name}"
    ))?;
    let Some(row) = rows.first() else { return Ok(None) };
    let published = Published {
        publication: row.parse(0)?,
        altered: row.parse(1)?,
        owner: row.parse(2)?,
        via_root: row.flag(3),
        kinds: row.text(5).to_owned(),
        members: Vec::new(),
    };
    Ok(Some((published, row.flag(4))))
}

fn relations(
    connection: &mut Connection,
    tables: &[TableName],
    since: Lsn,
) -> Result<HashMap<TableName, SourceIdentity>, SourceError> {
    let rows = connection.query(&format!(
        "WITH {} SELECT s.schema, s.name, c.oid, coalesce(pg_catalog.pg_relation_filenode(c.oid), 0), \
         c.relkind = 'p' OR c.relispartition, CASE c.relkind WHEN 'p' THEN (SELECT \
         pg_catalog.string_agg(p.relid::pg_catalog.oid::pg_catalog.text, ' ') \
         FROM pg_catalog.pg_partition_tree(c.oid) p WHERE p.relid <> c.oid) END {OF_SELECTED}",
        selected(tables)
    ))?;
    let found = |row: &Row| {
        let partitions = row.text(5).split_ascii_whitespace().filter_map(|oid| oid.parse().ok()).collect();
        let identity = SourceIdentity {
            relation: row.parse(2)?,
            file: row.parse(3)?,
            partitioned: row.flag(4),
            since,
            partitions,
            empty: None,
            published: None,
        };
        Ok((name(row), identity))
    };
    rows.iter().map(found).collect()
}

/// What publishes each of the tables: itself, a table that it is a partition of, their schemas, or everything.
fn members(
    connection: &mut Connection,
    publication: u32,
    all: bool,
    tables: &[TableName],
    version: u32,
) -> Result<HashMap<TableName, Vec<Membership>>, SourceError> {
    let rows = connection.query(&entries(publication, tables, version))?;
    let mut members: HashMap<TableName, Vec<Membership>> = HashMap::new();
    for row in &rows {
        let membership = Membership {
            by: row.text(2).to_owned(),
            entry: row.parse(3)?,
            made: row.parse(4)?,
            filter: row.text(5).to_owned(),
            columns: row.text(6).to_owned(),
        };
        members.entry(name(row)).or_default().push(membership);
    }
    if all {
        let everything = Membership { by: "all".to_owned(), entry: publication, ..Membership::default() };
        tables.iter().for_each(|name| members.entry(name.clone()).or_default().push(everything.clone()));
    }
    Ok(members)
}

fn entries(publication: u32, tables: &[TableName], version: u32) -> String {
    let (filter, columns, schemas) = if version < SCHEMAS_SINCE {
        ("''", "''", String::new())
    } else {
        let schemas = format!(
            " UNION SELECT l.schema, l.name, 'schema', e.oid, e.xmin::pg_catalog.text, '', '' FROM line l \
             JOIN pg_catalog.pg_class c ON c.oid = l.relid \
             JOIN pg_catalog.pg_publication_namespace e ON e.pnnspid = c.relnamespace AND e.pnpubid = {publication}"
        );
        (
            "coalesce(pg_catalog.pg_get_expr(e.prqual, e.prrelid), '')",
            "coalesce(e.prattrs::pg_catalog.text, '')",
            schemas,
        )
    };
    format!(
        "WITH {}, line AS (SELECT s.schema, s.name, c.oid AS relid {OF_SELECTED} UNION \
         SELECT s.schema, s.name, a.relid::pg_catalog.oid {OF_SELECTED} \
         CROSS JOIN LATERAL pg_catalog.pg_partition_ancestors(c.oid) a WHERE c.relispartition) \
         SELECT l.schema, l.name, 'table', e.oid, e.xmin::pg_catalog.text, {filter}, {columns} FROM line l \
         JOIN pg_catalog.pg_publication_rel e ON e.prrelid = l.relid AND e.prpubid = {publication}{schemas} \
         ORDER BY 1, 2, 3, 4",
        selected(tables)
    )
}

/// Recorded relations that have another name now, with that name.
fn moved(connection: &mut Connection, noted: &Noted) -> Result<HashMap<u32, TableName>, SourceError> {
    let kept: Vec<String> = noted.values().flatten().map(|noted| noted.relation.to_string()).collect();
    if kept.is_empty() {
        return Ok(HashMap::new());
    }
    let rows = connection.query(&format!(
        "SELECT n.nspname, c.relname, c.oid FROM pg_catalog.pg_class c \
         JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.oid IN ({})",
        kept.join(", ")
    ))?;
    let is_elsewhere = |relation: u32, name: &TableName| {
        noted.get(name).and_then(Option::as_ref).is_none_or(|noted| noted.relation != relation)
    };
    let found = |row: &Row| Ok((row.parse(2)?, name(row)));
    let found: Vec<(u32, TableName)> = rows.iter().map(found).collect::<Result<_, SourceError>>()?;
    Ok(found.into_iter().filter(|(relation, name)| is_elsewhere(*relation, name)).collect())
}

const OF_SELECTED: &str = "FROM selected s JOIN pg_catalog.pg_namespace n ON n.nspname = s.schema \
                           JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = s.name";

fn selected(tables: &[TableName]) -> String {
    let names = tables
        .iter()
        .map(|table| format!("({}::name, {}::name)", sql::literal(&table.schema), sql::literal(&table.name)));
    format!("selected (schema, name) AS (VALUES {})", names.collect::<Vec<_>>().join(", "))
}

fn name(row: &Row) -> TableName {
    TableName { schema: row.text(0).to_owned(), name: row.text(1).to_owned() }
}
