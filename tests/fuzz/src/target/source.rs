//! Data from PostgreSQL: frames, messages, answers, certificates.

use worker::{
    change::{Block, Event},
    fuzz::{
        session::{self, Doing, Mute},
        stream::blocks,
    },
};

use super::{
    Fuzzed, batch, chosen,
    files::{self, PASSWORD},
    tables,
};

/// Raw bytes of the socket: the events must not depend on how reads cut them, and the result must be encodable.
pub(super) fn stream() -> Fuzzed {
    let tables = [tables::every()];
    Box::new(move |bytes| {
        let (choice, bytes) = chosen(bytes);
        let copied = choice & 1 == 1;
        let whole = blocks(bytes, usize::MAX, copied, &tables);
        // At most a few hundred pieces, because each one costs a buffer.
        let step = 1 + usize::from(choice) + bytes.len() / 256;
        let pieces = blocks(bytes, step, copied, &tables);
        match (&whole, &pieces) {
            (Ok(whole), Ok(pieces)) => {
                assert!(events(whole).eq(events(pieces)), "cut otherwise, read otherwise")
            }
            (whole, pieces) => assert_eq!(whole.is_err(), pieces.is_err()),
        }
        batch::write_all(&whole.unwrap_or_default(), &tables, choice);
    })
}

/// Messages of pgoutput in valid frames; in the input each follows a length of two bytes. The first bit of the choice
/// decides whether a table is announced first.
pub(super) fn messages() -> Fuzzed {
    let tables = [tables::every()];
    Box::new(move |bytes| {
        let (choice, bytes) = chosen(bytes);
        let mut framed = Vec::new();
        if choice & 1 == 1 {
            frame(&[&b"B"[..], &[0; 20]].concat(), &mut framed);
            frame(&tables::announcement(), &mut framed);
        }
        split(bytes).for_each(|message| frame(message, &mut framed));
        let routed = blocks(&framed, usize::MAX, false, &tables).unwrap_or_default();
        batch::write_all(&routed, &tables, choice);
    })
}

fn split(mut bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (length, rest) = bytes.split_first_chunk::<2>()?;
        let (message, rest) = rest.split_at(rest.len().min(u16::from_be_bytes(*length).into()));
        bytes = rest;
        Some(message)
    })
}

/// A CopyData frame with XLogData in it.
fn frame(message: &[u8], out: &mut Vec<u8>) {
    out.push(b'd');
    out.extend((4 + 25 + message.len() as u32).to_be_bytes());
    out.push(b'w');
    out.extend([0; 24]);
    out.extend(message);
}

fn events(blocks: &[Block]) -> impl Iterator<Item = Event<'_>> {
    blocks.iter().flat_map(Block::events)
}

/// Frames of the query protocol: login, rows, refusals.
pub(super) fn session() -> Fuzzed {
    let (mut server, config) = (Mute::new().expect("loopback has ports"), files::least(&[]).source);
    Box::new(move |bytes| {
        let (choice, bytes) = chosen(bytes);
        let doing = match choice % 5 {
            0 => Doing::LogIn,
            1 => Doing::Query,
            2 => Doing::EachRow,
            3 => Doing::StartCopy,
            _ => Doing::EndCopy,
        };
        let heard = server.hear(bytes, doing, &config);
        let quotes = |problem: String| problem.contains(PASSWORD) && !contains(bytes, PASSWORD.as_bytes());
        assert!(!heard.is_err_and(quotes), "a fault quotes the password");
    })
}

pub(super) fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

/// A certificate, as channel binding reads it.
pub(super) fn certificate() -> Fuzzed {
    Box::new(|bytes| {
        session::certificate(bytes);
    })
}
