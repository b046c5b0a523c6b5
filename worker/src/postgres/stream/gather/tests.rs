use proptest::prelude::*;

use super::*;
use crate::{change::Event, postgres::pgoutput::writer::Written};

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

fn feed(gather: &mut Gather, mut bytes: &[u8], step: usize) -> Result<(Heard, Vec<String>), SourceError> {
    let (mut router, mut heard, mut events) = (Router::new([].into()), Heard::default(), Vec::new());
    while !bytes.is_empty() {
        let space = gather.space();
        let count = space.len().min(step).min(bytes.len());
        space[..count].copy_from_slice(&bytes[..count]);
        bytes = &bytes[count..];
        gather.filled(count);
        let news = gather.digest(&mut router)?;
        heard = Heard { received: heard.received.max(news.received), asked: heard.asked | news.asked };
        let block = gather.take();
        events.extend(block.iter().flat_map(Block::events).map(|event| format!("{event:?}")));
    }
    Ok((heard, events))
}

fn gather() -> Gather {
    Gather::starting_with(Vec::new())
}

#[test]
fn frames_are_whole_however_they_are_cut() {
    let transaction = [
        wal(&Written::Begin { commit: Lsn(20), micros: 0 }),
        wal(&Written::Commit { end: Lsn(30) }),
        keepalive(40, true),
    ]
    .concat();
    for step in 1..transaction.len() {
        let (heard, events) = feed(&mut gather(), &transaction, step).unwrap();
        assert_eq!(heard, Heard { received: Lsn(40), asked: true });
        assert_eq!(events.len(), 3, "{events:?}");
        assert_eq!(events[2], format!("{:?}", Event::Keepalive { lsn: Lsn(40) }));
    }
}

#[test]
fn a_claimed_length_reserves_nothing() {
    let mut gather = gather();
    feed(&mut gather, b"d\x3F\xFF\xFF\xFFw", 6).unwrap();
    assert!(gather.space().len() <= SMALLEST);
}

#[test]
fn a_giant_frame_grows_with_its_bytes_and_no_further() {
    let mut gather = gather();
    let body = vec![b'x'; 3_000_000];
    let logical =
        [&b"M\0"[..], &0u64.to_be_bytes(), b"p\0", &(body.len() as u32).to_be_bytes(), &body].concat();
    let frame = copy_frame(&[&[b'w'; 25][..], &logical].concat());
    let mut rest = &frame[..];
    let mut router = Router::new([].into());
    while !rest.is_empty() {
        let space = gather.space();
        let count = space.len().min(rest.len());
        space[..count].copy_from_slice(&rest[..count]);
        rest = &rest[count..];
        gather.filled(count);
        gather.digest(&mut router).unwrap();
        assert!(gather.builder.bytes().len() <= (2 * gather.filled).max(SMALLEST));
    }
    assert!(gather.builder.bytes().len() <= frame.len() + LARGEST);
    assert!(gather.take().is_none());
}

#[test]
fn a_small_block_holds_little() {
    let mut gather = gather();
    let (_, events) = feed(&mut gather, &keepalive(1, false), 100).unwrap();
    assert_eq!(events.len(), 1);
    gather.space();
    gather.filled(0);
    let frame = keepalive(2, false);
    gather.space()[..frame.len()].copy_from_slice(&frame);
    gather.filled(frame.len());
    gather.digest(&mut Router::new([].into())).unwrap();
    assert!(gather.take().unwrap().held_bytes() < 1024);
}

#[test]
fn what_is_no_frame_of_a_stream_is_an_error() {
    for bytes in
        [copy_frame(b"x"), copy_frame(b"k1234"), copy_frame(b"w"), copy_frame(b""), b"Q\0\0\0\x04".to_vec()]
    {
        assert!(feed(&mut gather(), &bytes, 100).is_err(), "{bytes:?}");
    }
}

proptest! {
    #[test]
    fn any_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), step in 1usize..50) {
        let _ = feed(&mut gather(), &bytes, step);
        let _ = feed(&mut gather(), &copy_frame(&[b"w", &bytes[..]].concat()), step);
    }
}
