//! One layer: a tar of files; the same files give the same bytes.

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};
use tar::{Builder, EntryType, Header};

/// Entries sorted by path, so that a folder comes before its contents.
#[derive(Debug, Default)]
pub(super) struct Layer {
    entries: BTreeMap<String, Entry>,
}

#[derive(Debug)]
struct Entry {
    mode: u32,
    /// `None` for a folder.
    content: Option<Vec<u8>>,
}

/// A blob with its digest.
#[derive(Debug)]
pub(super) struct Blob {
    pub(super) digest: String,
    pub(super) content: Vec<u8>,
}

impl Layer {
    pub(super) fn copy(&mut self, from: &Path, to: &str, mode: u32) -> Result<()> {
        let content = fs::read(from).with_context(|| format!("cannot read {}", from.display()))?;
        self.file(to, content, mode);
        Ok(())
    }

    pub(super) fn file(&mut self, to: &str, content: Vec<u8>, mode: u32) {
        let mut above = String::new();
        let folders = to.trim_start_matches('/').rsplit_once('/').map_or("", |(folders, _)| folders);
        for part in folders.split('/').filter(|part| !part.is_empty()) {
            above = format!("{above}/{part}");
            self.folder(&above, 0o755);
        }
        self.entries.insert(path(to), Entry { mode, content: Some(content) });
    }

    pub(super) fn folder(&mut self, to: &str, mode: u32) {
        self.entries.entry(path(to) + "/").or_insert(Entry { mode, content: None });
    }

    pub(super) fn finish(self) -> Result<Blob> {
        let mut tar = Builder::new(Vec::new());
        for (path, Entry { mode, content }) in &self.entries {
            append(&mut tar, path, *mode, content.as_deref())?;
        }
        Ok(Blob::new(tar.into_inner()?))
    }
}

impl Blob {
    pub(super) fn new(content: Vec<u8>) -> Self {
        let hex: String = Sha256::digest(&content).iter().map(|byte| format!("{byte:02x}")).collect();
        Self { digest: format!("sha256:{hex}"), content }
    }
}

/// Adds a file, or a folder when there is no content, with a header that is the same on every machine.
pub(super) fn append(
    tar: &mut Builder<impl std::io::Write>,
    path: &str,
    mode: u32,
    content: Option<&[u8]>,
) -> Result<()> {
    let mut header = Header::new_gnu();
    header.set_entry_type(if content.is_some() { EntryType::Regular } else { EntryType::Directory });
    header.set_mode(mode);
    header.set_mtime(0);
    let content = content.unwrap_or_default();
    header.set_size(content.len() as u64);
    Ok(tar.append_data(&mut header, path, content)?)
}

fn path(absolute: &str) -> String {
    absolute.trim_start_matches('/').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_of_adding_does_not_matter() {
        let digest = |paths: [&str; 2]| {
            let mut layer = Layer::default();
            for path in paths {
                layer.file(path, path.into(), 0o644);
            }
            layer.finish().unwrap().digest
        };
        assert_eq!(digest(["/etc/a/b", "/etc/c"]), digest(["/etc/c", "/etc/a/b"]));
    }

    #[test]
    fn a_folder_comes_before_its_files() {
        let mut layer = Layer::default();
        layer.file("/usr/local/bin/dbmazz", Vec::new(), 0o755);
        let paths: Vec<_> = layer.entries.into_keys().collect();
        assert_eq!(paths, ["usr/", "usr/local/", "usr/local/bin/", "usr/local/bin/dbmazz"]);
    }
}
