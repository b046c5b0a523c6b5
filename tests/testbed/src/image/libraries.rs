//! The loader and the shared libraries of a program, at the paths where its loader looks for them.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Result, bail};

use crate::run;

/// Libraries that glibc opens by itself to resolve a name; needed up to glibc 2.33, later they are part of libc.
const NAME_LOOKUP: [&str; 3] = ["libnss_files.so.2", "libnss_dns.so.2", "libresolv.so.2"];

pub(crate) fn of(binary: &Path) -> Result<BTreeSet<PathBuf>> {
    let mut files = match run::output(Command::new("ldd").arg(binary)) {
        Ok(answer) => parse(&answer)?,
        Err(error) if error.to_string().contains("not a dynamic executable") => BTreeSet::new(),
        Err(error) => return Err(error),
    };
    let libc = files
        .iter()
        .find(|file| file.ends_with("libc.so.6"))
        .and_then(|file| file.parent())
        .map(Path::to_owned);
    if let Some(folder) = libc {
        files.extend(NAME_LOOKUP.map(|name| folder.join(name)).into_iter().filter(|file| file.exists()));
    }
    Ok(files)
}

/// Lines such as `libc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x…)` and `/lib64/ld-linux-x86-64.so.2 (0x…)`.
fn parse(answer: &str) -> Result<BTreeSet<PathBuf>> {
    let mut files = BTreeSet::new();
    for line in answer.lines().map(str::trim) {
        if line.ends_with("not found") {
            bail!("a library of the program is missing here: {line}");
        }
        let place = line.split(" => ").last().unwrap_or(line);
        let file = place.split(" (").next().unwrap_or(place);
        if file.starts_with('/') {
            files.insert(PathBuf::from(file));
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWER: &str = "\tlinux-vdso.so.1 (0x00007ffd)\n\tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f)\n\
                          \t/lib64/ld-linux-x86-64.so.2 (0x00007f)\n";

    #[test]
    fn the_loader_and_the_libraries_are_found_and_the_kernels_own_is_not() {
        let files: Vec<_> = parse(ANSWER).unwrap().into_iter().collect();
        let expected = ["/lib/x86_64-linux-gnu/libc.so.6", "/lib64/ld-linux-x86-64.so.2"];
        assert_eq!(files, expected.map(PathBuf::from));
    }

    #[test]
    fn a_missing_library_is_an_error() {
        assert!(parse("\tlibssl.so.3 => not found\n").is_err());
    }
}
