//! Every PostgreSQL from 13 to 18: the same job and the same kills, and both sides end equal.

use anyhow::Result;
use system::workload::{SCHEMA, Workload};
use testbed::postgres::{Embedded, PostgresOptions};

use super::rig::Rig;

/// Inserts, updates, deletes, changes of keys and updates that leave large values alone, while the worker is killed.
async fn survives_kills(major: u32) -> Result<()> {
    let options =
        PostgresOptions { binaries: Some(Embedded::of(major)?.binaries()?), ..PostgresOptions::default() };
    let rig = Rig::with(options, SCHEMA, "orders,customers").await?;
    assert_eq!(rig.postgres.version()?, major);
    let mut worker = rig.worker().await?;
    let mut workload = Workload::new(u64::from(major), 100);
    for _ in 0..4 {
        let loads = rig.loads()?;
        rig.write(&mut workload, 25).await?;
        rig.until_loaded_after(loads).await?;
        worker.crash()?;
    }
    rig.write(&mut workload, 25).await?;
    rig.source.run("UPDATE orders SET amount = 1; UPDATE orders SET id = id + 1000, note = 'new'").await?;
    assert!(rig.until_equal().await? > 50);
    rig.until_confirmed().await?;
    Ok(())
}

macro_rules! versions {
    ($($name:ident: $major:literal),+ $(,)?) => {
        $(#[tokio::test(flavor = "multi_thread")]
        async fn $name() -> Result<()> {
            survives_kills($major).await
        })+
    };
}

// Version 15 is missing because all other tests run on it: it is the distribution's version on Debian 12.
versions! {
    postgresql_13_survives_kills_and_ends_equal: 13,
    postgresql_14_survives_kills_and_ends_equal: 14,
    postgresql_16_survives_kills_and_ends_equal: 16,
    postgresql_17_survives_kills_and_ends_equal: 17,
    postgresql_18_survives_kills_and_ends_equal: 18,
}
