use crds::Reason;

use super::*;
use crate::{
    change::{Block, Change, Event, Old, Value},
    postgres::pgoutput::{
        Relation, RelationColumn, TypeName, decode,
        writer::{Cell, Written},
    },
    schema_history::{SchemaHistory, SourceIdentity},
    table::{Column, Kind, TableName},
};

const ORDERS: u32 = 16_400;

fn orders() -> Table {
    let column = |number, name: &str, kind, source_type: &str| Column {
        number,
        ..Column::new(name, kind, source_type)
    };
    Table {
        id: TableId(0),
        name: TableName { schema: "public".into(), name: "orders".into() },
        target: "orders".into(),
        columns: vec![
            column(1, "id", Kind::BigInt, "bigint"),
            column(2, "mood", Kind::ShortText { characters: 63 }, "public.\"Mood\""),
        ],
        key: vec![0],
        last_number: 3,
        facts: Default::default(),
    }
}

fn announced() -> Relation {
    let column = |identity, name: &str, type_oid| RelationColumn {
        identity,
        name: name.to_owned(),
        type_oid,
        typmod: -1,
    };
    Relation {
        oid: ORDERS,
        schema: "public".into(),
        name: "orders".into(),
        columns: vec![column(true, "id", 20), column(false, "mood", 16_500)],
    }
}

/// A router with its block, fed with encoded messages as the reader does it.
struct Stream {
    router: Router,
    block: BlockBuilder,
}

impl Stream {
    fn new() -> Self {
        Self::with(SchemaHistory::beginning(&orders(), Vec::new()))
    }

    fn with(history: SchemaHistory) -> Self {
        let mut router = Router::new([(orders(), history)], Visibility::parse("10:10:").unwrap());
        let name = TypeName { oid: 16_500, schema: "public".into(), name: "Mood".into() };
        let routed = router.route(Message::Type(Box::new(name)), 0, &mut Block::builder());
        assert_eq!(routed, Ok(Routed::Done));
        Self { router, block: Block::builder() }
    }

    fn tell(&mut self, written: &Written) -> Result<Routed, Contradiction> {
        let body = written.encode();
        let at = self.block.bytes().len();
        self.block.bytes_mut().extend_from_slice(&body);
        self.router.route(decode(&body).unwrap(), at, &mut self.block)
    }

    fn say(&mut self, written: &Written) {
        assert_eq!(self.tell(written), Ok(Routed::Done));
    }

    fn announce(&mut self, relation: Relation) {
        self.say(&Written::Relation(relation));
    }

    fn begin(&mut self) {
        self.say(&Written::Begin { commit: Lsn(0x20), micros: 0, xid: 7 });
    }

    fn insert(&mut self, id: &str) {
        self.say(&Written::Insert { relation: ORDERS, new: row(id) });
    }

    /// Runs two inserts with `between` in between, and returns why the table was halted.
    fn halt_of(mut self, between: impl FnOnce(&mut Self)) -> Vec<Reason> {
        self.begin();
        self.announce(announced());
        self.insert("1");
        between(&mut self);
        self.insert("2");
        let block = self.block.finish();
        let changes = block.events().filter(|event| matches!(event, Event::Change { .. })).count();
        let faults = block.events().filter_map(|event| match event {
            Event::Halt { fault, .. } => Some(fault.reason),
            _ => None,
        });
        let faults: Vec<_> = faults.collect();
        assert_eq!(changes, if faults.is_empty() { 2 } else { 1 });
        faults
    }
}

fn row(id: &str) -> Vec<Cell> {
    vec![Cell::Text(id.as_bytes().to_vec()), Cell::Text(b"sad".to_vec())]
}

