//! Decodes the messages of `pgoutput`, protocol version 1, values as text.
//!
//! In: the body of one XLogData frame. Out: a [`Message`] whose rows are places in that body, each
//! checked value by value. The rule: an unknown, short or too long message is an error, and is never skipped.

mod message;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

pub use self::message::{Message, OldRow, Relation, RelationColumn, Row, TypeName};
use super::cursor::Cursor;
use crate::{change::Tuple, lsn::Lsn};

/// The message is not one of pgoutput, version 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    #[error("pgoutput message {:?} is unknown", char::from(*.0))]
    Unknown(u8),
    #[error("pgoutput message {:?} is shorter or longer than its content", char::from(*.0))]
    Content(u8),
    #[error("pgoutput message is empty")]
    Empty,
}

/// Reads one message, which must fill `body`.
pub fn decode(body: &[u8]) -> Result<Message, Malformed> {
    let (tag, content) = body.split_first().ok_or(Malformed::Empty)?;
    let mut reading = Reading { cursor: Cursor(content), whole: body.len() };
    let message = match tag {
        b'I' => reading.insert(),
        b'U' => reading.update(),
        b'D' => reading.delete(),
        b'B' => reading.begin(),
        b'C' => reading.commit(),
        b'R' => reading.relation(),
        b'Y' => reading.type_name(),
        b'T' => reading.truncate(),
        b'O' => reading.origin(),
        b'M' => reading.logical(),
        _ => return Err(Malformed::Unknown(*tag)),
    };
    message.filter(|_| reading.cursor.is_empty()).ok_or(Malformed::Content(*tag))
}

/// The relation of a change, from the beginning of its message.
pub fn relation_of_change(begun: &[u8]) -> Option<u32> {
    let (tag, rest) = begun.split_first()?;
    matches!(tag, b'I' | b'U' | b'D').then(|| Cursor(rest).u32()).flatten()
}

struct Reading<'a> {
    cursor: Cursor<'a>,
    whole: usize,
}

impl Reading<'_> {
    fn begin(&mut self) -> Option<Message> {
        let (commit, time, xid) = (self.cursor.u64()?, self.cursor.i64()?, self.cursor.u32()?);
        Some(Message::Begin { commit: Lsn(commit), time: postgres_time(time), xid })
    }

    fn commit(&mut self) -> Option<Message> {
        let (_flags, _commit, end) = (self.cursor.u8()?, self.cursor.u64()?, self.cursor.u64()?);
        self.cursor.i64()?;
        Some(Message::Commit { end: Lsn(end) })
    }

    fn relation(&mut self) -> Option<Message> {
        let (oid, schema, name) = (self.cursor.u32()?, self.schema()?, self.cursor.string()?);
        let (_replica_identity, count) = (self.cursor.u8()?, self.cursor.u16()?);
        // Collected from the bytes that exist: the claimed count reserves no memory.
        let columns = std::iter::repeat_with(|| self.relation_column()).take(count.into());
        let columns = columns.collect::<Option<Vec<_>>>()?;
        Some(Message::Relation(Box::new(Relation { oid, schema, name, columns })))
    }

    fn relation_column(&mut self) -> Option<RelationColumn> {
        let (flags, name) = (self.cursor.u8()?, self.cursor.string()?);
        let (type_oid, typmod) = (self.cursor.u32()?, self.cursor.i32()?);
        Some(RelationColumn { identity: flags & 1 == 1, name, type_oid, typmod })
    }

    /// An empty schema stands for `pg_catalog`.
    fn schema(&mut self) -> Option<String> {
        let schema = self.cursor.string()?;
        Some(if schema.is_empty() { "pg_catalog".to_owned() } else { schema })
    }

    fn type_name(&mut self) -> Option<Message> {
        let (oid, schema, name) = (self.cursor.u32()?, self.schema()?, self.cursor.string()?);
        Some(Message::Type(Box::new(TypeName { oid, schema, name })))
    }

    fn insert(&mut self) -> Option<Message> {
        let (relation, kind) = (self.cursor.u32()?, self.cursor.u8()?);
        let new = (kind == b'N').then(|| self.row())??;
        Some(Message::Insert { relation, new })
    }

    fn update(&mut self) -> Option<Message> {
        let (relation, kind) = (self.cursor.u32()?, self.cursor.u8()?);
        let old = if kind == b'N' { None } else { Some(self.old_row(kind)?) };
        if old.is_some() && self.cursor.u8()? != b'N' {
            return None;
        }
        Some(Message::Update { relation, old, new: self.row()? })
    }

    fn delete(&mut self) -> Option<Message> {
        let (relation, kind) = (self.cursor.u32()?, self.cursor.u8()?);
        Some(Message::Delete { relation, old: self.old_row(kind)? })
    }

    fn old_row(&mut self, kind: u8) -> Option<OldRow> {
        match kind {
            b'K' => self.row().map(OldRow::Key),
            b'O' => self.row().map(OldRow::Full),
            _ => None,
        }
    }

    fn row(&mut self) -> Option<Row> {
        let columns = usize::from(self.cursor.u16()?);
        let start = self.whole - self.cursor.0.len();
        let (_, rest) = Tuple::split(self.cursor.0, columns).ok()?;
        self.cursor = Cursor(rest);
        Some(Row { columns, place: start..self.whole - rest.len() })
    }

    fn truncate(&mut self) -> Option<Message> {
        let (count, _options) = (self.cursor.u32()?, self.cursor.u8()?);
        let mut relations = Vec::new();
        for _ in 0..count {
            relations.push(self.cursor.u32()?);
        }
        Some(Message::Truncate { relations })
    }

    fn origin(&mut self) -> Option<Message> {
        self.cursor.u64()?;
        self.cursor.text().map(|_| Message::Aside)
    }

    fn logical(&mut self) -> Option<Message> {
        let (_flags, _lsn, _prefix) = (self.cursor.u8()?, self.cursor.u64()?, self.cursor.text()?);
        let length = self.cursor.u32()? as usize;
        self.cursor.take(length).map(|_| Message::Aside)
    }
}

