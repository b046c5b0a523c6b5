//! Finds the server's programs: a named folder, `PATH`, `pg_config`, Debian's folders; else installs Debian's package.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Result, anyhow, ensure};

use crate::{packages, run};

const DEBIAN: &str = "/usr/lib/postgresql";

#[derive(Debug, Clone)]
pub struct Binaries {
    folder: PathBuf,
}

impl Binaries {
    /// The programs in the named folder, or the newest version found, installed if there is none.
    pub fn find(named: Option<&Path>) -> Result<Self> {
        if let Some(folder) = named {
            ensure!(is_server(folder), "there is no initdb and postgres in {}", folder.display());
            return Ok(Self { folder: folder.into() });
        }
        if let Some(folder) = Self::installed() {
            return Ok(Self { folder });
        }
        packages::install(&["postgresql"])?;
        let folder = Self::installed();
        folder
            .map(|folder| Self { folder })
            .ok_or_else(|| anyhow!("package postgresql brought no server to {DEBIAN}"))
    }

    pub(super) fn server(&self, program: &str) -> PathBuf {
        self.folder.join(program)
    }

    /// The path of a client program. Embedded servers have none, so a client of any other version is used.
    pub(super) fn client(&self, program: &str) -> Option<PathBuf> {
        packages::find(program, std::slice::from_ref(&self.folder))
    }

    fn installed() -> Option<PathBuf> {
        let on_path = packages::find("initdb", &[]).and_then(|file| Some(file.parent()?.to_owned()));
        on_path.into_iter().chain(debian()).chain(configured()).find(|folder| is_server(folder))
    }
}

/// The folders of Debian's packages, newest version first.
fn debian() -> Vec<PathBuf> {
    let versions = fs::read_dir(DEBIAN).into_iter().flatten().flatten();
    let mut versions: Vec<u32> =
        versions.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    versions.sort_unstable_by(|a, b| b.cmp(a));
    versions.iter().map(|version| PathBuf::from(format!("{DEBIAN}/{version}/bin"))).collect()
}

fn configured() -> Option<PathBuf> {
    let folder = run::output(Command::new("pg_config").arg("--bindir")).ok()?;
    Some(PathBuf::from(folder.trim()))
}

fn is_server(folder: &Path) -> bool {
    folder.join("initdb").is_file() && folder.join("postgres").is_file()
}
