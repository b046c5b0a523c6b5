//! The folder of a server: created by `initdb`, configured, and removed with its server when its owner has ended.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};

use super::{Binaries, PostgresOptions, SUPERUSER, account::Account};
use crate::{
    certificate::{Authority, write_secret},
    leash::Leash,
    run,
};

/// Ends the server of the folder's pid file with an immediate shutdown, then removes the folder.
const CLEAN_UP: &str = r#"
if pid=$(head -n 1 "$1/data/postmaster.pid" 2>/dev/null); then
  kill -QUIT "$pid"
  wait_gone "$pid" || kill -KILL "$pid"
fi
rm -rf "$1"
"#;

/// The settings of every server: speed before durability, because the data is temporary.
pub(super) const SETTINGS: &str = "
wal_level = logical
max_wal_senders = 64
max_replication_slots = 64
max_connections = 300
password_encryption = scram-sha-256
fsync = off
synchronous_commit = off
full_page_writes = off
shared_buffers = 128MB
max_wal_size = 4GB
log_line_prefix = '%m [%p] %q%a '
";

pub(super) const LOGINS: &str = "
local all         all     scram-sha-256
local replication all     scram-sha-256
host  all         all all scram-sha-256
host  replication all all scram-sha-256
";

#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    pub(super) account: Option<Account>,
    leash: Option<Leash>,
}

impl Folder {
    pub(super) fn create(binaries: &Binaries, options: &PostgresOptions) -> Result<Self> {
        let folder = Self::empty()?;
        folder.initialize(binaries, &options.password)?;
        Ok(folder)
    }

    /// A folder with a copy of the data of a stopped server.
    pub(super) fn copy(other: &Self) -> Result<Self> {
        let folder = Self::empty()?;
        run::output(Command::new("cp").arg("-a").arg(other.data()).arg(folder.data()))?;
        Ok(folder)
    }

    fn empty() -> Result<Self> {
        let path = tempfile::Builder::new().prefix("dbmazz-postgres-").tempdir()?.keep();
        let leash = Leash::tie(&path.join("leash"), CLEAN_UP, &[&path.to_string_lossy()])?;
        let folder = Self { path, account: Account::for_server()?, leash: Some(leash) };
        if let Some(account) = folder.account {
            account.own(&folder.path)?;
        }
        Ok(folder)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn data(&self) -> PathBuf {
        self.path.join("data")
    }

    pub(super) fn log(&self) -> PathBuf {
        self.path.join("postgres.log")
    }

    fn initialize(&self, binaries: &Binaries, password: &str) -> Result<()> {
        let password_file = self.path.join("password");
        self.write_private(&password_file, password)?;
        let mut command = self.command(None, &binaries.server("initdb"));
        command.arg("--pgdata").arg(self.data()).arg("--pwfile").arg(&password_file);
        command.args([
            "--username",
            SUPERUSER,
            "--encoding=UTF8",
            "--locale=C.UTF-8",
            "--auth=scram-sha-256",
            "--no-sync",
        ]);
        run::output(&mut command).context("cannot make a PostgreSQL data folder")?;
        Ok(fs::remove_file(password_file)?)
    }

    /// Writes the configuration; returns the authority to trust when TLS is on.
    pub(super) fn configure(&self, options: &PostgresOptions) -> Result<Option<String>> {
        let data = self.data();
        let mut settings = fs::read_to_string(data.join("postgresql.conf"))? + SETTINGS;
        settings += &format!("listen_addresses = '{}'\n", options.listen);
        settings += &format!("unix_socket_directories = '{}'\n", self.path.display());
        if options.tls {
            settings += "ssl = on\n";
        }
        for (name, value) in &options.settings {
            settings += &setting(name, value);
        }
        fs::write(data.join("postgresql.conf"), settings)?;
        fs::write(data.join("pg_hba.conf"), LOGINS)?;
        options.tls.then(|| self.certify(&options.listen.to_string())).transpose()
    }

    /// Makes the server of this folder a standby of the server at the connection string `primary`.
    pub(super) fn follow(&self, primary: &str, options: &PostgresOptions) -> Result<()> {
        let mut settings = fs::read_to_string(self.data().join("postgresql.conf"))?;
        settings += &format!("unix_socket_directories = '{}'\n", self.path.display());
        settings += &setting("primary_conninfo", primary);
        for (name, value) in &options.settings {
            settings += &setting(name, value);
        }
        fs::write(self.data().join("postgresql.conf"), settings)?;
        let signal = self.data().join("standby.signal");
        fs::write(&signal, "")?;
        self.account.map_or(Ok(()), |account| account.own(&signal))
    }

    fn certify(&self, host: &str) -> Result<String> {
        let authority = Authority::new("test bed PostgreSQL authority")?;
        let identity = authority.issue("PostgreSQL", "", &[host, "localhost", "127.0.0.1"])?;
        fs::write(self.data().join("server.crt"), identity.certificate)?;
        self.write_private(&self.data().join("server.key"), &identity.key)?;
        Ok(authority.certificate)
    }

    fn write_private(&self, file: &Path, text: &str) -> Result<()> {
        write_secret(file, text)?;
        self.account.map_or(Ok(()), |account| account.own(file))
    }

    /// A program that runs as the server's account, in a network if one is named. The process that is started *is* the
    /// program, because each wrapper replaces itself by the next one with `exec`.
    pub(super) fn command(
        &self,
        network: Option<crate::network::NetworkNamespace>,
        program: &Path,
    ) -> Command {
        let mut command = network.map_or_else(|| Command::new("env"), |network| network.command("env"));
        command.current_dir(&self.path);
        if let Some(account) = self.account {
            account.take_on(&mut command);
        }
        command.arg(program);
        command
    }
}

fn setting(name: &str, value: &str) -> String {
    format!("{name} = '{}'\n", value.replace('\'', "''"))
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Some(leash) = self.leash.take()
            && let Err(error) = leash.release(self.path.clone())
        {
            crate::progress::say(format!("{} is left behind: {error:#}", self.path.display()));
        }
    }
}
