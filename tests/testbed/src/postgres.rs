//! Private PostgreSQL servers: each in a temporary folder, on a free port, with logical decoding switched on.
//!
//! ```no_run
//! # fn main() -> anyhow::Result<()> {
//! use testbed::postgres::{Postgres, PostgresOptions};
//! let postgres = Postgres::start(PostgresOptions::default())?;
//! postgres.psql("CREATE TABLE orders (id bigint PRIMARY KEY)")?;
//! println!("{}", postgres.url("postgres"));
//! # Ok(())
//! # }
//! ```
//!
//! Dropping the value stops the server and removes its folder; so does the end of the process.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Result, anyhow};

use crate::{network::NetworkNamespace, run};

mod account;
mod binaries;
mod embedded;
mod folder;
mod server;

pub use binaries::Binaries;
pub use embedded::{EMBEDDED, Embedded};
use folder::Folder;
use server::Server;

/// The superuser of every server.
pub const SUPERUSER: &str = "postgres";

#[derive(Debug, Clone)]
pub struct PostgresOptions {
    pub listen: IpAddr,
    /// The network of the address `listen`: this machine (`None`) or a test cluster.
    pub network: Option<NetworkNamespace>,
    /// A port that is free, when none is named.
    pub port: Option<u16>,
    /// Lines of `postgresql.conf`; they win over the defaults of the test bed.
    pub settings: Vec<(String, String)>,
    /// Of the superuser. Everybody logs in by SCRAM, on the local socket too.
    pub password: String,
    /// Answer TLS too, with a certificate of an authority made for this server.
    pub tls: bool,
    /// The folder with `initdb` and `postgres`; the newest that is found, when none is named.
    pub binaries: Option<PathBuf>,
}

impl Default for PostgresOptions {
    fn default() -> Self {
        Self {
            listen: Ipv4Addr::LOCALHOST.into(),
            network: None,
            port: None,
            settings: Vec::new(),
            password: "test bed password".into(),
            tls: false,
            binaries: None,
        }
    }
}

impl PostgresOptions {
    /// Adds one line of `postgresql.conf`.
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.settings.push((name.into(), value.into()));
        self
    }
}

/// A running server.
#[derive(Debug)]
pub struct Postgres {
    // Declared before the folder and so dropped before it: the server is gone when its folder goes.
    server: Server,
    binaries: Binaries,
    password: String,
    authority: Option<String>,
    folder: Folder,
}

impl Postgres {
    pub fn start(options: PostgresOptions) -> Result<Self> {
        let binaries = Binaries::find(options.binaries.as_deref())?;
        let folder = Folder::create(&binaries, &options)?;
        let authority = folder.configure(&options)?;
        let server = Server::start(&binaries, &folder, &options)?;
        Ok(Self { server, binaries, password: options.password, authority, folder })
    }

    pub fn address(&self) -> SocketAddr {
        self.server.address
    }

    pub fn port(&self) -> u16 {
        self.server.address.port()
    }

    pub fn password(&self) -> &str {
        &self.password
    }

    /// `postgres://…` of the superuser for a client in the network that the server listens in.
    pub fn url(&self, database: &str) -> String {
        let password = percent_encode(&self.password);
        format!("postgres://{SUPERUSER}:{password}@{}/{database}", self.server.address)
    }

    /// The authority behind the server's certificate, as PEM, when `tls` was asked for.
    pub fn ca_certificate(&self) -> Option<&str> {
        self.authority.as_deref()
    }

    /// The server's major version, for example 15.
    pub fn version(&self) -> Result<u32> {
        let number: u32 = self.psql("SHOW server_version_num")?.parse()?;
        Ok(number / 10_000)
    }

    /// Runs SQL as superuser in the database `postgres`: rows as lines, columns split by `|`.
    pub fn psql(&self, sql: &str) -> Result<String> {
        self.psql_in("postgres", sql)
    }

    /// Runs SQL as superuser in `database`. All statements of one call are one transaction, as psql has it.
    pub fn psql_in(&self, database: &str, sql: &str) -> Result<String> {
        let psql = self
            .binaries
            .client("psql")
            .ok_or_else(|| anyhow!("psql is missing: install postgresql-client"))?;
        let mut command = Command::new(psql);
        command.args(["--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--set=ON_ERROR_STOP=1"]);
        command.args(["--username", SUPERUSER, "--dbname", database, "--port", &self.port().to_string()]);
        command
            .arg("--host")
            .arg(self.folder.path())
            .args(["--command", sql])
            .env("PGPASSWORD", &self.password);
        // The local socket is a file and so reaches the server in whatever network it listens.
        Ok(run::output(&mut command)?.trim_end().to_owned())
    }

    /// Stops in order and starts again: same folder, same port.
    pub fn restart(&mut self) -> Result<()> {
        self.stop()?;
        self.start_again()
    }

    /// Stops in order: ends every session, writes a checkpoint.
    pub fn stop(&mut self) -> Result<()> {
        self.server.stop(rustix::process::Signal::INT)
    }

    /// Stops as in a crash: what was not in the WAL is lost and the next start recovers.
    pub fn stop_immediate(&mut self) -> Result<()> {
        self.server.stop(rustix::process::Signal::QUIT)
    }

    /// A standby of this server, made from a copy of its data, for which this one stops for a moment. Of the options
    /// the settings count; they win over those of this server.
    pub fn standby(&mut self, options: &PostgresOptions) -> Result<Self> {
        self.stop()?;
        let folder = Folder::copy(&self.folder);
        self.start_again()?;
        let folder = folder?;
        let (address, password) = (self.address(), self.password.clone());
        let primary = format!(
            "host={} port={} user={SUPERUSER} password='{password}' dbname=postgres",
            address.ip(),
            address.port()
        );
        folder.follow(&primary, options)?;
        let server = Server::start(&self.binaries, &folder, options)?;
        Ok(Self { server, binaries: self.binaries.clone(), password, authority: None, folder })
    }

    /// A copy of the data of this server, for which it stops for a moment: as the snapshot of a volume.
    pub fn snapshot(&mut self) -> Result<Snapshot> {
        self.stop()?;
        let copy = self.folder.path().join("snapshot");
        let copied = copy_data(&self.folder.path().join("data"), &copy);
        self.start_again()?;
        copied?;
        Ok(Snapshot(copy))
    }

    /// Puts the copy back in the place of the data, as if nothing had happened since; on the same timeline.
    pub fn set_back(&mut self, Snapshot(copy): Snapshot) -> Result<()> {
        self.stop_immediate()?;
        let data = self.folder.path().join("data");
        std::fs::remove_dir_all(&data)?;
        copy_data(&copy, &data)?;
        self.start_again()
    }

    /// Starts a stopped server.
    pub fn start_again(&mut self) -> Result<()> {
        self.server.start_again()
    }

    /// The process id of the server's first process.
    pub fn pid(&self) -> u32 {
        self.server.pid()
    }

    /// The folder of the server: `data`, `postgres.log` and the local socket are in it.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}

/// The data of a server at one moment.
#[derive(Debug)]
pub struct Snapshot(PathBuf);

fn copy_data(from: &Path, to: &Path) -> Result<()> {
    run::output(Command::new("cp").args(["--archive"]).arg(from).arg(to)).map(drop)
}

fn percent_encode(text: &str) -> String {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~".contains(byte);
    let encode = |byte: u8| if plain(&byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    text.bytes().map(encode).collect()
}
