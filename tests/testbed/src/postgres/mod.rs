//! Private PostgreSQL servers: each in a temporary folder, on a free port, with logical decoding enabled.
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
//! Dropping the value stops the server and removes its folder; the end of the process does the same.

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
mod image;
mod server;

pub use binaries::Binaries;
pub use embedded::{EMBEDDED, Embedded};
use folder::Folder;
pub use image::ServerImage;
use server::Server;

/// The superuser of every server.
pub const SUPERUSER: &str = "postgres";

#[derive(Debug, Clone)]
pub struct PostgresOptions {
    pub listen: IpAddr,
    /// The network of the address `listen`: this machine (`None`) or a test cluster.
    pub network: Option<NetworkNamespace>,
    /// The port; a free one when `None`.
    pub port: Option<u16>,
    /// Lines of `postgresql.conf`; they override the defaults of the test bed.
    pub settings: Vec<(String, String)>,
    /// The password of the superuser. Every login uses SCRAM, on the local socket too.
    pub password: String,
    /// Also accept TLS, with a certificate of an authority made for this server.
    pub tls: bool,
    /// The folder with `initdb` and `postgres`; when `None`, the newest version found.
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
    // Fields drop in the order of their declaration: the server ends before its folder is removed.
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

    /// The URL `postgres://…` of the superuser for a client in the network in which the server listens.
    pub fn url(&self, database: &str) -> String {
        let password = percent_encode(&self.password);
        format!("postgres://{SUPERUSER}:{password}@{}/{database}", self.server.address)
    }

    /// The authority that signed the server's certificate, as PEM, when `tls` was set.
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

    /// Runs SQL as superuser in `database`. psql runs all statements of one call in one transaction.
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
        // The local socket is a file, so it reaches the server whatever network it listens in.
        Ok(run::output(&mut command)?.trim_end().to_owned())
    }

    /// Stops the server with a checkpoint and starts it again: same folder, same port.
    pub fn restart(&mut self) -> Result<()> {
        self.stop()?;
        self.start_again()
    }

    /// Stops the server with a fast shutdown: ends every session and writes a checkpoint.
    pub fn stop(&mut self) -> Result<()> {
        self.server.stop(rustix::process::Signal::INT)
    }

    /// Stops the server as in a crash: data that is not in the WAL is lost, and the next start recovers.
    pub fn stop_immediate(&mut self) -> Result<()> {
        self.server.stop(rustix::process::Signal::QUIT)
    }

    /// A standby of this server, made from a copy of its data; this server stops for a moment. Only the settings of
    /// `options` apply, and they override those of this server.
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

    /// A copy of this server's data, like a snapshot of a volume; the server stops for a moment.
    pub fn snapshot(&mut self) -> Result<Snapshot> {
        self.stop()?;
        let copy = self.folder.path().join("snapshot");
        let copied = copy_data(&self.folder.path().join("data"), &copy);
        self.start_again()?;
        copied?;
        Ok(Snapshot(copy))
    }

    /// Replaces the data with the copy, on the same timeline, as if nothing had happened since the snapshot.
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

    /// The process id of the server's postmaster.
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
