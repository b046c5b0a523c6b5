use super::*;
use crate::{
    starrocks::{double::table, schema::statement::alter_table},
    table::{Fill, Kind},
};

fn existing(rows: &[(&str, &str)]) -> Vec<Existing> {
    let row = |(name, type_name): &(&str, &str)| {
        let texts = [name, type_name, "YES", "false"].map(|text| Some(text.to_string()));
        Existing::read(texts.into_iter().chain([None, Some(String::new())]).collect()).unwrap()
    };
    rows.iter().map(row).collect()
}

fn source() -> Table {
    table(&[("id", Kind::BigInt), ("name", Kind::Text), ("price", Kind::Decimal { precision: 10, scale: 2 })])
}

const AUDIT: [(&str, &str); 4] = [
    ("dbmazz_op_type", "tinyint"),
    ("dbmazz_is_deleted", "boolean"),
    ("dbmazz_synced_at", "datetime"),
    ("dbmazz_cdc_version", "bigint"),
];

/// The next statement.
fn next(table: &Table, columns: &[(&str, &str)], held: &[TargetColumn]) -> Result<Option<String>, Fault> {
    let existing = existing(columns);
    let step = next_step(table, Values::default(), &existing, held)?;
    Ok(step.map(|step| alter_table(table, &step)))
}

fn held(columns: &[(i32, &str, &str)]) -> Vec<TargetColumn> {
    let held = |(number, name, made): &(i32, &str, &str)| TargetColumn::new(*number, *name, *made);
    columns.iter().map(held).collect()
}

fn with_audit<'a>(columns: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    [columns, &AUDIT[..]].concat()
}

#[test]
fn a_table_that_fits_lacks_nothing() {
    let columns =
        with_audit(&[("ID", "bigint"), ("name", "varchar(20)"), ("price", "decimal(12,2)"), ("mine", "int")]);
    assert_eq!(next(&source(), &columns, &[]), Ok(None));
}

#[test]
fn missing_columns_are_added_in_one_statement() {
    let mut table = source();
    table.columns[2].fill = Fill::Value("1.50".to_owned());
    let statement = next(&table, &[("id", "bigint"), ("name", "varchar(65533)")], &[]);
    assert_eq!(
        statement.unwrap().unwrap(),
        "ALTER TABLE `t` ADD COLUMN `price` DECIMAL(10,2) NULL DEFAULT \"1.50\", ADD COLUMN `dbmazz_op_type` TINYINT NULL, \
         ADD COLUMN `dbmazz_is_deleted` BOOLEAN NULL, ADD COLUMN `dbmazz_synced_at` DATETIME NULL, \
         ADD COLUMN `dbmazz_cdc_version` BIGINT NULL"
    );
}

#[test]
fn a_column_whose_earlier_rows_are_not_known_is_added_by_a_person() {
    let mut table = source();
    table.columns[2].fill = Fill::Unknown;
    let columns = with_audit(&[("id", "bigint"), ("name", "varchar(20)")]);
    let fault = next(&table, &columns, &[]).unwrap_err();
    assert_eq!(fault.reason, Reason::SourceSchemaChanged);
    assert!(fault.fix.contains("ADD COLUMN `price` DECIMAL(10,2) NULL"), "{}", fault.fix);
    // It existed before and is published only now.
    table.columns[2].fill = Fill::Null;
    let before = held(&[(1, "id", "BIGINT"), (2, "name", "VARCHAR(20)"), (9, "gone", "INT")]);
    assert!(next(&table, &columns, &before).is_err());
    assert!(next(&table, &columns, &before[..2]).is_ok());
}

#[test]
fn a_type_that_would_lose_something_is_refused_by_name() {
    let fault = next(&source(), &[("id", "bigint"), ("price", "decimal(10,1)")], &[]).unwrap_err();
    assert_eq!(fault.reason, Reason::TargetIncompatible);
    assert_eq!(fault.message, "column price of target table t is decimal(10,1); DECIMAL(10,2) is needed");
}

#[test]
fn what_was_made_for_a_narrower_source_becomes_wider() {
    let made = held(&[(1, "id", "BIGINT"), (2, "name", "VARCHAR(80)"), (3, "price", "DECIMAL(8,2)")]);
    let columns = with_audit(&[("id", "bigint"), ("name", "varchar(80)"), ("price", "decimal(8,2)")]);
    assert_eq!(
        next(&source(), &columns, &made).unwrap().unwrap(),
        "ALTER TABLE `t` MODIFY COLUMN `name` VARCHAR(1048576) NULL, MODIFY COLUMN `price` DECIMAL(10,2) NULL"
    );
    // The same types, chosen by a person for the source as it is.
    let chosen = held(&[(1, "id", "BIGINT"), (2, "name", "VARCHAR(1048576)"), (3, "price", "DECIMAL(10,2)")]);
    assert!(next(&source(), &columns, &chosen).is_err());
    // The default is repeated as DESC shows it.
    let (table, mut shown) = (source(), existing(&columns));
    shown[2].default = Some("a \"b\" \\".to_owned());
    let step = next_step(&table, Values::default(), &shown, &made).unwrap().unwrap();
    assert!(
        alter_table(&table, &step)
            .ends_with(r#"MODIFY COLUMN `price` DECIMAL(10,2) NULL DEFAULT "a \"b\" \\""#),
        "{}",
        alter_table(&table, &step)
    );
    // A key column cannot be widened.
    let key = [("id", "int"), ("name", "varchar(80)"), ("price", "decimal(10,2)")];
    assert!(next(&source(), &with_audit(&key), &held(&[(1, "id", "INT")])).is_err());
}

#[test]
fn what_a_target_holds_outlives_its_source() {
    let before = held(&[(2, "old name", "INT"), (7, "dropped", "INT"), (8, "PRICE", "INT")]);
    let now = held_now(&source(), Values::default(), &before).unwrap();
    let names: Vec<_> = now.iter().map(|held| (held.number, held.name.as_str())).collect();
    assert_eq!(names, [(1, "id"), (2, "name"), (3, "price"), (7, "dropped")]);
}

#[test]
fn a_column_that_nobody_fills_must_be_able_to_stay_empty() {
    let column = |null: &str, default: Option<&str>| {
        let texts = [Some("mine"), Some("int"), Some(null), Some("false"), default, Some("")];
        Existing::read(texts.map(|text| text.map(str::to_owned)).to_vec()).unwrap()
    };
    let source = source();
    let next = |column: Existing| next_step(&source, Values::default(), &[column], &[]).is_ok();
    assert!(!next(column("NO", None)) && next(column("NO", Some("7"))) && next(column("YES", None)));
}
