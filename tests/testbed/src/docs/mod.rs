//! The generated parts of the pages in `docs/`. A test in the crate that has the facts compares its part with the page;
//! run by `make docs`, it writes the part.

use std::{env, fs, path::Path};

use anyhow::{Context as _, Result, ensure};

/// With this variable set (by `make docs`) the tests write their parts.
const WRITE: &str = "WRITE_DOCS";

/// Fails unless the part of `docs/PAGE` between the comments `begin NAME` and `end NAME` equals `text`.
pub fn is_current(page: &str, name: &str, text: &str) -> Result<()> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs").join(page);
    let found = fs::read_to_string(&path).with_context(|| format!("docs/{page} cannot be read"))?;
    let expected =
        with_part(&found, name, text).with_context(|| format!("docs/{page} has no part {name}"))?;
    if env::var_os(WRITE).is_some() && found != expected {
        fs::write(&path, &expected)?;
        return Ok(());
    }
    ensure!(found == expected, "docs/{page} is not current: run `make docs`");
    Ok(())
}

fn with_part(page: &str, name: &str, text: &str) -> Option<String> {
    let (begin, end) =
        (format!("<!-- begin {name}: written by `make docs` -->\n"), format!("<!-- end {name} -->"));
    let (before, rest) = page.split_once(&begin)?;
    let (_, after) = rest.split_once(&end)?;
    Some(format!("{before}{begin}\n{}\n\n{end}{after}", text.trim()))
}

/// One row of a table in Markdown.
pub fn row(cells: &[&str]) -> String {
    let cells: Vec<_> = cells.iter().map(|cell| cell.replace('|', "\\|")).collect();
    format!("| {} |\n", cells.join(" | "))
}

/// The metrics of an OpenMetrics text, as a table: name, type, labels, meaning.
pub fn metrics(text: &str) -> String {
    let head = [row(&["Metric", "Type", "Labels", "Meaning"]), row(&["---"; 4])].concat();
    let described = text.lines().filter_map(|line| line.strip_prefix("# HELP ")?.split_once(' '));
    let rows = described.map(|(name, help)| {
        let kind =
            text.lines().find_map(|line| line.strip_prefix(&format!("# TYPE {name} "))).unwrap_or_default();
        let suffix = match kind {
            "counter" => "_total",
            "info" => "_info",
            _ => "",
        };
        row(&[&format!("`{name}{suffix}`"), kind, &labels(text, name), help.trim_end_matches('.')])
    });
    head + &rows.collect::<String>()
}

/// The names of a metric's labels, from its first sample with labels. For buckets the bound is a label.
fn labels(text: &str, name: &str) -> String {
    let samples = text.lines().filter(|line| !line.starts_with('#'));
    let sample = samples.filter_map(|line| line.split_once('{')).find(|(sample, _)| {
        sample.strip_prefix(name).is_some_and(|rest| ["", "_total", "_info"].contains(&rest))
    });
    let Some((_, rest)) = sample else { return String::new() };
    let inside = rest.split_once('}').map_or("", |(inside, _)| inside);
    let names =
        inside.split(',').filter_map(|pair| pair.split_once('=')).map(|(name, _)| format!("`{name}`"));
    names.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod pages;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_replaced_and_the_rest_stays() {
        let page = "a\n<!-- begin x: written by `make docs` -->\nold\n<!-- end x -->\nb\n";
        let expected = "a\n<!-- begin x: written by `make docs` -->\n\nnew\n\n<!-- end x -->\nb\n";
        assert_eq!(with_part(page, "x", "new\n").as_deref(), Some(expected));
        assert_eq!(with_part(page, "y", "new"), None);
    }

    #[test]
    fn metrics_are_listed_with_their_labels() {
        let text = "# HELP a_rows Rows.\n# TYPE a_rows counter\na_rows_total{table=\"t\",outcome=\"o\"} 1\n";
        assert!(
            metrics(text).ends_with("| `a_rows_total` | counter | `table`, `outcome` | Rows |\n"),
            "{}",
            metrics(text)
        );
    }
}
