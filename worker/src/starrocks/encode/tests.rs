//! The encoded rows parse to the input values, and have the measured length.

use std::time::{Duration, SystemTime};

use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::*;
use crate::{
    config::{Deletes, JsonNumbers, TooLong, Unfit, Values as Rules},
    pipeline::{Batch, ColumnSet},
    progress::Loss,
    starrocks::double::{deletes, inserts, table},
    table::{Element, Kind, Table},
};

fn plan(batch: &Batch, deletes: Deletes) -> Plan {
    plan_by(batch, deletes, Rules::default())
}

fn plan_by(batch: &Batch, deletes: Deletes, rules: Rules) -> Plan {
    let synced_at = SystemTime::UNIX_EPOCH + Duration::from_micros(1_700_000_000_000_001);
    Plan::new(batch.table(), batch.columns(), deletes, rules, synced_at)
}

fn measure(batch: &Batch, plan: &Plan, room: usize) -> Result<usize, Refusal> {
    let (mut encoder, mut length) = (Encoder::new(plan, batch.rows()), 0);
    loop {
        let mut count = Count::default();
        encoder.fill(&mut count, room)?;
        match count.taken() {
            0 => return Ok(length),
            more => length += more,
        }
    }
}

/// The body, and the size of its largest piece.
fn written(batch: &Batch, plan: &Plan, room: usize) -> (Vec<u8>, usize) {
    let (mut encoder, mut body, mut largest) = (Encoder::new(plan, batch.rows()), Vec::new(), 0);
    loop {
        let mut piece = Vec::new();
        encoder.fill(&mut piece, room).unwrap();
        if piece.is_empty() {
            return (body, largest);
        }
        largest = largest.max(piece.len());
        body.extend_from_slice(&piece);
    }
}

fn text(batch: &Batch, deletes: Deletes) -> String {
    let plan = plan(batch, deletes);
    let (body, _) = written(batch, &plan, 64);
    assert_eq!(measure(batch, &plan, 1000).unwrap(), body.len());
    String::from_utf8(body).unwrap()
}

fn refusal(table: &Table, values: &[&str]) -> Refusal {
    let row = values.iter().map(|value| Value::Text(value.as_bytes())).collect();
    let batch = inserts(table, &[row]);
    measure(&batch, &plan(&batch, Deletes::Soft), 1000).unwrap_err()
}

#[test]
fn a_row_is_one_line_with_the_audit_columns_at_its_end() {
    let table = table(&[("id", Kind::BigInt), ("na\"me", Kind::Text)]);
    let batch = inserts(
        &table,
        &[
            vec![Value::Text(b"7"), Value::Text("a\"\n\u{e9}".as_bytes())],
            vec![Value::Text(b"8"), Value::Null],
        ],
    );
    let tail = "\"dbmazz_op_type\":0,\"dbmazz_is_deleted\":false,\"dbmazz_synced_at\":\"2023-11-14 22:13:20.000001\",\"dbmazz_cdc_version\":4660}\n";
    let expected =
        format!("{{\"id\":7,\"na\\\"me\":\"a\\\"\\n\u{e9}\",{tail}{{\"id\":8,\"na\\\"me\":null,{tail}");
    assert_eq!(text(&batch, Deletes::Soft), expected);
}

#[test]
fn rule_8_a_delete_is_a_mark_or_an_operation_by_the_jobs_choice() {
    let table = table(&[("id", Kind::BigInt), ("name", Kind::Text)]);
    for (choice, end, columns) in [
        (
            Deletes::Soft,
            "4660}\n",
            "`id`,`dbmazz_op_type`,`dbmazz_is_deleted`,`dbmazz_synced_at`,`dbmazz_cdc_version`",
        ),
        (
            Deletes::Hard,
            "4660,\"__op\":1}\n",
            "`id`,`dbmazz_op_type`,`dbmazz_is_deleted`,`dbmazz_synced_at`,`dbmazz_cdc_version`,__op",
        ),
    ] {
        let batch = deletes(&table, choice, &[Value::Text(b"7"), Value::Null]);
        let line = text(&batch, choice);
        assert!(line.starts_with("{\"id\":7,\"dbmazz_op_type\":2,\"dbmazz_is_deleted\":true,"), "{line}");
        assert!(line.ends_with(end), "{line}");
        let plan = plan(&batch, choice);
        assert_eq!((plan.columns(), plan.is_partial()), (columns, true));
    }
}