#[test]
fn changes_come_with_their_table_and_in_their_transaction() {
    let mut stream = Stream::new();
    stream.begin();
    stream.announce(announced());
    stream.insert("1");
    let old = Some((true, row("1")));
    stream.say(&Written::Update { relation: ORDERS, old, new: row("2") });
    let old = vec![Cell::Text(b"2".to_vec()), Cell::Null];
    stream.say(&Written::Delete { relation: ORDERS, full: false, old });
    stream.say(&Written::Commit { end: Lsn(0x30) });

    let block = stream.block.finish();
    let events: Vec<_> = block.events().collect();
    assert!(matches!(events[0], Event::Begin { commit: Lsn(0x20), .. }));
    let Event::Change { change: Change::Insert { new }, .. } = &events[1] else { panic!("{events:?}") };
    assert_eq!(new.values().collect::<Vec<_>>(), [Value::Text(b"1"), Value::Text(b"sad")]);
    assert!(matches!(
        events[2],
        Event::Change { change: Change::Update { old: Some(Old::Full(_)), .. }, .. }
    ));
    assert!(matches!(events[3], Event::Change { change: Change::Delete { old: Old::Key(_) }, .. }));
    assert_eq!(events[4], Event::Commit { end: Lsn(0x30) });
    assert_eq!((stream.router.take_changes(), stream.router.committed()), (3, Lsn(0x30)));
}

#[test]
fn another_table_of_the_publication_is_ignored() {
    let mut stream = Stream::new();
    stream.begin();
    stream.announce(Relation { oid: 1, name: "others".into(), ..announced() });
    stream.say(&Written::Insert { relation: 1, new: row("1") });
    stream.say(&Written::Truncate { relations: vec![1] });
    assert_eq!(stream.block.finish().events().count(), 1);
}

#[test]
fn the_same_shape_announced_again_changes_nothing() {
    assert_eq!(Stream::new().halt_of(|stream| stream.announce(announced())), []);
}

#[test]
fn another_shape_halts_the_table_once() {
    let changed = |change: fn(&mut Relation)| {
        let mut relation = announced();
        change(&mut relation);
        Stream::new().halt_of(|stream| {
            stream.announce(relation.clone());
            stream.announce(relation);
        })
    };
    let cases: [fn(&mut Relation); 7] = [
        |relation| relation.columns[1].name = "temper".into(),
        |relation| relation.columns[0].type_oid = 1700,
        |relation| relation.columns[1].type_oid = 16_501,
        |relation| relation.columns.swap(0, 1),
        |relation| relation.name = "orders_old".into(),
        |relation| relation.columns.push(relation.columns[0].clone()),
        |relation| relation.oid = 7,
    ];
    for (case, change) in cases.into_iter().enumerate() {
        assert_eq!(changed(change), [Reason::SourceSchemaChanged], "case {case}");
    }
}

#[test]
fn rows_of_a_narrower_type_still_fit() {
    let mut relation = announced();
    relation.columns[0].type_oid = 23;
    assert_eq!(Stream::new().halt_of(|stream| stream.announce(relation)), []);
}

#[test]
fn an_identity_without_the_key_halts_the_table() {
    let mut relation = announced();
    relation.columns[0].identity = false;
    let reasons = Stream::new().halt_of(|stream| stream.announce(relation));
    assert_eq!(reasons, [Reason::ReplicaIdentityInsufficient]);
}

#[test]
fn rule_5_a_truncate_keeps_its_place_between_changes() {
    let mut stream = Stream::new();
    stream.begin();
    stream.announce(announced());
    stream.insert("1");
    stream.say(&Written::Truncate { relations: vec![ORDERS] });
    stream.insert("2");
    let block = stream.block.finish();
    let events: Vec<_> = block.events().skip(1).collect();
    assert!(matches!(
        events.as_slice(),
        [Event::Change { .. }, Event::Truncate { table: TableId(0) }, Event::Change { .. }]
    ));
}

#[test]
fn a_truncate_of_others_is_not_ours_and_one_outside_of_a_transaction_is_an_error() {
    let mut stream = Stream::new();
    let truncate = Written::Truncate { relations: vec![ORDERS] };
    assert_eq!(stream.tell(&truncate), Err(Contradiction::OutsideTransaction));
    stream.begin();
    stream.announce(Relation { oid: 7, name: "others".into(), ..announced() });
    stream.say(&Written::Truncate { relations: vec![7] });
    assert!(!stream.block.finish().events().any(|event| matches!(event, Event::Truncate { .. })));
}

