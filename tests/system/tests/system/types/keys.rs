//! Torture 16 and the end of the contract on types: keys of every type have one spelling, or are refused.

use anyhow::Result;

use super::super::rig::Rig;

/// The key column, two keys, and the text that StarRocks shows for them.
const KEYS: &[(&str, [&str; 2], [&str; 2])] = &[
    ("boolean", ["false", "true"], ["0", "1"]),
    (
        "bigint",
        ["-9223372036854775808", "9223372036854775807"],
        ["-9223372036854775808", "9223372036854775807"],
    ),
    ("numeric(18,0)", ["-999999999999999999", "7"], ["-999999999999999999", "7"]),
    (
        "numeric(38,0)",
        ["12345678901234567890123456789012345678", "0"],
        ["12345678901234567890123456789012345678", "0"],
    ),
    ("numeric(10,2)", ["1.50", "-0.10"], ["1.5", "-0.1"]),
    ("numeric", ["1.000", "'NaN'"], ["1", "NaN"]),
    ("float8", ["'-0'", "'NaN'"], ["0", "NaN"]),
    (
        "uuid",
        ["'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'", "'00000000-0000-0000-0000-000000000000'"],
        ["a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "00000000-0000-0000-0000-000000000000"],
    ),
    ("text COLLATE \"en_US\"", ["'a '", "'A'"], ["a ", "A"]),
    ("char(5)", ["'ab'", "' c'"], ["ab", " c"]),
    ("bytea", ["'\\x00ff'", "'\\x'"], ["00ff", ""]),
    ("date", ["'0001-01-01'", "'9999-12-31'"], ["0001-01-01", "9999-12-31"]),
    (
        "timestamptz",
        ["'2026-01-01 00:00:00.5+02'", "'2026-01-01 00:00+00'"],
        ["2025-12-31 22:00:00.500000", "2026-01-01 00:00:00"],
    ),
    ("time", ["'24:00:00'", "'00:00:00.1'"], ["24:00:00", "00:00:00.1"]),
    ("interval", ["'1 mon'", "'2 days'"], ["P1M", "P2D"]),
    ("mood", ["'sad'", "'happy'"], ["sad", "happy"]),
    ("positive", ["1", "2147483647"], ["1", "2147483647"]),
    ("inet", ["'10.0.0.1'", "'::1/64'"], ["10.0.0.1", "::1/64"]),
    ("bit(3)", ["B'101'", "B'000'"], ["101", "000"]),
    ("money", ["'1000'", "'-0.01'"], ["$1,000.00", "-$0.01"]),
];

const TYPES: &str = "
    CREATE TYPE mood AS ENUM ('sad', 'happy');
    CREATE DOMAIN positive AS int CHECK (VALUE > 0);
    CREATE COLLATION \"en_US\" (provider = icu, locale = 'en-US');
";

fn table(place: usize) -> String {
    format!("k{place}")
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_of_every_type_are_found_again_by_updates_and_deletes() -> Result<()> {
    let tables: Vec<_> = (0..KEYS.len()).map(table).collect();
    let creates: Vec<_> = KEYS
        .iter()
        .zip(&tables)
        .map(|((key, ..), table)| format!("CREATE TABLE {table} (k {key} PRIMARY KEY, v int)"))
        .collect();
    let rig = Rig::of(&format!("{TYPES} {}", creates.join(";")), &tables.join(",")).await?;
    let _worker = rig.worker().await?;
    for ((_, [one, other], _), table) in KEYS.iter().zip(&tables) {
        rig.source.run(&format!("INSERT INTO {table} VALUES ({one}, 1), ({other}, 1)")).await?;
        rig.source.run(&format!("UPDATE {table} SET v = 2; DELETE FROM {table} WHERE k = {other}")).await?;
        rig.source.run(&format!("INSERT INTO {table} VALUES ({other}, 3)")).await?;
    }
    for ((key, _, shown), table) in KEYS.iter().zip(&tables) {
        let mut expected =
            [[shown[0], "2"], [shown[1], "3"]].map(|row| row.map(|text| Some(text.to_owned())).to_vec());
        expected.sort();
        system::wait::until(key, async || {
            let mut found = rig.sink.rows(&format!("SELECT k, v FROM app.{table}")).await?;
            found.sort();
            anyhow::ensure!(found == expected, "{key}: {found:?}");
            Ok(Some(()))
        })
        .await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_changes_its_spelling_only_stays_one_row() -> Result<()> {
    let rig = Rig::of("CREATE TABLE t (k numeric PRIMARY KEY, v text)", "t").await?;
    let _worker = rig.worker().await?;
    let change =
        "INSERT INTO t VALUES (1.0, 'a'); UPDATE t SET k = 1.00, v = 'b'; UPDATE t SET k = 1.000, v = 'c'";
    rig.source.run(&format!("BEGIN; {change}; COMMIT; UPDATE t SET k = 1, v = 'd'")).await?;
    system::wait::until("the row is one", async || {
        let rows = rig.sink.rows("SELECT k, v, dbmazz_is_deleted FROM app.t").await?;
        let one = [["1", "d", "0"].map(|text| Some(text.to_owned())).to_vec()];
        anyhow::ensure!(rows == one, "{rows:?}");
        Ok(Some(()))
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_whose_equality_starrocks_does_not_have_is_refused_by_name() -> Result<()> {
    let types = "CREATE EXTENSION citext; CREATE COLLATION folded (provider = icu, locale = 'und-u-ks-level2', deterministic = false);";
    for key in ["citext", "text COLLATE folded", "jsonb", "int[]", "int4range"] {
        let rig = Rig::of(&format!("{types} CREATE TABLE t (code {key} PRIMARY KEY)"), "t").await?;
        let worker = system::worker::Worker::start(&rig.settings)?;
        let fault = worker.until_fault("UnsupportedColumnType").await?;
        assert!(fault.message.contains("code") && fault.message.contains("public.t"), "{}", fault.message);
    }
    Ok(())
}
