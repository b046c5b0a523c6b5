//! Images are the same bytes for the same program.

use std::{fs, path::Path, process::Command};

use testbed::{
    image::{self, Recipe},
    run,
};

#[test]
fn an_image_built_twice_has_the_same_digest_and_the_same_bytes() {
    let binary = Path::new(env!("CARGO_BIN_EXE_testbed"));
    let recipe = Recipe { reference: "dbmazz.dev/testbed:1", binary, program: "testbed" };
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let [first, second] = folders.each_ref().map(|folder| image::build(&recipe, folder.path()).unwrap());
    assert_eq!(first.digest, second.digest);
    assert!(fs::read(first.archive).unwrap() == fs::read(second.archive).unwrap());
}

#[test]
fn an_image_holds_its_program_its_loader_and_certificates() {
    let folder = tempfile::tempdir().unwrap();
    let recipe = Recipe { reference: "dbmazz.dev/bash:1", binary: Path::new("/bin/bash"), program: "bash" };
    let image = image::build(&recipe, folder.path()).unwrap();
    run::output(Command::new("tar").arg("-xf").arg(&image.archive).current_dir(&folder)).unwrap();
    let mut files = String::new();
    for blob in fs::read_dir(folder.path().join("blobs/sha256")).unwrap() {
        files += &run::output(Command::new("tar").arg("-tf").arg(blob.unwrap().path())).unwrap_or_default();
    }
    for file in
        ["usr/local/bin/bash", "libc.so.6", "ld-linux", "etc/ssl/certs/ca-certificates.crt", "etc/passwd"]
    {
        assert!(files.contains(file), "{file} is not in the image:\n{files}");
    }
}

#[test]
fn an_image_without_a_tag_is_refused() {
    let recipe = Recipe { reference: "dbmazz.dev/bash", binary: Path::new("/bin/bash"), program: "bash" };
    let error = image::build(&recipe, Path::new("/nonexistent")).unwrap_err().to_string();
    assert!(error.contains("has no tag"), "{error}");
}
