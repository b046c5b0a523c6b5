use crds::Reason;
use worker::{
    fault::Part,
    postgres::{DropObjects, Setup, drop_objects, prepare, prepare_noted},
    schema_history::Noted,
    table::Kind,
};

use crate::{follow::Follow, server::Source};

#[test]
fn slot_is_created_once_and_never_dropped() {
    let source = Source::new("slot_once");
    let config = source.config(&["orders"]);
    let first = prepare(&config, &[]).unwrap();
    assert!(first.slot_created && first.publication_created);
    let position = source.slot("confirmed_flush_lsn");
    assert_eq!(position.parse(), Ok(first.confirmed));

    let second = prepare(&config, &[]).unwrap();
    assert!(!second.slot_created && !second.publication_created);
    assert_eq!((second.confirmed, second.tables), (first.confirmed, first.tables));

    Follow::start(&config).drain();
    assert_eq!(source.slot("count(*)"), "1");
}

#[test]
fn a_table_has_its_columns_kinds_and_key() {
    let source = Source::new("shapes");
    source.sql("CREATE TYPE mood AS ENUM ('sad', 'ok')");
    source.sql("CREATE DOMAIN price AS numeric(10,2)");
    source.sql("CREATE DOMAIN offer AS price");
    source.sql(
        "CREATE TABLE \"Od.d \"\"t\"\"\" (gone int, a int, \"B c\" varchar(20), m mood, o offer, n numeric, t timestamptz, \
         twice int GENERATED ALWAYS AS (a * 2) STORED, PRIMARY KEY (\"B c\", a))",
    );
    source.sql("ALTER TABLE \"Od.d \"\"t\"\"\" DROP COLUMN gone");
    let prepared = prepare(&source.config(&["public.Od.d \"t\"", "orders"]), &[]).unwrap();
    let table = &prepared.tables[0];
    let columns: Vec<_> = table
        .columns
        .iter()
        .map(|column| (column.name.as_str(), column.kind, column.source_type.as_str()))
        .collect();
    let expected = [
        ("a", Kind::Integer, "integer"),
        ("B c", Kind::ShortText { characters: 20 }, "character varying(20)"),
        ("m", Kind::ShortText { characters: 63 }, "public.mood"),
        ("o", Kind::Decimal { precision: 10, scale: 2 }, "public.offer"),
        ("n", Kind::Numeric, "numeric"),
        ("t", Kind::TimestampTz, "timestamp with time zone"),
    ];
    assert_eq!(columns, expected);
    assert_eq!(table.key, [1, 0]);
    assert_eq!(prepared.tables[1].name.name, "orders");
}

#[test]
fn when_no_table_is_left_each_tells_what_is_in_its_way() {
    let source = Source::new("refusals");
    source.sql("CREATE TABLE keyless (id int)");
    source.sql("CREATE TABLE nobody (id int PRIMARY KEY); ALTER TABLE nobody REPLICA IDENTITY NOTHING");
    source.sql("CREATE VIEW seen AS SELECT * FROM orders");
    source.sql("CREATE TABLE dbmazz_checkpoints (id int PRIMARY KEY)");
    let cases: [(&[&str], Reason, &[&str]); 5] = [
        (&["absent", "gone.t"], Reason::SourceTableMissing, &["public.absent", "gone.t"]),
        (&["keyless"], Reason::PrimaryKeyMissing, &["public.keyless"]),
        (&["nobody"], Reason::ReplicaIdentityInsufficient, &["public.nobody"]),
        (&["seen"], Reason::BadConfiguration, &["a view"]),
        (&["dbmazz_checkpoints"], Reason::BadConfiguration, &["dbmazz_checkpoints"]),
    ];
    for (tables, reason, named) in cases {
        let setup = prepare_noted(&source.config(tables), &[], &Noted::new()).unwrap();
        let Setup::Refused(faults) = setup else { panic!("{setup:?}") };
        assert_eq!(faults.len(), named.len(), "{faults:?}");
        for (fault, name) in faults.iter().zip(named) {
            assert!(fault.reason == reason && fault.message.contains(name), "{fault}");
            assert!(matches!(fault.part, Part::Table(_)), "{fault:?}");
        }
    }
    assert_eq!(source.admin("SELECT count(*) FROM pg_publication"), "0");
    assert_eq!(source.slot("count(*)"), "0");
}

