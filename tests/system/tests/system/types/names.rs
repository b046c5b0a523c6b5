//! Torture 25: names of every kind arrive unchanged, or only their table is refused, with a reason.

use anyhow::Result;
use system::wait;

use super::super::rig::Rig;

const LONG: &str = "a_name_that_is_as_long_as_postgresql_takes_it_which_is_63_bytes";

#[tokio::test(flavor = "multi_thread")]
async fn columns_of_every_name_arrive() -> Result<()> {
    let names = [
        "MixedCase",
        "with space",
        "quote\"s",
        "apostrophe's",
        "dot.ted",
        "select",
        "Größe",
        "列",
        "comma,",
        "semi;",
        "back\\slash",
        "(paren)",
        "a:b",
        "🦀",
        LONG,
    ];
    let quoted = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
    let columns: Vec<_> = names.iter().map(|name| format!("{} text, ", quoted(name))).collect();
    let schema = format!("CREATE TABLE t ({} raw bytea, \"the key\" int PRIMARY KEY)", columns.concat());
    let rig = Rig::of(&schema, "t").await?;
    let _worker = rig.worker().await?;
    let values: Vec<_> = (0..names.len()).map(|place| format!("'{place}'")).collect();
    rig.source.run(&format!("INSERT INTO t VALUES ({}, '\\x41', 1)", values.join(", "))).await?;
    wait::until("the row is there", async || {
        Ok((rig.sink.value("SELECT COUNT(*) FROM app.t").await?.as_deref() == Some("1")).then_some(()))
    })
    .await?;
    for (place, name) in names.iter().enumerate() {
        let found = rig.sink.value(&format!("SELECT `{name}` FROM app.t")).await?;
        assert_eq!(found, Some(place.to_string()), "{name}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_of_every_name_arrive_and_one_that_starrocks_cannot_express_halts_alone() -> Result<()> {
    let fine = ["MixedCase", "select", LONG, "do$lar"];
    let schemas = ["public", "sales", "Other"];
    let mut tables: Vec<(String, String)> =
        fine.iter().map(|name| ("public".to_owned(), (*name).to_owned())).collect();
    tables.extend(schemas.map(|schema| (schema.to_owned(), "t".to_owned())));
    let refused = ["with space", "Größe", "two``backticks"];
    let creates = tables
        .iter()
        .map(|(schema, name)| format!("CREATE TABLE \"{schema}\".\"{name}\" (id int PRIMARY KEY);"));
    let odd = refused.iter().map(|name| format!("CREATE TABLE \"{name}\" (id int PRIMARY KEY);"));
    let columns = "CREATE TABLE twice (id int PRIMARY KEY, a int, \"A\" int); CREATE TABLE \"time\" (id int PRIMARY KEY, \"a=b\" int);";
    let schema: String = ["CREATE SCHEMA sales; CREATE SCHEMA \"Other\";".to_owned(), columns.to_owned()]
        .into_iter()
        .chain(creates)
        .chain(odd)
        .collect();
    let mut list: Vec<_> = tables.iter().map(|(schema, name)| format!("{schema}.{name}")).collect();
    list.extend(refused.iter().chain(&["twice", "time"]).map(|name| format!("public.{name}")));
    let rig = Rig::of(&schema, &list.join(",")).await?;
    let worker = system::worker::Worker::start(&rig.settings)?;
    worker.until_fault("UnsupportedName").await?;
    wait::until("each of the five is named", async || {
        let faults = worker.status().await?.faults;
        let named = faults
            .iter()
            .filter(|fault| fault.reason == "UnsupportedName" && fault.halted && !fault.fix.is_empty());
        Ok((named.count() == 5).then_some(()))
    })
    .await?;
    for (place, (schema, name)) in tables.iter().enumerate() {
        rig.source.run(&format!("INSERT INTO \"{schema}\".\"{name}\" VALUES ({place})")).await?;
    }
    rig.source.run("INSERT INTO \"with space\" VALUES (1)").await?;
    for (place, (schema, name)) in tables.iter().enumerate() {
        let target = if schema == "public" { name.clone() } else { format!("{schema}__{name}") };
        wait::until(&target, async || {
            let found = rig.sink.value(&format!("SELECT id FROM app.`{target}`")).await?;
            Ok((found == Some(place.to_string())).then_some(()))
        })
        .await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_cannot_be_prepared_halts_alone_and_keeps_its_wal() -> Result<()> {
    let schema = "CREATE TABLE bad (k int4range PRIMARY KEY); CREATE TABLE good (id int PRIMARY KEY)";
    let rig = Rig::of(schema, "bad,good").await?;
    let worker = system::worker::Worker::start(&rig.settings)?;
    let fault = worker.until_fault("UnsupportedColumnType").await?;
    assert_eq!((fault.table.as_str(), fault.halted), ("public.bad", true));
    let before = rig.source.value("SELECT pg_current_wal_insert_lsn()").await?.unwrap_or_default();
    rig.source.run("INSERT INTO bad VALUES ('[1,2)'); INSERT INTO good VALUES (1)").await?;
    rig.until_table_equal("good").await?;
    let kept = rig.slot(&format!("confirmed_flush_lsn <= '{before}'")).await?;
    assert_eq!(kept.as_deref(), Some("t"), "the position waits for a person");
    Ok(())
}
