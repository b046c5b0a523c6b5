//! Seeded transactions: tiny and giant, committed, rolled back in part or as a whole, with every kind of change.

use fastrand::Rng;

use super::{schema::SMALL, statement::Statements};

/// Kinds of changes that a round can leave out.
#[derive(Debug, Clone, Copy, Default)]
pub struct Switches {
    pub truncate: bool,
    pub columns: bool,
}

/// An endless sequence of transactions, determined by the seed.
#[derive(Debug)]
pub(super) struct Traffic {
    random: Rng,
    switches: Switches,
    /// Columns added so far, so that names are new.
    columns: u32,
}

impl Traffic {
    pub(super) fn new(seed: u64, switches: Switches) -> Self {
        Self { random: Rng::with_seed(seed), switches, columns: 0 }
    }

    /// The next transaction, for one simple query.
    pub(super) fn transaction(&mut self) -> String {
        let body = self.body();
        let end = if self.random.u8(..12) == 0 { "ROLLBACK" } else { "COMMIT" };
        format!("BEGIN; {body}; {end}")
    }

    fn body(&mut self) -> String {
        match self.random.u8(..100) {
            0..45 => self.several(1, 5),
            45..60 => self.several(10, 60),
            60..75 => self.hot(),
            75..85 => self.savepoints(),
            85..90 => self.giant(),
            90..93 => self.subtransactions(),
            93..97 => self.keys(),
            97 if self.switches.truncate => self.truncate(),
            98 if self.switches.columns => self.change_columns(),
            _ => self.several(1, 3),
        }
    }

    fn several(&mut self, least: usize, most: usize) -> String {
        let count = self.random.usize(least..=most);
        (0..count).map(|_| self.statement()).collect::<Vec<_>>().join("; ")
    }

    fn statement(&mut self) -> String {
        let random = &mut Statements(&mut self.random);
        match random.0.u8(..32) {
            0..4 => random.thing(),
            4..6 => random.touch_thing(),
            6..9 => random.part(),
            9 => random.move_part(),
            10..14 => random.doc("docs"),
            14..17 => random.touch_doc("docs"),
            17..19 => random.doc("letters"),
            19..21 => random.touch_doc("letters"),
            21 => random.move_letter(),
            22 => random.token(),
            23 => random.sale(),
            24..28 => random.small(),
            28 | 29 => random.seam(),
            _ => random.delete(),
        }
    }

    /// A few rows again and again.
    fn hot(&mut self) -> String {
        let count = self.random.usize(5..40);
        (0..count).map(|_| Statements(&mut self.random).ledger()).collect::<Vec<_>>().join("; ")
    }

    /// With savepoints, some of which are rolled back.
    fn savepoints(&mut self) -> String {
        let mut parts = vec![self.several(1, 4)];
        for depth in 0..self.random.u8(1..5) {
            let inner = self.several(1, 6);
            let end = if self.random.bool() { "ROLLBACK TO" } else { "RELEASE" };
            parts.push(format!("SAVEPOINT s{depth}; {inner}; {end} s{depth}; {}", self.several(1, 2)));
        }
        parts.join("; ")
    }

    /// Each statement in a subtransaction, every third of which is rolled back.
    fn subtransactions(&mut self) -> String {
        let first = self.random.u32(..4000);
        format!(
            "DO $$ BEGIN FOR i IN 1..120 LOOP BEGIN \
             INSERT INTO bulk VALUES ({first} + i, 'inner ' || i, 0) ON CONFLICT (id) DO UPDATE SET round = bulk.round + 1; \
             UPDATE ledger SET balance = balance + 1 WHERE id = i % 20; \
             IF i % 3 = 0 THEN RAISE EXCEPTION 'taken back'; END IF; \
             EXCEPTION WHEN raise_exception THEN NULL; END; END LOOP; END $$"
        )
    }

