//! Two million rows that exist before the job.

use anyhow::Result;
use system::{source::Source, workload};

/// The keys of the traffic: most of its orders exist.
pub(crate) const KEYS: u32 = 500_000;

/// A key is faster made of all rows than kept up to date with each.
const CUSTOMERS: &str = "
    ALTER TABLE customers DROP CONSTRAINT customers_pkey;
    INSERT INTO customers
        SELECT 'r' || i % 5, 'c' || i, 'customer ' || i, i % 100, i FROM generate_series(0, 1599999) i;
    ALTER TABLE customers ADD PRIMARY KEY (region, code);
    -- Changes look for it, and would read the whole table each time.
    CREATE INDEX ON customers (code);
    VACUUM (FREEZE, ANALYZE) customers";

const ORDERS: &str = "
    ALTER TABLE orders DROP CONSTRAINT orders_pkey;
    INSERT INTO orders
        SELECT i, 'customer ' || i % 5000, i % 100000 / 100.0, i % 2 = 0, i / 3.0, moment, moment AT TIME ZONE 'UTC',
               moment::date, NULL, 'order ' || i
        FROM generate_series(0, 399999) i, LATERAL (SELECT timestamp '2026-01-01' + i * interval '1 minute') of (moment);
    ALTER TABLE orders ADD PRIMARY KEY (id);
    VACUUM (FREEZE, ANALYZE) orders";

/// Fills the tables, both at once.
pub(crate) async fn fill(url: &str) -> Result<()> {
    Source::connect(url).await?.run(workload::SCHEMA).await?;
    tokio::try_join!(run(url, CUSTOMERS), run(url, ORDERS)).map(drop)
}

/// One statement after another: `VACUUM` runs in no transaction.
async fn run(url: &str, statements: &str) -> Result<()> {
    let source = Source::connect(url).await?;
    for statement in statements.split(';') {
        source.run(statement).await?;
    }
    Ok(())
}
