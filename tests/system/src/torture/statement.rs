//! Random single statements over the tables of the torture.

use fastrand::Rng;

use super::schema::{SEAMS, SMALL, seam};

/// Distinct keys of most tables.
const KEYS: u32 = 1500;
/// The hot keys, which get half of the changes; the other half goes to rows that may not be changed again, so that an
/// error in them stays visible.
const BUSY: u32 = 60;
const HOT: u32 = 20;

const TEXTS: [&str; 9] = [
    "NULL",
    "''",
    "'plain'",
    "'O''Brien \"quoted\" \\back'",
    "E'tab\\tnewline\\nreturn\\r'",
    "'é 中 🦀'",
    "E'\\u2028\\u0001'",
    "'{\"json\": true}'",
    "'\\N'",
];

const DOCUMENTS: [&str; 4] = [
    "NULL",
    "'{\"b\": [1, 2.50, null, true], \"a\": {\"deep\": \"é\"}}'",
    "'[]'",
    "'{\"big\": 9007199254740993, \"small\": -1.5e-7}'",
];

pub(super) struct Statements<'a>(pub(super) &'a mut Rng);

impl Statements<'_> {
    pub(super) fn key(&mut self) -> u32 {
        let keys = if self.0.bool() { BUSY } else { KEYS };
        self.0.u32(..keys)
    }

    fn text(&mut self) -> &'static str {
        self.0.choice(TEXTS).unwrap_or("NULL")
    }

    /// Mostly large enough to be stored out of line (TOAST).
    fn large(&mut self) -> String {
        match self.0.u8(..5) {
            0 => "NULL".to_owned(),
            1 => "'short'".to_owned(),
            _ => format!("repeat('large {} ', {})", self.0.u32(..), self.0.u16(250..900)),
        }
    }

    pub(super) fn ledger(&mut self) -> String {
        let (id, change) = (self.0.u32(..HOT), self.0.i32(-9999..9999));
        format!(
            "INSERT INTO ledger VALUES ({id}, 'owner', {change} / 100.0, now()) ON CONFLICT (id) DO UPDATE \
             SET balance = ledger.balance + excluded.balance, changed = clock_timestamp()"
        )
    }

    pub(super) fn thing(&mut self) -> String {
        let (id, text, document) = (self.key(), self.text(), self.0.choice(DOCUMENTS).unwrap_or("NULL"));
        let (n, seconds, days) = (self.0.i32(..), self.0.u32(..900_000_000), self.0.u16(..20_000));
        let real = self.0.f32() * 1e6 - 5e5;
        let micros = self.0.u32(..1_000_000);
        format!(
            "INSERT INTO things VALUES ({id}, {n} % 2 = 0, ({n} % 32767)::smallint, {n}, {real}, {real} * 1e10, \
             {n} / 1000.0, {n} / 7.0, {text}, left({text}, 20), 'c{}', md5('{n}')::uuid, \
             (ARRAY['sad', 'content', 'happy', NULL])[1 + {days} % 4]::mood, date '1990-01-01' + {days}, \
             timestamp '2000-01-01' + {seconds} * interval '1 second' + {micros} * interval '1 microsecond', \
             timestamptz '2000-01-01 00:00+00' + {seconds} * interval '1 second', \
             time '00:00' + {seconds} * interval '1 second', {days} * interval '1 day 1 second', \
             {document}, {document}, ('10.0.' || {days} % 256 || '.1')::inet, ({days} % 16)::bit(4)) \
             ON CONFLICT (id) DO UPDATE SET t = excluded.t, n = excluded.n, jb = excluded.jb, tz = excluded.tz",
            days % 1000,
        )
    }

    pub(super) fn touch_thing(&mut self) -> String {
        let (id, text, real) = (self.key(), self.text(), self.0.f64());
        format!("UPDATE things SET b = NOT b, t = {text}, d = {real}, v = NULL WHERE id = {id}")
    }

    /// The parts of a key; the code sorts differently by language and by byte.
    fn part_key(&mut self) -> (String, String, String) {
        const CODES: [&str; 8] = ["a", "B", "é", "z", "_", "Z 1", "中", "a\\b''"];
        let code = self.0.choice(CODES).unwrap_or("a");
        let (region, day) = (self.0.u8(..4), self.0.u8(..8));
        (format!("'r{region}'"), format!("'{code}'"), format!("date '2026-01-01' + {day}"))
    }

    pub(super) fn part(&mut self) -> String {
        let ((region, code, day), amount, note) = (self.part_key(), self.0.i32(..), self.text());
        format!(
            "INSERT INTO parts VALUES ({region}, {code}, {day}, {amount} / 100.0, {note}) \
             ON CONFLICT (region, code, day) DO UPDATE SET amount = excluded.amount, note = excluded.note"
        )
    }

    /// Moves a row to a free key.
    pub(super) fn move_part(&mut self) -> String {
        let ((region, code, day), (to_region, _, to_day)) = (self.part_key(), self.part_key());
        format!(
            "UPDATE parts SET region = {to_region}, day = {to_day} \
             WHERE region = {region} AND code = {code} AND day = {day} AND NOT EXISTS \
             (SELECT 1 FROM parts WHERE region = {to_region} AND code = {code} AND day = {to_day})"
        )
    }

    pub(super) fn doc(&mut self, table: &str) -> String {
        let (id, title, n) = (self.key(), self.text(), self.0.i32(..));
        let (body, extra) = (self.large(), self.large());
        format!(
            "INSERT INTO {table} VALUES ({id}, {title}, {body}, {extra}, {n}) \
             ON CONFLICT (id) DO UPDATE SET title = excluded.title, body = excluded.body"
        )
    }

    /// Leaves at least one large value unchanged.
    pub(super) fn touch_doc(&mut self, table: &str) -> String {
        let (id, title, n) = (self.key(), self.text(), self.0.i32(..));
        match self.0.u8(..4) {
            0 => format!("UPDATE {table} SET extra = {} WHERE id = {id}", self.large()),
            1 => format!("UPDATE {table} SET n = {n} WHERE id BETWEEN {id} AND {id} + 10"),
            2 => format!("UPDATE {table} SET body = {}, n = {n} WHERE id = {id}", self.large()),
            _ => format!("UPDATE {table} SET title = {title} WHERE id = {id}"),
        }
    }

    pub(super) fn move_letter(&mut self) -> String {
        let (from, to) = (self.key(), self.key());
        format!(
            "UPDATE letters SET id = {to} WHERE id = {from} \
             AND NOT EXISTS (SELECT 1 FROM letters WHERE id = {to})"
        )
    }

    pub(super) fn token(&mut self) -> String {
        let key = self.key();
        format!(
            "INSERT INTO tokens VALUES (md5('{key}')::uuid, 1, now()) \
             ON CONFLICT (u) DO UPDATE SET uses = tokens.uses + 1"
        )
    }

    pub(super) fn sale(&mut self) -> String {
        let (id, text) = (self.key(), self.text());
        format!(
            "INSERT INTO sales.parts VALUES ({id}, {text}, 1) \
             ON CONFLICT (id) DO UPDATE SET \"The Size\" = excluded.\"The Size\", \"select\" = sales.parts.\"select\" + 1"
        )
    }

    pub(super) fn small(&mut self) -> String {
        let (table, id, text) = (self.0.u32(..SMALL), self.0.u8(..40), self.text());
        if self.0.u8(..4) == 0 {
            return format!("DELETE FROM small_{table} WHERE id = {id}");
        }
        format!(
            "INSERT INTO small_{table} (id, v) VALUES ({id}, {text}) ON CONFLICT (id) DO UPDATE SET v = excluded.v"
        )
    }

    pub(super) fn seam(&mut self) -> String {
        let (table, id, text) = (seam(self.0.u32(..SEAMS)), self.0.u8(..60), self.text());
        match self.0.u8(..4) {
            0 => format!("DELETE FROM {table} WHERE id = {id}"),
            1 => format!("UPDATE {table} SET v = {text} WHERE id = {id}"),
            _ => format!(
                "INSERT INTO {table} VALUES ({id}, {text}, {}) ON CONFLICT (id) DO UPDATE SET v = excluded.v",
                self.large()
            ),
        }
    }

    pub(super) fn delete(&mut self) -> String {
        const TABLES: [&str; 5] = ["things", "docs", "letters", "bulk", "sales.parts"];
        let (table, id) = (self.0.choice(TABLES).unwrap_or("things"), self.key());
        format!("DELETE FROM {table} WHERE id = {id}")
    }
}
