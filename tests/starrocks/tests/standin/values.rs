//! Values through a whole load, in strict mode and outside it (S10).

use crate::bed::Bed;

/// Checks the stored value of each JSON value in a column of a type; `-` means that strict mode refuses the row, and
/// that the value becomes NULL outside strict mode, without an error (§8.1).
async fn check(sql_type: &str, cases: &[(&str, &str)]) {
    for strict in [true, false] {
        let bed = Bed::with_table(&format!("id BIGINT NOT NULL, c {sql_type}")).await;
        let row = |(id, (value, _)): (usize, &(&str, &str))| format!("{{\"id\":{id},\"c\":{value}}}\n");
        let rows: String = cases.iter().enumerate().map(row).collect();
        let answer = bed.load(&format!("strict_mode: {strict}\nmax_filter_ratio: 0.99"), rows).await;
        assert_eq!(answer.field("Status"), "Success", "{sql_type}: {}", answer.body);
        let loaded = bed.rows("SELECT id, c FROM d.t").await;
        for (id, (value, expected)) in cases.iter().enumerate() {
            let row = loaded.iter().find(|row| row[0].as_deref() == Some(&id.to_string()));
            let found = row.map(|row| row[1].clone().unwrap_or_else(|| "NULL".to_owned()));
            let wanted = match (*expected, strict) {
                ("-", true) => None,
                ("-", false) => Some("NULL"),
                (value, _) => Some(value),
            };
            assert_eq!(found.as_deref(), wanted, "{value} as {sql_type}, strict: {strict}");
        }
    }
}

#[tokio::test]
async fn s10_booleans() {
    let cases = [
        ("true", "1"),
        ("false", "0"),
        ("2", "1"),
        ("0", "0"),
        ("\"1\"", "1"),
        ("\"TRUE\"", "1"),
        ("\"t\"", "-"),
        ("\"\"", "-"),
        ("{}", "-"),
        ("null", "NULL"),
    ];
    check("BOOLEAN", &cases).await;
}

#[tokio::test]
async fn s10_integers_cut_fractions_and_refuse_overflow() {
    check(
        "TINYINT",
        &[("127", "127"), ("128", "-"), ("-128", "-128"), ("1.9", "1"), ("-1.9", "-1"), ("\"1.9\"", "1")],
    )
    .await;
    let big = [
        ("9223372036854775807", "9223372036854775807"),
        ("9223372036854775808", "-"),
        ("\"-9223372036854775808\"", "-9223372036854775808"),
        ("\"x\"", "-"),
        ("1e3", "1000"),
    ];
    check("BIGINT", &big).await;
    let large = "\"170141183460469231731687303715884105727\"";
    let too_large = "170141183460469231731687303715884105728";
    check(
        "LARGEINT",
        &[
            (large, large.trim_matches('"')),
            (too_large, "-"),
            ("18446744073709551615", "18446744073709551615"),
        ],
    )
    .await;
}

#[tokio::test]
async fn s10_floats_differ_as_numbers_and_as_strings() {
    let float = [
        ("1.5", "1.5"),
        ("-0", "0"),
        ("\"-0\"", "-0"),
        ("3.4028235e+38", "-"),
        ("\"3.4028235e+38\"", "3.4028235e+38"),
        ("\"1e39\"", "inf"),
        ("\"1e400\"", "-"),
        ("\"NaN\"", "nan"),
        ("\"-Infinity\"", "-inf"),
        ("\"x\"", "-"),
    ];
    check("FLOAT", &float).await;
    check(
        "DOUBLE",
        &[("0.1", "0.1"), ("1e400", "-"), ("\"Infinity\"", "inf"), ("1", "1"), ("1e-7", "1e-07")],
    )
    .await;
}

#[tokio::test]
async fn s10_decimals_round_silently_and_refuse_too_many_digits() {
    let cases = [
        ("1.005", "1.01"),
        ("\"1.004\"", "1.00"),
        ("999.994", "999.99"),
        ("999.995", "-"),
        ("1000", "-"),
        ("\"NaN\"", "-"),
        ("-0.001", "0.00"),
    ];
    check("DECIMAL(5,2)", &cases).await;
    let exact = "12345678901234567890123456789012345678.9";
    check("DECIMAL(39,1)", &[(exact, exact)]).await;
}

#[tokio::test]
async fn s10_text_is_bounded_in_bytes() {
    let cases = [
        ("\"abcde\"", "abcde"),
        ("\"abcdef\"", "-"),
        ("\"éé\"", "éé"),
        ("\"ééé\"", "-"),
        ("12.50", "12.50"),
        ("true", "1"),
        ("[1, 2]", "[1,2]"),
        ("\"a\\n\\u00e9\"", "a\né"),
        ("\"\"", ""),
    ];
    check("VARCHAR(5)", &cases).await;
}

#[tokio::test]
async fn s10_dates_are_read_leniently() {
    let date = [
        ("\"2026-01-02\"", "2026-01-02"),
        ("\"2026-01-02 10:00:00\"", "2026-01-02"),
        ("\"0044-03-15 BC\"", "0044-03-15"),
        ("\"infinity\"", "-"),
        ("\"10000-01-01\"", "-"),
    ];
    check("DATE", &date).await;
    let datetime = [
        ("\"2026-01-02 03:04:05.123456\"", "2026-01-02 03:04:05.123456"),
        ("\"2026-01-02 03:04:05+05:30\"", "2026-01-02 03:04:05"),
        ("\"2026-01-02 24:00:00\"", "-"),
        ("\"2026-01-02\"", "2026-01-02 00:00:00"),
    ];
    check("DATETIME", &datetime).await;
}

#[tokio::test]
async fn s10_json_keeps_its_value_and_not_its_spelling() {
    let cases = [
        ("{\"b\":1.50,\"a\":[1,null,\"x\"]}", "{\"a\": [1, null, \"x\"], \"b\": 1.5}"),
        ("\"{\\\"a\\\":1}\"", "\"{\\\"a\\\":1}\""),
        ("18446744073709551615", "18446744073709551615"),
        ("18446744073709551616", "1.8446744073709552e+19"),
        ("1e400", "-"),
        ("null", "NULL"),
        ("true", "true"),
    ];
    check("JSON", &cases).await;
}

#[tokio::test]
async fn s10_array_elements_that_do_not_fit_become_null_in_strict_mode_too() {
    check(
        "ARRAY<TINYINT>",
        &[("[1, 1000, \"x\", null]", "[1,null,null,null]"), ("\"[2]\"", "[2]"), ("1", "-")],
    )
    .await;
    check("ARRAY<VARCHAR(2)>", &[("[\"a\", \"abc\"]", "[\"a\",null]")]).await;
}

#[tokio::test]
async fn s10_varbinary_takes_the_bytes_of_the_string() {
    check("VARBINARY(4)", &[("\"4142\"", "4142"), ("\"41424\"", "-")]).await;
}
