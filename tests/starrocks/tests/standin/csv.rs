//! CSV: the plain reader (S09), the quoting one (S27), and the conversion of values (S10, S11).

use starrocks_standin::Profile;

use crate::bed::Bed;

const SIMPLE: &str = "id BIGINT NOT NULL, v VARCHAR(10), n INT";
const COMMAS: &str = "format: csv\ncolumn_separator: ,";

#[tokio::test]
async fn s09_csv_is_the_default_format_and_splits_at_tabs_and_newlines() {
    let bed = Bed::with_table(SIMPLE).await;
    let answer = bed.load("format: CSV", "1\ta\t5\n\n2\t\\N\t\\N\n3\t\t6").await;
    assert_eq!((answer.field("Status"), answer.field("NumberTotalRows")), ("Success".into(), "3".into()));
    assert_eq!(bed.lines("SELECT * FROM d.t ORDER BY id").await, ["1,a,5", "2,NULL,NULL", "3,,6"]);
}

#[tokio::test]
async fn s09_delimiters_may_be_escapes_and_longer_than_a_byte() {
    let bed = Bed::with_table(SIMPLE).await;
    let headers = "format: csv\ncolumn_separator: \\x01\nrow_delimiter: \\x02\ncolumns: id, v";
    assert_eq!(bed.load(headers, "1\u{1}a\tb\nc\u{2}2\u{1}x\u{2}").await.field("NumberLoadedRows"), "2");
    assert_eq!(bed.lines("SELECT v FROM d.t ORDER BY id").await, ["a\tb\nc", "x"]);
    let headers = "format: csv\ncolumn_separator: ||\ncolumns: id, v";
    assert_eq!(bed.load(headers, "3||a|b\n").await.field("Status"), "Success");
    let answer = bed.load("format: csv\ncolumn_separator: 0xzz", "1").await;
    assert_eq!(answer.field("Status"), "Fail");
}

#[tokio::test]
async fn s09_a_row_with_too_few_or_too_many_fields_is_filtered_in_both_modes() {
    let bed = Bed::with_table(SIMPLE).await;
    for (mode, row) in [("true", "1,a"), ("false", "1,a,2,3")] {
        let answer = bed.load(&format!("{COMMAS}\nstrict_mode: {mode}"), row).await;
        assert_eq!(answer.field("Message"), "too many filtered rows", "{mode}");
        let url = answer.field("ErrorURL");
        let log =
            bed.be(&format!("GET {} HTTP/1.1\r\n\r\n", &url[url.find("/api").expect("a path")..])).await;
        let found = if mode == "true" { 2 } else { 4 };
        let wanted = format!("Target column count: 3 doesn't match source value column count: {found}.");
        assert!(log.body.contains(&wanted), "{}", log.body);
    }
}

#[tokio::test]
async fn s09_a_lone_empty_string_vanishes_and_bad_utf_8_is_filtered() {
    let bed = Bed::start().await;
    bed.create("id VARCHAR(10) NOT NULL").await;
    let answer = bed.load(COMMAS, "a\n\nb\n").await;
    assert_eq!(answer.field("NumberTotalRows"), "2");
    let answer = bed.load(&format!("{COMMAS}\nmax_filter_ratio: 0.5"), b"c\n\xff\n").await;
    assert_eq!(
        (answer.field("NumberLoadedRows"), answer.field("NumberFilteredRows")),
        ("1".into(), "1".into())
    );
}

#[tokio::test]
async fn s09_deletes_bring_all_their_fields_or_only_the_keys_as_a_partial_update() {
    let bed = Bed::with_table(SIMPLE).await;
    bed.load(COMMAS, "1,a,1\n2,b,2\n3,c,3\n").await;
    bed.load(&format!("{COMMAS}\ncolumns: id, v, n, __op"), "1,,,1\n2,x,2,0\n").await;
    bed.load(&format!("{COMMAS}\npartial_update: true\ncolumns: id, __op"), "3,1\n").await;
    assert_eq!(bed.lines("SELECT * FROM d.t ORDER BY id").await, ["2,x,2"]);
}

/// Checks the stored value of each text in a column of a type; `-` means that strict mode refuses the row.
async fn check(sql_type: &str, cases: &[(&str, &str)]) {
    for strict in [true, false] {
        let bed = Bed::with_table(&format!("id BIGINT NOT NULL, c {sql_type}")).await;
        let rows: String =
            cases.iter().enumerate().map(|(id, (text, _))| format!("{id}\t{text}\n")).collect();
        let answer =
            bed.load(&format!("format: csv\nstrict_mode: {strict}\nmax_filter_ratio: 0.99"), &rows).await;
        assert_eq!(answer.field("Status"), "Success", "{sql_type}: {}", answer.body);
        let loaded = bed.rows("SELECT id, c FROM d.t").await;
        for (id, (text, expected)) in cases.iter().enumerate() {
            let row = loaded.iter().find(|row| row[0].as_deref() == Some(&id.to_string()));
            let found = row.map(|row| row[1].clone().unwrap_or_else(|| "NULL".to_owned()));
            // A value that strict mode refuses becomes NULL outside strict mode, without an error (§8.1).
            let wanted = match (*expected, strict) {
                ("-", true) => None,
                ("-", false) => Some("NULL"),
                (value, _) => Some(value),
            };
            assert_eq!(found.as_deref(), wanted, "{text} as {sql_type}, strict: {strict}");
        }
    }
}

