use crate::{
    follow::Follow,
    server::{Source, eventually},
};

#[test]
fn inserts_updates_and_deletes_arrive_in_order() {
    let source = Source::new("in_order");
    source.sql("CREATE TABLE whole (id int PRIMARY KEY, note text); ALTER TABLE whole REPLICA IDENTITY FULL");
    source.sql("ALTER TABLE orders ALTER note SET STORAGE EXTERNAL");
    let mut follow = Follow::start(&source.config(&["orders", "whole"]));
    source.sql("INSERT INTO orders VALUES (1, 'a'), (2, NULL)");
    source.sql("UPDATE orders SET note = 'b' WHERE id = 1");
    source.sql("UPDATE orders SET id = 3 WHERE id = 2");
    source.sql("DELETE FROM orders WHERE id = 1");
    source.sql("INSERT INTO whole VALUES (1, 'a')");
    source.sql("UPDATE whole SET note = 'ü' WHERE id = 1");
    source.sql("DELETE FROM whole");
    source.sql("UPDATE orders SET note = repeat('x', 9000)");
    source.sql("UPDATE orders SET id = 4");
    follow.until_seen(10);
    let large = format!(">3,{}", "x".repeat(9000));
    let expected = [
        "+1,a",
        "+2,null",
        ">1,b",
        "key 2,null>3,null",
        "-key 1,null",
        "+1,a",
        "full 1,a>1,ü",
        "-full 1,ü",
        &large,
        "key 3,null>4,same",
    ];
    assert_eq!(follow.seen, expected);
    follow.drain();
}

#[test]
fn a_lone_change_does_not_wait_for_others() {
    let source = Source::new("lone");
    let mut follow = Follow::start(&source.config(&["orders"]));
    source.sql("INSERT INTO orders VALUES (0)");
    follow.until_seen(1);
    eventually("the reader is quiet", || source.walsender("state") == "streaming");
    let block = std::thread::scope(|scope| {
        scope.spawn(|| source.sql("INSERT INTO orders VALUES (1)"));
        loop {
            let block = follow.blocks.blocking_recv().unwrap();
            if block.events().any(|event| matches!(event, worker::change::Event::Change { .. })) {
                return block;
            }
        }
    });
    let committed = block.events().find_map(|event| match event {
        worker::change::Event::Begin { time, .. } => Some(time),
        _ => None,
    });
    let delay = committed.unwrap().elapsed().unwrap();
    assert!(delay < std::time::Duration::from_millis(500), "{delay:?}");
    assert!(block.held_bytes() < 4096);
}

#[test]
fn rule_5_and_7_a_truncate_and_new_columns_come_in_their_place() {
    let source = Source::new("truncates");
    source.sql("CREATE TABLE emptied (id int PRIMARY KEY)");
    source.sql("CREATE TABLE grown (id int PRIMARY KEY)");
    let mut follow = Follow::start(&source.config(&["orders", "emptied", "grown"]));
    source.sql("INSERT INTO emptied VALUES (1)");
    source.sql("TRUNCATE emptied");
    source.sql("INSERT INTO emptied VALUES (2)");
    follow.until_seen(3);
    source.sql("ALTER TABLE grown ADD COLUMN note text");
    source.sql("INSERT INTO grown VALUES (3)");
    // The worker gets column names from the catalogue, so it has to look before the next change.
    follow.until_seen(5);
    source.sql("ALTER TABLE grown RENAME note TO remark");
    source.sql("INSERT INTO grown VALUES (4)");
    follow.until_seen(7);
    source.sql("ALTER TABLE grown DROP COLUMN remark");
    source.sql("INSERT INTO grown VALUES (5)");
    follow.until_seen(9);
    let grown = ["(id,note)", "+3,null", "(id,remark)", "+4,null", "(id)", "+5"];
    assert_eq!(follow.seen, [&["+1", "0", "+2"][..], &grown].concat());
    follow.drain();
}

