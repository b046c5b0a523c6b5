//! Values that StarRocks cannot hold: each halts its table, or is replaced as the job's rule says, and counted.

use anyhow::Result;

use super::super::rig::Rig;

const TABLE: &str = "CREATE TABLE t (id int PRIMARY KEY, day date, at timestamptz, n numeric(10,2), j json, b jsonb, v text, raw bytea)";

/// A column, and a value of it that StarRocks cannot hold.
const UNFIT: &[(&str, &str)] = &[
    ("day", "'infinity'"),
    ("day", "'0044-03-15 BC'"),
    ("day", "'5874897-12-31'"),
    ("at", "'-infinity'"),
    ("at", "'294276-12-31 23:59:59.999999+00'"),
    ("at", "'4713-01-01 00:00:00+00 BC'"),
    ("n", "'NaN'"),
    ("j", "'1e400'"),
    ("j", r#"'{"a": 1, "a": 2}'"#),
    ("j", r#"'"\u0000"'"#),
    ("j", r#"'"\ud800"'"#),
    ("j", "(repeat('[', 1001) || repeat(']', 1001))::json"),
    ("b", "'1234567890123456789012345678901234567890'"),
    ("b", "'null'"),
    ("v", "repeat('x', 1048577)"),
    ("raw", "decode(repeat('00', 1048577), 'hex')"),
];

fn insert(table: &str, id: usize, (column, value): &(&str, &str)) -> String {
    format!("INSERT INTO {table} (id, {column}) VALUES ({id}, {value})")
}

fn inserts() -> String {
    let inserts: Vec<_> = UNFIT.iter().enumerate().map(|(id, unfit)| insert("t", id, unfit)).collect();
    inserts.join(";")
}

async fn until_rows(rig: &Rig, rows: usize) -> Result<()> {
    system::wait::until("the rows are there", async || {
        let count = rig.sink.value("SELECT COUNT(*) FROM app.t").await?;
        Ok((count == Some(rows.to_string())).then_some(()))
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn each_value_that_starrocks_cannot_hold_halts_its_table_by_default() -> Result<()> {
    let tables: Vec<_> = (0..UNFIT.len()).map(|place| format!("t{place}")).collect();
    let create = |table: &String| TABLE.replace("TABLE t", &format!("TABLE {table}"));
    let creates: Vec<_> = tables.iter().map(create).collect();
    let rig = Rig::of(&creates.join(";"), &tables.join(",")).await?;
    let worker = rig.worker().await?;
    for (table, unfit) in tables.iter().zip(UNFIT) {
        rig.source.run(&insert(table, 1, unfit)).await?;
    }
    for (table, unfit) in tables.iter().zip(UNFIT) {
        let column = format!("column {} of table public.{table} ", unfit.0);
        system::wait::until(&format!("{unfit:?} halts its table"), async || {
            let faults = worker.status().await?.faults;
            let mut named = faults.iter().filter(|fault| fault.reason == "ValueNotRepresentable");
            let named = named.find(|fault| fault.message.contains(&column));
            Ok(named.is_some_and(|fault| fault.fix.contains("sink.starrocks.values.")).then_some(()))
        })
        .await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn with_the_rule_null_the_others_flow_and_each_is_counted() -> Result<()> {
    let mut rig = Rig::of(TABLE, "t").await?;
    for rule in ["DATES", "DECIMALS", "JSON", "TOO_LONG"] {
        rig.settings = rig.settings.clone().with(&format!("DBMAZZ_VALUES_{rule}"), "Null");
    }
    let worker = rig.worker().await?;
    rig.source.run(&inserts()).await?;
    until_rows(&rig, UNFIT.len()).await?;
    let whole = "SELECT COUNT(*) FROM app.t WHERE day IS NULL AND at IS NULL AND n IS NULL AND j IS NULL AND b IS NULL AND v IS NULL AND raw IS NULL";
    assert_eq!(rig.sink.value(whole).await?, Some(UNFIT.len().to_string()));
    let (_, metrics) = worker.http("/metrics")?;
    for (rule, count) in [("date_null", 6), ("decimal_null", 1), ("json_null", 7), ("too_long_null", 2)] {
        let line = format!("dbmazz_table_altered_values_total{{table=\"public.t\",rule=\"{rule}\"}} {count}");
        assert!(metrics.contains(&line), "{line}: {metrics}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn with_the_rule_text_every_value_is_stored_as_it_is() -> Result<()> {
    let mut rig = Rig::of(TABLE, "t").await?;
    for rule in ["DATES", "DECIMALS", "JSON"] {
        rig.settings = rig.settings.clone().with(&format!("DBMAZZ_VALUES_{rule}"), "Text");
    }
    rig.settings = rig.settings.clone().with("DBMAZZ_VALUES_TOO_LONG", "Truncate");
    let _worker = rig.worker().await?;
    rig.source.run(&inserts()).await?;
    until_rows(&rig, UNFIT.len()).await?;
    for (id, (column, _)) in
        UNFIT.iter().enumerate().filter(|(_, (column, _))| !matches!(*column, "v" | "raw"))
    {
        let expected = rig.source.value(&format!("SELECT {column}::text FROM t WHERE id = {id}")).await?;
        assert_eq!(rig.sink.value(&format!("SELECT {column} FROM app.t WHERE id = {id}")).await?, expected);
    }
    let rows = rig.sink.rows("SELECT v, raw FROM app.t WHERE v IS NOT NULL OR raw IS NOT NULL").await?;
    assert!(rows.iter().flatten().flatten().all(|value| value.len() == 1_048_576));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn with_the_rule_round_a_json_number_becomes_a_double() -> Result<()> {
    let mut rig = Rig::of(TABLE, "t").await?;
    rig.settings = rig.settings.clone().with("DBMAZZ_VALUES_JSON_NUMBERS", "Round");
    let worker = rig.worker().await?;
    rig.source.run("INSERT INTO t (id, b) VALUES (1, '[1e40, 0.1234567890123456789]')").await?;
    until_rows(&rig, 1).await?;
    let text = rig.sink.value("SELECT b FROM app.t").await?.unwrap_or_default();
    let found: Vec<f64> = serde_json::from_str(&text)?;
    assert_eq!(found, [1e40, 0.123_456_789_012_345_68]);
    assert!(worker.http("/metrics")?.1.contains("rule=\"json_number_rounded\"} 1"));
    Ok(())
}
