use super::*;
use crate::{
    change::{Block, Change, Event, Old, Value},
    postgres::pgoutput::{
        RelationColumn, TypeName, decode,
        writer::{Cell, Written},
    },
    table::{Column, Kind, TableName},
};

const ORDERS: u32 = 16_400;

fn orders() -> Table {
    let column = |name: &str, kind, source_type: &str| Column {
        name: name.to_owned(),
        kind,
        source_type: source_type.to_owned(),
    };
    Table {
        id: TableId(0),
        name: TableName { schema: "public".into(), name: "orders".into() },
        target: "orders".into(),
        columns: vec![
            column("id", Kind::BigInt, "bigint"),
            column("mood", Kind::ShortText { characters: 63 }, "public.\"Mood\""),
        ],
        key: vec![0],
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
        let mut router = Router::new([orders()].into());
        let name = TypeName { oid: 16_500, schema: "public".into(), name: "Mood".into() };
        router.route(Message::Type(Box::new(name)), 0, &mut Block::builder()).unwrap();
        Self { router, block: Block::builder() }
    }

    fn tell(&mut self, written: &Written) -> Result<(), Contradiction> {
        let body = written.encode();
        let at = self.block.bytes().len();
        self.block.bytes_mut().extend_from_slice(&body);
        self.router.route(decode(&body).unwrap(), at, &mut self.block)
    }

    fn announce(&mut self, relation: Relation) {
        self.tell(&Written::Relation(relation)).unwrap();
    }

    fn begin(&mut self) {
        self.tell(&Written::Begin { commit: Lsn(0x20), micros: 0 }).unwrap();
    }

    fn insert(&mut self, id: &str) {
        self.tell(&Written::Insert { relation: ORDERS, new: row(id) }).unwrap();
    }

    /// Runs two inserts with `between` in between, and says why the table was halted.
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
    stream.tell(&Written::Update { relation: ORDERS, old, new: row("2") }).unwrap();
    let old = vec![Cell::Text(b"2".to_vec()), Cell::Null];
    stream.tell(&Written::Delete { relation: ORDERS, full: false, old }).unwrap();
    stream.tell(&Written::Commit { end: Lsn(0x30) }).unwrap();

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
    stream.tell(&Written::Insert { relation: 1, new: row("1") }).unwrap();
    stream.tell(&Written::Truncate { relations: vec![1] }).unwrap();
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
    stream.tell(&Written::Truncate { relations: vec![ORDERS] }).unwrap();
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
    stream.announce(announced());
    assert_eq!(stream.tell(&truncate), Err(Contradiction::OutsideTransaction));
    stream.announce(Relation { oid: 7, name: "others".into(), ..announced() });
    stream.begin();
    stream.tell(&Written::Truncate { relations: vec![7] }).unwrap();
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
        stream.tell(&Written::Begin { commit: Lsn(1), micros: 0 }),
        Err(Contradiction::InsideTransaction)
    );
    stream.announce(announced());
    let narrow = Written::Insert { relation: ORDERS, new: vec![Cell::Null] };
    assert_eq!(stream.tell(&narrow), Err(Contradiction::Width(ORDERS)));
}