#[test]
fn a_halted_table_stays_halted_after_a_new_connection() {
    let mut stream = Stream::new();
    stream.begin();
    stream.announce(announced());
    stream.announce(Relation { oid: 7, ..announced() });
    stream.router.reconnected();
    stream.begin();
    stream.announce(announced());
    stream.insert("1");
    assert_eq!(stream.router.take_changes(), 0);
}

#[test]
fn a_stream_that_contradicts_itself_is_an_error() {
    let insert = Written::Insert { relation: ORDERS, new: row("1") };
    let mut stream = Stream::new();
    assert_eq!(stream.tell(&insert), Err(Contradiction::OutsideTransaction));
    assert_eq!(stream.tell(&Written::Commit { end: Lsn(1) }), Err(Contradiction::OutsideTransaction));
    stream.begin();
    assert_eq!(stream.tell(&insert), Err(Contradiction::Unannounced(ORDERS)));
    assert_eq!(
        stream.tell(&Written::Begin { commit: Lsn(1), micros: 0, xid: 7 }),
        Err(Contradiction::InsideTransaction)
    );
    stream.announce(announced());
    let narrow = Written::Insert { relation: ORDERS, new: vec![Cell::Null] };
    assert_eq!(stream.tell(&narrow), Err(Contradiction::Width(ORDERS)));
}

/// As the catalogue shows `orders` after `change`.
fn learned(stream: &mut Stream, change: impl FnOnce(&mut Table), sees: &str) {
    let mut table = orders();
    change(&mut table);
    stream.router.learn(vec![Ok(table)], vec![Vec::new()], Visibility::parse(sees).unwrap());
}

fn note(table: &mut Table) {
    table.columns.push(Column { number: 3, ..Column::new("note", Kind::Text, "text") });
}

fn announced_with_note() -> Relation {
    let mut relation = announced();
    relation.columns.push(RelationColumn { identity: false, name: "note".into(), type_oid: 25, typmod: -1 });
    relation
}

#[test]
fn an_announcement_waits_for_a_look_that_sees_its_transaction() {
    let mut stream = Stream::new();
    stream.say(&Written::Begin { commit: Lsn(0x20), micros: 0, xid: 10 });
    assert_eq!(stream.tell(&Written::Relation(announced())), Ok(Routed::NotBeforeALook));
    learned(&mut stream, |_| {}, "10:11:10");
    assert_eq!(stream.tell(&Written::Relation(announced())), Ok(Routed::NotBeforeALook));
    learned(&mut stream, |_| {}, "11:11:");
    assert_eq!(stream.tell(&Written::Relation(announced())), Ok(Routed::Done));
    assert!(!stream.block.finish().events().any(|event| matches!(event, Event::Halt { .. })));
}

#[test]
fn somebody_else_s_table_needs_no_look() {
    let mut stream = Stream::new();
    stream.say(&Written::Begin { commit: Lsn(0x20), micros: 0, xid: 10 });
    let others = Relation { oid: 1, name: "others".into(), ..announced() };
    assert_eq!(stream.tell(&Written::Relation(others)), Ok(Routed::Done));
}

#[test]
fn rule_7_a_new_shape_keeps_its_place_between_changes() {
    let mut stream = Stream::new();
    stream.begin();
    stream.announce(announced());
    stream.insert("1");
    learned(&mut stream, note, "10:10:");
    stream.announce(announced_with_note());
    let mut wide = row("2");
    wide.push(Cell::Text(b"new".to_vec()));
    stream.say(&Written::Insert { relation: ORDERS, new: wide });
    let block = stream.block.finish();
    let events: Vec<_> = block.events().skip(1).collect();
    let [Event::Change { .. }, Event::Reshape { reshape, .. }, Event::Change { .. }] = events.as_slice()
    else {
        panic!("{events:?}")
    };
    assert_eq!(reshape.rows.columns.len(), 3);
    let aim = reshape.target.as_ref().unwrap();
    assert_eq!((aim.table.columns.len(), aim.shapes.len()), (3, 2));
}

