//! `starrocks-standin`: the stand-in as a process. Prints one JSON line with its ports, then serves until a signal.

use std::{io::Write, net::IpAddr};

use anyhow::Context;
use clap::Parser;
use starrocks_standin::{Mode, Options, Profile, Rights, Settings, Standin, User};
use tokio::signal::unix::{SignalKind, signal};

/// A StarRocks stand-in: Stream Load, labels, DDL and queries, kept in memory.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// Address that FE, BE and SQL listen on
    #[arg(long, default_value = "127.0.0.1")]
    listen: IpAddr,
    /// Address that the admin port listens on
    #[arg(long, default_value = "127.0.0.1")]
    admin_listen: IpAddr,
    /// Host written into redirects; the listening address unless given
    #[arg(long)]
    advertise: Option<String>,
    /// HTTP port of the frontend; 0 takes any free one
    #[arg(long, default_value_t = 8030)]
    fe_port: u16,
    /// HTTP port of the backend
    #[arg(long, default_value_t = 8040)]
    be_port: u16,
    /// MySQL port of the frontend
    #[arg(long, default_value_t = 9030)]
    sql_port: u16,
    /// Port for faults, stats and the clock
    #[arg(long, default_value_t = 8050)]
    admin_port: u16,
    /// StarRocks version to behave as: 3.2, 3.3, 3.4, 3.5, 4.0, 4.0.7 or 4.1
    #[arg(long, default_value_t = Profile::default())]
    profile: Profile,
    /// Shared-nothing (nothing) or shared-data (data)
    #[arg(long, default_value_t = Mode::default())]
    mode: Mode,
    /// Frontends beside the first one, on free ports
    #[arg(long, default_value_t = 0)]
    followers: usize,
    /// Settings that differ from their defaults, as JSON: {"alter_millis":0}
    #[arg(long, value_parser = settings)]
    settings: Option<Settings>,
    /// Count rows and forget them
    #[arg(long)]
    discard: bool,
    /// Keep the rows of tables whose names begin like this nevertheless
    #[arg(long)]
    keep: Option<String>,
    /// A user as name:password, or name:password:none for one without rights; root without password unless given
    #[arg(long = "user")]
    users: Vec<User>,
}

impl Arguments {
    fn options(self) -> Options {
        let host =
            if self.listen.is_unspecified() { "127.0.0.1".to_owned() } else { self.listen.to_string() };
        let root = || vec![User::new("root", "", Rights::All)];
        Options {
            listen: self.listen,
            admin_listen: self.admin_listen,
            advertise: self.advertise.unwrap_or(host),
            fe_port: self.fe_port,
            be_port: self.be_port,
            sql_port: self.sql_port,
            admin_port: self.admin_port,
            profile: self.profile,
            mode: self.mode,
            followers: self.followers,
            settings: self.settings.unwrap_or_default(),
            discard: self.discard,
            keep: self.keep,
            users: if self.users.is_empty() { root() } else { self.users },
        }
    }
}

fn settings(text: &str) -> Result<Settings, serde_json::Error> {
    serde_json::from_str(text)
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let standin = Standin::start(Arguments::parse().options()).await.context("the stand-in did not start")?;
    let mut terminate = signal(SignalKind::terminate())?;
    announce(&standin)?;
    tokio::select! {
        result = tokio::signal::ctrl_c() => result?,
        _ = terminate.recv() => {}
    }
    standin.stop().await;
    Ok(())
}

fn announce(standin: &Standin) -> anyhow::Result<()> {
    let ports = serde_json::json!({
        "fe_port": standin.fe_port(),
        "be_port": standin.be_port(),
        "sql_port": standin.sql_port(),
        "admin_port": standin.admin_port(),
        "followers": standin.followers().iter().map(|port| serde_json::json!({"fe_port": port.fe, "sql_port": port.sql})).collect::<Vec<_>>(),
    });
    let mut out = std::io::stdout().lock();
    writeln!(out, "{ports}")?;
    out.flush()?;
    Ok(())
}
