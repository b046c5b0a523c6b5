//! Reads the selected tables from PostgreSQL's catalogue. Decides nothing.

use std::collections::{BTreeMap, HashMap};

use crate::{
    postgres::{
        connection::{Connection, Row},
        error::SourceError,
        sql,
        visibility::{self, Visibility},
    },
    table::{Fill, TableName},
};

/// The selected tables that exist, by name.
#[derive(Debug, Default)]
pub(super) struct Catalogue {
    relations: HashMap<TableName, Relation>,
    /// What the queries saw at least.
    pub(super) visibility: Visibility,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Relation {
    /// `r` table, `p` partitioned table; other kinds cannot be replicated.
    pub(super) kind: String,
    /// `p` for a table whose changes are in the WAL.
    pub(super) persistence: String,
    /// `d` default, `n` nothing, `f` full, `i` index.
    pub(super) identity: String,
    /// A partition without replica identity, if there is one.
    pub(super) partition_without_identity: Option<String>,
    /// The highest `attnum` that was ever used.
    pub(super) last_number: i32,
    /// The table or a partition of it whose replica identity is not FULL, if there is one.
    pub(super) partial_identity: Option<String>,
    /// The storage of the table or of each leaf partition, by its oid.
    pub(super) files: BTreeMap<u32, u32>,
    /// Without dropped columns, in order.
    pub(super) columns: Vec<Attribute>,
    pub(super) primary_key: Option<Index>,
    pub(super) identity_index: Option<Index>,
}

#[derive(Debug, Clone)]
pub(super) struct Attribute {
    pub(super) number: i32,
    pub(super) name: String,
    /// The type; for a domain its base type, for an array the type of its elements.
    pub(super) type_oid: u32,
    pub(super) typmod: i32,
    /// `b` base, `e` enum, `c` composite, …
    pub(super) type_class: String,
    pub(super) type_name: String,
    /// The declared type in SQL's words.
    pub(super) declared: String,
    pub(super) generated: Option<Generated>,
    /// Enum labels and composite attributes that its type contains.
    pub(super) parts: BTreeMap<String, String>,
    /// The delimiter between array elements; `None` when it is no array.
    pub(super) delimiter: Option<u8>,
    /// The collation is nondeterministic: texts that differ in their bytes may be equal.
    pub(super) folded: bool,
    /// The value of the column in rows that existed before it.
    pub(super) fill: Fill,
}

/// A column that is computed from others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Generated {
    pub(super) stored: bool,
    pub(super) expression: String,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Index {
    /// Attribute numbers, in key order.
    pub(super) columns: Vec<i32>,
    /// Not deferrable.
    pub(super) immediate: bool,
}

impl Catalogue {
    pub(super) fn relation(&self, name: &TableName) -> Option<&Relation> {
        self.relations.get(name)
    }

    #[cfg(test)]
    pub(super) fn of(name: &TableName, relation: Relation) -> Self {
        Self { relations: HashMap::from([(name.clone(), relation)]), ..Self::default() }
    }

    pub(super) fn read(connection: &mut Connection, tables: &[TableName]) -> Result<Self, SourceError> {
        let names: Vec<_> = tables.iter().map(selected).collect();
        let with_selected =
            format!("WITH RECURSIVE selected (schema, name) AS (VALUES {}), {RELATIONS}", names.join(", "));
        let seen = connection.query(visibility::ASK)?;
        let visibility = seen.first().and_then(|row| Visibility::parse(row.text(0)));
        let visibility =
            visibility.ok_or_else(|| SourceError::protocol("the server does not tell its snapshot"))?;
        let mut catalogue = Self { visibility, ..Self::default() };
        for row in connection.query(&format!("{with_selected} {TABLES}"))? {
            catalogue.relations.insert(name(&row), relation(&row)?);
        }
        for row in connection.query(&format!("{with_selected}, {TYPES} {COLUMNS}"))? {
            let attribute = attribute(&row)?;
            catalogue.relations.entry(name(&row)).and_modify(|relation| relation.columns.push(attribute));
        }
        for row in connection.query(&format!("{with_selected}, {PARTS}"))? {
            catalogue.relations.entry(name(&row)).and_modify(|relation| relation.take_part(&row));
        }
        for row in connection.query(&format!("{with_selected} {INDEXES}"))? {
            let index = index(&row)?;
            catalogue.relations.entry(name(&row)).and_modify(|relation| relation.take_index(&row, index));
        }
        Ok(catalogue)
    }
}

impl Relation {
    fn take_part(&mut self, row: &Row) {
        let Ok(number) = row.parse::<i32>(2) else { return };
        let column = self.columns.iter_mut().find(|column| column.number == number);
        let part = (row.text(3).to_owned(), row.text(4).to_owned());
        column.into_iter().for_each(|column| column.parts.extend([part.clone()]));
    }

