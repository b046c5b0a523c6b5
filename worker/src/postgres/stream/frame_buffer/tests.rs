use crds::Reason;
use proptest::prelude::*;

use super::*;
use crate::{
    change::Event,
    fault::Part,
    postgres::{
        pgoutput::{
            Relation, RelationColumn,
            writer::{Cell, Written},
        },
        visibility::Visibility,
    },
    schema_history::SchemaHistory,
    table::{Column, Kind, TableId, TableName},
};

fn copy_frame(body: &[u8]) -> Vec<u8> {
    [b"d", &(body.len() as u32 + 4).to_be_bytes()[..], body].concat()
}

fn wal(written: &Written) -> Vec<u8> {
    let header = [&b"w"[..], &9u64.to_be_bytes(), &9u64.to_be_bytes(), &0u64.to_be_bytes()].concat();
    copy_frame(&[header, written.encode()].concat())
}

fn keepalive(lsn: u64, asks: bool) -> Vec<u8> {
    copy_frame(&[&b"k"[..], &lsn.to_be_bytes(), &0u64.to_be_bytes(), &[u8::from(asks)]].concat())
}

fn feed(
    frames: &mut FrameBuffer,
    mut bytes: &[u8],
    step: usize,
) -> Result<(FrameEvents, Vec<String>), SourceError> {
    let (mut router, mut heard, mut events) =
        (Router::new([], Visibility::default()), FrameEvents::default(), Vec::new());
    while !bytes.is_empty() {
        let space = frames.space();
        let count = space.len().min(step).min(bytes.len());
        space[..count].copy_from_slice(&bytes[..count]);
        bytes = &bytes[count..];
        frames.filled(count);
        let news = frames.digest(&mut router)?;
        heard = heard.and(news);
        let block = frames.take();
        events.extend(block.iter().flat_map(Block::events).map(|event| format!("{event:?}")));
    }
    Ok((heard, events))
}

fn frames() -> FrameBuffer {
    FrameBuffer::starting_with(Vec::new())
}

#[test]
fn frames_are_whole_however_they_are_cut() {
    let transaction = [
        wal(&Written::Begin { commit: Lsn(20), micros: 0, xid: 7 }),
        wal(&Written::Commit { end: Lsn(30) }),
        keepalive(40, true),
    ]
    .concat();
    for step in 1..transaction.len() {
        let (heard, events) = feed(&mut frames(), &transaction, step).unwrap();
        assert_eq!(
            heard,
            FrameEvents {
                received: Lsn(40),
                asked: true,
                messages: heard.messages,
                ended: false,
                wants_a_look: false
            }
        );
        assert_eq!(events.len(), 3, "{events:?}");
        assert_eq!(events[2], format!("{:?}", Event::Keepalive { lsn: Lsn(40) }));
    }
}

#[test]
fn a_claimed_length_reserves_nothing() {
    let mut frames = frames();
    feed(&mut frames, b"d\x3F\xFF\xFF\xFFw", 6).unwrap();
    assert!(frames.space().len() <= SMALLEST);
}

#[test]
fn a_giant_frame_grows_with_its_bytes_and_no_further() {
    let mut frames = frames();
    let body = vec![b'x'; 3_000_000];
    let logical =
        [&b"M\0"[..], &0u64.to_be_bytes(), b"p\0", &(body.len() as u32).to_be_bytes(), &body].concat();
    let frame = copy_frame(&[&[b'w'; 25][..], &logical].concat());
    let mut rest = &frame[..];
    let mut router = Router::new([], Visibility::default());
    while !rest.is_empty() {
        let space = frames.space();
        let count = space.len().min(rest.len());
        space[..count].copy_from_slice(&rest[..count]);
        rest = &rest[count..];
        frames.filled(count);
        frames.digest(&mut router).unwrap();
        assert!(frames.builder.bytes().len() <= (2 * frames.filled).max(SMALLEST));
    }
    assert!(frames.builder.bytes().len() <= frame.len() + LARGEST);
    assert!(frames.take().is_none());
}

#[test]
fn a_small_block_holds_little() {
    let mut frames = frames();
    let (_, events) = feed(&mut frames, &keepalive(1, false), 100).unwrap();
    assert_eq!(events.len(), 1);
    frames.space();
    frames.filled(0);
    let frame = keepalive(2, false);
    frames.space()[..frame.len()].copy_from_slice(&frame);
    frames.filled(frame.len());
    frames.digest(&mut Router::new([], Visibility::default())).unwrap();
    assert!(frames.take().unwrap().held_bytes() < 1024);
}

#[test]
fn what_is_no_frame_of_a_stream_is_an_error() {
    for bytes in
        [copy_frame(b"x"), copy_frame(b"k1234"), copy_frame(b"w"), copy_frame(b""), b"Q\0\0\0\x04".to_vec()]
    {
        assert!(feed(&mut frames(), &bytes, 100).is_err(), "{bytes:?}");
    }
}

proptest! {
    #[test]
    fn any_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), step in 1usize..50) {
        let _ = feed(&mut frames(), &bytes, step);
        let _ = feed(&mut frames(), &copy_frame(&[b"w", &bytes[..]].concat()), step);
    }
}