#[tokio::test]
async fn s10_csv_numbers() {
    check(
        "BOOLEAN",
        &[("true", "1"), ("FALSE", "0"), ("1", "1"), ("0", "0"), ("2.5", "1"), ("t", "-"), ("", "-")],
    )
    .await;
    check("TINYINT", &[("1.9", "1"), ("-1.9", "-1"), ("128", "-"), ("x", "-"), ("", "-"), ("\\N", "NULL")])
        .await;
    check(
        "LARGEINT",
        &[
            ("170141183460469231731687303715884105727", "170141183460469231731687303715884105727"),
            ("170141183460469231731687303715884105728", "-"),
        ],
    )
    .await;
    check(
        "FLOAT",
        &[
            ("1.5", "1.5"),
            ("3.4028235e+38", "3.4028235e+38"),
            ("1e39", "inf"),
            ("1e400", "-"),
            ("nan", "nan"),
            ("-infinity", "-inf"),
            ("-0", "-0"),
        ],
    )
    .await;
    check("DECIMAL(5,2)", &[("1.005", "1.01"), ("1e2", "100.00"), ("1000", "-"), ("NaN", "-")]).await;
}

#[tokio::test]
async fn s10_csv_texts_and_moments() {
    check("VARCHAR(3)", &[("abc", "abc"), ("abcd", "-"), ("é", "é"), ("", ""), ("\"a\"", "\"a\"")]).await;
    check(
        "DATE",
        &[
            ("2026-01-02", "2026-01-02"),
            ("2026-01-02 BC", "2026-01-02"),
            ("10000-01-01", "-"),
            ("infinity", "-"),
        ],
    )
    .await;
    check("DATETIME", &[("2026-01-02 03:04:05.5+02", "2026-01-02 03:04:05.500000"), ("24:00:00", "-")]).await;
    check(
        "JSON",
        &[
            ("{\"a\":1}", "{\"a\": 1}"),
            ("[1]", "[1]"),
            ("\"x\"", "\"x\""),
            ("1", "\"1\""),
            ("true", "\"true\""),
            ("null", "\"null\""),
            ("{", "-"),
        ],
    )
    .await;
}

#[tokio::test]
async fn s10_a_document_is_bounded_where_it_is_parsed_from_text() {
    let bed = Bed::with_table("id BIGINT NOT NULL, j JSON").await;
    let document = |length: usize| format!("[\"{}\"]", "x".repeat(length - 4));
    let most = 16 * 1024 * 1024;
    let csv = |id: u8, length| format!("{id}\t{}\n", document(length));
    let strict = "format: csv\nstrict_mode: true";
    assert_eq!(bed.load(strict, csv(1, most)).await.field("Status"), "Success");
    assert_eq!(bed.load(strict, csv(2, most + 1)).await.field("Message"), "too many filtered rows");
    let json = format!("{{\"id\":3,\"j\":{}}}", document(most + 1));
    assert_eq!(bed.load("strict_mode: true", json).await.field("Status"), "Success");
}

#[tokio::test]
async fn s10_csv_varbinary_is_base64_or_else_the_bytes_themselves() {
    // Hex of four digits is valid base64 of three bytes: it is stored as wrong bytes without an error.
    check("VARBINARY(4)", &[("QUI=", "AB"), ("a-b", "a-b"), ("4142", "\u{fffd}^6"), ("abcde", "-")]).await;
}

#[tokio::test]
async fn s07_a_temporary_text_of_csv_is_bounded() {
    let bed = Bed::with_table("id BIGINT NOT NULL, b VARBINARY").await;
    let headers = "format: csv\nstrict_mode: true\ncolumns: id, x, b = to_binary(x, 'hex')";
    assert_eq!(bed.load(headers, format!("1\t{}\n", "00".repeat(524_288))).await.field("Status"), "Success");
    let answer = bed.load(headers, format!("1\t{}\n", "00".repeat(524_289))).await;
    assert_eq!(answer.field("Message"), "too many filtered rows");
    let json = "columns: id, x, b = to_binary(x, 'hex')";
    let body = format!("{{\"id\":2,\"x\":\"{}\"}}", "00".repeat(1_048_576));
    assert_eq!(bed.load(json, body).await.field("Status"), "Success");
}