    /// Thousands of rows at once.
    fn giant(&mut self) -> String {
        let (first, count, round) =
            (self.random.u32(..4000), self.random.u32(500..3000), self.random.u32(..));
        let last = first + count;
        match self.random.u8(..5) {
            0 | 1 => format!(
                "INSERT INTO bulk SELECT i, repeat(md5(i::text), {}), {} FROM generate_series({first}, {last}) i \
                 ON CONFLICT (id) DO UPDATE SET payload = excluded.payload, round = excluded.round",
                self.random.u8(1..8),
                round >> 1
            ),
            2 => format!("UPDATE bulk SET round = {} WHERE id BETWEEN {first} AND {last}", round >> 1),
            3 => format!("DELETE FROM bulk WHERE id BETWEEN {first} AND {last}"),
            // Must never arrive in the target.
            _ => format!(
                "SAVEPOINT giant; INSERT INTO bulk SELECT i, md5(i::text), 0 FROM generate_series({first}, {last}) i \
                 ON CONFLICT (id) DO UPDATE SET round = -1; ROLLBACK TO giant; {}",
                self.several(1, 2)
            ),
        }
    }

    /// Two rows exchange their keys, one moves over several keys, one returns to its key.
    fn keys(&mut self) -> String {
        let (one, other) = (Statements(&mut self.random).key(), Statements(&mut self.random).key());
        let swap = format!(
            "UPDATE letters SET id = -1 WHERE id = {one}; UPDATE letters SET id = {one} WHERE id = {other}; \
             UPDATE letters SET id = {other} WHERE id = -1"
        );
        let chain = format!(
            "UPDATE letters SET id = -2 WHERE id = {one}; UPDATE letters SET id = -3 WHERE id = -2; \
             UPDATE letters SET id = {one}, title = 'round' WHERE id = -3"
        );
        let back = format!(
            "DELETE FROM docs WHERE id = {one}; INSERT INTO docs VALUES ({one}, 'back', repeat('b', 9000), NULL, 0); \
             UPDATE docs SET n = n + 1 WHERE id = {one}; DELETE FROM docs WHERE id = {other}"
        );
        match self.random.u8(..3) {
            0 => swap,
            1 => chain,
            _ => back,
        }
    }

    fn truncate(&mut self) -> String {
        let table = self.random.u32(..SMALL);
        let after = self.several(1, 3);
        format!("TRUNCATE small_{table}; INSERT INTO small_{table} VALUES (1, 'after'); {after}")
    }

    /// Rows before and after in one transaction. No two columns that the worker may see for the first time together
    /// have the same type: it could not tell whether one was renamed to the other.
    fn change_columns(&mut self) -> String {
        const TYPES: [&str; 8] = [
            "int",
            "text DEFAULT 'given'",
            "boolean NOT NULL DEFAULT true",
            "numeric(9,3) DEFAULT -1.5",
            "date",
            "double precision DEFAULT 0.1",
            "timestamptz DEFAULT now()",
            "jsonb",
        ];
        self.columns += 1;
        let turn = self.columns / SMALL;
        let (table, name) = (self.columns % SMALL, format!("c{}", self.random.u32(..)));
        let column_type = TYPES[turn as usize % TYPES.len()];
        let (before, after) = (self.several(1, 2), self.several(1, 2));
        let change = match turn % 4 {
            0 => format!("ALTER TABLE small_{table} ADD COLUMN {name} {column_type}"),
            1 => format!("ALTER TABLE small_{table} RENAME v TO w; ALTER TABLE small_{table} RENAME w TO v"),
            2 => format!(
                "ALTER TABLE small_{table} ADD COLUMN {name} {column_type}; ALTER TABLE small_{table} RENAME {name} TO r{name}"
            ),
            _ => format!(
                "ALTER TABLE small_{table} ADD COLUMN {name} {column_type}; ALTER TABLE small_{table} DROP COLUMN {name}"
            ),
        };
        let touch = format!(
            "INSERT INTO small_{table} VALUES (1, 'new') ON CONFLICT (id) DO UPDATE SET v = 'changed'"
        );
        format!("{before}; {touch}; {change}; {touch}; {after}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_seed_makes_one_row_of_transactions() {
        let of = |seed| {
            let mut traffic = Traffic::new(seed, Switches { truncate: true, columns: true });
            (0..200).map(|_| traffic.transaction()).collect::<Vec<_>>()
        };
        assert_eq!(of(7), of(7));
        assert_ne!(of(7), of(8));
    }

    #[test]
    fn what_is_switched_off_is_not_made() {
        let mut traffic = Traffic::new(1, Switches::default());
        assert!((0..2000).all(|_| {
            let sql = traffic.transaction();
            !sql.contains("TRUNCATE") && !sql.contains("ADD COLUMN")
        }));
    }
}