#[test]
fn rows_from_before_a_change_come_as_they_were_and_ask_nothing_of_the_target_twice() {
    let mut stream = Stream::new();
    stream.begin();
    learned(&mut stream, note, "10:10:");
    stream.announce(announced());
    stream.insert("1");
    stream.announce(announced_with_note());
    let block = stream.block.finish();
    let reshapes: Vec<_> = block
        .events()
        .filter_map(|event| match event {
            Event::Reshape { reshape, .. } => Some((reshape.rows.columns.len(), reshape.target.is_some())),
            _ => None,
        })
        .collect();
    assert_eq!(reshapes, [(2, true), (3, false)]);
}

#[test]
fn another_key_halts_the_table() {
    let reasons = Stream::new().halt_of(|stream| {
        learned(stream, |table| table.key = vec![1], "10:10:");
        stream.announce(announced());
    });
    assert_eq!(reasons, [Reason::SourceSchemaChanged]);
}

#[test]
fn a_transaction_of_which_a_part_was_handed_on_counts_as_reached() {
    let mut stream = Stream::new();
    assert_eq!(stream.router.reached(), Lsn(0));
    stream.begin();
    assert_eq!((stream.router.committed(), stream.router.reached()), (Lsn(0), Lsn(0x21)));
    stream.say(&Written::Commit { end: Lsn(0x30) });
    assert_eq!(stream.router.reached(), Lsn(0x30));
    stream.router.reconnected();
    assert_eq!(stream.router.reached(), Lsn(0x30));
}

/// A schema history that was recorded at 0x20 with the relation of `orders`.
fn known_since(since: Lsn) -> Stream {
    let source = Some(SourceIdentity { relation: ORDERS, since, ..SourceIdentity::default() });
    Stream::with(SchemaHistory { source, ..SchemaHistory::beginning(&orders(), Vec::new()) })
}

#[test]
fn another_relation_of_the_name_halts_from_where_the_table_was_taken_up_and_is_nobody_s_before() {
    for (since, expected) in [(Lsn(0x20), vec![Reason::SourceTableReplaced]), (Lsn(0x21), Vec::new())] {
        let mut stream = known_since(since);
        stream.begin();
        stream.announce(Relation { oid: 7, ..announced() });
        stream.say(&Written::Insert { relation: 7, new: row("1") });
        let block = stream.block.finish();
        let faults = block.events().filter_map(|event| match event {
            Event::Halt { fault, .. } => Some(fault.reason),
            _ => None,
        });
        assert_eq!(faults.collect::<Vec<_>>(), expected);
        assert!(!block.events().any(|event| matches!(event, Event::Change { .. })));
    }
}

#[test]
fn a_table_is_followed_by_its_number_whatever_it_is_called() {
    let reasons = known_since(Lsn(0x20)).halt_of(|stream| {
        stream.announce(Relation { name: "called".into(), ..announced() });
    });
    assert_eq!(reasons, []);
}

#[test]
fn a_change_of_a_partition_under_its_own_name_halts_its_table_and_an_announcement_does_not() {
    let source = SourceIdentity { relation: ORDERS, partitions: vec![7], ..SourceIdentity::default() };
    let with = || {
        Stream::with(SchemaHistory {
            source: Some(source.clone()),
            ..SchemaHistory::beginning(&orders(), Vec::new())
        })
    };
    let leaf = || Relation { oid: 7, name: "leaf".into(), ..announced() };
    assert_eq!(with().halt_of(|stream| stream.announce(leaf())), []);
    let reasons = with().halt_of(|stream| {
        stream.announce(leaf());
        stream.say(&Written::Insert { relation: 7, new: row("9") });
    });
    assert_eq!(reasons, [Reason::PublicationChanged]);
}

#[test]
fn a_look_that_finds_another_table_halts_it_before_the_next_message() {
    let reasons = Stream::new().halt_of(|stream| {
        let fault = crate::postgres::replaced::replaced(&orders().name, None, "fix".into());
        stream.router.learn(vec![Err(fault)], vec![Vec::new()], Visibility::parse("10:10:").unwrap());
    });
    assert_eq!(reasons, [Reason::SourceTableReplaced]);
}
