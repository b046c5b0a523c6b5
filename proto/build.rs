//! Compiles `dbmazz.proto` in pure Rust (protox), so no system `protoc` is needed.

use std::{env, error::Error, path::PathBuf};

use prost::Message;

#[allow(clippy::print_stdout, reason = "how a build script speaks to cargo")]
fn main() -> Result<(), Box<dyn Error>> {
    let descriptors = protox::compile(["proto/dbmazz.proto"], ["proto"])?;
    let path = PathBuf::from(env::var("OUT_DIR")?).join("dbmazz.bin");
    std::fs::write(path, descriptors.encode_to_vec())?;
    tonic_prost_build::configure().compile_fds(descriptors)?;
    println!("cargo:rerun-if-changed=proto");
    Ok(())
}
