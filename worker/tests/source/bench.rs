use std::time::Instant;

use worker::postgres::prepare;

use crate::{follow::Follow, server::Source};

/// `cargo test --release -p worker --test source -- --ignored --nocapture backlog`
#[test]
#[ignore = "a measurement, to be run alone and optimised"]
fn a_backlog_is_drained() {
    let source = Source::new("backlog");
    source.sql("CREATE TABLE wide (id bigint PRIMARY KEY, a int, b text, c numeric(12,2), d timestamptz, e bool, f text)");
    let config = source.config(&["wide"]);
    let prepared = prepare(&config, &[]).unwrap();
    source.admin(
        "DO $$ BEGIN FOR t IN 0..9999 LOOP
           INSERT INTO wide SELECT t * 100 + i, i, 'name ' || i, i * 1.5, now(), true, 'a note of some length ' || i
             FROM generate_series(0, 69) i;
           UPDATE wide SET a = a + 1 WHERE id BETWEEN t * 100 AND t * 100 + 19;
           DELETE FROM wide WHERE id BETWEEN t * 100 + 60 AND t * 100 + 69;
           COMMIT;
         END LOOP; END $$",
    );
    let cpu = || {
        let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
        (fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()) as f64 / 100.0
    };
    let (start, before) = (Instant::now(), cpu());
    let mut follow = Follow::from(&config, prepared, 8);
    let (mut changes, mut blocks, mut first) = (0u64, 0u64, None);
    while changes < 1_000_000 {
        let block = follow.blocks.blocking_recv().unwrap();
        blocks += 1;
        first.get_or_insert_with(|| start.elapsed());
        for event in block.events() {
            match event {
                worker::change::Event::Change { .. } => changes += 1,
                worker::change::Event::Commit { end } => follow.settled = end,
                _ => {}
            }
        }
        follow.durable.send_replace(follow.settled);
    }
    let elapsed = start.elapsed();
    println!(
        "{changes} changes in {elapsed:?} (first after {first:?}), {:.0} a second, {:.2} CPU s, {blocks} blocks",
        changes as f64 / elapsed.as_secs_f64(),
        cpu() - before
    );
    follow.drain();
}