#[tokio::test]
async fn s07_to_binary_knows_three_encodings() {
    let bed = Bed::with_table("id BIGINT NOT NULL, b VARBINARY(4)").await;
    let cases = [
        ("'hex'", "\"4a4B\"", "JK"),
        ("'HEX'", "\"4a4\"", ""),
        ("'encode64'", "\"QUI=\"", "AB"),
        ("'encode64'", "\"\"", "NULL"),
        ("'encode64'", "\"!\"", "NULL"),
        ("'utf8'", "\"xy\"", "xy"),
        ("'hex'", "null", "NULL"),
    ];
    for (encoding, json, expected) in cases {
        let headers = format!("strict_mode: true\ncolumns: id, x, b = to_binary(x, {encoding})");
        let answer = bed.load(&headers, format!("{{\"id\":1,\"x\":{json}}}")).await;
        assert_eq!(answer.field("Status"), "Success", "{encoding} {json}: {}", answer.body);
        assert_eq!(bed.lines("SELECT b FROM d.t").await, [expected], "{encoding} {json}");
    }
    let headers = "strict_mode: true\ncolumns: id, x, b = to_binary(x, 'hex')";
    let answer = bed.load(headers, r#"{"id":1,"x":"4142434445"}"#).await;
    assert_eq!(answer.field("Message"), "too many filtered rows", "the final length is policed");
    let answer = bed.load("columns: id, x, b = to_binary(x, 'rot13')", "{}").await;
    assert!(answer.field("Message").contains("No matching function"), "{}", answer.body);
}

#[tokio::test]
async fn s27_quotes_carry_delimiters_and_null_stays_null() {
    let bed = Bed::with_table(SIMPLE).await;
    let headers = format!("{COMMAS}\nenclose: \"");
    let answer = bed.load(&headers, "1,\"a,\"\"b\n\",1\n2,\"\\N\",2\n3,\"\",3\n").await;
    assert_eq!(answer.field("NumberLoadedRows"), "3", "{}", answer.body);
    assert_eq!(bed.lines("SELECT v FROM d.t ORDER BY id").await, ["a,\"b\n", "NULL", ""]);
    bed.load(&format!("{headers}\nescape: \\"), "4,\\N,4\n").await;
    assert_eq!(bed.lines("SELECT v FROM d.t WHERE id = 4").await, ["N"], "an escape breaks the marker");
}

#[tokio::test]
async fn s27_a_cut_off_last_row_is_dropped_without_being_counted() {
    let bed = Bed::with_table(SIMPLE).await;
    let answer = bed.load(&format!("{COMMAS}\nenclose: \""), "1,a,1\n2,\"b").await;
    assert_eq!((answer.field("Status"), answer.field("NumberTotalRows")), ("Success".into(), "1".into()));
    let plain = bed.load(COMMAS, "1,a,1\n2,b").await;
    assert_eq!(plain.field("NumberFilteredRows"), "1", "the plain reader counts it");
}

#[tokio::test]
async fn s27_nested_types_by_csv_and_by_json() {
    check("ARRAY<INT>", &[("[1,2,null,x]", "[1,2,null,null]"), ("1", "-")]).await;
    check("MAP<INT,VARCHAR(2)>", &[("{1:a,2:\"abc\"}", "{1:\"a\",2:null}"), ("[]", "-")]).await;
    let bed =
        Bed::with_table("id BIGINT NOT NULL, s STRUCT<a INT, b VARCHAR(2)>, m MAP<VARCHAR(5),INT>").await;
    let body = r#"{"id":1,"s":{"b":"long"},"m":{"k":1,"k":2}}{"id":2,"s":"{\"a\":1,\"b\":\"x\"}","m":{}}"#;
    assert_eq!(bed.load("strict_mode: true", body).await.field("Status"), "Success");
    let rows = bed.rows("SELECT s, m FROM d.t ORDER BY id").await;
    assert_eq!(rows[0], [Some("{\"a\":null,\"b\":null}".into()), Some("{\"k\":2}".into())]);
    assert_eq!(rows[1], [Some("{\"a\":1,\"b\":\"x\"}".into()), Some("{}".into())]);
    assert_eq!(bed.load("format: csv", "3\t{}\t{}").await.field("Message"), "Unsupported CSV type");
}

#[tokio::test]
async fn s09_wide_decimals_cannot_come_by_csv() {
    let bed = Bed::of(Profile::V4_0).await;
    bed.create("id BIGINT NOT NULL, x DECIMAL(39,1)").await;
    assert_eq!(bed.load("format: csv", "1\t1.5").await.field("Message"), "Unsupported CSV type");
    assert_eq!(bed.load("", r#"{"id":1,"x":1.5}"#).await.field("Status"), "Success");
}
