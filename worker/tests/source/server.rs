//! The server of all tests, and a database of it for each.

use std::{
    sync::OnceLock,
    time::{Duration, Instant},
};

use testbed::postgres::{Postgres, PostgresOptions};
use worker::{
    config::{Secret, SourceConfig, TlsConfig, TlsMode},
    table::TableName,
};

/// The role that every test logs in as: REPLICATION, and owner of its database's tables. Not a superuser.
pub(crate) const ROLE: &str = "follower";
/// Every character that somewhere means something.
pub(crate) const PASSWORD: &str = "p@ss:w/rd %'\"\\ ünd ?&=";

static SERVER: OnceLock<Postgres> = OnceLock::new();

pub(crate) fn server() -> &'static Postgres {
    SERVER.get_or_init(|| {
        let server = Postgres::start(PostgresOptions { tls: true, ..Default::default() }).unwrap();
        let password = PASSWORD.replace('\'', "''");
        server
            .psql(&format!("SET standard_conforming_strings = on; CREATE ROLE {ROLE} LOGIN REPLICATION PASSWORD '{password}'"))
            .unwrap();
        server
    })
}

/// One test's database, with a table `orders`.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) name: &'static str,
}

impl Source {
    pub(crate) fn new(name: &'static str) -> Self {
        let source = Self { name };
        server().psql(&format!("CREATE DATABASE {name} OWNER {ROLE}")).unwrap();
        source.sql("GRANT CREATE ON SCHEMA public TO PUBLIC");
        source.sql("CREATE TABLE orders (id bigint PRIMARY KEY, note text)");
        source
    }

    /// Runs SQL as the role, so that everything it makes is the role's.
    pub(crate) fn sql(&self, sql: &str) -> String {
        let own = format!("SET ROLE {ROLE}; {sql}");
        server().psql_in(self.name, &own).unwrap()
    }

    /// Runs SQL as superuser.
    pub(crate) fn admin(&self, sql: &str) -> String {
        server().psql_in(self.name, sql).unwrap()
    }

    /// A job of this database, its slot and publication named like it.
    pub(crate) fn config(&self, tables: &[&str]) -> SourceConfig {
        SourceConfig {
            host: server().address().ip().to_string(),
            port: server().port(),
            database: self.name.into(),
            user: ROLE.into(),
            password: Secret::new(PASSWORD),
            tls: TlsConfig { mode: TlsMode::Disable, ca_file: None },
            catch_up: None,
            whole_rows: false,
            slot: self.name.into(),
            publication: self.name.into(),
            tables: tables.iter().map(|table| TableName::parse(table).unwrap()).collect(),
        }
    }

    /// One value of this job's slot.
    pub(crate) fn slot(&self, column: &str) -> String {
        self.admin(&format!("SELECT {column} FROM pg_replication_slots WHERE slot_name = '{}'", self.name))
    }

    /// One value of this job's walsender; empty when it has none.
    pub(crate) fn walsender(&self, column: &str) -> String {
        let name = self.name;
        self.admin(&format!(
            "SELECT {column} FROM pg_stat_replication WHERE application_name = 'dbmazz {name}'"
        ))
    }
}

/// Waits for something outside of this process.
pub(crate) fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !is_so() {
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
