//! The printed report: tables, row counts, and which keys differ in which columns. Of a row only its key is printed.

use std::fmt;

use super::{
    doubt::Finding,
    key::{Key, KeyColumn},
    plan::Plan,
};
use crate::table::TableName;

/// The results of all tables.
#[derive(Debug)]
pub struct Report {
    pub(super) tables: Vec<TableReport>,
    /// Maximum differing keys shown per table.
    pub(super) shown: usize,
}

#[derive(Debug)]
pub(super) struct TableReport {
    pub(super) name: TableName,
    pub(super) source_rows: u64,
    pub(super) sink_rows: u64,
    /// Rows of the target that are marked as deleted.
    pub(super) deleted: u64,
    pub(super) looked_again: u64,
    pub(super) restless: u64,
    pub(super) findings: Vec<(Key, Finding)>,
    /// Whether the comparison ended early because of too many differences.
    pub(super) cut_short: bool,
    /// Why it could not be compared.
    pub(super) problem: Option<String>,
    key_names: Vec<String>,
    value_names: Vec<String>,
}

impl TableReport {
    pub(super) fn new(plan: &Plan) -> Self {
        let key_names = plan.key.iter().map(|KeyColumn { name, .. }| name.clone()).collect();
        let value_names = plan.values.iter().map(|value| value.name.clone()).collect();
        Self { key_names, value_names, ..Self::failed(&plan.name, None) }
    }

    /// The report of a table that cannot be compared.
    pub(super) fn failed(name: &TableName, problem: Option<String>) -> Self {
        Self {
            name: name.clone(),
            source_rows: 0,
            sink_rows: 0,
            deleted: 0,
            looked_again: 0,
            restless: 0,
            findings: Vec::new(),
            cut_short: false,
            problem,
            key_names: Vec::new(),
            value_names: Vec::new(),
        }
    }

    fn is_equal(&self) -> bool {
        self.problem.is_none() && self.findings.is_empty()
    }

    fn differences(&self) -> String {
        let count = self.findings.len();
        if self.cut_short { format!("{count} or more") } else { count.to_string() }
    }

    fn line(&self, f: &mut fmt::Formatter<'_>, key: &Key, finding: &Finding) -> fmt::Result {
        let parts = self.key_names.iter().zip(&key.0);
        let parts: Vec<_> = parts.map(|(name, part)| format!("{name}={part}")).collect();
        write!(f, "  {} {}: ", self.name, parts.join(" "))?;
        match finding {
            Finding::Missing => writeln!(f, "missing in StarRocks"),
            Finding::Extra => writeln!(f, "in StarRocks only"),
            Finding::Differ(places) => {
                let names = places.iter().filter_map(|place| self.value_names.get(*place));
                writeln!(f, "differs in {}", names.map(String::as_str).collect::<Vec<_>>().join(", "))
            }
            Finding::Restless => writeln!(f, "changes too often to be judged"),
        }
    }
}

impl Report {
    /// Whether every table is equal on both sides.
    pub fn is_equal(&self) -> bool {
        self.tables.iter().all(TableReport::is_equal)
    }

    fn write_findings(&self, f: &mut fmt::Formatter<'_>, table: &TableReport) -> fmt::Result {
        if let Some(problem) = &table.problem {
            writeln!(f, "  {} was not compared: {problem}", table.name)?;
        }
        for (key, finding) in table.findings.iter().take(self.shown) {
            table.line(f, key, finding)?;
        }
        let hidden = table.findings.len().saturating_sub(self.shown);
        if hidden > 0 {
            writeln!(f, "  {} and {hidden} more keys", table.name)?;
        }
        if table.cut_short {
            writeln!(f, "  {} was left there: the rest of its keys was not looked at", table.name)?;
        }
        if table.restless > 0 {
            writeln!(f, "  {}: {} rows changed too often to be judged", table.name, table.restless)?;
        }
        Ok(())
    }

    fn verdict(&self) -> String {
        let rows: u64 = self.tables.iter().map(|table| table.source_rows).sum();
        let unequal = self.tables.iter().filter(|table| !table.is_equal()).count();
        match unequal {
            0 => format!("equal: {} tables, {rows} rows", self.tables.len()),
            _ => format!("DIFFERENT: {unequal} of {} tables, {rows} rows compared", self.tables.len()),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.tables.iter().map(|table| table.name.to_string().chars().count());
        let width = names.max().unwrap_or(0).max("table".len());
        let [postgres, starrocks, deleted] = ["in PostgreSQL", "in StarRocks", "marked deleted"];
        writeln!(f, "{:width$} {postgres:>14} {starrocks:>14} {deleted:>14} {:>12}", "table", "differences")?;
        for table in &self.tables {
            let TableReport { name, source_rows, sink_rows, deleted, .. } = table;
            let name = name.to_string();
            let differences = table.problem.as_ref().map_or_else(|| table.differences(), |_| "–".to_owned());
            writeln!(f, "{name:width$} {source_rows:>14} {sink_rows:>14} {deleted:>14} {differences:>12}")?;
        }
        writeln!(f)?;
        self.tables.iter().try_for_each(|table| self.write_findings(f, table))?;
        writeln!(f, "{}", self.verdict())
    }
}

#[cfg(test)]
mod tests {
    use super::{super::key::Part, *};

    fn name() -> TableName {
        TableName { schema: "public".into(), name: "t".into() }
    }

    fn table(findings: Vec<(Key, Finding)>) -> TableReport {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        TableReport {
            source_rows: 3,
            sink_rows: 4,
            findings,
            key_names: names(&["id", "code"]),
            value_names: names(&["a", "b", "c"]),
            ..TableReport::failed(&name(), None)
        }
    }

    fn key(id: i128) -> Key {
        Key(vec![Part::Number(id), Part::Text("x".into())])
    }

    #[test]
    fn equal_sides_are_counted() {
        let report = Report { tables: vec![table(Vec::new())], shown: 10 };
        assert!(report.is_equal());
        assert!(report.to_string().ends_with("\nequal: 1 tables, 3 rows\n"), "{report}");
    }

    #[test]
    fn every_finding_names_its_key_and_its_columns() {
        let findings =
            vec![(key(1), Finding::Missing), (key(2), Finding::Extra), (key(3), Finding::Differ(vec![0, 2]))];
        let report = Report { tables: vec![table(findings)], shown: 10 };
        let text = report.to_string();
        for line in [
            "  public.t id=1 code=\"x\": missing in StarRocks\n",
            "  public.t id=2 code=\"x\": in StarRocks only\n",
            "  public.t id=3 code=\"x\": differs in a, c\n",
            "DIFFERENT: 1 of 1 tables, 3 rows compared\n",
        ] {
            assert!(text.contains(line), "{text}");
        }
        assert!(!report.is_equal());
    }

    #[test]
    fn only_the_first_keys_are_shown() {
        let findings = (0..5).map(|id| (key(id), Finding::Missing)).collect();
        let report = Report { tables: vec![table(findings)], shown: 2 };
        assert!(
            report
                .to_string()
                .contains("id=1 code=\"x\": missing in StarRocks\n  public.t and 3 more keys\n")
        );
    }

    #[test]
    fn a_table_that_could_not_be_compared_is_not_equal() {
        let failed = TableReport::failed(&name(), Some("it is missing in StarRocks".into()));
        let report = Report { tables: vec![failed], shown: 2 };
        assert!(!report.is_equal());
        assert!(report.to_string().contains("  public.t was not compared: it is missing in StarRocks\n"));
    }
}