#[test]
fn rule_5_a_partial_row_names_only_what_it_carries() {
    let table = table(&[("id", Kind::BigInt), ("large", Kind::Text), ("n", Kind::Integer)]);
    let batch = inserts(&table, &[vec![Value::Text(b"7"), Value::Unchanged, Value::Text(b"1")]]);
    assert_eq!(*batch.columns(), ColumnSet::Some([true, false, true].into()));
    let line = text(&batch, Deletes::Soft);
    assert!(line.starts_with("{\"id\":7,\"n\":1,"), "{line}");
}

#[test]
fn every_kind_has_its_json_form() {
    for (kind, value, expected) in [
        (Kind::Boolean, "t", json!(true)),
        (Kind::Boolean, "f", json!(false)),
        (Kind::SmallInt, "-32768", json!(-32768)),
        (Kind::Integer, "0", json!(0)),
        (Kind::BigInt, "9223372036854775807", json!(9223372036854775807_i64)),
        (Kind::Unsigned64, "18446744073709551615", json!(18446744073709551615_u64)),
        (Kind::Real, "-0", json!("-0")),
        (Kind::Double, "NaN", json!("NaN")),
        (Kind::Decimal { precision: 10, scale: 2 }, "12.50", json!(12.50)),
        (Kind::Decimal { precision: 50, scale: 2 }, "NaN", json!("NaN")),
        (Kind::Numeric, "1e3", json!("1e3")),
        (Kind::Text, "", json!("")),
        (Kind::ShortText { characters: 1 }, "\u{1F600}", json!("\u{1F600}")),
        (Kind::PaddedText { characters: 5 }, "ab   ", json!("ab   ")),
        (Kind::Date, "2024-02-29", json!("2024-02-29")),
        (Kind::Timestamp, "2024-02-29 01:02:03.5", json!("2024-02-29 01:02:03.5")),
        (Kind::TimestampTz, "2024-02-29 01:02:03+00", json!("2024-02-29 01:02:03")),
        (Kind::Json, "{\"a\":\n[1]}", json!({"a": [1]})),
        (Kind::Jsonb, "{\"a\": [1]}", json!({"a": [1]})),
        (Kind::Money, "-$1,234.50", json!(-1234.50)),
        (Kind::Opaque, "[1,5)", json!("[1,5)")),
        (Kind::Array { element: Element::Integer, delimiter: b',' }, "{1,NULL}", json!([1, null])),
        (Kind::Hstore, "\"a\"=>NULL", json!({"a": null})),
    ] {
        let batch = inserts(
            &table(&[("id", Kind::BigInt), ("v", kind)]),
            &[vec![Value::Text(b"1"), Value::Text(value.as_bytes())]],
        );
        let line: Json = serde_json::from_str(&text(&batch, Deletes::Soft)).unwrap();
        assert_eq!(line["v"], expected, "{kind:?} {value}");
    }
}

#[test]
fn rule_6_a_value_that_has_no_form_is_refused_by_column() {
    for (kind, value, problem) in [
        (Kind::Boolean, "true", Problem::NotABoolean),
        (Kind::Integer, "1.5", Problem::NotANumber),
        (Kind::Decimal { precision: 4, scale: 2 }, "100.00", Problem::TooManyDigits),
        (Kind::Decimal { precision: 4, scale: 2 }, "NaN", Problem::NotANumber),
        (Kind::ShortText { characters: 1 }, "abcde", Problem::TooLong(4)),
        (Kind::Date, "infinity", Problem::NotADate),
        (Kind::Timestamp, "10000-01-01 00:00:00", Problem::NotADate),
        (Kind::TimestampTz, "2024-02-29 01:02:03+01", Problem::NotUtc),
        (Kind::Json, "1e400", Problem::JsonNumberTooLarge),
    ] {
        let table = table(&[("id", Kind::BigInt), ("v", kind)]);
        assert_eq!(refusal(&table, &["1", value]), Refusal { column: Some(1), problem }, "{kind:?} {value}");
    }
}

