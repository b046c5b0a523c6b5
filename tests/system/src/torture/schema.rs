//! The tables of the torture: hot and cold, narrow and wide, every sort of key, values stored out of line.

/// One statement per object.
pub(super) const SCHEMA: &str = "
    CREATE TYPE mood AS ENUM ('sad', 'content', 'happy');
    CREATE SCHEMA sales;

    -- Few rows that everybody changes.
    CREATE TABLE ledger (id int PRIMARY KEY, owner text, balance numeric(18,2) NOT NULL, changed timestamptz);

    -- A spread of types.
    CREATE TABLE things (
        id bigint PRIMARY KEY, b boolean, i2 smallint, i4 integer, r real, d double precision, n numeric(20,6),
        free numeric, t text, v varchar(20), c char(6), u uuid, m mood, day date, ts timestamp, tz timestamptz,
        clock time, gap interval, j json, jb jsonb, ip inet, bits bit(4)
    );

    -- A key of three types, all of which move.
    CREATE TABLE parts (
        region varchar(20), code text, day date, amount numeric(12,2), note text, PRIMARY KEY (region, code, day)
    );

    -- Large values that most changes leave alone, and that the source then does not send.
    CREATE TABLE docs (id int PRIMARY KEY, title text, body text, extra text, n int);
    ALTER TABLE docs ALTER COLUMN body SET STORAGE EXTERNAL;
    ALTER TABLE docs ALTER COLUMN extra SET STORAGE EXTERNAL;

    -- The same, with the old row in the WAL: keys may move and leave the large values behind.
    CREATE TABLE letters (id int PRIMARY KEY, title text, body text, extra text, n int);
    ALTER TABLE letters ALTER COLUMN body SET STORAGE EXTERNAL;
    ALTER TABLE letters ALTER COLUMN extra SET STORAGE EXTERNAL;
    ALTER TABLE letters REPLICA IDENTITY FULL;

    -- Written by the thousand.
    CREATE TABLE bulk (id bigint PRIMARY KEY, payload text, round int);

    CREATE TABLE tokens (u uuid PRIMARY KEY, uses int, last timestamp);

    -- The name of another table, in another schema.
    CREATE TABLE sales.parts (id int PRIMARY KEY, \"The Size\" text, \"select\" int);
";

/// Additional small tables: many lanes, few rows.
pub(super) const SMALL: u32 = 8;

/// Tables that are replaced, taken out of the publication, or whose targets are: see [`super::seam`].
pub(super) const SEAMS: u32 = 3;

/// A row of them has a large value too, which a partial update leaves out.
pub(super) const SEAM_COLUMNS: &str = "(id int PRIMARY KEY, v text, body text)";

pub(super) fn seam(table: u32) -> String {
    format!("seam_{table}")
}

pub(super) const TABLES: [&str; 8] =
    ["ledger", "things", "parts", "docs", "letters", "bulk", "tokens", "sales.parts"];

/// The objects that must exist before the worker starts.
pub(super) fn schema() -> String {
    let small = (0..SMALL).map(|table| format!("CREATE TABLE small_{table} (id int PRIMARY KEY, v text);"));
    let seams = (0..SEAMS).map(|table| format!("CREATE TABLE {} {SEAM_COLUMNS};", seam(table)));
    format!("{SCHEMA}{}", small.chain(seams).collect::<String>())
}

/// Rows that exist before the job: more than the traffic touches, in many blocks.
pub(super) const EXISTING: &str = "
    INSERT INTO ledger SELECT 100000 + i, 'before', i, now() FROM generate_series(1, 3000) i;
    INSERT INTO docs SELECT 100000 + i, 'before', repeat(md5(i::text), 100), repeat(md5(i::text), 90), i
        FROM generate_series(1, 1500) i;
    INSERT INTO letters SELECT 100000 + i, 'before', repeat(md5(i::text), 100), NULL, i FROM generate_series(1, 500) i;
    INSERT INTO bulk SELECT 10000000 + i, repeat('x', 100), 0 FROM generate_series(1, 5000) i;
    INSERT INTO parts SELECT 'before', 'c' || i, date '2020-01-01', i, NULL FROM generate_series(1, 1000) i;
";

/// A column of the key of a table.
pub(super) fn key_of(table: &str) -> &'static str {
    match table {
        "parts" => "region",
        "tokens" => "u",
        _ => "id",
    }
}

/// The table's name as in faults.
pub(super) fn full_name(table: &str) -> String {
    if table.contains('.') { table.to_owned() } else { format!("public.{table}") }
}

pub(super) fn is_seam(full_name: &str) -> bool {
    (0..SEAMS).any(|table| full_name == self::full_name(&seam(table)))
}

/// REPLICA IDENTITY FULL for every table, which `consistency: Transaction` needs.
pub(super) fn whole_rows() -> String {
    tables().split(',').map(|table| format!("ALTER TABLE {table} REPLICA IDENTITY FULL;")).collect()
}

/// The selection of the job.
pub(super) fn tables() -> String {
    let small = (0..SMALL).map(|table| format!("small_{table}"));
    let tables = TABLES.iter().map(|table| (*table).to_owned());
    tables.chain(small).chain((0..SEAMS).map(seam)).collect::<Vec<_>>().join(",")
}
