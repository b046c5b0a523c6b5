//! Torture 24: one column for each type, with a value at the limit of its range, and its text in StarRocks.

use anyhow::{Context, Result};
use serde_json::Value as Json;

use super::super::rig::Rig;

const TYPES: &str = "
    CREATE EXTENSION hstore; CREATE EXTENSION citext;
    CREATE TYPE mood AS ENUM ('sad', 'so happy');
    CREATE TYPE pair AS (a int, b text);
    CREATE DOMAIN positive AS int CHECK (VALUE > 0);
    CREATE DOMAIN digit AS positive CHECK (VALUE < 10);
    CREATE DOMAIN price AS numeric(12,3);
    CREATE DOMAIN counts AS int[];
    CREATE TYPE floatrange AS RANGE (subtype = float8);
    CREATE COLLATION folded (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
";

/// A type, a value of it in SQL, and the text that StarRocks shows.
type Case = (&'static str, &'static str, &'static str);

const NUMBERS: &[Case] = &[
    ("boolean", "true", "1"),
    ("smallint", "-32768", "-32768"),
    ("int", "2147483647", "2147483647"),
    ("bigint", "-9223372036854775808", "-9223372036854775808"),
    ("oid", "4294967295", "4294967295"),
    ("xid", "'4294967295'", "4294967295"),
    ("xid8", "'18446744073709551615'", "18446744073709551615"),
    ("real", "'-0'", "-0"),
    ("real", "'3.4028235e38'", "3.4028235e+38"),
    ("float8", "'NaN'", "nan"),
    ("float8", "'-Infinity'", "-inf"),
    ("numeric(38,0)", "99999999999999999999999999999999999999", "99999999999999999999999999999999999999"),
    (
        "numeric(38,38)",
        "0.00000000000000000000000000000000000001",
        "0.00000000000000000000000000000000000001",
    ),
    ("numeric(3,-2)", "12345", "12300"),
    ("numeric(2,4)", "0.0012", "0.0012"),
    ("numeric(39,0)", "'NaN'", "NaN"),
    ("numeric(50,10)", "1.5", "1.5000000000"),
    ("numeric", "'Infinity'", "Infinity"),
    ("numeric", "1e-20 + 1e20", "100000000000000000000.00000000000000000001"),
    ("money", "'-1234.5'", "-1234.50"),
    ("money", "'92233720368547758.07'", "92233720368547758.07"),
    ("price", "0.001", "0.001"),
    ("digit", "9", "9"),
];

const TEXTS: &[Case] = &[
    ("text", "E'\\x01\\x1f\"\\\\/\\t\\r\\n'", "\u{1}\u{1f}\"\\/\t\r\n"),
    ("text", "E'\\u2028\\u0085🦀'", "\u{2028}\u{85}🦀"),
    ("text", "''", ""),
    ("varchar(3)", "'🦀🦀🦀'", "🦀🦀🦀"),
    ("char(4)", "'ab'", "ab  "),
    ("\"char\"", "'x'", "x"),
    ("name", "'a name'", "a name"),
    ("citext", "'MiXed'", "MiXed"),
    ("text COLLATE folded", "'Folded'", "Folded"),
    ("xml", "'<a b=\"1\">&amp;</a>'", "<a b=\"1\">&amp;</a>"),
    ("uuid", "'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
    ("mood", "'so happy'", "so happy"),
    ("tsvector", "'a:1 fat:2B'", "'a':1 'fat':2B"),
    ("tsquery", "'a & b'", "'a' & 'b'"),
    ("jsonpath", "'$.a'", "$.\"a\""),
    ("inet", "'2001:db8::1.2.3.4/64'", "2001:db8::102:304/64"),
    ("cidr", "'10.0.0.0/8'", "10.0.0.0/8"),
    ("macaddr", "'08:00:2b:01:02:03'", "08:00:2b:01:02:03"),
    ("macaddr8", "'08:00:2b:01:02:03:04:05'", "08:00:2b:01:02:03:04:05"),
    ("bit(5)", "B'10110'", "10110"),
    ("varbit", "B''", ""),
    ("pg_lsn", "'FFFFFFFF/FFFFFFFF'", "FFFFFFFF/FFFFFFFF"),
    ("tid", "'(4294967295,65535)'", "(4294967295,65535)"),
    ("regclass", "'pg_class'", "pg_class"),
    ("regtype", "'int'", "integer"),
    ("int2vector", "'1 2'", "1 2"),
    ("point", "'(1.5,-0)'", "(1.5,-0)"),
    ("line", "'{1,2,3}'", "{1,2,3}"),
    ("lseg", "'[(1,2),(3,4)]'", "[(1,2),(3,4)]"),
    ("box", "'(3,4),(1,2)'", "(3,4),(1,2)"),
    ("path", "'[(1,2),(3,4)]'", "[(1,2),(3,4)]"),
    ("polygon", "'((1,2),(3,4),(5,6))'", "((1,2),(3,4),(5,6))"),
    ("circle", "'<(1,2),3>'", "<(1,2),3>"),
    ("int4range", "'(1,5]'", "[2,6)"),
    ("tstzrange", "'[2026-01-01 00:00+02,)'", "[\"2025-12-31 22:00:00+00\",)"),
    ("int8multirange", "'{[1,3),[5,7)}'", "{[1,3),[5,7)}"),
    ("floatrange", "'[0.1,inf)'", "[0.1,Infinity)"),
    ("pair", "'(1,\"a \"\"b\"\"\")'", "(1,\"a \"\"b\"\"\")"),
    ("bytea", "'\\x'", ""),
    ("bytea", "'\\x00410a22e282ac'", "\0A\n\"€"),
];

const TIMES: &[Case] = &[
    ("date", "'0001-01-01'", "0001-01-01"),
    ("date", "'9999-12-31'", "9999-12-31"),
    ("timestamp", "'0001-01-01 00:00:00.000001'", "0001-01-01 00:00:00.000001"),
    ("timestamptz", "'9999-12-31 23:59:59.999999+00'", "9999-12-31 23:59:59.999999"),
    ("timestamptz", "'2026-06-01 01:00:00+05:30'", "2026-05-31 19:30:00"),
    ("time", "'24:00:00'", "24:00:00"),
    ("time(0)", "'12:34:56.7'", "12:34:57"),
    ("timetz", "'24:00:00-15:59:59'", "24:00:00-15:59:59"),
    ("interval", "'-178000000 years 3 days 04:05:06.789'", "P-178000000Y3DT4H5M6.789S"),
    ("interval", "'0'", "PT0S"),
];

/// Types that StarRocks shows as JSON: compared as values.
const JSON: &[Case] = &[
    (
        "jsonb",
        r#"'{"big": 9007199254740993, "n": [0.1, 1e300, null], "s": "\u00e9\ud83d\ude00"}'"#,
        r#"{"big": 9007199254740993, "n": [0.1, 1e300, null], "s": "é😀"}"#,
    ),
    (
        "json",
        r#"' {"b" : 1,
        "a" : "x\ty" } '"#,
        r#"{"a": "x\ty", "b": 1}"#,
    ),
    ("jsonb", "'\"text\"'", "\"text\""),
    ("jsonb", "'18446744073709551615'", "18446744073709551615"),
    ("int[]", "'{}'", "[]"),
    ("int[]", "'{1,NULL,-3}'", "[1,null,-3]"),
    ("int[]", "'[-1:0]={1,2}'", "[1,2]"),
    ("bigint[]", "'{{1,2},{3,9223372036854775807}}'", "[[1,2],[3,9223372036854775807]]"),
    (
        "numeric[]",
        "'{1.50,NaN,123456789012345678901234567890.5}'",
        r#"["1.50","NaN","123456789012345678901234567890.5"]"#,
    ),
    ("float8[]", "'{0.1,NaN,-Infinity,1e300}'", r#"[0.1,"NaN","-Infinity",1e300]"#),
    ("boolean[]", "'{t,f,NULL}'", "[true,false,null]"),
    ("text[]", r#"'{a,"b c","",NULL,"NULL","q\"\\","{,}"}'"#, r#"["a","b c","",null,"NULL","q\"\\","{,}"]"#),
    ("varchar(5)[]", "'{é}'", r#"["é"]"#),
    ("timestamptz[]", "'{infinity,2026-01-01 00:00+02}'", r#"["infinity","2025-12-31 22:00:00+00"]"#),
    ("bytea[]", "ARRAY['\\x00ff'::bytea]", r#"["\\x00ff"]"#),
    ("jsonb[]", r#"ARRAY['{"a": [1, "\""]}'::jsonb, NULL]"#, r#"[{"a": [1, "\""]}, null]"#),
    ("box[]", "'{(3,4),(1,2);(1,1),(0,0)}'", r#"["(3,4),(1,2)","(1,1),(0,0)"]"#),
    ("mood[]", "'{\"so happy\",sad}'", r#"["so happy","sad"]"#),
    ("pair[]", "ARRAY[ROW(1,'a b')::pair]", r#"["(1,\"a b\")"]"#),
    ("int4range[]", "'{\"[1,3)\"}'", r#"["[1,3)"]"#),
    ("digit[]", "'{1,2}'", "[1,2]"),
    ("counts", "'{4,5}'", "[4,5]"),
    ("counts[]", "ARRAY['{4,5}'::counts]", r#"["{4,5}"]"#),
    ("hstore", r#"'a=>1, "b c"=>NULL, "q\""=>"\\"'"#, r#"{"a": "1", "b c": null, "q\"": "\\"}"#),
    ("hstore", "''", "{}"),
];

fn cases() -> Vec<(Case, bool)> {
    let plain = [NUMBERS, TEXTS, TIMES].concat().into_iter().map(|case| (case, false));
    plain.chain(JSON.iter().map(|case| (*case, true))).collect()
}

/// A table with a column of each type.
fn schema() -> String {
    let columns: Vec<_> =
        cases().iter().enumerate().map(|(place, ((name, ..), _))| format!("c{place} {name}")).collect();
    format!("{TYPES} CREATE TABLE t (id int PRIMARY KEY, {})", columns.join(", "))
}

/// A row of nulls, and a row of the values.
fn insert() -> String {
    let values: Vec<_> = cases().iter().map(|((_, value, _), _)| *value).collect();
    format!("INSERT INTO t (id) VALUES (0); INSERT INTO t VALUES (1, {})", values.join(", "))
}

#[tokio::test(flavor = "multi_thread")]
async fn every_type_arrives_at_its_edges_and_as_null() -> Result<()> {
    let rig = Rig::of(&schema(), "t").await?;
    let _worker = rig.worker().await?;
    rig.source.run(&insert()).await?;
    rig.source.run("UPDATE t SET c0 = true WHERE id = 1").await?;
    arrives(&rig).await
}

#[tokio::test(flavor = "multi_thread")]
async fn every_type_is_copied_at_its_edges_and_as_null() -> Result<()> {
    let mut rig = Rig::of(&format!("{}; {}", schema(), insert()), "t").await?;
    rig.settings = rig.settings.clone().with("DO_SNAPSHOT", "true");
    let _worker = rig.worker().await?;
    arrives(&rig).await
}

async fn arrives(rig: &Rig) -> Result<()> {
    let cases = cases();
    system::wait::until("both rows are there", async || {
        Ok((rig.sink.value("SELECT COUNT(*) FROM app.t").await?.as_deref() == Some("2")).then_some(()))
    })
    .await?;
    let shown: Vec<_> = (0..cases.len()).map(|place| format!("c{place}")).collect();
    let rows = rig.sink.rows(&format!("SELECT {} FROM app.t ORDER BY id", shown.join(", "))).await?;
    let [nulls, edges] = rows.as_slice() else { anyhow::bail!("two rows") };
    assert!(nulls.iter().all(Option::is_none), "{nulls:?}");
    for (((name, value, expected), json), found) in cases.iter().zip(edges) {
        let found = found.as_deref().with_context(|| format!("{name} {value} is null"))?;
        if *json {
            let [expected, found] = [expected, &found].map(|text| serde_json::from_str::<Json>(text));
            assert_eq!(found?, expected?, "{name} {value}");
        } else {
            assert_eq!(found, *expected, "{name} {value}");
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn texts_and_bytes_arrive_at_their_longest_and_are_copied_so() -> Result<()> {
    let mut rig = Rig::of("CREATE TABLE t (id int PRIMARY KEY, v text, raw bytea)", "t").await?;
    let insert =
        "INSERT INTO t SELECT id, repeat('x', length), decode(repeat('00', length), 'hex') FROM (VALUES";
    rig.source.run(&format!("{insert} (1, 65533), (2, 65534)) row(id, length)")).await?;
    rig.settings = rig.settings.clone().with("DO_SNAPSHOT", "true");
    let _worker = rig.worker().await?;
    rig.source.run(&format!("{insert} (3, 1048576)) row(id, length)")).await?;
    system::wait::until("all rows are there", async || {
        Ok((rig.sink.value("SELECT COUNT(*) FROM app.t").await?.as_deref() == Some("3")).then_some(()))
    })
    .await?;
    let rows = rig.sink.rows("SELECT v, raw FROM app.t ORDER BY id").await?;
    let lengths: Vec<_> =
        rows.iter().map(|row| row.iter().flatten().map(String::len).collect::<Vec<_>>()).collect();
    assert_eq!(lengths, [[65_533; 2], [65_534; 2], [1_048_576; 2]]);
    Ok(())
}