/// Seconds from the Unix epoch to PostgreSQL's, 2000-01-01.
const POSTGRES_EPOCH: u64 = 946_684_800;

/// Microseconds since 2000 as a time; a value out of range becomes the Unix epoch.
fn postgres_time(micros: i64) -> SystemTime {
    let epoch = UNIX_EPOCH + Duration::from_secs(POSTGRES_EPOCH);
    let distance = Duration::from_micros(micros.unsigned_abs());
    let time = if micros < 0 { epoch.checked_sub(distance) } else { epoch.checked_add(distance) };
    time.unwrap_or(UNIX_EPOCH)
}

/// A time as microseconds since 2000, for status updates.
pub(super) fn postgres_micros(time: SystemTime) -> i64 {
    let epoch = UNIX_EPOCH + Duration::from_secs(POSTGRES_EPOCH);
    time.duration_since(epoch).map_or(0, |elapsed| elapsed.as_micros() as i64)
}

#[cfg(test)]
pub(super) mod writer;

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::{writer, *};

    fn name() -> impl Strategy<Value = String> {
        "[a-zA-Z \"é.]{1,8}"
    }

    fn values() -> impl Strategy<Value = Vec<writer::Cell>> {
        let cell = prop_oneof![
            Just(writer::Cell::Null),
            Just(writer::Cell::Unchanged),
            vec(any::<u8>(), 0..20).prop_map(writer::Cell::Text),
        ];
        vec(cell, 0..6)
    }

    fn message() -> impl Strategy<Value = writer::Written> {
        use writer::Written;
        let column = (any::<bool>(), name(), any::<u32>(), any::<i32>()).prop_map(
            |(identity, name, type_oid, typmod)| RelationColumn { identity, name, type_oid, typmod },
        );
        let old = proptest::option::of((any::<bool>(), values()));
        prop_oneof![
            (any::<u64>(), 0..1_000_000_000_000_000i64, any::<u32>())
                .prop_map(|(commit, micros, xid)| Written::Begin { commit: Lsn(commit), micros, xid }),
            any::<u64>().prop_map(|end| Written::Commit { end: Lsn(end) }),
            (any::<u32>(), name(), name(), vec(column, 0..4)).prop_map(|(oid, schema, name, columns)| {
                Written::Relation(Relation { oid, schema, name, columns })
            }),
            (any::<u32>(), values()).prop_map(|(relation, new)| Written::Insert { relation, new }),
            (any::<u32>(), old, values()).prop_map(|(relation, old, new)| Written::Update {
                relation,
                old,
                new
            }),
            (any::<u32>(), any::<bool>(), values()).prop_map(|(relation, full, old)| Written::Delete {
                relation,
                full,
                old
            }),
            vec(any::<u32>(), 0..5).prop_map(|relations| Written::Truncate { relations }),
        ]
    }

    proptest! {
        #[test]
        fn a_message_reads_as_it_was_written(written in message()) {
            let body = written.encode();
            let decoded = decode(&body).unwrap();
            prop_assert!(written.equals(&decoded, &body), "{written:?} read as {decoded:?}");
        }

        #[test]
        fn a_message_cut_short_or_with_a_tail_is_an_error(written in message(), cut in any::<prop::sample::Index>()) {
            let mut body = written.encode();
            prop_assert!(decode(&body[..cut.index(body.len())]).is_err());
            body.push(0);
            prop_assert!(decode(&body).is_err());
        }

        #[test]
        fn any_bytes_never_panic(tag in prop::sample::select(b"BCRYIUDTOMSEcAbPKrp\0".to_vec()), body in vec(any::<u8>(), 0..60)) {
            let mut message = vec![tag];
            message.extend(body);
            let _ = decode(&message);
        }
    }

    #[test]
    fn what_was_not_asked_for_is_an_error() {
        assert_eq!(decode(b""), Err(Malformed::Empty));
        for tag in *b"SEcAbPKrp?" {
            assert_eq!(decode(&[tag, 0, 0, 0, 0]), Err(Malformed::Unknown(tag)));
        }
    }

    #[test]
    fn a_truncate_of_four_billion_tables_reserves_nothing() {
        assert_eq!(decode(b"T\xFF\xFF\xFF\xFF\0"), Err(Malformed::Content(b'T')));
    }

    #[test]
    fn times_before_and_beyond_the_clock_are_times() {
        assert!(postgres_time(-1) < postgres_time(0));
        let (_, _) = (postgres_time(i64::MIN), postgres_time(i64::MAX));
        assert_eq!(postgres_micros(postgres_time(123_456)), 123_456);
    }
}