    fn take_index(&mut self, row: &Row, index: Index) {
        if row.flag(4) {
            self.identity_index = Some(index.clone());
        }
        if row.flag(3) {
            self.primary_key = Some(index);
        }
    }
}

const RELATIONS: &str = "
relations AS (
  SELECT s.schema, s.name, c.oid, c.relkind, c.relpersistence, c.relreplident, c.relnatts
  FROM selected s
  JOIN pg_catalog.pg_namespace n ON n.nspname = s.schema
  JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = s.name)";

const TABLES: &str = "
SELECT schema, name, relkind, relpersistence, relreplident,
  CASE relkind WHEN 'p' THEN (
    SELECT p.relid::pg_catalog.regclass FROM pg_catalog.pg_partition_tree(r.oid) p
    JOIN pg_catalog.pg_class c ON c.oid = p.relid
    WHERE p.isleaf AND c.relreplident = 'n' LIMIT 1) END,
  relnatts,
  CASE relkind WHEN 'p' THEN (
    SELECT p.relid::pg_catalog.regclass FROM pg_catalog.pg_partition_tree(r.oid) p
    JOIN pg_catalog.pg_class c ON c.oid = p.relid
    WHERE p.isleaf AND c.relreplident <> 'f' LIMIT 1)
  ELSE CASE WHEN relreplident <> 'f' THEN r.oid::pg_catalog.regclass END END,
  CASE relkind WHEN 'p' THEN (
    SELECT pg_catalog.string_agg(p.relid::pg_catalog.oid || ' ' || pg_catalog.pg_relation_filenode(p.relid), ',')
    FROM pg_catalog.pg_partition_tree(r.oid) p WHERE p.isleaf)
  ELSE r.oid || ' ' || pg_catalog.pg_relation_filenode(r.oid) END
FROM relations r";

/// Resolves domains to their base types, and one array to its elements; the innermost modifier that is set counts.
/// (`int2vector` has elements and is no array.)
const TYPES: &str = "
arrays AS (
  SELECT a.oid FROM pg_catalog.pg_type a JOIN pg_catalog.pg_type e ON e.oid = a.typelem AND e.typarray = a.oid),
types AS (
  SELECT r.schema, r.name, a.attnum, a.atttypid AS type, a.atttypmod AS typmod, NULL::\"char\" AS delimiter
  FROM relations r JOIN pg_catalog.pg_attribute a ON a.attrelid = r.oid
  WHERE a.attnum > 0 AND NOT a.attisdropped
  UNION ALL
  SELECT t.schema, t.name, t.attnum,
    CASE d.typtype WHEN 'd' THEN d.typbasetype ELSE d.typelem END,
    CASE d.typtype WHEN 'd' THEN d.typtypmod ELSE t.typmod END,
    CASE d.typtype WHEN 'd' THEN t.delimiter ELSE d.typdelim END
  FROM types t JOIN pg_catalog.pg_type d ON d.oid = t.type
  WHERE d.typtype = 'd' OR (t.delimiter IS NULL AND d.oid IN (SELECT oid FROM arrays)))";

const COLUMNS: &str = "
SELECT t.schema, t.name, t.attnum, a.attname, t.type, t.typmod, b.typtype, b.typname,
  pg_catalog.format_type(a.atttypid, a.atttypmod), a.attgenerated, t.delimiter,
  coalesce(NOT c.collisdeterministic, false),
  CASE WHEN a.atthasmissing THEN (a.attmissingval::pg_catalog.text::pg_catalog.text[])[1]
    WHEN r.relkind = 'p' THEN (
      SELECT (l.attmissingval::pg_catalog.text::pg_catalog.text[])[1]
      FROM pg_catalog.pg_partition_tree(r.oid) p JOIN pg_catalog.pg_attribute l ON l.attrelid = p.relid
      WHERE l.attname = a.attname AND l.atthasmissing LIMIT 1) END,
  a.atthasdef OR a.attidentity <> '' OR a.attnotnull,
  CASE WHEN a.attgenerated <> '' THEN pg_catalog.pg_get_expr(f.adbin, f.adrelid) END
FROM types t
JOIN relations r ON r.schema = t.schema AND r.name = t.name
JOIN pg_catalog.pg_attribute a ON a.attrelid = r.oid AND a.attnum = t.attnum
JOIN pg_catalog.pg_type b ON b.oid = t.type AND b.typtype <> 'd'
  AND (t.delimiter IS NOT NULL OR b.oid NOT IN (SELECT oid FROM arrays))
LEFT JOIN pg_catalog.pg_collation c ON c.oid = a.attcollation
LEFT JOIN pg_catalog.pg_attrdef f ON f.adrelid = a.attrelid AND f.adnum = a.attnum
ORDER BY t.schema, t.name, t.attnum";

/// Parts of types that values' texts depend on and that the stream does not announce: enum labels, by the oid that they
/// keep when they are renamed, and composite attributes, by their types, because their names are not in the text. Types
/// below 16384 are PostgreSQL's own. (Before PostgreSQL 14 no range has a multirange.)
const PARTS: &str = "
reached (schema, name, number, type) AS (
  SELECT r.schema, r.name, a.attnum, a.atttypid
  FROM relations r JOIN pg_catalog.pg_attribute a ON a.attrelid = r.oid
  WHERE a.attnum > 0 AND NOT a.attisdropped AND a.atttypid >= 16384
  UNION
  SELECT x.schema, x.name, x.number, n.type
  FROM reached x JOIN pg_catalog.pg_type t ON t.oid = x.type
  CROSS JOIN LATERAL (
    SELECT t.typbasetype AS type WHERE t.typtype = 'd'
    UNION ALL SELECT t.typelem WHERE t.typelem >= 16384
    UNION ALL SELECT g.rngsubtype FROM pg_catalog.pg_range g
      WHERE g.rngtypid = t.oid OR (pg_catalog.to_jsonb(g) ->> 'rngmultitypid') = t.oid::pg_catalog.text
    UNION ALL SELECT c.atttypid FROM pg_catalog.pg_attribute c
      WHERE t.typtype = 'c' AND c.attrelid = t.typrelid AND c.attnum > 0 AND NOT c.attisdropped) n
  WHERE n.type >= 16384)
SELECT x.schema, x.name, x.number, 'label ' || e.oid, e.enumlabel
FROM reached x JOIN pg_catalog.pg_enum e ON e.enumtypid = x.type
UNION ALL
SELECT x.schema, x.name, x.number, 'attributes ' || t.oid,
  pg_catalog.string_agg(c.attnum || ' ' || c.atttypid || ' ' || c.atttypmod, ',' ORDER BY c.attnum)
FROM reached x
JOIN pg_catalog.pg_type t ON t.oid = x.type AND t.typtype = 'c'
JOIN pg_catalog.pg_attribute c ON c.attrelid = t.typrelid AND c.attnum > 0 AND NOT c.attisdropped
GROUP BY x.schema, x.name, x.number, t.oid";

const INDEXES: &str = "
SELECT r.schema, r.name, i.indkey, i.indisprimary, i.indisreplident, i.indimmediate, i.indnkeyatts
FROM relations r JOIN pg_catalog.pg_index i ON i.indrelid = r.oid
WHERE i.indisprimary OR i.indisreplident";

fn selected(table: &TableName) -> String {
    format!("({}::name, {}::name)", sql::literal(&table.schema), sql::literal(&table.name))
}

fn name(row: &Row) -> TableName {
    TableName { schema: row.text(0).to_owned(), name: row.text(1).to_owned() }
}

fn relation(row: &Row) -> Result<Relation, SourceError> {
    Ok(Relation {
        kind: row.text(2).to_owned(),
        persistence: row.text(3).to_owned(),
        identity: row.text(4).to_owned(),
        partition_without_identity: row.value(5).map(str::to_owned),
        last_number: row.parse(6)?,
        partial_identity: row.value(7).map(str::to_owned),
        files: files(row.text(8))?,
        ..Relation::default()
    })
}

fn attribute(row: &Row) -> Result<Attribute, SourceError> {
    Ok(Attribute {
        number: row.parse(2)?,
        name: row.text(3).to_owned(),
        type_oid: row.parse(4)?,
        typmod: row.parse(5)?,
        type_class: row.text(6).to_owned(),
        type_name: row.text(7).to_owned(),
        declared: row.text(8).to_owned(),
        generated: (!row.text(9).is_empty())
            .then(|| Generated { stored: row.text(9) == "s", expression: row.text(14).to_owned() }),
        parts: BTreeMap::new(),
        delimiter: row.value(10).and_then(|delimiter| delimiter.bytes().next()),
        folded: row.flag(11),
        fill: match row.value(12) {
            Some(value) => Fill::Value(value.to_owned()),
            // A default that was evaluated per row, was set later, or whose rows were rewritten since; of a default that
            // was removed, NOT NULL may remain.
            None if row.flag(13) => Fill::Unknown,
            None => Fill::Null,
        },
    })
}

/// `oid file,oid file`.
fn files(text: &str) -> Result<BTreeMap<u32, u32>, SourceError> {
    let pair = |pair: &str| {
        let (oid, file) = pair.split_once(' ')?;
        Some((oid.parse().ok()?, file.parse().ok()?))
    };
    let pairs = text.split(',').filter(|pair| !pair.is_empty()).map(pair).collect::<Option<_>>();
    pairs.ok_or_else(|| SourceError::protocol("the storage of a table is not a list of numbers"))
}

/// Reads `indkey`, which holds the columns of the key and then the included ones.
fn index(row: &Row) -> Result<Index, SourceError> {
    let wrong = |_| SourceError::protocol("an index has no column numbers");
    let columns = row.text(2).split_ascii_whitespace().map(str::parse);
    let columns = columns.collect::<Result<Vec<i32>, _>>().map_err(wrong)?;
    let key = row.parse::<usize>(6)?;
    Ok(Index { columns: columns.into_iter().take(key).collect(), immediate: row.flag(5) })
}
