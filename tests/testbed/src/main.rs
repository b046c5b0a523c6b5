//! The command `testbed`: the parts of the test bed for a person at a terminal.

use std::io::{self, Write};

use anyhow::Result;
use clap::Parser;
use testbed::postgres::{Postgres, PostgresOptions};

/// Real PostgreSQL servers, a real Kubernetes cluster and container images, on one machine.
#[derive(Parser)]
enum Arguments {
    /// Starts a PostgreSQL server and keeps it until this command is ended (Ctrl-C)
    Postgres {
        /// Also answer TLS
        #[arg(long)]
        tls: bool,
        /// The port; a free one when none is named
        #[arg(long)]
        port: Option<u16>,
    },
}

fn main() -> Result<()> {
    match Arguments::parse() {
        Arguments::Postgres { tls, port } => postgres(tls, port),
    }
}

fn postgres(tls: bool, port: Option<u16>) -> Result<()> {
    let server = Postgres::start(PostgresOptions { tls, port, ..Default::default() })?;
    let (url, folder, pid) = (server.url("postgres"), server.folder().display(), server.pid());
    writeln!(io::stdout(), "url {url}\nfolder {folder}\npid {pid}")?;
    // Until a signal ends us; the server's leash does the rest.
    loop {
        std::thread::park();
    }
}