#[test]
fn bytes_go_as_hexadecimal_digits_that_starrocks_turns_back() {
    let table = table(&[("id", Kind::BigInt), ("raw", Kind::Bytes), ("n", Kind::Integer)]);
    let row = |raw| vec![Value::Text(b"1"), raw, Value::Null];
    let batch = inserts(&table, &[row(Value::Text(b"\\x00ff")), row(Value::Null)]);
    let lines = text(&batch, Deletes::Soft);
    assert!(lines.starts_with("{\"id\":1,\"dbmazz_hex_1\":null,\"n\":null,"), "{lines}");
    let batch = inserts(&table, &[row(Value::Text(b"\\x00ff"))]);
    assert!(text(&batch, Deletes::Soft).starts_with("{\"id\":1,\"dbmazz_hex_1\":\"00ff\","));
    assert_eq!(
        plan(&batch, Deletes::Soft).columns(),
        "`id`,dbmazz_hex_1,`n`,`dbmazz_op_type`,`dbmazz_is_deleted`,`dbmazz_synced_at`,`dbmazz_cdc_version`,\
         `raw`=to_binary(dbmazz_hex_1,'hex')"
    );
    assert_eq!(refusal(&table, &["1", "\\x0", "1"]).problem, Problem::Misspelled);
}

#[test]
fn a_key_is_written_in_the_one_spelling_of_equal_ones() {
    let decimal = Kind::Decimal { precision: 39, scale: 2 };
    for (kind, value, expected) in [
        (Kind::Numeric, "1.500", "\"1.5\""),
        (decimal, "1.00", "\"1\""),
        (Kind::Double, "-0", "\"0\""),
        (Kind::Bytes, "\\x00ff", "\"00ff\""),
        (Kind::Decimal { precision: 9, scale: 0 }, "100", "100"),
    ] {
        let batch = inserts(&table(&[("id", kind)]), &[vec![Value::Text(value.as_bytes())]]);
        let line = text(&batch, Deletes::Soft);
        assert!(line.starts_with(&format!("{{\"id\":{expected},")), "{line}");
    }
}

#[test]
fn rule_6_a_value_that_has_no_form_is_altered_by_the_rule_for_its_type_and_counted() {
    let nulls = Rules {
        dates: Unfit::Null,
        decimals: Unfit::Null,
        json: Unfit::Null,
        too_long: TooLong::Null,
        ..Rules::default()
    };
    let cut = Rules { too_long: TooLong::Truncate, ..Rules::default() };
    let round = Rules { json_numbers: JsonNumbers::Round, ..Rules::default() };
    let decimal = Kind::Decimal { precision: 4, scale: 2 };
    let short = Kind::ShortText { characters: 1 };
    for (rules, kind, value, expected, loss) in [
        (nulls, Kind::Date, "infinity", json!(null), Loss::DateNull),
        (nulls, Kind::TimestampTz, "4713-01-01 00:00:00+00 BC", json!(null), Loss::DateNull),
        (nulls, decimal, "NaN", json!(null), Loss::DecimalNull),
        (nulls, Kind::Json, "1e400", json!(null), Loss::JsonNull),
        (nulls, Kind::Jsonb, "null", json!(null), Loss::JsonNull),
        (nulls, short, "abcde", json!(null), Loss::TooLongNull),
        (cut, short, "abcde", json!("abcd"), Loss::TooLongTruncated),
        (cut, short, "abc\u{e9}", json!("abc"), Loss::TooLongTruncated),
        (
            round,
            Kind::Jsonb,
            "[0.12345678901234567890]",
            json!([0.123_456_789_012_345_68]),
            Loss::JsonNumberRounded,
        ),
    ] {
        let table = table(&[("id", Kind::BigInt), ("v", kind)]);
        let batch = inserts(&table, &[vec![Value::Text(b"1"), Value::Text(value.as_bytes())]]);
        let plan = plan_by(&batch, Deletes::Soft, rules);
        let (mut encoder, mut count) = (Encoder::new(&plan, batch.rows()), Count::default());
        encoder.fill(&mut count, usize::MAX).unwrap();
        assert_eq!(encoder.losses().of(loss), 1, "{kind:?} {value}");
        let (body, _) = written(&batch, &plan, 64);
        assert_eq!(count.taken(), body.len());
        let line: Json = serde_json::from_slice(&body).unwrap();
        assert_eq!(line["v"], expected, "{kind:?} {value}");
    }
}

