//! The command `testbed`: the parts of the test bed on the command line.

use std::{
    env,
    io::{self, Write},
    net::SocketAddr,
    os::unix::process::CommandExt,
    path::PathBuf,
    process::{Command, ExitCode},
};

use anyhow::{Context, Result, ensure};
use clap::{Parser, Subcommand};
use testbed::{
    image::{self, Image, Profile},
    kubernetes::{self, Binaries, Cluster},
    postgres::{Postgres, PostgresOptions},
    slow,
};

/// Real PostgreSQL servers, a real Kubernetes cluster and container images, on one machine.
#[derive(Parser)]
struct Arguments {
    /// Which of several clusters is meant
    #[arg(long, global = true, default_value = kubernetes::DEFAULT)]
    name: String,
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Builds Kubernetes, if that was not done before
    KubernetesBuild,
    /// Starts the cluster, if it is not running, and leaves it running
    ClusterUp,
    /// Ends the cluster and removes its traces
    ClusterDown,
    /// Says which clusters are running
    ClusterStatus,
    /// Runs a command in the cluster's network, with kubectl and helm on its path
    ClusterExec {
        #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
        command: Vec<String>,
    },
    /// Runs kubectl, with the cluster's kubeconfig unless KUBECONFIG names another
    Kubectl {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Runs Helm, with the cluster's kubeconfig unless KUBECONFIG names another; lint and template need no cluster
    Helm {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Forwards a port of 127.0.0.1 into the cluster's network until this command is ended (Ctrl-C)
    Forward {
        /// An address inside, such as 10.88.0.1:5432
        inside: SocketAddr,
        /// The port outside; a free one when none is named
        #[arg(default_value_t = 0)]
        port: u16,
    },
    /// Writes the images of operator and worker as archives for `docker load`, `ctr` or `skopeo`
    Image {
        /// The folder for the archives
        #[arg(long)]
        out: PathBuf,
        /// The images' tag
        #[arg(long, default_value = image::version())]
        tag: String,
    },
    /// Starts a PostgreSQL server and keeps it until this command is ended (Ctrl-C)
    Postgres {
        /// Also answer TLS
        #[arg(long)]
        tls: bool,
        /// The port; a free one when none is named
        #[arg(long)]
        port: Option<u16>,
    },
    /// Runs tests, all or those whose names contain one of the words, and prints a table of the slowest
    SlowTests {
        words: Vec<String>,
        /// How many tests the table has
        #[arg(long, default_value_t = 20)]
        rows: usize,
    },
    /// Starts a cluster that ends with this command (Ctrl-C)
    Cluster,
    #[command(hide = true)]
    ClusterKeep { cluster: String },
}

fn main() -> ExitCode {
    match act(Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            drop(writeln!(io::stderr(), "testbed: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn act(Arguments { name, action }: Arguments) -> Result<()> {
    match action {
        Action::KubernetesBuild => Binaries::find_or_build().map(drop),
        Action::ClusterUp => cluster_up(&name),
        Action::ClusterDown => cluster_down(&name),
        Action::ClusterStatus => cluster_status(),
        Action::ClusterExec { command } => cluster_exec(&name, &command),
        Action::Kubectl { arguments } => client("kubectl", &name, &arguments),
        Action::Helm { arguments } => client("helm", &name, &arguments),
        Action::Forward { inside, port } => {
            kubernetes::forward(&name, port, inside, |address| say(format!("{address} leads to {inside}")))
        }
        Action::Image { out, tag } => images(&out, &tag),
        Action::Postgres { tls, port } => postgres(tls, port),
        Action::SlowTests { words, rows } => slow_tests(&words, rows),
        Action::Cluster => private_cluster(),
        Action::ClusterKeep { cluster } => kubernetes::keep(&cluster),
    }
}

fn cluster_up(name: &str) -> Result<()> {
    let kubeconfig = kubernetes::up(name)?;
    say(format!("cluster {name} is running; export KUBECONFIG={}", kubeconfig.display()))
}

fn cluster_down(name: &str) -> Result<()> {
    let was_running = kubernetes::down(name)?;
    say(format!("cluster {name} {}", if was_running { "has ended" } else { "was not running" }))
}

fn cluster_status() -> Result<()> {
    let running = kubernetes::status()?;
    if running.is_empty() {
        say("no cluster is running")?;
    }
    for (name, kubeconfig) in running {
        let kubeconfig =
            kubeconfig.map_or_else(|| "in use by tests".into(), |file| file.display().to_string());
        say(format!("{name} {kubeconfig}"))?;
    }
    Ok(())
}

fn cluster_exec(name: &str, command: &[String]) -> Result<()> {
    let (program, arguments) = command.split_first().context("no command was named")?;
    let cluster = Cluster::running(name)?;
    let status = cluster.command(program)?.args(arguments).status()?;
    drop(cluster);
    std::process::exit(status.code().unwrap_or(1))
}

/// Replaces this process with the program.
fn client(program: &str, name: &str, arguments: &[String]) -> Result<()> {
    let mut command = Command::new(Binaries::find_or_build()?.program(program));
    if env::var_os("KUBECONFIG").is_none() {
        command.env("KUBECONFIG", kubernetes::clusters()?.join(name).join("kubeconfig"));
    }
    Err(command.args(arguments).exec()).with_context(|| format!("cannot run {program}"))
}

fn images(out: &std::path::Path, tag: &str) -> Result<()> {
    std::fs::create_dir_all(out)?;
    for image in [image::operator(Profile::Release, tag, out)?, image::worker(Profile::Release, tag, out)?] {
        let Image { reference, archive, digest, bytes } = image;
        say(format!("{reference} {digest} {} ({:.1} MB)", archive.display(), bytes as f64 / 1e6))?;
    }
    Ok(())
}

fn postgres(tls: bool, port: Option<u16>) -> Result<()> {
    let server = Postgres::start(PostgresOptions { tls, port, ..Default::default() })?;
    let (url, folder, pid) = (server.url("postgres"), server.folder().display(), server.pid());
    say(format!("url {url}\nfolder {folder}\npid {pid}"))?;
    stay()
}

fn slow_tests(words: &[String], rows: usize) -> Result<()> {
    let times = slow::measure(words, rows)?;
    say(&times)?;
    ensure!(times.failed.is_empty(), "tests failed in {}", times.failed.join(", "));
    Ok(())
}

fn private_cluster() -> Result<()> {
    let cluster = Cluster::start_private()?;
    say(format!("kubeconfig {}", cluster.kubeconfig().display()))?;
    stay()
}

/// Waits until a signal ends this process; the leashes of what it started then clean up.
fn stay() -> Result<()> {
    loop {
        std::thread::park();
    }
}

fn say(line: impl std::fmt::Display) -> Result<()> {
    Ok(writeln!(io::stdout(), "{line}")?)
}