#[test]
fn a_table_that_cannot_be_followed_is_refused_alone() {
    let source = Source::new("refused_alone");
    source.sql("CREATE TABLE keyless (id int)");
    let config = source.config(&["absent", "orders", "keyless"]);
    let prepared = prepare(&config, &[]).unwrap();
    let refused: Vec<_> = prepared.refused.iter().map(|fault| fault.reason).collect();
    assert_eq!(refused, [Reason::SourceTableMissing, Reason::PrimaryKeyMissing]);
    assert_eq!((prepared.tables.len(), prepared.tables[0].name.name.as_str()), (1, "orders"));
    assert!(!prepared.holds_wal, "nothing of them is in the WAL");
    // Published without a replica identity, updates of the table would fail at the source.
    source.sql("INSERT INTO keyless VALUES (1); UPDATE keyless SET id = 2");
    source
        .sql("ALTER TABLE keyless REPLICA IDENTITY FULL; ALTER PUBLICATION refused_alone ADD TABLE keyless");
    assert!(prepare(&config, &[]).unwrap().holds_wal);
}

#[test]
fn a_unique_index_as_identity_is_a_key() {
    let source = Source::new("by_index");
    source.sql("CREATE TABLE goods (name text, shelf int NOT NULL, place int NOT NULL, UNIQUE (shelf, place) INCLUDE (name))");
    source.sql("ALTER TABLE goods REPLICA IDENTITY USING INDEX goods_shelf_place_name_key");
    let config = source.config(&["goods"]);
    let mut follow = Follow::start(&config);
    assert_eq!(follow.prepared.tables[0].key, [1, 2]);
    source.sql("INSERT INTO goods VALUES ('a', 1, 1); UPDATE goods SET place = 2; UPDATE goods SET name = 'b'; DELETE FROM goods");
    follow.until_seen(4);
    assert_eq!(follow.seen, ["+a,1,1", "key null,1,1>a,1,2", ">b,1,2", "-key null,1,2"]);
    follow.drain();
}

#[test]
fn a_publication_of_somebody_else_is_used_and_kept() {
    let source = Source::new("publications");
    source.sql("CREATE TABLE other (id int PRIMARY KEY)");
    source.admin("CREATE PUBLICATION everything FOR ALL TABLES");
    source.sql("CREATE PUBLICATION others FOR TABLE other");
    source.sql("CREATE PUBLICATION half FOR TABLE orders WITH (publish = 'insert')");
    let mut config = source.config(&["orders"]);
    for name in ["everything", "others"] {
        config.publication = name.into();
        assert!(!prepare(&config, &[]).unwrap().publication_created);
    }
    let published = "SELECT string_agg(tablename, ',' ORDER BY tablename) FROM pg_publication_tables WHERE pubname = 'others'";
    assert_eq!(source.admin(published), "orders,other");
    config.publication = "half".into();
    assert_eq!(prepare(&config, &[]).unwrap_err().reason, Reason::BadConfiguration);
}

#[test]
fn a_slot_of_somebody_else_is_refused() {
    let source = Source::new("foreign_slot");
    source.admin("SELECT pg_create_logical_replication_slot('foreign_slot', 'test_decoding')");
    let fault = prepare(&source.config(&["orders"]), &[]).unwrap_err();
    assert_eq!(fault.reason, Reason::BadConfiguration);
    assert!(fault.message.contains("test_decoding"), "{fault}");
}

#[test]
fn objects_are_dropped_on_request_and_only_then() {
    let source = Source::new("removal");
    let config = source.config(&["orders"]);
    let follow = Follow::start(&config);
    follow.drain();
    let objects = DropObjects { slot: true, publication: true };
    for _ in 0..2 {
        drop_objects(&config, objects).unwrap();
        assert_eq!(source.slot("count(*)"), "0");
        assert_eq!(source.admin("SELECT count(*) FROM pg_publication"), "0");
    }
}

#[test]
fn a_column_list_leaves_columns_out() {
    let source = Source::new("column_list");
    source.sql("CREATE TABLE blobs (id int PRIMARY KEY, raw bytea, note text)");
    source.sql("CREATE PUBLICATION column_list FOR TABLE blobs (id, note)");
    let prepared = prepare(&source.config(&["blobs"]), &[]).unwrap();
    let names: Vec<_> = prepared.tables[0].columns.iter().map(|column| column.name.as_str()).collect();
    assert_eq!(names, ["id", "note"]);
}
