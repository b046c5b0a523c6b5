//! Values of every type at the limits of its range, and the handling of values that StarRocks cannot hold.

mod agreement;
mod every;
mod keys;
mod names;
mod refused;
mod rules;

use anyhow::Result;

use super::rig::Rig;

const TABLE: &str = "
    CREATE TYPE mood AS ENUM ('sad', 'happy');
    CREATE DOMAIN positive AS int CHECK (VALUE > 0);
    CREATE TABLE t (
        id bigint PRIMARY KEY, b boolean, i2 smallint, i4 integer, i8 bigint, o oid,
        r real, d double precision, n numeric(20,6), wide numeric(38,10), free numeric,
        t text, v varchar(10), c char(6), u uuid, m mood, p positive,
        day date, ts timestamp, tz timestamptz, clock time, gap interval, j json, jb jsonb, ip inet, bits bit(4)
    );
";

const EDGES: &str = "
    INSERT INTO t (id) VALUES (-9223372036854775808), (9223372036854775807);
    INSERT INTO t VALUES
        (1, true, 32767, 2147483647, 9223372036854775807, 4294967295, 3.4028235e38, 1.7976931348623157e308,
         99999999999999.999999, 9999999999999999999999999999.9999999999, 1e-30, 'text', 'ten chars.', 'ab',
         'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', 'happy', 1, '9999-12-31', '9999-12-31 23:59:59.999999',
         '2026-06-01 12:00:00.123456+05:30', '23:59:59.999999', '1 year 2 mons 3 days 04:05:06', '{\"a\": [1, 2.5, null]}',
         '{\"big\": 9007199254740993, \"s\": \"\\u00e9\"}', '10.0.0.1/8', B'1010'),
        (2, false, -32768, -2147483648, -9223372036854775808, 0, -1.1754944e-38, -0.0, -99999999999999.999999, 0.0000000001,
         123456789012345678901234567890.123456789, '', '', '', '00000000-0000-0000-0000-000000000000', 'sad', 2147483647,
         '0001-01-01', '0001-01-01 00:00:00', '1970-01-01 00:00:00+00', '00:00:00', '-1 days', '\"text\"', '[null]', '::1', B'0000'),
        (3, NULL, NULL, NULL, NULL, NULL, 'NaN', 'Infinity', NULL, NULL, 'NaN', E'\\u0001\\b\\f\\n\\r\\t\"\\\\/', 'é中🦀', 'é', NULL, NULL, NULL,
         '2024-02-29', '2024-02-29 00:00:00.000001', '2024-02-29 23:59:59.999999-08', '12:00', '0', 'true', '[]', NULL, NULL);
    UPDATE t SET t = repeat('ünïcode ', 5000) WHERE id = 1;
";

#[tokio::test(flavor = "multi_thread")]
async fn values_at_the_edges_of_their_types_arrive_as_they_are() -> Result<()> {
    let rig = Rig::of(TABLE, "t").await?;
    let _worker = rig.worker().await?;
    rig.source.run(EDGES).await?;
    assert_eq!(rig.until_table_equal("t").await?, 5);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn hard_deletes_and_text_keys_work_together() -> Result<()> {
    let schema = "CREATE TABLE t (code text, day date, n numeric(10,2), PRIMARY KEY (code, day))";
    let mut rig = Rig::of(schema, "t").await?;
    rig.settings = rig.settings.clone().with("DBMAZZ_DELETES", "Hard");
    let _worker = rig.worker().await?;
    rig.source
        .run("INSERT INTO t SELECT 'c' || i, date '2026-01-01' + i, i / 100.0 FROM generate_series(1, 100) i")
        .await?;
    rig.source.run("DELETE FROM t WHERE n < 0.50; UPDATE t SET day = day + 1000 WHERE n > 0.90").await?;
    rig.until_table_equal("t").await?;
    let live = rig.source.value("SELECT count(*) FROM t").await?;
    assert_eq!(rig.sink.value("SELECT COUNT(*) FROM app.t").await?, live, "deleted rows are gone");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_that_starrocks_cannot_hold_halts_its_table_and_is_not_logged() -> Result<()> {
    let rig = Rig::of("CREATE TABLE t (id int PRIMARY KEY, day date, secret text)", "t").await?;
    let mut worker = rig.worker().await?;
    rig.source.run("INSERT INTO t VALUES (1, 'infinity', 'do not print me')").await?;
    let fault = worker.until_fault("ValueNotRepresentable").await?;
    assert!(fault.message.contains("column day of table public.t"), "{}", fault.message);
    assert!(!worker.process().said().contains("do not print me"));
    Ok(())
}
