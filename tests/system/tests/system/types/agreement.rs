//! `dbmazz verify` and the worker's encoder share no code and must agree on random values of every type and of its
//! arrays: after the worker has loaded them, verify finds no difference; of values altered in the sink it finds exactly
//! those.

use anyhow::{Context, Result, ensure};
use fastrand::Rng;
use system::verify;

use super::super::rig::Rig;

const SCHEMA: &str = "
    CREATE EXTENSION hstore; CREATE EXTENSION citext;
    CREATE TYPE mood AS ENUM ('sad', 'so happy');
    CREATE TYPE pair AS (a int, b text, c char(3));
    CREATE DOMAIN digit AS int CHECK (VALUE < 10);
    CREATE DOMAIN tag AS text;
    CREATE DOMAIN flag AS boolean;
    CREATE DOMAIN blob AS bytea;
    CREATE DOMAIN padded AS char(5);
    CREATE DOMAIN counts AS int[];
    CREATE DOMAIN store AS hstore;
    CREATE DOMAIN doc AS jsonb;
    CREATE TYPE nest AS (p pair, xs text[], raw bytea);
";

const ROWS: usize = 24;

/// A type, and a function that makes a value of it as the text of a literal.
type Kind = (&'static str, fn(&mut Rng) -> String);

const KINDS: &[Kind] = &[
    ("boolean", |rng| rng.bool().to_string()),
    ("smallint", |rng| rng.i16(..).to_string()),
    ("int", |rng| rng.i32(..).to_string()),
    ("bigint", |rng| rng.i64(..).to_string()),
    ("oid", |rng| rng.u32(..).to_string()),
    ("xid8", |rng| rng.u64(..).to_string()),
    ("real", |rng| float(rng, |rng| f64::from(f32::from_bits(rng.u32(..))))),
    ("float8", |rng| float(rng, |rng| f64::from_bits(rng.u64(..)))),
    ("numeric(12,3)", |rng| format!("{}.{:03}", rng.i32(-999_999_999..999_999_999), rng.u16(..1000))),
    ("numeric(38,10)", |rng| format!("{}.{}", rng.i64(..), rng.u32(..))),
    ("numeric(50,4)", |rng| if rng.u8(..8) == 0 { "NaN".into() } else { format!("{}.5", rng.i64(..)) }),
    ("numeric", |rng| format!("{}.{}00", rng.i64(..), rng.u64(..))),
    ("money", |rng| format!("{}.{:02}", rng.i32(..), rng.u8(..100))),
    ("text", text),
    ("varchar(9)", |rng| cut(&text(rng), 9)),
    ("char(7)", |rng| cut(&text(rng), 7)),
    ("\"char\"", |rng| char::from(rng.u8(b'!'..b'~')).to_string()),
    ("name", |rng| cut(&text(rng), 9)),
    ("citext", text),
    ("uuid", |rng| format!("{:032x}", rng.u128(..))),
    ("mood", |rng| if rng.bool() { "sad".into() } else { "so happy".into() }),
    ("inet", |rng| format!("10.{}.0.{}/{}", rng.u8(..), rng.u8(..), rng.u8(8..=32))),
    ("cidr", |rng| format!("10.{}.0.0/16", rng.u8(..))),
    ("macaddr", |rng| format!("{:012x}", rng.u64(..) >> 16)),
    ("bit(4)", |rng| format!("{:04b}", rng.u8(..16))),
    ("varbit", |rng| format!("{:b}", rng.u32(..))),
    ("time", |rng| clock(rng)),
    ("timetz", |rng| format!("{}+{:02}", clock(rng), rng.u8(..14))),
    ("interval", |rng| format!("{} months {} days {} us", rng.i16(..), rng.i16(..), rng.i32(..))),
    ("date", day),
    ("timestamp", |rng| format!("{} {}", day(rng), clock(rng))),
    ("timestamptz", |rng| format!("{} {}+{:02}", day(rng), clock(rng), rng.u8(..14))),
    ("bytea", |rng| format!("\\x{:0width$x}", rng.u64(..), width = 16)),
    ("json", |rng| document(rng, 3)),
    ("jsonb", |rng| document(rng, 3)),
    ("hstore", |rng| format!("{}=>{}, \"k\"=>NULL", quoted(&text(rng)), quoted(&text(rng)))),
    ("int4range", |rng| format!("[{},)", rng.i32(..))),
    ("pair", |rng| format!("({},{},ab)", rng.i32(..), quoted(&text(rng)))),
    ("point", |rng| format!("({},{})", rng.i16(..), rng.i16(..))),
    ("box", |rng| format!("({},{}),({},0)", rng.i16(..), rng.i16(..), rng.i16(..))),
    ("tsvector", |rng| format!("a:{} b{}", rng.u8(1..), rng.u8(..))),
    ("int2vector", |rng| {
        if rng.bool() { rng.u8(..).to_string() } else { format!("{} {}", rng.u8(..), rng.u8(..)) }
    }),
    ("pg_lsn", |rng| format!("{:X}/{:X}", rng.u32(..), rng.u32(..))),
    ("digit", |rng| rng.u8(..10).to_string()),
    ("tag", text),
    ("flag", |rng| rng.bool().to_string()),
    ("blob", |rng| format!("\\x{:04x}", rng.u16(..))),
    ("padded", |rng| cut(&text(rng), 5)),
    ("counts", |rng| format!("{{{},{}}}", rng.i32(..), rng.i32(..))),
    ("store", |rng| format!("{}=>{}", quoted(&text(rng)), quoted(&text(rng)))),
    ("doc", |rng| document(rng, 2)),
    ("nest", |rng| format!("(\"({},x,ab)\",\"{{a,NULL}}\",\"\\\\x{:04x}\")", rng.i32(..), rng.u16(..))),
    ("macaddr8", |rng| format!("{:016x}", rng.u64(..))),
    ("inet", |rng| format!("2001:db8::{:x}/{}", rng.u16(1..), rng.u8(16..=128))),
    ("numeric(5,-2)", |rng| rng.i32(-9_000_000..9_000_000).to_string()),
    ("numeric(3,5)", |rng| format!("0.00{:03}", rng.u16(..1000))),
    ("xid", |rng| rng.u32(..).to_string()),
    ("tid", |rng| format!("({},{})", rng.u16(..), rng.u16(1..))),
    ("oidvector", |rng| format!("{} {}", rng.u16(..), rng.u16(..))),
    ("regtype", |rng| if rng.bool() { "integer".into() } else { "text".into() }),
    ("jsonpath", |rng| format!("$.a[{}]", rng.u8(..))),
    ("tsquery", |rng| format!("a & b{}", rng.u8(..))),
    ("xml", |rng| format!("<a b=\"{}\">\u{e9} {}</a>", rng.u8(..), rng.u8(..))),
    ("line", |rng| format!("{{1,{},{}}}", rng.i16(..), rng.i16(..))),
    ("lseg", |rng| format!("[({},0),(1,{})]", rng.i16(..), rng.i16(..))),
    ("path", |rng| format!("[({},0),(1,2.5)]", rng.i16(..))),
    ("polygon", |rng| format!("(({},0),(1,2),(3,1e-5))", rng.i16(..))),
    ("circle", |rng| format!("<({},0),{}>", rng.i16(..), rng.u8(1..))),
    ("numrange", |rng| format!("[{}.50,)", rng.i16(..))),
    ("tstzrange", |rng| format!("[\"{} 00:00:00+00\",)", day(rng))),
    ("int8multirange", |rng| format!("{{[{},{}),[1000,)}}", rng.i8(..0), rng.i8(1..))),
];

fn float(rng: &mut Rng, any: fn(&mut Rng) -> f64) -> String {
    match rng.u8(..8) {
        0 => "NaN".into(),
        1 => "-Infinity".into(),
        2 => "-0".into(),
        3 => rng.i16(..).to_string(),
        _ => format!("{:e}", any(rng)).replace("inf", "Infinity"),
    }
}

/// Texts of pieces with a special meaning somewhere on the way, in any order.
fn text(rng: &mut Rng) -> String {
    const PIECES: [&str; 16] =
        ["a", "NULL", "\"", "\\", "{", "}", ",", ";", "=>", " ", "'", "é", "🦀", "\n", "[1]", "(x,y)"];
    (0..rng.usize(1..8)).map(|_| PIECES[rng.usize(..PIECES.len())]).collect()
}

fn cut(text: &str, letters: usize) -> String {
    text.chars().take(letters).collect()
}

fn clock(rng: &mut Rng) -> String {
    format!("{:02}:{:02}:{:02}.{:06}", rng.u8(..24), rng.u8(..60), rng.u8(..60), rng.u32(..1_000_000))
}

fn day(rng: &mut Rng) -> String {
    format!("{:04}-{:02}-{:02}", rng.u16(1..=9999), rng.u8(1..=12), rng.u8(1..=28))
}

fn document(rng: &mut Rng, depth: u8) -> String {
    match rng.u8(..if depth == 0 { 4 } else { 7 }) {
        0 => rng.i64(..).to_string(),
        1 => format!("{}.5", rng.i16(..)),
        2 => rng.bool().to_string(),
        3 => serde_json::Value::from(text(rng)).to_string(),
        4 => format!("[{}, null]", document(rng, depth - 1)),
        5 => format!("{{\"b\": {}, \"a\": {}}}", document(rng, depth - 1), document(rng, depth - 1)),
        _ => "[".repeat(900) + &document(rng, 0) + &"]".repeat(900),
    }
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

fn literal(value: &str, kind: &str) -> String {
    format!("E'{}'::{kind}", value.replace('\\', "\\\\").replace('\'', "''"))
}

/// A value of a type, sometimes NULL.
fn scalar(rng: &mut Rng, (kind, make): &Kind) -> String {
    if rng.u8(..8) == 0 { format!("NULL::{kind}") } else { literal(&make(rng), kind) }
}

fn array(rng: &mut Rng, kind: &Kind) -> String {
    let elements: Vec<_> = (0..rng.usize(..4)).map(|_| scalar(rng, kind)).collect();
    let one = format!("ARRAY[{}]::{}[]", elements.join(", "), kind.0);
    if elements.is_empty() || rng.bool() { one } else { format!("ARRAY[{one}, {one}]") }
}

/// Columns of all types and of their arrays.
fn columns() -> Vec<(String, &'static Kind, bool)> {
    let of = |is_array: bool| {
        let prefix = if is_array { "a" } else { "c" };
        let kinds = KINDS.iter().enumerate();
        kinds.map(move |(place, kind)| (format!("{prefix}{place}"), kind, is_array))
    };
    of(false).chain(of(true)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn verify_agrees_with_the_engine_on_random_values_of_every_type() -> Result<()> {
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    agree(Rng::with_seed(seed)).await.with_context(|| format!("seed {seed}"))
}

async fn agree(mut rng: Rng) -> Result<()> {
    let columns = columns();
    let described = columns
        .iter()
        .map(|(name, kind, is_array)| format!("{name} {}{}", kind.0, if *is_array { "[]" } else { "" }));
    let described = described.collect::<Vec<_>>().join(", ");
    let rig = Rig::of(&format!("{SCHEMA} CREATE TABLE t (id int PRIMARY KEY, {described})"), "t").await?;
    let _worker = rig.worker().await?;
    for id in 0..ROWS {
        let values =
            columns.iter().map(
                |(_, kind, is_array)| {
                    if *is_array { array(&mut rng, kind) } else { scalar(&mut rng, kind) }
                },
            );
        let values = values.collect::<Vec<_>>().join(", ");
        rig.source.run(&format!("INSERT INTO t VALUES ({id}, {values})")).await?;
    }
    assert_eq!(rig.until_equal().await?, ROWS as u64);
    let altered = alter(&rig, &mut rng, &columns).await?;
    ensure!(altered.len() > columns.len() / 2, "too few values could be altered: {altered:?}");
    let options = ["--patience", "1s", "--show", "1000"];
    let said = verify::run(&rig.settings, &options).await?;
    let mut found: Vec<(usize, String)> = said.text.lines().filter_map(finding).flatten().collect();
    found.sort();
    assert_eq!(found, altered, "{}", said.text);
    Ok(())
}

/// `  public.t id=3: differs in c1, a2`
fn finding(line: &str) -> Option<Vec<(usize, String)>> {
    let (key, names) = line.split_once(": differs in ")?;
    let id = key.rsplit("id=").next()?.parse().ok()?;
    Some(names.split(", ").map(|name| (id, name.to_owned())).collect())
}

/// Replaces one value of each column in the sink with the value of another row.
async fn alter(rig: &Rig, rng: &mut Rng, columns: &[(String, &Kind, bool)]) -> Result<Vec<(usize, String)>> {
    let mut altered = Vec::new();
    for (name, ..) in columns {
        let values = rig.sink.rows(&format!("SELECT {name} FROM app.t ORDER BY id")).await?;
        let id = rng.usize(..values.len());
        let own = values[id].first().context("a value")?;
        let other = values.iter().flatten().find(|other| *other != own && !has_raw_bytes(other.as_deref()));
        let Some(other) = other.filter(|_| !has_raw_bytes(own.as_deref())) else { continue };
        let other = other.as_ref().map_or("NULL".to_owned(), |text| {
            format!("'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
        });
        rig.sink.rows(&format!("UPDATE app.t SET {name} = {other} WHERE id = {id}")).await?;
        altered.push((id, name.clone()));
    }
    altered.sort();
    Ok(altered)
}

/// Whether the value has bytes that are no text, which a SQL statement cannot carry.
fn has_raw_bytes(value: Option<&str>) -> bool {
    value.is_some_and(|value| value.contains('\u{fffd}'))
}

#[tokio::test(flavor = "multi_thread")]
async fn verify_reads_keys_as_the_stream_sends_them() -> Result<()> {
    let keys = [
        ("inet", "'10.0.0.1'", "'10.0.0.2/24'"),
        ("cidr", "'10.0.0.0/8'", "'10.1.0.0/16'"),
        ("char(6)", "'ab'", "'abc'"),
        ("bytea", "'\\x00ff'", "'\\x01'"),
        ("numeric", "1.50", "2"),
        ("float8", "1.5", "-0"),
        ("mood", "'sad'", "'so happy'"),
        ("uuid", "'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'", "'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a12'"),
        ("macaddr", "'08:00:2b:01:02:03'", "'08:00:2b:01:02:04'"),
        ("bit(4)", "B'1010'", "B'1011'"),
        ("time", "'12:34:56.5'", "'12:34:57'"),
        ("name", "'a'", "'b'"),
        ("tag", "'it''s'", "'\\\"'"),
        ("padded", "'ab'", "' b'"),
        ("digit", "1", "9"),
        ("boolean", "true", "false"),
        ("\"char\"", "'a'", "'!'"),
        ("varchar(9)", "'a '", "'é,'"),
        ("macaddr8", "'08:00:2b:01:02:03:04:05'", "'08:00:2b:01:02:03:04:06'"),
        ("oid", "1", "4294967295"),
        ("xid8", "'1'", "'18446744073709551615'"),
        ("numeric(10,2)", "1.50", "-2"),
        ("date", "'0001-01-01'", "'9999-12-31'"),
        ("timestamptz", "'2026-01-01 00:00:00.5+02'", "'2026-01-01 00:00+00'"),
        ("interval", "'1 mon'", "'2 days'"),
        ("money", "'1000'", "'-0.01'"),
        ("timetz", "'12:00+01'", "'12:00+02'"),
    ];
    let names: Vec<_> = (0..keys.len()).map(|place| format!("k{place}")).collect();
    let create = names
        .iter()
        .zip(keys)
        .map(|(name, (kind, ..))| format!("CREATE TABLE {name} (k {kind} PRIMARY KEY, v int);"));
    let rig = Rig::of(&format!("{SCHEMA} {}", create.collect::<String>()), &names.join(",")).await?;
    let _worker = rig.worker().await?;
    for (name, (_, one, other)) in names.iter().zip(keys) {
        rig.source.run(&format!("INSERT INTO {name} VALUES ({one}, 1), ({other}, 2)")).await?;
    }
    assert_eq!(rig.until_equal().await?, 2 * keys.len() as u64);
    // The altered rows are read by key on both sides: the difference remains, one for each table.
    for name in &names {
        rig.sink.rows(&format!("UPDATE app.{name} SET v = 9 WHERE v = 2")).await?;
    }
    let said = verify::run(&rig.settings, &["--patience", "1s"]).await?;
    assert_eq!(said.text.matches(": differs in v").count(), keys.len(), "{}", said.text);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn blanks_that_pad_a_char_are_no_difference_and_another_letter_is_one() -> Result<()> {
    let rig = Rig::of("CREATE TABLE t (id int PRIMARY KEY, c char(4))", "t").await?;
    let worker = rig.worker().await?;
    rig.source.run("INSERT INTO t VALUES (1, 'ab')").await?;
    rig.until_equal().await?;
    // PostgreSQL pads the stored values with more blanks, and sends none of these rows.
    rig.source.run("ALTER TABLE t ALTER c TYPE char(8); INSERT INTO t VALUES (2, 'abcdefgh')").await?;
    worker.until_fault("SourceSchemaChanged").await?;
    rig.source.run("DELETE FROM t WHERE id = 2").await?;
    rig.until_equal().await?;
    rig.sink.rows("UPDATE app.t SET c = ' ab' WHERE id = 1").await?;
    let said = verify::run(&rig.settings, &["--patience", "1s"]).await?;
    assert!(said.text.contains("id=1: differs in c\n"), "{}", said.text);
    Ok(())
}

const WIDE: usize = 70;
const MEGABYTE: usize = 1_000_000;

/// A row larger than every other answer of PostgreSQL.
#[tokio::test(flavor = "multi_thread")]
async fn verify_compares_a_row_of_seventy_megabytes_to_its_last_byte() -> Result<()> {
    let columns = (0..WIDE).map(|place| format!(", c{place} text")).collect::<String>();
    let values = (0..WIDE).map(|place| format!(", repeat(chr(97 + {place} % 26), {MEGABYTE})"));
    let insert = format!("INSERT INTO t SELECT 1{}", values.collect::<String>());
    let rig = Rig::of(&format!("CREATE TABLE t (id int PRIMARY KEY{columns})"), "t").await?;
    let mut worker = rig.worker().await?;
    rig.source.run(&insert).await?;
    assert_eq!(rig.until_equal().await?, 1);
    worker.process().kill()?;
    let last = char::from(b'a' + ((WIDE - 1) % 26) as u8).to_string();
    let altered = format!("{}~", last.repeat(MEGABYTE - 1));
    rig.sink.rows(&format!("UPDATE app.t SET c{} = '{altered}' WHERE id = 1", WIDE - 1)).await?;
    let said = verify::run(&rig.settings, &["--patience", "1s"]).await?;
    ensure!(!said.equal && said.text.contains(&format!("id=1: differs in c{}\n", WIDE - 1)), "{}", said.text);
    Ok(())
}
