//! Container images without Docker: one program, the libraries it needs, and nothing else.
//!
//! ```text
//! layer 1  loader and libraries (as `ldd` names them), CA certificates, passwd, nsswitch.conf, /tmp
//! layer 2  /usr/local/bin/PROGRAM
//! ```
//!
//! The programs are linked to glibc dynamically, because a static glibc resolves host names unreliably; so the image
//! contains glibc. The same input gives the same bytes: entries are sorted, and times and owners are zero.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::kubernetes;

mod archive;
mod layer;
mod libraries;
mod programs;
mod registry;

use layer::Layer;
pub(crate) use libraries::of as libraries_of;
pub use programs::{Profile, compile};

/// The user that images run as unless a pod says otherwise; it has no rights.
const NONROOT: u32 = 65532;

/// The contents of an image.
#[derive(Debug, Clone)]
pub struct Recipe<'a> {
    /// The reference, such as `dbmazz.dev/operator:0.1.0`.
    pub reference: &'a str,
    pub binary: &'a Path,
    /// The program's name in the image: `/usr/local/bin/NAME`.
    pub program: &'a str,
}

/// A finished image: an archive for `ctr images import`, `docker load` or `skopeo copy`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    pub reference: String,
    pub archive: PathBuf,
    /// The digest of the manifest, which identifies the image in any registry.
    pub digest: String,
    pub bytes: u64,
}

/// Writes the image into `folder`; the file has the last part of the image's name, with `.tar`.
pub fn build(recipe: &Recipe<'_>, folder: &Path) -> Result<Image> {
    build_with(recipe, &[], folder)
}

/// As [`build`], with files of this machine at their own paths.
pub(crate) fn build_with(recipe: &Recipe<'_>, files: &[PathBuf], folder: &Path) -> Result<Image> {
    let Recipe { reference, binary, program } = recipe;
    let mut base = base(binary)?;
    for file in files {
        base.copy(file, &file.to_string_lossy(), 0o755)?;
    }
    let layers = [base.finish()?, own(binary, program)?.finish()?];
    let (name, _) = reference
        .rsplit_once(':')
        .with_context(|| format!("image {reference} has no tag: add one after a colon"))?;
    let archive = folder.join(name.rsplit('/').next().unwrap_or(name)).with_extension("tar");
    let entrypoint = format!("/usr/local/bin/{program}");
    let digest = archive::write(&archive, reference, &entrypoint, &layers)?;
    let bytes = std::fs::metadata(&archive)?.len();
    Ok(Image { reference: (*reference).to_owned(), archive, digest, bytes })
}

/// Compiles `operator` and makes its image, `dbmazz.dev/operator:TAG`.
pub fn operator(profile: Profile, tag: &str, folder: &Path) -> Result<Image> {
    let binary = compile("operator", "dbmazz-operator", profile)?;
    let reference = format!("dbmazz.dev/operator:{tag}");
    build(&Recipe { reference: &reference, binary: &binary, program: "dbmazz-operator" }, folder)
}

/// Compiles `worker` and makes its image, `dbmazz.dev/dbmazz:TAG`.
pub fn worker(profile: Profile, tag: &str, folder: &Path) -> Result<Image> {
    let binary = compile("worker", "dbmazz", profile)?;
    let reference = format!("dbmazz.dev/dbmazz:{tag}");
    build(&Recipe { reference: &reference, binary: &binary, program: "dbmazz" }, folder)
}

/// The image of the first container of every pod, from the Go program in the Kubernetes module.
pub(crate) fn pause(binaries: &kubernetes::Binaries, folder: &Path) -> Result<PathBuf> {
    let binary = binaries.program("pause");
    let layer = own(&binary, "pause")?.finish()?;
    let archive = folder.join("pause.tar");
    archive::write(&archive, kubernetes::PAUSE, "/usr/local/bin/pause", &[layer])?;
    Ok(archive)
}

/// The files that programs need at run time; the same for all programs with the same libraries.
fn base(binary: &Path) -> Result<Layer> {
    let mut layer = Layer::default();
    for file in libraries::of(binary)? {
        layer.copy(&file, &file.to_string_lossy(), 0o755)?;
    }
    let certificates = Path::new("/etc/ssl/certs/ca-certificates.crt");
    if !certificates.exists() {
        crate::packages::install(&["ca-certificates"])?;
    }
    layer.copy(certificates, "/etc/ssl/certs/ca-certificates.crt", 0o644)?;
    let nonroot = format!("nonroot:x:{NONROOT}:{NONROOT}:nonroot:/:/sbin/nologin\n");
    layer.file("/etc/passwd", format!("root:x:0:0:root:/:/sbin/nologin\n{nonroot}").into_bytes(), 0o644);
    layer.file("/etc/group", format!("root:x:0:\nnonroot:x:{NONROOT}:\n").into_bytes(), 0o644);
    layer.file("/etc/nsswitch.conf", b"passwd: files\ngroup: files\nhosts: files dns\n".to_vec(), 0o644);
    layer.folder("/tmp", 0o1777);
    Ok(layer)
}

fn own(binary: &Path, program: &str) -> Result<Layer> {
    let mut layer = Layer::default();
    layer.copy(binary, &format!("/usr/local/bin/{program}"), 0o755)?;
    Ok(layer)
}

/// The version in this workspace, the usual tag.
pub fn version() -> &'static str {
    env!("CARGO_PKG_VERSION")
}
