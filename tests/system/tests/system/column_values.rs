//! Changes of the values of a table's columns that the stream does not show: types whose modifiers or parts change, and
//! defaults.

use anyhow::{Context, Result, ensure};
use system::{verify, wait, worker::Worker};
use testbed::postgres::{Embedded, PostgresOptions};

use super::rig::{DATABASE, Rig};

pub(super) async fn on(major: u32, schema: &str, tables: &str) -> Result<Rig> {
    let binaries = Some(Embedded::of(major)?.binaries()?);
    Rig::with(PostgresOptions { binaries, ..PostgresOptions::default() }, schema, tables).await
}

pub(super) async fn columns_of(rig: &Rig, table: &str) -> Result<Vec<String>> {
    let rows = rig.sink.rows(&format!("DESC {DATABASE}.{table}")).await?;
    let names = rows.into_iter().filter_map(|row| row.into_iter().next().flatten());
    Ok(names.filter(|name| !name.starts_with("dbmazz_")).collect())
}

/// Writes rows before the change, then changes the table: it halts, and halts again after a restart.
pub(super) async fn halts(
    rig: &Rig,
    worker: &mut Worker,
    before: &str,
    change: &str,
    says: &str,
) -> Result<()> {
    rig.source.run(before).await?;
    rig.until_table_equal("t").await.with_context(|| worker.process().said())?;
    rig.source.run(change).await?;
    for _ in 0..2 {
        let fault =
            worker.until_fault("SourceSchemaChanged").await.with_context(|| worker.process().said())?;
        ensure!(fault.halted && fault.message.contains(says), "{}", fault.message);
        worker.crash()?;
    }
    Ok(())
}

