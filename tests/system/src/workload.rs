//! Seeded traffic: inserts, updates, deletes, key changes, large values left unchanged, rollbacks, in
//! transactions of many sizes. The same seed makes the same statements.

use anyhow::Result;
use fastrand::Rng;

use crate::source::Source;

/// Two tables with a spread of types: `orders` with a number as key, `customers` with two texts.
pub const SCHEMA: &str = "
    CREATE TABLE orders (
        id bigint PRIMARY KEY, customer text, amount numeric(12,2), paid boolean, weight double precision,
        placed timestamp, changed timestamptz, due date, details jsonb, note text
    );
    ALTER TABLE orders ALTER COLUMN note SET STORAGE EXTERNAL;
    CREATE TABLE customers (
        region varchar(20), code text, name text NOT NULL, level smallint, visits integer, PRIMARY KEY (region, code)
    );
";

/// The tables of [`SCHEMA`], in both databases.
pub const TABLES: [&str; 2] = ["orders", "customers"];

/// A stream of transactions.
#[derive(Debug)]
pub struct Workload {
    random: Rng,
    keys: u32,
}

impl Workload {
    /// `keys` distinct keys per table: few make hot keys.
    pub fn new(seed: u64, keys: u32) -> Self {
        Self { random: Rng::with_seed(seed), keys }
    }

    /// Runs one transaction and returns the number of its statements.
    pub async fn step(&mut self, source: &Source) -> Result<usize> {
        let (sql, statements) = self.transaction();
        source.run(&sql).await?;
        Ok(statements)
    }

    fn transaction(&mut self) -> (String, usize) {
        let statements = match self.random.u8(..10) {
            0 => self.random.usize(50..200),
            1..=4 => 1,
            _ => self.random.usize(2..12),
        };
        let body: Vec<_> = (0..statements).map(|_| self.statement()).collect();
        let end = if self.random.u8(..12) == 0 { "ROLLBACK" } else { "COMMIT" };
        (format!("BEGIN; {}; {end}", body.join("; ")), statements)
    }

    fn statement(&mut self) -> String {
        match self.random.u8(..20) {
            0..=7 => self.order(),
            8..=10 => self.touch_order(),
            11 => self.move_order(),
            12..=13 => format!("DELETE FROM orders WHERE id = {}", self.key()),
            14..=17 => self.customer(),
            18 => self.move_customer(),
            _ => format!("DELETE FROM customers WHERE code = 'c{}'", self.key()),
        }
    }

    fn order(&mut self) -> String {
        let (id, amount, paid) = (self.key(), self.random.i64(-99_999_999..99_999_999), self.random.bool());
        let weight = self.random.f64() * 1e6 - 5e5;
        let (seconds, days) = (self.random.u32(..900_000_000), self.random.u16(..20_000));
        let (customer, note) = (self.text(), self.note());
        format!(
            "INSERT INTO orders VALUES ({id}, {customer}, {amount} / 100.0, {paid}, {weight}, \
             timestamp '2000-01-01' + {seconds}.25 * interval '1 second', \
             timestamptz '2000-01-01 00:00+00' + {seconds} * interval '1 second', \
             date '1990-01-01' + {days}, jsonb_build_object('n', {days}, 'tags', jsonb_build_array({customer}, null)), \
             {note}) ON CONFLICT (id) DO UPDATE SET amount = excluded.amount, customer = excluded.customer"
        )
    }

    /// Leaves the large value as it is.
    fn touch_order(&mut self) -> String {
        let (amount, text, id) = (self.random.i32(..), self.text(), self.key());
        format!(
            "UPDATE orders SET amount = {amount} / 100.0, customer = {text}, paid = NOT paid WHERE id = {id}"
        )
    }

    /// Moves a row to another key if that is free. The large value is written again, because the source would not
    /// send it otherwise.
    fn move_order(&mut self) -> String {
        let (from, to, note) = (self.key(), self.key(), self.note());
        format!(
            "UPDATE orders SET id = {to}, note = {note} WHERE id = {from} \
             AND NOT EXISTS (SELECT 1 FROM orders WHERE id = {to})"
        )
    }

    fn customer(&mut self) -> String {
        let (region, code, name) = (self.random.u8(..5), self.key(), self.text());
        let (level, visits) = (self.random.i16(..), self.random.i32(..));
        format!(
            "INSERT INTO customers VALUES ('r{region}', 'c{code}', coalesce({name}, ''), {level}, {visits}) \
             ON CONFLICT (region, code) DO UPDATE SET level = excluded.level, name = excluded.name"
        )
    }

    fn move_customer(&mut self) -> String {
        let (from, to, code) = (self.random.u8(..5), self.random.u8(..5), self.key());
        format!(
            "UPDATE customers SET region = 'r{to}' WHERE region = 'r{from}' AND code = 'c{code}' \
             AND NOT EXISTS (SELECT 1 FROM customers WHERE region = 'r{to}' AND code = 'c{code}')"
        )
    }

    fn key(&mut self) -> u32 {
        self.random.u32(..self.keys)
    }

    fn text(&mut self) -> String {
        const TEXTS: [&str; 8] = [
            "NULL",
            "''",
            "'plain'",
            "'O''Brien \"quoted\" \\back'",
            "E'tab\\tnewline\\nreturn\\r'",
            "'é 中 🦀'",
            "E'\\u2028\\u0001'",
            "'{\"json\": true}'",
        ];
        let text = self.random.choice(TEXTS).unwrap_or("NULL");
        text.to_owned()
    }

    /// Sometimes larger than a page, so that PostgreSQL stores the value out of line (TOAST).
    fn note(&mut self) -> String {
        match self.random.u8(..3) {
            0 => "NULL".to_owned(),
            1 => "'short'".to_owned(),
            _ => format!("repeat('large {} ', {})", self.random.u32(..), self.random.u16(300..900)),
        }
    }
}