fn copied(messages: &[Written]) -> Vec<u8> {
    let header = b"PGCOPY\n\xFF\r\n\0\0\0\0\0\0\0\0\0";
    let mut bytes = Vec::new();
    for (place, message) in messages.iter().map(Written::encode).enumerate() {
        let row = [&b"\0\x01"[..], &(message.len() as u32).to_be_bytes(), &message].concat();
        bytes.extend(copy_frame(&if place == 0 { [&header[..], &row].concat() } else { row }));
    }
    let end = [copy_frame(b"\xFF\xFF"), b"c\0\0\0\x04C\0\0\0\x08COPYZ\0\0\0\x05I".to_vec()].concat();
    if messages.is_empty() {
        [copy_frame(&[&header[..], b"\xFF\xFF"].concat()), end[7..].to_vec()].concat()
    } else {
        [bytes, end].concat()
    }
}

#[test]
fn a_chunk_holds_the_same_messages_as_the_stream_however_it_is_cut() {
    let messages = [Written::Begin { commit: Lsn(5), micros: 0, xid: 7 }, Written::Commit { end: Lsn(9) }];
    let bytes = copied(&messages);
    for step in [1, 3, 7, bytes.len()] {
        let (heard, events) = feed(&mut FrameBuffer::copying(Vec::new()), &bytes, step).unwrap();
        assert_eq!((heard.messages, heard.ended, events.len()), (2, true, 2));
    }
    let (heard, _) = feed(&mut FrameBuffer::copying(Vec::new()), &copied(&[]), 3).unwrap();
    assert_eq!((heard.messages, heard.ended), (0, true));
}

#[test]
fn a_chunk_without_its_header_or_with_a_wrong_length_is_an_error() {
    for body in [&b"\0\x01\0\0\0\0"[..], b"PGCOPY\n\xFF\r\n\0\0\0\0\0\0\0\0\0\0\x01\0\0\0\x09B", b""] {
        assert!(feed(&mut FrameBuffer::copying(Vec::new()), &copy_frame(body), 100).is_err());
    }
}

fn documents() -> Table {
    let column = |number, name: &str, kind, of| Column { number, ..Column::new(name, kind, of) };
    let columns = vec![column(1, "id", Kind::BigInt, "bigint"), column(2, "body", Kind::Text, "text")];
    let name = TableName { schema: "public".into(), name: "documents".into() };
    Table {
        id: TableId(0),
        target: "documents".into(),
        name,
        columns,
        key: vec![0],
        last_number: 2,
        facts: Default::default(),
    }
}

fn announced() -> Relation {
    let column =
        |identity, name: &str, type_oid| RelationColumn { identity, name: name.into(), type_oid, typmod: -1 };
    let columns = vec![column(true, "id", 20), column(false, "body", 25)];
    Relation { oid: 700, schema: "public".into(), name: "documents".into(), columns }
}

fn insert(bytes: usize) -> Written {
    Written::Insert { relation: 700, new: vec![Cell::Text(b"1".to_vec()), Cell::Text(vec![b'x'; bytes])] }
}

/// What happens when no large frame has room.
fn refused(frames: &mut FrameBuffer, mut bytes: &[u8], step: usize) -> (Vec<String>, usize) {
    let shapes = SchemaHistory::beginning(&documents(), Vec::new());
    let mut router = Router::new([(documents(), shapes)], Visibility::parse("10:10:").unwrap());
    let (mut events, mut most) = (Vec::new(), 0);
    while !bytes.is_empty() {
        if frames.awaits_room().is_some() {
            let why =
                |table: &Table| Fault::halt(Part::Table(table.name.clone()), Reason::RowTooLarge, "m", "f");
            assert!(frames.leave_out(&mut router, why));
        }
        let space = frames.space();
        let count = space.len().min(step).min(bytes.len());
        space[..count].copy_from_slice(&bytes[..count]);
        bytes = &bytes[count..];
        frames.filled(count);
        frames.digest(&mut router).unwrap();
        most = most.max(frames.builder.bytes().len());
    }
    for event in frames.take().iter().flat_map(Block::events) {
        events.push(match event {
            Event::Halt { table, fault } => format!("halt {} {}", table.0, fault.reason),
            Event::Begin { commit, .. } => format!("begin {}", commit.0),
            Event::Commit { end } => format!("commit {}", end.0),
            other => format!("{other:?}"),
        });
    }
    (events, most)
}

#[test]
fn a_large_row_without_room_is_left_out_and_halts_its_table_there() {
    let messages = [
        Written::Begin { commit: Lsn(20), micros: 0, xid: 7 },
        Written::Relation(announced()),
        insert(LARGE_FRAME + 1000),
        insert(10),
        Written::Commit { end: Lsn(30) },
    ];
    let stream: Vec<u8> = messages.iter().flat_map(wal).collect();
    for step in [100_000, 65_537, 5001] {
        for (mut frames, bytes) in
            [(frames(), &stream), (FrameBuffer::copying(Vec::new()), &copied(&messages))]
        {
            let (events, most) = refused(&mut frames, bytes, step);
            assert_eq!(events, ["begin 20", "halt 0 RowTooLarge", "commit 30"]);
            assert!(most <= LARGEST, "{most} bytes for it");
        }
    }
}
