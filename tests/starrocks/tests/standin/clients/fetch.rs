//! Finds third-party clients, or fetches them once into a folder of the build.

use std::{
    fs,
    path::{Path, PathBuf},
};

use tokio::{process::Command, sync::OnceCell};

/// Pinned, because a new release of a package must not make our tests fail.
const PYTHON_PACKAGES: [&str; 4] =
    ["starrocks==1.3.4", "SQLAlchemy==2.1.9", "PyMySQL==1.2.4", "mysql-connector-python==26.10.0"];
const DEBIAN_PACKAGES: [&str; 2] = ["mariadb-client-core", "libmariadb3"];

/// The `mysql` command, and the folder of its libraries when it was fetched.
#[derive(Debug, Clone)]
pub(super) struct Mysql {
    program: PathBuf,
    libraries: Option<PathBuf>,
}

impl Mysql {
    pub(super) fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        if let Some(libraries) = &self.libraries {
            command.env("LD_LIBRARY_PATH", libraries);
        }
        command
    }
}

fn cache(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)
}

/// Prints why a client is missing and returns `None`; in CI, where every client can be fetched, this fails the test.
#[allow(clippy::print_stderr, reason = "a test that cannot run has to say so")]
fn missing<T>(what: &str, reason: &str) -> Option<T> {
    assert!(std::env::var_os("CI").is_none(), "{what} is missing: {reason}");
    eprintln!("SKIPPED: {what} is missing: {reason}");
    None
}

async fn run(command: &mut Command) -> Result<(), String> {
    let output = command.output().await.map_err(|error| format!("{command:?}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr).trim()))
}

pub(super) async fn mysql() -> Option<&'static Mysql> {
    static FOUND: OnceCell<Result<Mysql, String>> = OnceCell::const_new();
    match FOUND.get_or_init(find_mysql).await {
        Ok(mysql) => Some(mysql),
        Err(reason) => missing("the mysql command", reason),
    }
}

async fn find_mysql() -> Result<Mysql, String> {
    for program in ["mysql", "mariadb"] {
        if run(Command::new(program).arg("--version")).await.is_ok() {
            return Ok(Mysql { program: program.into(), libraries: None });
        }
    }
    let folder = cache("mysql-client");
    if !folder.is_dir() {
        fetch_into(&folder, unpack_debian).await?;
    }
    let machine = std::env::consts::ARCH;
    let libraries = folder.join("usr/lib").join(format!("{machine}-linux-gnu"));
    let mysql = Mysql { program: folder.join("usr/bin/mariadb"), libraries: Some(libraries) };
    run(mysql.command().arg("--version")).await?;
    Ok(mysql)
}

/// Fills a folder beside the final one and renames it, so that a partial folder never counts as complete.
async fn fetch_into(
    folder: &Path,
    fill: impl AsyncFnOnce(PathBuf) -> Result<(), String>,
) -> Result<(), String> {
    let half = folder.with_extension(format!("half-{}", std::process::id()));
    fs::create_dir_all(&half).map_err(|error| error.to_string())?;
    let filled = fill(half.clone()).await;
    let done = filled.and_then(|()| fs::rename(&half, folder).map_err(|error| error.to_string()));
    // Another run of the tests may have created the folder first.
    if done.is_err() {
        let _ = fs::remove_dir_all(&half);
    }
    if folder.is_dir() { Ok(()) } else { done }
}

async fn unpack_debian(folder: PathBuf) -> Result<(), String> {
    let mut download = Command::new("apt-get");
    download.arg("download").args(DEBIAN_PACKAGES).current_dir(&folder);
    if run(&mut download).await.is_err() {
        // The package lists may be old or missing.
        run(Command::new("apt-get").arg("update")).await?;
        run(&mut download).await?;
    }
    for entry in fs::read_dir(&folder).map_err(|error| error.to_string())? {
        let path = entry.map_err(|error| error.to_string())?.path();
        if path.extension().is_some_and(|extension| extension == "deb") {
            run(Command::new("dpkg").arg("-x").arg(&path).arg(&folder)).await?;
            fs::remove_file(&path).map_err(|error| error.to_string())?;
        }
    }
    Ok(())
}

/// A Python that has the packages.
pub(super) async fn python() -> Option<&'static PathBuf> {
    static FOUND: OnceCell<Result<PathBuf, String>> = OnceCell::const_new();
    match FOUND.get_or_init(find_python).await {
        Ok(python) => Some(python),
        Err(reason) => missing("Python with StarRocks' SQLAlchemy dialect", reason),
    }
}

async fn find_python() -> Result<PathBuf, String> {
    // The name of the folder has the versions of the packages, so other versions get another folder.
    let folder = cache(&format!("python-{}", PYTHON_PACKAGES.join("-").replace(['=', '.'], "")));
    if !folder.is_dir() {
        // A virtual environment cannot be moved, so the packages are installed into a plain folder.
        fetch_into(&folder, async |folder| {
            let mut pip = Command::new("python3");
            pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--target"]);
            run(pip.arg(&folder).args(PYTHON_PACKAGES)).await
        })
        .await?;
    }
    let launcher = folder.join("with-packages");
    let script = format!("#!/bin/sh\nPYTHONPATH='{}' exec python3 \"$@\"\n", folder.display());
    write_program(&launcher, &script)?;
    Ok(launcher)
}

fn write_program(path: &Path, text: &str) -> Result<(), String> {
    use std::os::unix::fs::PermissionsExt;
    if path.exists() {
        return Ok(());
    }
    let half = path.with_extension(std::process::id().to_string());
    let written = fs::write(&half, text)
        .and_then(|()| fs::set_permissions(&half, fs::Permissions::from_mode(0o755)))
        .and_then(|()| fs::rename(&half, path));
    written.map_err(|error| error.to_string())
}
