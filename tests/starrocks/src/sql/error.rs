//! SQL errors with the numbers that StarRocks gives them (§12.2).

use crate::Profile;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code} {message}")]
pub(crate) struct SqlError {
    pub(crate) code: u16,
    pub(crate) state: &'static str,
    pub(crate) message: String,
}

impl SqlError {
    fn new(code: u16, state: &'static str, message: String) -> Self {
        Self { code, state, message }
    }

    /// Error 1064 with exactly this text.
    pub(crate) fn plain(message: String) -> Self {
        Self::new(1064, "HY000", message)
    }

    /// Error 1064 in the wording of the analyzer.
    pub(crate) fn analyzing(detail: &str) -> Self {
        Self::plain(analyzing(detail))
    }

    pub(crate) fn syntax(at: usize, detail: &str) -> Self {
        Self::plain(format!("Getting syntax error at line 1, column {at}. Detail message: {detail}."))
    }

    pub(crate) fn database_exists(name: &str) -> Self {
        Self::new(1007, "HY000", format!("Can't create database '{name}'; database exists"))
    }

    pub(crate) fn no_database_to_drop(name: &str) -> Self {
        Self::new(1008, "HY000", format!("Can't drop database '{name}'; database doesn't exist"))
    }

    pub(crate) fn no_database_selected() -> Self {
        Self::new(1046, "3D000", "No database selected".to_owned())
    }

    pub(crate) fn table_exists(name: &str) -> Self {
        Self::new(1050, "42S01", format!("Table '{name}' already exists"))
    }

    pub(crate) fn unknown_database(name: &str, profile: Profile) -> Self {
        let (code, state) = if profile.has_new_error_codes() { (5501, "3F000") } else { (1049, "42000") };
        Self::new(code, state, format!("Unknown database '{name}'"))
    }

    pub(crate) fn unknown_table(name: &str, profile: Profile) -> Self {
        let (code, state) = if profile.has_new_error_codes() { (5502, "42602") } else { (1051, "42S02") };
        Self::new(code, state, analyzing(&format!("Unknown table '{name}'")))
    }

    /// The error of ALTER, TRUNCATE and SHOW CREATE for an unknown table.
    pub(crate) fn table_not_found(name: &str) -> Self {
        Self::analyzing(&format!("Table {name} is not found"))
    }

    /// The table has a running schema change: another one must wait.
    pub(crate) fn alter_in_progress(table: &str) -> Self {
        Self::plain(format!(
            "A schema change operation is in progress on the table {table}. Please try again later"
        ))
    }

    /// The table has a running schema change: it can be neither renamed, swapped nor emptied.
    pub(crate) fn not_normal(table: &str) -> Self {
        Self::plain(format!(
            "Table[{table}]'s state(SCHEMA_CHANGE) is not NORMAL. Do not allow doing ALTER ops"
        ))
    }

    pub(crate) fn unknown_column(name: &str, profile: Profile) -> Self {
        let code = if profile.has_new_error_codes() { 1064 } else { 1054 };
        Self::new(code, "42S22", analyzing(&format!("Column '{name}' cannot be resolved")))
    }

    pub(crate) fn unknown_column_in(name: &str, table: &str) -> Self {
        Self::new(5509, "42S22", format!("Unknown column '{name}' in '{table}'"))
    }

    pub(crate) fn duplicate_column(name: &str) -> Self {
        Self::new(1060, "42S21", format!("Duplicate column name '{name}'"))
    }

    pub(crate) fn duplicate_column_in_create(name: &str) -> Self {
        Self::new(1060, "42S21", analyzing(&format!("Duplicate column name '{name}'")))
    }

    pub(crate) fn bad_database_name(name: &str) -> Self {
        Self::new(1102, "42000", analyzing(&format!("Incorrect database name '{name}'")))
    }

    pub(crate) fn bad_table_name(name: &str) -> Self {
        Self::new(
            1104,
            "42000",
            analyzing(&format!("Incorrect table name '{name}'. Table name regex is '[^\\0]{{1,1024}}'")),
        )
    }

    pub(crate) fn bad_column_name(name: &str) -> Self {
        Self::new(1166, "42000", analyzing(&format!("Incorrect column name '{name}'")))
    }

    pub(crate) fn unknown_variable(name: &str) -> Self {
        Self::new(1193, "HY000", format!("Unknown system variable '{name}'"))
    }

    pub(crate) fn read_only_variable(name: &str) -> Self {
        Self::new(1238, "HY000", format!("Variable '{name}' is a read only variable"))
    }

    pub(crate) fn global_variable(name: &str) -> Self {
        let message = format!("Variable '{name}' is a GLOBAL variable and should be set with SET GLOBAL");
        Self::new(1229, "HY000", message)
    }

    pub(crate) fn wrong_variable_type(name: &str) -> Self {
        Self::new(1232, "42000", format!("Incorrect argument type to variable '{name}'"))
    }

    pub(crate) fn unknown_time_zone(zone: &str) -> Self {
        Self::new(1298, "HY000", format!("Unknown or incorrect time zone: '{zone}'"))
    }

    pub(crate) fn unknown_thread(id: u32) -> Self {
        Self::new(1094, "HY000", format!("Unknown thread id: {id}"))
    }

    pub(crate) fn wrong_password(user: &str, client: &str, used_password: bool) -> Self {
        let using = if used_password { "YES" } else { "NO" };
        Self::new(
            1045,
            "28000",
            format!("Access denied for user '{user}'@'{client}' (using password: {using})"),
        )
    }

    pub(crate) fn denied(privilege: &str, object: &str, profile: Profile) -> Self {
        let message = format!(
            "Access denied; you need (at least one of) the {privilege} privilege(s) on {object} for this operation."
        );
        let (code, state) = if profile.has_new_error_codes() { (5203, "42501") } else { (1252, "42000") };
        Self::new(code, state, message)
    }

    pub(crate) fn not_prepared() -> Self {
        let message = "This command is not supported in the prepared statement protocol yet";
        Self::new(1295, "HY000", message.to_owned())
    }

    pub(crate) fn unknown_command() -> Self {
        Self::new(1047, "08S01", "Unknown command".to_owned())
    }
}

fn analyzing(detail: &str) -> String {
    format!("Getting analyzing error. Detail message: {detail}.")
}
