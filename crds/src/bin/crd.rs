//! Writes the CustomResourceDefinition into the chart; with `-`, prints it.

use std::io::Write as _;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let yaml = crds::manifest::yaml()?;
    match std::env::args().nth(1).as_deref() {
        Some("-") => std::io::stdout().write_all(yaml.as_bytes())?,
        _ => std::fs::write(crds::manifest::IN_THE_CHART, yaml)?,
    }
    Ok(())
}