#[test]
fn a_rule_touches_neither_a_key_nor_what_no_value_should_be() {
    let rules =
        Rules { dates: Unfit::Null, json: Unfit::Null, too_long: TooLong::Truncate, ..Rules::default() };
    let refused = |table: &Table, values: &[&str]| {
        let row = values.iter().map(|value| Value::Text(value.as_bytes())).collect();
        let batch = inserts(table, &[row]);
        measure(&batch, &plan_by(&batch, Deletes::Soft, rules), 1000).unwrap_err().problem
    };
    let key = table(&[("id", Kind::Date)]);
    assert_eq!(refused(&key, &["infinity"]), Problem::NotADate);
    let key = table(&[("id", Kind::Text)]);
    assert_eq!(refused(&key, &[&"k".repeat(129)]), Problem::TooLong(128));
    let value = |kind| table(&[("id", Kind::BigInt), ("v", kind)]);
    assert_eq!(refused(&value(Kind::TimestampTz), &["1", "2024-01-01 00:00:00+01"]), Problem::NotUtc);
    assert_eq!(refused(&value(Kind::Json), &["1", "{"]), Problem::NotJson);
}

#[test]
fn a_refusal_names_table_and_column_and_never_the_value() {
    let table = table(&[("id", Kind::BigInt), ("born", Kind::Date)]);
    let fault = refusal(&table, &["1", "4713-01-01 BC"]).fault(&table);
    assert_eq!(fault.reason, crds::Reason::ValueNotRepresentable);
    assert!(fault.message.contains("born") && fault.message.contains("public.t"), "{}", fault.message);
    assert!(!fault.to_string().contains("4713"), "{fault}");
}

#[test]
fn a_text_that_is_not_utf8_or_too_long_is_refused() {
    let table = table(&[("id", Kind::BigInt), ("v", Kind::Text)]);
    let problem = |value: &[u8]| {
        let batch = inserts(&table, &[vec![Value::Text(b"1"), Value::Text(value)]]);
        measure(&batch, &plan(&batch, Deletes::Soft), 1000).map_err(|refusal| refusal.problem)
    };
    assert_eq!(problem(b"a\xffb"), Err(Problem::NotUtf8));
    assert_eq!(problem(&vec![b'a'; 1_048_577]), Err(Problem::TooLong(1_048_576)));
    assert!(problem(&vec![b'a'; 1_048_576]).is_ok());
}

#[test]
fn a_key_is_measured_as_starrocks_encodes_it() {
    let mut table = table(&[("a", Kind::Text), ("n", Kind::BigInt), ("b", Kind::Text)]);
    for (key, fits, too_long, problem) in [
        (vec![0], vec![128], vec![129], Problem::TooLong(128)),
        (vec![0, 1], vec![118], vec![119], Problem::KeyTooLong),
        (vec![0, 1, 2], vec![100, 18], vec![100, 19], Problem::KeyTooLong),
        (vec![2, 0], vec![64, 62], vec![64, 63], Problem::KeyTooLong),
    ] {
        table.key = key;
        let texts = |lengths: &[usize]| {
            let [a, b] = [0, 1].map(|place| "k".repeat(lengths.get(place).copied().unwrap_or(0)));
            let batch = inserts(
                &table,
                &[vec![Value::Text(a.as_bytes()), Value::Text(b"1"), Value::Text(b.as_bytes())]],
            );
            measure(&batch, &plan(&batch, Deletes::Soft), 1000).map_err(|refusal| refusal.problem)
        };
        assert!(texts(&fits).is_ok(), "{:?}", table.key);
        assert_eq!(texts(&too_long), Err(problem), "{:?}", table.key);
    }
}

#[test]
fn blanks_that_pad_a_key_are_neither_written_nor_counted() {
    let table = table(&[("id", Kind::PaddedText { characters: 200 })]);
    let value = format!("{:200}", "ab");
    let batch = inserts(&table, &[vec![Value::Text(value.as_bytes())]]);
    assert!(text(&batch, Deletes::Soft).starts_with("{\"id\":\"ab\","));
}

