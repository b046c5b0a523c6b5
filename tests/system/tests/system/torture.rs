//! Short torture rounds with fixed seeds; `make soak` runs any number of rounds.

use anyhow::Result;
use system::torture::{self, Means, Plan, Tally};

async fn survived(plan: Plan) -> Result<Tally> {
    let tally = torture::run(&plan).await?;
    assert!(tally.transactions > 50, "there was traffic: {tally:?}");
    assert!(tally.rows_compared > 500, "there was something to compare: {tally:?}");
    Ok(tally)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn workers_killed_at_any_moment_lose_nothing() -> Result<()> {
    let means = Means { kills: true, ..Means::NONE };
    let tally = survived(Plan { means, ..Plan::new(1, 25) }).await?;
    assert!(tally.kills > 10, "{tally:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn everything_that_can_break_breaks_and_nothing_is_lost() -> Result<()> {
    survived(Plan::new(2, 25)).await.map(drop)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn cuts_and_faults_lose_nothing_without_a_restart() -> Result<()> {
    let means = Means::NONE;
    survived(Plan { means, ..Plan::new(3, 30) }).await.map(drop)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn transactions_survive_everything_that_can_break() -> Result<()> {
    let plan = Plan::new(4, 25);
    let conditions = plan.conditions.clone().in_one_step();
    survived(Plan { conditions, ..plan }).await.map(drop)
}