/// Follows the remedy for a table whose earlier rows are not known, exactly as documented.
pub(super) async fn taken_anew(rig: &Rig, key: &str) -> Result<()> {
    rig.sink.rows(&format!("DROP TABLE {DATABASE}.t")).await?;
    rig.sink.rows(&format!("DELETE FROM {DATABASE}.dbmazz_tables WHERE target = 't'")).await?;
    wait::until("the target is made anew", async || {
        Ok(columns_of(rig, "t").await.ok().filter(|c| !c.is_empty()))
    })
    .await?;
    rig.source
        .run(&format!("ALTER TABLE t REPLICA IDENTITY FULL; UPDATE t SET {key} = {key}; ALTER TABLE t REPLICA IDENTITY DEFAULT"))
        .await?;
    rig.until_table_equal("t").await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_narrower_modifier_that_rounds_earlier_rows_halts_and_its_remedy_works() -> Result<()> {
    let schema = "CREATE TABLE t (id int PRIMARY KEY, ts timestamp, tz timestamptz(6), tm time, i interval)";
    let rig = Rig::of(schema, "t").await?;
    let mut worker = rig.worker().await?;
    let before = "INSERT INTO t VALUES (1, '2024-01-01 00:00:00.6', '2024-01-01 00:00:00.6+00', '12:00:00.6', '1.6 seconds')";
    let change = "ALTER TABLE t ALTER COLUMN ts TYPE timestamp(0), ALTER COLUMN tz TYPE timestamptz(0), \
                  ALTER COLUMN tm TYPE time(0), ALTER COLUMN i TYPE interval second(0); \
                  INSERT INTO t VALUES (3, '2024-01-01 00:00:00.4', '2024-01-01 00:00:00.4+00', '12:00:00.4', '1.4 seconds')";
    halts(&rig, &mut worker, before, change, "timestamp(0)").await?;
    taken_anew(&rig, "id").await?;
    // A wider type changes no row.
    rig.source
        .run(
            "ALTER TABLE t ALTER COLUMN ts TYPE timestamp(3), ALTER COLUMN tz TYPE timestamptz, \
                    ALTER COLUMN tm TYPE time, ALTER COLUMN i TYPE interval",
        )
        .await?;
    rig.source.run("INSERT INTO t VALUES (4, '2024-01-01 00:00:00.44', '2024-01-01 00:00:00.4+00', '12:00:00.4', '1.4 seconds')").await?;
    rig.until_table_equal("t").await?;
    assert_eq!(worker.status().await?.faults, []);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_modifier_that_changes_earlier_rows_is_noticed_while_the_worker_is_away() -> Result<()> {
    let columns = [
        ("timestamp(3)", "timestamp(1)", "'2024-01-01 00:00:00.67'"),
        ("timetz", "timetz(0)", "'12:00:00.6+00'"),
        ("interval", "interval hour to minute", "'1.6 seconds'"),
        ("numeric(10,2)", "numeric(10,1)", "1.25"),
        ("varchar(9)", "varchar(3)", "'abc   '"),
        ("char(3)", "char(5)", "'ab'"),
        ("bit(4)", "bit(8) USING v::bit(8)", "B'1010'"),
        ("timestamp[]", "timestamp(0)[]", "'{2024-01-01 00:00:00.6}'"),
        ("timestamp", "timestamptz", "'2024-01-01 00:00:00.6'"),
    ];
    let tables: Vec<_> = (0..columns.len()).map(|place| format!("t{place}")).collect();
    let create: Vec<_> = columns
        .iter()
        .zip(&tables)
        .map(|((from, ..), table)| format!("CREATE TABLE {table} (id int PRIMARY KEY, v {from})"))
        .collect();
    let rig = Rig::of(
        &format!("{}; CREATE TABLE u (id int PRIMARY KEY)", create.join(";")),
        &format!("{},u", tables.join(",")),
    )
    .await?;
    let mut worker = rig.worker().await?;
    for ((_, _, value), table) in columns.iter().zip(&tables) {
        rig.source.run(&format!("INSERT INTO {table} VALUES (1, {value})")).await?;
    }
    rig.until_equal().await?;
    worker.process().kill()?;
    for ((_, to, _), table) in columns.iter().zip(&tables) {
        rig.source
            .run(&format!("ALTER TABLE {table} ALTER v TYPE {to}; INSERT INTO {table} VALUES (2, NULL)"))
            .await?;
    }
    rig.source.run("INSERT INTO u VALUES (1)").await?;
    worker.crash()?;
    wait::until("every altered table halts, and no other", async || {
        let faults = worker.status().await?.faults;
        let mut halted: Vec<_> = faults
            .iter()
            .filter(|f| f.halted && f.reason == "SourceSchemaChanged")
            .map(|f| f.table.clone())
            .collect();
        halted.sort();
        let expected: Vec<_> = tables.iter().map(|table| format!("public.{table}")).collect();
        ensure!(halted == expected, "{faults:?}");
        Ok(Some(()))
    })
    .await?;
    verify::until_tables_equal(&rig.settings, &["u"]).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_numeric_that_grows_in_its_places_is_followed_through_a_backlog_of_several_steps() -> Result<()> {
    let rig = Rig::of("CREATE TABLE t (id int PRIMARY KEY, n numeric(12,2))", "t").await?;
    let mut worker = rig.worker().await?;
    rig.source.run("INSERT INTO t VALUES (1, 1)").await?;
    rig.until_table_equal("t").await?;
    worker.process().terminate().await?;
    for step in [
        "INSERT INTO t VALUES (2, 9999999999.99)",
        "ALTER TABLE t ALTER n TYPE numeric(14,4)",
        "INSERT INTO t VALUES (3, 1234567890.1234)",
        "ALTER TABLE t ALTER n TYPE numeric(20,5)",
        "INSERT INTO t VALUES (4, 123456789012345.12345)",
    ] {
        rig.source.run(step).await?;
    }
    worker.crash()?;
    rig.until_table_equal("t").await.with_context(|| worker.process().said())?;
    rig.source.run("ALTER TABLE t ALTER n TYPE numeric(22,6); INSERT INTO t VALUES (5, 1.123456)").await?;
    rig.until_table_equal("t").await.with_context(|| worker.process().said())?;
    rig.until_confirmed().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_default_that_is_set_after_the_column_was_added_is_none_of_earlier_rows() -> Result<()> {
    let rig = Rig::of("CREATE TABLE t (id int PRIMARY KEY, v text)", "t").await?;
    let mut worker = rig.worker().await?;
    rig.source.run("INSERT INTO t SELECT i, 'early' FROM generate_series(1, 20) i").await?;
    rig.until_table_equal("t").await?;
    for steps in [
        "ALTER TABLE t ADD COLUMN token uuid; ALTER TABLE t ALTER COLUMN token SET DEFAULT gen_random_uuid(); \
         UPDATE t SET token = gen_random_uuid() WHERE id <= 10; INSERT INTO t (id, v) VALUES (21, 'late')",
        "TRUNCATE t; INSERT INTO t (id, v) VALUES (22, 'later')",
        "ALTER TABLE t ADD COLUMN more int; INSERT INTO t (id, more) VALUES (23, 1)",
    ] {
        for step in steps.split("; ") {
            rig.source.run(step).await?;
        }
        rig.until_table_equal("t").await.with_context(|| worker.process().said())?;
    }
    assert_eq!(worker.status().await?.faults, []);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_default_of_each_row_that_is_dropped_at_once_is_not_taken_for_null() -> Result<()> {
    let rig = Rig::of("CREATE TABLE t (id int PRIMARY KEY, v text)", "t").await?;
    let mut worker = rig.worker().await?;
    let change = "BEGIN; ALTER TABLE t ADD COLUMN r float8 NOT NULL DEFAULT random(); ALTER TABLE t ALTER r DROP DEFAULT; COMMIT; \
                  INSERT INTO t VALUES (2, 'late', 1)";
    halts(&rig, &mut worker, "INSERT INTO t VALUES (1, 'early')", change, "column r").await?;
    taken_anew(&rig, "id").await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renamed_label_of_an_enum_halts_the_tables_that_hold_it() -> Result<()> {
    let schema = "CREATE TYPE e AS ENUM ('draft', 'sent'); CREATE TYPE k AS ENUM ('one', 'two'); CREATE DOMAIN d AS e; \
                  CREATE TABLE t (id int PRIMARY KEY, e e); CREATE TABLE keyed (k k PRIMARY KEY); \
                  CREATE TABLE many (id int PRIMARY KEY, l d[]); CREATE TABLE u (id int PRIMARY KEY)";
    let rig = Rig::of(schema, "t,keyed,many,u").await?;
    let mut worker = rig.worker().await?;
    rig.source
        .run(
            "INSERT INTO t VALUES (1, 'draft'), (2, 'sent'); INSERT INTO keyed VALUES ('one'); \
                    INSERT INTO many VALUES (1, '{draft,sent}')",
        )
        .await?;
    rig.until_equal().await?;
    // Adding a label changes no row.
    rig.source.run("ALTER TYPE e ADD VALUE 'lost' BEFORE 'sent'").await?;
    rig.source.run("INSERT INTO t VALUES (3, 'lost')").await?;
    rig.until_equal().await?;
    worker.crash()?;
    worker.until_ready().await?;
    // No change of a row follows it, so only a look at the catalogue finds it.
    rig.source
        .run("ALTER TYPE e RENAME VALUE 'draft' TO 'new'; ALTER TYPE k RENAME VALUE 'one' TO 'first'")
        .await?;
    for _ in 0..2 {
        wait::until("the tables halt", async || {
            let faults = worker.status().await?.faults;
            let mut halted: Vec<_> = faults
                .iter()
                .filter(|f| f.halted && f.reason == "SourceSchemaChanged")
                .map(|f| f.table.clone())
                .collect();
            halted.sort();
            ensure!(halted == ["public.keyed", "public.many", "public.t"], "{faults:?}");
            Ok(Some(()))
        })
        .await?;
        worker.crash()?;
    }
    taken_anew(&rig, "id").await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_composite_type_that_gains_or_loses_an_attribute_halts_the_tables_that_hold_it() -> Result<()> {
    let schema = "CREATE TYPE c AS (a int, b text); CREATE TABLE t (id int PRIMARY KEY, c c)";
    let rig = Rig::of(schema, "t").await?;
    let mut worker = rig.worker().await?;
    rig.source.run("INSERT INTO t VALUES (1, '(1,x)')").await?;
    rig.until_table_equal("t").await?;
    // The text of a composite value does not contain the names of its attributes.
    rig.source.run("ALTER TYPE c RENAME ATTRIBUTE b TO bb").await?;
    worker.crash()?;
    rig.until_table_equal("t").await?;
    let change = "ALTER TYPE c ADD ATTRIBUTE n int";
    halts(&rig, &mut worker, "INSERT INTO t VALUES (2, '(2,y)')", change, "column c").await?;
    taken_anew(&rig, "id").await
}

#[tokio::test(flavor = "multi_thread")]
async fn several_changes_in_one_statement_are_followed_or_halt_with_the_truth() -> Result<()> {
    let rig = Rig::of("CREATE TABLE t (id int PRIMARY KEY, a int, gone int, s varchar(5))", "t").await?;
    let mut worker = rig.worker().await?;
    rig.source.run("INSERT INTO t VALUES (1, 1, 1, 'x')").await?;
    rig.until_table_equal("t").await?;
    let several = "BEGIN; ALTER TABLE t ALTER s TYPE varchar(40), ADD COLUMN b int DEFAULT 5, DROP COLUMN gone; \
                   ALTER TABLE t RENAME a TO amount; COMMIT; INSERT INTO t VALUES (2, 2, 'longer than five', 6)";
    rig.source.run(several).await?;
    rig.until_table_equal("t").await.with_context(|| worker.process().said())?;
    let change = "ALTER TABLE t ALTER amount TYPE text USING 'n' || amount, ADD COLUMN c int, DROP COLUMN b; \
                  INSERT INTO t VALUES (3, 'n3', 'z', 1)";
    halts(&rig, &mut worker, "INSERT INTO t VALUES (4, 4, 'four', 4)", change, "column amount").await?;
    taken_anew(&rig, "id").await
}

/// Takes the table anew with the statements of the remedy, each one verbatim.
pub(crate) async fn send_again_as_told(rig: &Rig, fix: &str) -> Result<()> {
    let part = |from: &str, to: &str| -> Result<String> {
        let rest = fix.split_once(from).with_context(|| format!("{from} in {fix}"))?.1;
        Ok(format!("{from}{}", rest.split_once(to).with_context(|| format!("{to} in {fix}"))?.0))
    };
    let in_starrocks = |statement: &str, table: &str| {
        statement.replace(&format!("`{table}`"), &format!("{DATABASE}.{table}"))
    };
    if let Ok(add) = part("ALTER TABLE `t`", " in StarRocks") {
        rig.sink.rows(&in_starrocks(&add, "t")).await?;
    } else {
        rig.sink.rows(&in_starrocks(&part("DROP TABLE", " and then")?, "t")).await?;
        rig.sink.rows(&in_starrocks(&part("DELETE FROM", ";")?, "dbmazz_tables")).await?;
        wait::until("the target is made anew", async || {
            Ok(columns_of(rig, "t").await.ok().filter(|columns| !columns.is_empty()))
        })
        .await?;
    }
    if fix.contains(" and then UPDATE") {
        rig.source.run(&part("ALTER TABLE \"public\"", " (of a")?).await?;
    }
    rig.source.run(&part("UPDATE \"public\"", " so that")?).await
}

/// Defaults that StarRocks does not accept, and a default that it requires to be repeated.
#[tokio::test(flavor = "multi_thread")]
async fn defaults_that_starrocks_has_not_halt_and_a_widened_column_keeps_its_own() -> Result<()> {
    for (column, says) in [
        ("d double precision DEFAULT 'NaN'", "d"),
        ("d real DEFAULT 'Infinity'", "d"),
        ("d varchar(3) DEFAULT 'abc'", ""),
        ("d jsonb DEFAULT '{}'", "d"),
    ] {
        let rig = Rig::of("CREATE TABLE t (id int PRIMARY KEY); CREATE TABLE u (id int PRIMARY KEY)", "t,u")
            .await?;
        let mut worker = rig.worker().await?;
        rig.source.run("INSERT INTO t VALUES (1)").await?;
        rig.until_table_equal("t").await?;
        rig.source.run(&format!("ALTER TABLE t ADD COLUMN {column}; INSERT INTO t (id) VALUES (2)")).await?;
        rig.source.run("INSERT INTO u VALUES (1)").await?;
        rig.until_table_equal("u").await?;
        if says.is_empty() {
            // The default is repeated when the column becomes wider; otherwise StarRocks refuses the statement.
            rig.until_table_equal("t").await?;
            rig.source
                .run("ALTER TABLE t ALTER d TYPE varchar(30); INSERT INTO t VALUES (3, 'a longer one')")
                .await?;
            rig.until_table_equal("t").await.with_context(|| worker.process().said())?;
            let shown = rig.sink.rows(&format!("SHOW CREATE TABLE {DATABASE}.t")).await?;
            let shown = shown.into_iter().flatten().flatten().next_back().unwrap_or_default();
            ensure!(shown.contains("DEFAULT \"abc\""), "{shown}");
            assert_eq!(worker.status().await?.faults, []);
            continue;
        }
        let seen = wait::until("the table is equal, or halts with a remedy", async || {
            let faults = worker.status().await?.faults;
            if let Some(fault) = faults.into_iter().find(|fault| fault.table == "public.t" && fault.halted) {
                return Ok(Some(Some(fault)));
            }
            Ok(verify::run(&rig.settings, &["--table", "t"]).await?.equal.then_some(None))
        })
        .await?;
        let fault = seen.with_context(|| format!("{column} was filled without a word"))?;
        ensure!(fault.message.contains("column d"), "{fault:?}");
        send_again_as_told(&rig, &fault.fix).await.with_context(|| format!("{column}: {}", fault.fix))?;
        rig.until_table_equal("t").await.with_context(|| format!("{column}: {}", fault.fix))?;
    }
    Ok(())
}
