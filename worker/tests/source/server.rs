//! The server shared by all tests, with one database for each.

use std::{
    io::Write,
    sync::OnceLock,
    time::{Duration, Instant},
};

use testbed::postgres::{Postgres, PostgresOptions};
use worker::{
    config::{Secret, SourceConfig, TlsConfig, TlsMode},
    table::TableName,
};

/// The role of every login: it has REPLICATION and owns the tables of its database, but is no superuser.
pub(crate) const ROLE: &str = "follower";
/// Every character with a special meaning somewhere on the way.
pub(crate) const PASSWORD: &str = "p@ss:w/rd %'\"\\ ünd ?&=";

static SERVER: OnceLock<Postgres> = OnceLock::new();

pub(crate) fn server() -> &'static Postgres {
    SERVER.get_or_init(|| {
        let server = Postgres::start(PostgresOptions { tls: true, ..Default::default() }.with("wal_init_zero", "off").with("wal_recycle", "off")).unwrap();
        let password = PASSWORD.replace('\'', "''");
        server
            .psql(&format!("SET standard_conforming_strings = on; CREATE ROLE {ROLE} LOGIN REPLICATION PASSWORD '{password}'"))
            .unwrap();
        server
    })
}

/// The database of one test, with a table `orders`.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) name: &'static str,
}

impl Source {
    pub(crate) fn new(name: &'static str) -> Self {
        Self::made(name, "")
    }

    /// A database in another encoding.
    pub(crate) fn encoded(name: &'static str, encoding: &str) -> Self {
        Self::made(name, &format!("ENCODING '{encoding}' LOCALE 'C' TEMPLATE template0"))
    }

    fn made(name: &'static str, options: &str) -> Self {
        let source = Self { name };
        server().psql(&format!("CREATE DATABASE {name} OWNER {ROLE} {options}")).unwrap();
        source.sql("GRANT CREATE ON SCHEMA public TO PUBLIC");
        source.sql("CREATE TABLE orders (id bigint PRIMARY KEY, note text)");
        source
    }

    /// Runs SQL as the role, so that the role owns everything it creates.
    pub(crate) fn sql(&self, sql: &str) -> String {
        let own = format!("SET ROLE {ROLE}; {sql}");
        server().psql_in(self.name, &own).unwrap()
    }

    /// Runs SQL as superuser.
    pub(crate) fn admin(&self, sql: &str) -> String {
        server().psql_in(self.name, sql).unwrap()
    }

    /// The configuration of a job on this database; its slot and publication have the database's name.
    pub(crate) fn config(&self, tables: &[&str]) -> SourceConfig {
        SourceConfig {
            host: server().address().ip().to_string(),
            port: server().port(),
            database: self.name.into(),
            user: ROLE.into(),
            password: Secret::new(PASSWORD),
            tls: TlsConfig { mode: TlsMode::Disable, ca_file: None },
            on_lost: Default::default(),
            catch_up: None,
            whole_rows: false,
            claims: Vec::new(),
            slot: self.name.into(),
            publication: self.name.into(),
            tables: tables.iter().map(|table| TableName::parse(table).unwrap()).collect(),
            copy_memory: None,
        }
    }

    /// The value of this column of `pg_replication_slots` for the job's slot.
    pub(crate) fn slot(&self, column: &str) -> String {
        self.admin(&format!("SELECT {column} FROM pg_replication_slots WHERE slot_name = '{}'", self.name))
    }

    /// The value of this column of `pg_stat_replication` for the job's walsender; empty when it has none.
    pub(crate) fn walsender(&self, column: &str) -> String {
        let name = self.name;
        self.admin(&format!(
            "SELECT {column} FROM pg_stat_replication WHERE application_name = 'dbmazz {name}'"
        ))
    }
}

/// Polls a condition outside this process.
pub(crate) fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !is_so() {
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// An open transaction of the superuser.
#[derive(Debug)]
pub(crate) struct Session {
    psql: std::process::Child,
}

impl Session {
    /// Runs a statement and leaves its transaction open.
    pub(crate) fn begin(source: &Source, statement: &str) -> Self {
        let folder = server().folder().display().to_string();
        let psql = std::process::Command::new("psql")
            .args(["--no-psqlrc", "--quiet", "--tuples-only", "--username=postgres", "--host", &folder])
            .args(["--port", &server().port().to_string(), "--dbname", source.name])
            .env("PGPASSWORD", server().password())
            .env("PGAPPNAME", format!("open {}", source.name))
            .stdin(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = psql.stdin.as_ref().unwrap();
        said.write_all(format!("BEGIN; {statement};\n").as_bytes()).unwrap();
        let is_open = format!(
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'open {}' \
             AND state = 'idle in transaction' AND backend_xid IS NOT NULL",
            source.name
        );
        let holds = format!(
            "SELECT count(*) FROM pg_locks JOIN pg_stat_activity USING (pid) WHERE application_name = 'open {}' \
             AND mode = 'AccessExclusiveLock' AND granted",
            source.name
        );
        eventually("the transaction is open", || {
            source.admin(&is_open) != "0" || source.admin(&holds) != "0"
        });
        Self { psql }
    }

    /// Runs the last statement of the transaction and waits for the end of psql.
    pub(crate) fn end(mut self, word: &str) {
        drop(self.psql.stdin.take().unwrap().write_all(format!("{word};\n").as_bytes()));
        self.psql.wait().unwrap();
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        drop(self.psql.stdin.take());
        drop(self.psql.wait());
    }
}
