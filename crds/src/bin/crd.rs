//! Prints the CustomResourceDefinition; with a path, writes it there.

use std::io::Write as _;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let yaml = crds::manifest::yaml()?;
    match std::env::args_os().nth(1) {
        Some(path) => std::fs::write(path, yaml)?,
        None => std::io::stdout().write_all(yaml.as_bytes())?,
    }
    Ok(())
}
