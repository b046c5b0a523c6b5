//! An image with this machine's PostgreSQL, for clusters whose pods do not reach this machine.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

use super::{Binaries, SUPERUSER, folder};
use crate::{
    image::{self, Image, Recipe},
    packages,
};

/// What a new database, logical decoding and its client library load.
const MODULES: [&str; 4] = ["dict_snowball.so", "libpqwalreceiver.so", "pgoutput.so", "plpgsql.so"];

/// An image whose entrypoint is a shell, and the script that runs the server in it. The server listens on
/// [`ServerImage::PORT`], takes its password from the variable `PASSWORD`, and keeps its data in `/data`.
#[derive(Debug)]
pub struct ServerImage {
    pub script: String,
    files: Vec<PathBuf>,
    shell: PathBuf,
}

impl ServerImage {
    pub const PORT: u16 = 5432;

    pub fn of_this_machine() -> Result<Self> {
        let binaries = Binaries::find(None)?;
        // On some machines the programs of PATH are links to where the server is.
        let initdb = binaries.server("initdb").canonicalize()?;
        let folder = initdb.parent().context("a program is in a folder")?.to_owned();
        let mut files = vec![PathBuf::from("/bin/sh"), folder.join("postgres"), initdb];
        let modules = folder.with_file_name("lib");
        files.extend(MODULES.map(|module| modules.join(module)));
        for program in files.clone() {
            files.extend(image::libraries_of(&program)?);
        }
        let share = share(&folder)?;
        all_files(&share, &mut files)?;
        if !share.join("timezone").exists() {
            all_files(Path::new("/usr/share/zoneinfo"), &mut files)?;
        }
        let shell = packages::find("sh", &[]).context("this machine has no sh")?;
        Ok(Self { script: script(&folder), files, shell })
    }

    /// Names the contents, for the image's tag: the script, and the files with their sizes.
    pub fn contents(&self) -> Result<String> {
        let mut contents = self.script.clone();
        for file in &self.files {
            contents += &format!("{} {}\n", file.display(), fs::metadata(file)?.len());
        }
        Ok(contents)
    }

    pub fn build(&self, reference: &str, folder: &Path) -> Result<Image> {
        image::build_with(&Recipe { reference, binary: &self.shell, program: "sh" }, &self.files, folder)
    }
}

/// There is nothing but the shell's own commands in the image.
fn script(folder: &Path) -> String {
    let (folder, settings, logins) = (folder.display(), folder::SETTINGS, folder::LOGINS);
    format!(
        r#"set -e
if [ ! -f /data/db/PG_VERSION ]; then
  echo "$PASSWORD" >/data/password
  {folder}/initdb --pgdata=/data/db --pwfile=/data/password --username={SUPERUSER} --encoding=UTF8 --locale=C \
    --auth=scram-sha-256 --no-sync
  echo "{settings}jit = off
listen_addresses = '*'
unix_socket_directories = '/data'" >>/data/db/postgresql.conf
  echo "{logins}" >/data/db/pg_hba.conf
fi
exec {folder}/postgres -D /data/db
"#
    )
}

/// The folder with the catalogue of a new database.
fn share(folder: &Path) -> Result<PathBuf> {
    let version = folder.parent().and_then(Path::file_name).unwrap_or_default();
    let debian = Path::new("/usr/share/postgresql").join(version);
    let candidates = [debian, folder.join("../share/postgresql"), folder.join("../share")];
    let found = candidates.into_iter().find(|share| share.join("postgres.bki").is_file());
    found.with_context(|| format!("there is no postgres.bki for the server in {}", folder.display()))
}

fn all_files(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            all_files(&path, files)?;
        } else if path.is_file() {
            files.push(path);
        }
    }
    Ok(())
}