#[test]
fn a_table_that_takes_another_name_or_another_key_is_halted_alone() {
    let source = Source::new("halts");
    source.sql("CREATE TABLE renamed (id int PRIMARY KEY)");
    source.sql("CREATE TABLE rekeyed (id int PRIMARY KEY, other int NOT NULL UNIQUE)");
    let mut follow = Follow::start(&source.config(&["orders", "renamed", "rekeyed"]));
    source.sql("INSERT INTO renamed VALUES (1)");
    follow.until_seen(1);
    source.sql("ALTER TABLE renamed RENAME TO another");
    source.sql("INSERT INTO another VALUES (2)");
    source.sql("ALTER TABLE rekeyed DROP CONSTRAINT rekeyed_pkey, ADD PRIMARY KEY (other)");
    source.sql("INSERT INTO rekeyed VALUES (3, 3)");
    source.sql("INSERT INTO orders VALUES (4)");
    follow.until_seen(4);
    assert_eq!(follow.seen, ["+1", "!SourceSchemaChanged", "!SourceSchemaChanged", "+4,null"]);
    follow.drain();
}

#[test]
fn a_partitioned_table_is_one_table() {
    let source = Source::new("partitions");
    source.sql("CREATE TABLE days (day int PRIMARY KEY, note text) PARTITION BY RANGE (day)");
    source.sql("CREATE TABLE days_low PARTITION OF days FOR VALUES FROM (0) TO (10)");
    source.sql("CREATE TABLE days_high (note text, day int NOT NULL)");
    source.sql("ALTER TABLE days ATTACH PARTITION days_high FOR VALUES FROM (10) TO (20)");
    let mut follow = Follow::start(&source.config(&["days"]));
    source.sql("INSERT INTO days VALUES (1, 'a'), (11, 'b')");
    source.sql("UPDATE days SET day = 12 WHERE day = 1");
    follow.until_seen(4);
    assert_eq!(follow.seen, ["+1,a", "+11,b", "-key 1,null", "+12,a"]);
    follow.drain();
}

#[test]
fn an_enum_and_a_domain_are_followed() {
    let source = Source::new("own_types");
    source.sql("CREATE SCHEMA \"Odd one\"");
    source.sql("CREATE TYPE \"Odd one\".\"Mood\" AS ENUM ('sad')");
    source.sql("CREATE DOMAIN amount AS numeric(10,2)");
    source.sql("CREATE TABLE feelings (id int PRIMARY KEY, mood \"Odd one\".\"Mood\", amount amount)");
    let mut follow = Follow::start(&source.config(&["feelings"]));
    source.sql("INSERT INTO feelings VALUES (1, 'sad', 1.50)");
    follow.until_seen(1);
    assert_eq!(follow.seen, ["+1,sad,1.50"]);
    follow.drain();
}

#[test]
fn an_idle_job_confirms_what_others_write() {
    let source = Source::new("idle");
    let mut follow = Follow::start(&source.config(&["orders"]));
    source.sql("CREATE TABLE noise (id int)");
    source.sql("INSERT INTO noise SELECT generate_series(1, 50000)");
    let written = source.admin("SELECT pg_current_wal_lsn()").parse().unwrap();
    follow.until("the keepalive is confirmed", |_| {
        source.slot("confirmed_flush_lsn").parse::<worker::lsn::Lsn>().unwrap() >= written
    });
    follow.until("nothing is behind", |follow| follow.progress.view().lag_bytes == 0);
    follow.drain();
}

#[test]
fn a_giant_row_passes() {
    let source = Source::new("giant");
    let mut follow = Follow::start(&source.config(&["orders"]));
    source.sql("INSERT INTO orders VALUES (1, repeat('x', 60000000)), (2, 'small')");
    follow.until_seen(2);
    assert_eq!((follow.seen[0].len(), follow.seen[1].as_str()), (60_000_003, "+2,small"));
    follow.drain();
}
