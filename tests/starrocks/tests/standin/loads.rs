//! Whole loads: stored rows, refused rows, and the fields of the answer.

use crate::bed::{Bed, head, put};

const SIMPLE: &str = "id BIGINT NOT NULL, v VARCHAR(10)";

#[tokio::test]
async fn s14_a_load_upserts_and_the_last_row_of_a_key_wins() {
    let bed = Bed::with_table(SIMPLE).await;
    let answer =
        bed.load("label: a", "{\"id\":1,\"v\":\"x\"}\n{\"id\":2,\"v\":\"y\"}\n{\"id\":1,\"v\":\"z\"}").await;
    assert_eq!((answer.field("Status"), answer.field("NumberLoadedRows")), ("Success".into(), "3".into()));
    assert_eq!(bed.lines("SELECT * FROM d.t ORDER BY id").await, ["1,z", "2,y"]);
}

#[tokio::test]
async fn s07_the_operation_comes_from_the_data() {
    let bed = Bed::with_table(SIMPLE).await;
    bed.load("", r#"{"id":1}{"id":2}{"id":3}"#).await;
    let body = r#"{"id":1,"__op":1}{"id":2,"__op":0,"v":"kept"}{"id":3,"__op":7}{"id":9,"__op":1}{"id":4}"#;
    let answer = bed.load("columns: id, v, __op", body).await;
    assert_eq!(answer.field("Status"), "Success");
    assert_eq!(bed.lines("SELECT * FROM d.t ORDER BY id").await, ["2,kept", "4,NULL"]);
}

#[tokio::test]
async fn s14_a_delete_and_an_upsert_of_one_key_keep_their_order() {
    let bed = Bed::with_table(SIMPLE).await;
    let body = r#"{"id":1,"__op":1}{"id":1,"v":"a","__op":0}{"id":2,"v":"b","__op":0}{"id":2,"__op":1}"#;
    bed.load("columns: id, v, __op", body).await;
    assert_eq!(bed.lines("SELECT * FROM d.t").await, ["1,a"]);
}

#[tokio::test]
async fn s07_a_constant_operation_deletes() {
    let bed = Bed::with_table(SIMPLE).await;
    bed.load("", r#"{"id":1}{"id":2}"#).await;
    bed.load("columns: id, __op='delete'", r#"{"id":1}"#).await;
    assert_eq!(bed.lines("SELECT id FROM d.t").await, ["2"]);
}

#[tokio::test]
async fn s07_a_null_operation_filters_the_row() {
    let bed = Bed::with_table(SIMPLE).await;
    let answer = bed.load("columns: id, v, __op", r#"{"id":1,"__op":null}{"id":2}"#).await;
    assert_eq!(answer.field("Message"), "too many filtered rows");
}

#[tokio::test]
async fn s07_assignments_are_constants_and_hex() {
    let bed = Bed::with_table("id BIGINT NOT NULL, `a b` VARBINARY, s VARCHAR(5), n INT, z INT").await;
    let columns = "columns: id, tmp, `a b` = to_binary(tmp, 'hex'), s='x', n=7, z=NULL";
    let body = r#"{"id":1,"tmp":"4142"}{"id":2,"tmp":"4142z"}{"id":3,"tmp":"zz"}{"id":4,"tmp":""}{"id":5,"tmp":null}"#;
    assert_eq!(bed.load(columns, body).await.field("Status"), "Success");
    let rows = bed.lines("SELECT id, `a b`, s, n, z FROM d.t ORDER BY id").await;
    assert_eq!(rows, ["1,AB,x,7,NULL", "2,,x,7,NULL", "3,,x,7,NULL", "4,,x,7,NULL", "5,NULL,x,7,NULL"]);
}

#[tokio::test]
async fn s07_faults_in_the_columns_header_end_the_load_before_its_body() {
    let bed = Bed::with_table("id BIGINT NOT NULL, v INT, n INT NOT NULL DEFAULT '1', m INT NOT NULL").await;
    let cases = [
        ("columns: id, m, v, v", "Duplicate column: v"),
        ("columns: id, m, v, v=1", "Duplicate column: v"),
        ("columns: v, m", "Column has no default value. column: id"),
        ("columns: id, v", "Column has no default value. column: m"),
        ("columns: id, m, nope=1", "Mapping column is not in table. column: nope"),
        ("columns: id, m, v=to_binary(x,'hex')", "column has no source field, column=x"),
        ("columns: id, m, __op='zap'", "load op type string not supported: zap"),
        ("strict_mode: maybe", "Invalid strict mode format. Must be bool type"),
        ("partial_update: 1", "Invalid partial update flag format. Must be bool type"),
    ];
    for (headers, message) in cases {
        // The body is never sent, because the answer comes instead of `100 Continue`.
        let answer = put(bed.standin.be_port(), &head("d/t", headers, 1000), "").await;
        assert_eq!(
            (answer.field("Status"), answer.field("Message")),
            ("Fail".into(), message.into()),
            "{headers}"
        );
        assert_ne!(answer.field("TxnId"), "-1", "{headers}: the transaction had begun");
    }
}

#[tokio::test]
async fn s06_faults_before_the_transaction_leave_no_trace() {
    let bed = Bed::with_table(SIMPLE).await;
    let cases = [
        ("format: xml", "unknown data format, format=xml"),
        ("timeout: soon", "Invalid timeout format"),
        ("timeout: 0", "Invalid timeout: '0'. Expected values should be between 1 and 259200 seconds"),
        ("label: a b", "Label format error"),
    ];
    for (headers, message) in cases {
        let head = head("d/t", headers, 10);
        let head = if headers.starts_with("format") { head.replace("format: json\r\n", "") } else { head };
        let answer = put(bed.standin.be_port(), &head, "").await;
        assert!(answer.field("Message").contains(message), "{headers}: {}", answer.body);
        assert_eq!(answer.field("TxnId"), "-1", "{headers}");
    }
    let too_long = put(bed.standin.be_port(), &head("d/t", "", 104_857_601), "").await;
    assert!(too_long.field("Message").starts_with("The size of this batch exceed the max size [104857600]"));
    assert_eq!(bed.standin.stats().begun, 0);
}

#[tokio::test]
async fn s08_missing_keys_are_null_and_the_first_of_equal_keys_wins() {
    let bed = Bed::with_table("id BIGINT NOT NULL, v VARCHAR(10) DEFAULT 'd', V2 INT").await;
    let body = r#"{"id":1}{"v":"a","id":2,"v":"b","id":9}{"id":3,"ID":4,"V":"x","unknown":{"a":[1,{}]}}"#;
    assert_eq!(bed.load("", body).await.field("Status"), "Success");
    assert_eq!(bed.lines("SELECT id, v FROM d.t ORDER BY id").await, ["1,NULL", "2,a", "3,NULL"]);
    bed.load("columns: id", r#"{"id":5}"#).await;
    assert_eq!(bed.lines("SELECT v FROM d.t WHERE id = 5").await, ["d"]);
}

#[tokio::test]
async fn s08_a_syntax_error_fails_the_whole_load_whatever_the_ratio() {
    let bed = Bed::with_table(SIMPLE).await;
    for body in ["{\"id\":1}{\"id\":}", "{\"id\":1}x", "[{\"id\":1}]", "{\"id\":1,\"v\":\"\\ud800\"}"] {
        let answer = bed.load("max_filter_ratio: 1", body).await;
        assert_eq!(answer.field("Status"), "Fail", "{body}");
    }
    let answer = bed.load("strip_outer_array: true", r#"{"id":1}"#).await;
    assert!(answer.field("Message").contains("the value should be array type with strip_outer_array=true"));
    assert_eq!(bed.lines("SELECT COUNT(*) FROM d.t").await, ["0"]);
}

#[tokio::test]
async fn s11_one_bad_row_fails_a_strict_load_and_the_error_log_says_why() {
    let bed = Bed::with_table("id BIGINT NOT NULL, n TINYINT").await;
    let answer = bed.load("strict_mode: true", r#"{"id":1,"n":1}{"id":2,"n":1000}"#).await;
    assert_eq!(answer.field("Message"), "too many filtered rows");
    assert_eq!(
        (answer.field("NumberTotalRows"), answer.field("NumberFilteredRows")),
        ("2".into(), "1".into())
    );
    let url = answer.field("ErrorURL");
    let path = &url[url.find("/api").expect("a path")..];
    let log = bed.be(&format!("GET {path} HTTP/1.1\r\n\r\n")).await;
    assert_eq!(log.body, "Error: Value is overflow. column=n. Row: {\"id\":2,\"n\":1000}\n");
    assert_eq!(bed.lines("SELECT COUNT(*) FROM d.t").await, ["0"]);
}

#[tokio::test]
async fn s11_without_strict_mode_bad_values_become_null_in_silence() {
    let bed = Bed::with_table("id BIGINT NOT NULL, n TINYINT, v VARCHAR(2), d DECIMAL(3,1), t DATE").await;
    let body = r#"{"id":1,"n":1000,"v":"abc","d":"12345","t":"never"}"#;
    assert_eq!(bed.load("", body).await.field("Status"), "Success");
    assert_eq!(bed.lines("SELECT * FROM d.t").await, ["1,NULL,NULL,NULL,NULL"]);
}

#[tokio::test]
async fn s11_null_in_a_not_null_column_filters_the_row_in_both_modes() {
    let bed = Bed::with_table("id BIGINT NOT NULL, n INT NOT NULL").await;
    for mode in ["true", "false"] {
        let answer = bed.load(&format!("strict_mode: {mode}"), r#"{"id":1,"n":null}"#).await;
        assert_eq!(answer.field("Message"), "too many filtered rows", "{mode}");
    }
    let answer = bed.load("max_filter_ratio: 0.5", r#"{"id":1,"n":null}{"id":2,"n":2}"#).await;
    assert_eq!((answer.field("Status"), answer.field("NumberFilteredRows")), ("Success".into(), "1".into()));
}

#[tokio::test]
async fn s11_assigned_columns_are_policed_by_length_and_decimal_range_only() {
    let bed = Bed::with_table("id BIGINT NOT NULL, n INT, v VARCHAR(2), d DECIMAL(3,1)").await;
    assert_eq!(
        bed.load("strict_mode: true\ncolumns: id, x, n=x", r#"{"id":1,"x":"no"}"#).await.field("Status"),
        "Success"
    );
    assert_eq!(bed.lines("SELECT n FROM d.t").await, ["NULL"]);
    let answer = bed.load("columns: id, x, v=x", r#"{"id":1,"x":"long"}"#).await;
    assert_eq!(answer.field("Message"), "too many filtered rows");
    for (text, status) in [("99.94", "Success"), ("no", "Success"), ("99.95", "Fail"), ("1e5", "Fail")] {
        let answer = bed.load("columns: id, x, d=x", format!("{{\"id\":1,\"x\":\"{text}\"}}")).await;
        assert_eq!(answer.field("Status"), status, "{text}");
    }
}

#[tokio::test]
async fn s14_a_key_of_more_than_128_bytes_cancels_the_load() {
    let bed = Bed::start().await;
    bed.create("id VARCHAR(200) NOT NULL, v INT").await;
    let row = |length: usize| format!("{{\"id\":\"{}\"}}", "k".repeat(length));
    assert_eq!(bed.load("", &row(128)).await.field("Status"), "Success");
    let answer = bed.load("max_filter_ratio: 1", &row(129)).await;
    assert_eq!(answer.field("Message"), "primary key size exceed the limit.");
}

#[tokio::test]
async fn s14_a_null_key_filters_the_row() {
    let bed = Bed::with_table(SIMPLE).await;
    assert_eq!(bed.load("", r#"{"v":"x"}"#).await.field("Message"), "too many filtered rows");
}

#[tokio::test]
async fn s15_a_partial_update_keeps_what_it_does_not_bring() {
    let bed = Bed::with_table("id BIGINT NOT NULL, a INT, b VARCHAR(5) DEFAULT 'new', c INT").await;
    bed.load("", r#"{"id":1,"a":1,"b":"x","c":1}{"id":3,"a":3,"b":"z","c":3}"#).await;
    let headers = "partial_update: true\ncolumns: id, a, __op";
    let body = r#"{"id":1,"a":10,"__op":0}{"id":2,"a":20,"__op":0}{"id":3,"__op":1}"#;
    assert_eq!(bed.load(headers, body).await.field("Status"), "Success");
    assert_eq!(bed.lines("SELECT * FROM d.t ORDER BY id").await, ["1,10,x,1", "2,20,new,NULL"]);
}

#[tokio::test]
async fn s15_a_listed_key_that_a_row_lacks_is_written_as_null() {
    let bed = Bed::with_table("id BIGINT NOT NULL, a INT, b INT").await;
    bed.load("", r#"{"id":1,"a":1,"b":1}"#).await;
    bed.load("partial_update: true\ncolumns: id, a", r#"{"id":1}"#).await;
    assert_eq!(bed.lines("SELECT * FROM d.t").await, ["1,NULL,1"]);
}

#[tokio::test]
async fn s15_a_partial_update_needs_its_keys_and_values_for_new_rows() {
    let bed = Bed::with_table("id BIGINT NOT NULL, a INT, b INT NOT NULL").await;
    let answer = bed.load("partial_update: true\ncolumns: a", "{}").await;
    assert_eq!(answer.field("Message"), "key column id not in partial update columns");
    bed.load("", r#"{"id":1,"a":1,"b":1}"#).await;
    let headers = "partial_update: true\ncolumns: id, a";
    assert_eq!(bed.load(headers, r#"{"id":1,"a":2}"#).await.field("Status"), "Success");
    assert_eq!(bed.load(headers, r#"{"id":2,"a":2}"#).await.field("Status"), "Fail");
}

#[tokio::test]
async fn s16_the_answer_has_every_key_in_order() {
    let bed = Bed::with_table(SIMPLE).await;
    let answer = bed.load("label: golden", r#"{"id":1}"#).await;
    assert_eq!(answer.status, 200);
    let keys: Vec<_> =
        answer.body.lines().filter_map(|line| line.trim().strip_prefix('"')?.split('"').next()).collect();
    let expected = [
        "TxnId",
        "Label",
        "Db",
        "Table",
        "Status",
        "Message",
        "NumberTotalRows",
        "NumberLoadedRows",
        "NumberFilteredRows",
        "NumberUnselectedRows",
        "LoadBytes",
        "LoadTimeMs",
        "BeginTxnTimeMs",
        "StreamLoadPlanTimeMs",
        "ReadDataTimeMs",
        "WriteDataTimeMs",
        "CommitAndPublishTimeMs",
    ];
    assert_eq!(keys, expected);
    assert!(answer.body.starts_with("{\n    \"TxnId\": "));
    assert_eq!((answer.field("Label"), answer.field("Message")), ("golden".into(), "OK".into()));
}

#[tokio::test]
async fn s17_an_empty_load_fails() {
    let bed = Bed::with_table(SIMPLE).await;
    let answer = bed.load("", "").await;
    assert!(answer.field("Message").starts_with("No partitions have data available for loading."));
    assert_eq!(answer.field("Status"), "Fail");
}

#[tokio::test]
async fn s3_a_chunked_body_is_taken() {
    let bed = Bed::with_table(SIMPLE).await;
    let head = head("d/t", "Transfer-Encoding: chunked", 0).replace("Content-Length: 0\r\n", "");
    let answer =
        put(bed.standin.be_port(), &head, "8;x=y\r\n{\"id\":1}\r\n9\r\n {\"id\":2}\r\n0\r\nA: b\r\n\r\n")
            .await;
    assert_eq!(answer.field("NumberLoadedRows"), "2");
}

#[tokio::test]
async fn s12_6_rows_of_a_load_open_while_its_table_is_truncated_are_gone() {
    use starrocks_standin::{Action, Fault, Stage};
    let bed = Bed::with_table(SIMPLE).await;
    bed.standin.inject(Fault::once(Stage::Commit, Action::Hold));
    let load = bed.load("label: open", r#"{"id":1}"#);
    let truncate = async {
        crate::labels::wait_for_state(&bed, "open", "PREPARE").await;
        bed.run("TRUNCATE TABLE d.t").await;
        bed.standin.clear_faults();
    };
    let (answer, ()) = tokio::join!(load, truncate);
    assert_eq!(answer.field("Status"), "Success");
    assert_eq!(bed.lines("SELECT COUNT(*) FROM d.t").await, ["0"]);
}

#[tokio::test]
async fn s15_a_partial_update_brings_its_sort_columns_unless_it_only_deletes() {
    let bed = Bed::start().await;
    bed.run("CREATE DATABASE d").await;
    bed.run(
        "CREATE TABLE d.t (id BIGINT NOT NULL, a INT, b INT) PRIMARY KEY(id) ORDER BY(a) \
         PROPERTIES('replication_num'='1')",
    )
    .await;
    bed.load("", r#"{"id":1,"a":1,"b":1}{"id":2,"a":2,"b":2}"#).await;
    let answer = bed.load("partial_update: true\ncolumns: id, b", r#"{"id":1,"b":9}"#).await;
    let message = "partial update on table with sort key must provide all sort key columns";
    assert_eq!(answer.field("Message"), message);
    let headers = "partial_update: true\ncolumns: id, a, b";
    assert_eq!(bed.load(headers, r#"{"id":1,"a":1,"b":9}"#).await.field("Status"), "Success");
    let headers = "partial_update: true\ncolumns: id, __op='delete'";
    assert_eq!(bed.load(headers, r#"{"id":2}"#).await.field("Status"), "Success");
    assert_eq!(bed.lines("SELECT * FROM d.t").await, ["1,1,9"]);
}

#[tokio::test]
async fn s15_only_tables_with_a_primary_key_are_updated_in_part() {
    let bed = Bed::start().await;
    bed.run("CREATE DATABASE d").await;
    bed.run("CREATE TABLE d.t (id BIGINT, a INT) DUPLICATE KEY(id) PROPERTIES('replication_num'='1')").await;
    let answer = bed.load("partial_update: true\ncolumns: id", r#"{"id":1}"#).await;
    assert_eq!(answer.field("Message"), "Only primary key table support partial update");
}

#[tokio::test]
async fn s15_a_partial_update_planned_before_a_new_column_leaves_it_alone() {
    let bed = Bed::with_table("id BIGINT NOT NULL, a INT, b INT").await;
    bed.load("", r#"{"id":1,"a":1,"b":1}"#).await;
    bed.run("ALTER TABLE d.t ADD COLUMN c INT DEFAULT '5'").await;
    bed.load("", r#"{"id":1,"a":1,"b":1,"c":7}"#).await;
    bed.load("partial_update: true\ncolumns: id, b", r#"{"id":1,"b":2}"#).await;
    assert_eq!(bed.lines("SELECT * FROM d.t").await, ["1,1,2,7"]);
}

#[tokio::test]
async fn s33_a_predicate_leaves_rows_out_and_counts_them() {
    let bed = Bed::with_table("id BIGINT NOT NULL, n INT").await;
    let answer =
        bed.load("where: n > 1 AND id <> 3", r#"{"id":1,"n":1}{"id":2,"n":2}{"id":3,"n":3}{"id":4}"#).await;
    assert_eq!(
        (answer.field("NumberLoadedRows"), answer.field("NumberUnselectedRows")),
        ("1".into(), "3".into())
    );
    assert_eq!(bed.lines("SELECT id FROM d.t").await, ["2"]);
    let none = bed.load("where: n > 100", r#"{"id":1,"n":1}"#).await;
    assert!(
        none.field("Message").starts_with("No partitions have data available for loading."),
        "{}",
        none.body
    );
}

#[tokio::test]
async fn s15_a_name_that_the_table_does_not_have_is_a_temporary_column_in_silence() {
    let csv = "format: csv\ncolumn_separator: ,\ncolumns: id, v, w";
    let json = "format: json\ncolumns: id, v, w";
    for (headers, old, new) in
        [(json, r#"{"id":1,"v":1,"w":1}"#, r#"{"id":1,"v":2,"w":2}"#), (csv, "1,1,1\n", "1,2,2\n")]
    {
        let bed = Bed::with_table("id BIGINT NOT NULL, v INT, w INT").await;
        bed.load(headers, old).await;
        bed.run("ALTER TABLE d.t RENAME COLUMN v TO x").await;
        let answer = bed.load(headers, new).await;
        assert_eq!(
            (answer.field("Status"), answer.field("NumberFilteredRows")),
            ("Success".into(), "0".into())
        );
        assert_eq!(bed.lines("SELECT id, x, w FROM d.t").await, ["1,NULL,2"], "{headers}: the value is lost");
        let partial = bed.load(&format!("{headers}\npartial_update: true"), new.replace('2', "3")).await;
        assert_eq!(partial.field("Status"), "Success", "{}", partial.body);
        assert_eq!(bed.lines("SELECT id, x, w FROM d.t").await, ["1,NULL,3"], "{headers}");
    }
}

#[tokio::test]
async fn s08_json_is_read_as_deep_as_simdjson_reads_it() {
    let bed = Bed::with_table("id BIGINT NOT NULL, j JSON").await;
    let nested =
        |depth: usize| format!("{{\"id\":{depth},\"j\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
    assert_eq!(bed.load("", nested(1023)).await.field("Status"), "Success");
    let read = bed.lines("SELECT j FROM d.t WHERE id = 1023").await.concat();
    assert_eq!(read.matches('[').count(), 1023);
    let answer = bed.load("", nested(1024)).await;
    assert!(answer.field("Message").contains("the nesting is too deep"), "{}", answer.body);
}