#[test]
fn a_key_without_a_value_is_refused() {
    let table = table(&[("id", Kind::BigInt)]);
    let batch = inserts(&table, &[vec![Value::Null]]);
    let refused = measure(&batch, &plan(&batch, Deletes::Soft), 1000);
    assert_eq!(refused, Err(Refusal { column: Some(0), problem: Problem::NullKey }));
}

#[test]
fn a_long_value_does_not_make_a_long_piece() {
    let array = Kind::Array { element: Element::Text, delimiter: b',' };
    let table = table(&[("id", Kind::BigInt), ("v", Kind::Text), ("j", Kind::Json), ("a", array)]);
    let texts = format!("{{\"{}\",{}}}", "x".repeat(300_000), "y,".repeat(100_000) + "z");
    let (long, json) = ("\"\u{e9}".repeat(300_000), format!("[\"{}\"]", "x".repeat(900_000)));
    let batch = inserts(
        &table,
        &[[b"1", long.as_bytes(), json.as_bytes(), texts.as_bytes()].into_iter().map(Value::Text).collect()],
    );
    let plan = plan(&batch, Deletes::Soft);
    let (body, largest) = written(&batch, &plan, 64 * 1024);
    assert!(largest < 256 * 1024, "{largest}");
    assert_eq!(measure(&batch, &plan, 1 << 20).unwrap(), body.len());
    let line: Json = serde_json::from_slice(&body).unwrap();
    assert_eq!(
        (line["v"].as_str().unwrap(), &line["j"]),
        (long.as_str(), &serde_json::from_str::<Json>(&json).unwrap())
    );
    assert_eq!(line["a"].as_array().unwrap().len(), 100_002);
}

fn some_text() -> impl Strategy<Value = Option<String>> {
    proptest::option::of(prop_oneof![any::<String>(), "[\\x00-\\x7f]{0,40}", "a{0,40000}"])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn what_is_measured_is_written_and_reads_as_it_was(
        rows in proptest::collection::vec((any::<Option<bool>>(), any::<i64>(), some_text(), some_text()), 1..20),
        room in 1_usize..70_000,
    ) {
        let kinds = [("id", Kind::BigInt), ("flag", Kind::Boolean), ("n", Kind::BigInt), ("a\tb", Kind::Text), ("c", Kind::Numeric)];
        let ids: Vec<_> = (0..rows.len()).map(|id| id.to_string()).collect();
        let numbers: Vec<_> = rows.iter().map(|row| row.1.to_string()).collect();
        let text = |text: &'static str| Value::Text(text.as_bytes());
        let optional = |value: Option<&'_ String>| value.map_or(Value::Null, |value| Value::Text(value.as_bytes().to_vec().leak()));
        let values: Vec<_> = rows.iter().enumerate().map(|(place, (flag, _, one, two))| vec![
            Value::Text(ids[place].as_bytes()),
            flag.map_or(Value::Null, |flag| text(if flag { "t" } else { "f" })),
            Value::Text(numbers[place].as_bytes()),
            optional(one.as_ref()),
            optional(two.as_ref()),
        ]).collect();
        let batch = inserts(&table(&kinds), &values);
        let plan = plan(&batch, Deletes::Soft);
        let (body, _) = written(&batch, &plan, room);
        prop_assert_eq!(measure(&batch, &plan, 100_000).unwrap(), body.len());
        let lines: Vec<Json> = serde_json::Deserializer::from_slice(&body).into_iter().map(Result::unwrap).collect();
        prop_assert_eq!(lines.len(), rows.len());
        for (line, (place, (flag, number, one, two))) in lines.iter().zip(rows.iter().enumerate()) {
            prop_assert_eq!(&line["id"], &json!(place));
            prop_assert_eq!(&line["flag"], &json!(flag));
            prop_assert_eq!(&line["n"], &json!(number));
            prop_assert_eq!(&line["a\tb"], &json!(one));
            prop_assert_eq!(&line["c"], &json!(two));
        }
    }
}
