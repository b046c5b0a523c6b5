//! The MySQL protocol with a real driver, in the cases that the recordings lack.

use mysql_async::{Conn, Error, OptsBuilder, prelude::Queryable};
use starrocks_standin::{Part, Profile};

use crate::bed::Bed;

fn options(bed: &Bed) -> OptsBuilder {
    OptsBuilder::default().ip_or_hostname("127.0.0.1").tcp_port(bed.standin.sql_port()).prefer_socket(false)
}

const TABLE: &str = "id BIGINT NOT NULL, v VARCHAR(10), n INT, x DECIMAL(10,2)";

async fn filled() -> Bed {
    let bed = Bed::with_table(TABLE).await;
    let body = r#"{"id":1,"v":"a","n":10,"x":1.5}{"id":2,"v":"b","n":20,"x":2.25}{"id":3,"n":20,"x":-1}"#;
    bed.load("", body).await;
    bed
}

#[tokio::test]
async fn s18_rows_are_selected_filtered_ordered_and_counted() {
    let bed = filled().await;
    let cases = [
        ("SELECT COUNT(*) FROM d.t", "3"),
        ("SELECT count(v), COUNT(DISTINCT n) FROM d.t", "2,2"),
        ("SELECT MAX(n), MIN(id), SUM(id), SUM(x) FROM d.t", "20,1,6,2.75"),
        ("SELECT id FROM d.t WHERE id = 2 AND v = 'b'", "2"),
        ("SELECT `id`, V FROM `d`.`t` WHERE v IS NULL", "3,NULL"),
        ("SELECT id FROM d.t WHERE id IN (1, 3) ORDER BY id DESC", "3;1"),
        ("SELECT id FROM d.t WHERE n >= 20 ORDER BY n DESC, id LIMIT 1 OFFSET 1", "3"),
        ("SELECT id AS i FROM d.t ORDER BY i DESC LIMIT 1, 1", "2"),
        ("SELECT id FROM d.t WHERE x > 1.4 AND x < '2' OR v LIKE 'b%' ORDER BY 1", "1;2"),
        ("SELECT n, COUNT(*) c FROM d.t GROUP BY n ORDER BY c", "10,1;20,2"),
        ("SELECT id FROM d.t WHERE NOT (id BETWEEN 1 AND 2)", "3"),
        ("SELECT MAX(id), 'x', id FROM d.t WHERE id > 9", "NULL,x,NULL"),
        ("SELECT t.id FROM d.t AS t WHERE t.v <=> NULL;", "3"),
    ];
    for (query, expected) in cases {
        assert_eq!(bed.lines(query).await.join(";"), expected, "{query}");
    }
    assert_eq!(bed.refused("SELECT nope FROM d.t").await.0, 1064);
    assert_eq!(bed.refused("SELECT id FROM d.t WHERE nope = 1").await.0, 1064);
}

#[tokio::test]
async fn s18_rights_and_passwords() {
    let bed = Bed::with_table(TABLE).await;
    let wrong = Conn::new(options(&bed).user(Some("root")).pass(Some("x"))).await;
    assert!(matches!(wrong, Err(Error::Server(error)) if error.code == 1045));
    let mut connection = Conn::new(options(&bed).user(Some("cdc")).pass(Some("pw"))).await.expect("logs in");
    let mut code = async |statement: &str| match connection.query_drop(statement).await {
        Err(Error::Server(error)) => error.code,
        other => panic!("{statement}: {other:?}"),
    };
    assert_eq!(code("CREATE DATABASE IF NOT EXISTS d").await, 5203);
    assert_eq!(code("SELECT * FROM d.t").await, 5203);
    assert_eq!(code("SELECT * FROM d.nope").await, 5502);
    assert_eq!(code("ALTER TABLE d.t ADD COLUMN z INT").await, 5203);
    assert_eq!(code("SHOW BACKENDS").await, 5203);
}

#[tokio::test]
async fn s18_a_default_database_is_entered_at_login_or_not_at_all() {
    let bed = Bed::with_table(TABLE).await;
    let mut connection =
        Conn::new(options(&bed).user(Some("root")).db_name(Some("d"))).await.expect("logs in");
    assert_eq!(connection.query::<String, _>("SHOW TABLES").await.expect("shows"), ["t"]);
    let unknown = Conn::new(options(&bed).user(Some("root")).db_name(Some("nope"))).await;
    assert!(matches!(unknown, Err(Error::Server(error)) if error.code == 5501));
    let denied = Conn::new(options(&bed).user(Some("cdc")).pass(Some("pw")).db_name(Some("d"))).await;
    assert!(matches!(denied, Err(Error::Io(_))), "closed without a word");
}

#[tokio::test]
async fn s18_drivers_may_say_what_drivers_say() {
    let bed = Bed::start().await;
    let mut connection = bed.connect().await;
    let statements = [
        "/* mysql-connector */ SELECT @@session.auto_increment_increment AS a, @@character_set_client AS b;",
        "SELECT @@max_allowed_packet, @@wait_timeout -- end",
        "SET autocommit=1, sql_mode=CONCAT(@@sql_mode,',STRICT_TRANS_TABLES'), NAMES utf8mb4",
        "SET NAMES utf8mb4 COLLATE utf8mb4_unicode_ci",
        "SET character_set_results = NULL",
        "SELECT @@session.transaction_read_only",
        "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
        "START TRANSACTION",
        "ROLLBACK",
        "SELECT current_version(), @@version_comment",
        "SHOW VARIABLES LIKE 'character%'",
        "USE default_catalog.information_schema",
        "SET sql_mode='ANSI'",
    ];
    for statement in statements {
        if let Some(database) = statement.strip_prefix("USE default_catalog.") {
            connection.query_drop(format!("USE {database}")).await.expect("enters");
            continue;
        }
        connection.query_drop(statement).await.unwrap_or_else(|error| panic!("{statement}: {error}"));
    }
    assert_eq!(bed.refused("SELECT @@socket").await.0, 1193);
    assert_eq!(bed.refused("SET sql_mode=(SELECT 1)").await.0, 1064);
    assert_eq!(bed.refused("").await.0, 1064);
    assert_eq!(bed.refused("-- only a comment").await.0, 1064);
    connection.ping().await.expect("pings");
    let prepared = connection.prep("INSERT INTO t VALUES (?)").await;
    assert!(matches!(prepared, Err(Error::Server(error)) if error.code == 1295));
}

#[tokio::test]
async fn hostile_statements_are_refused() {
    let bed = Bed::with_table(TABLE).await;
    let statements = [
        format!("SELECT {}1{}", "(".repeat(50_000), ")".repeat(50_000)),
        format!("SELECT {}1", "f(".repeat(50_000)),
        format!("SELECT {}", "NOT ".repeat(50_000)),
        format!("SELECT 1 FROM d.t WHERE id = 1{} AND", " AND id = 1".repeat(50_000)),
        format!("CREATE TABLE d.u (id {}INT)", "ARRAY<".repeat(50_000)),
        "SELECT '".to_owned(),
        "SELECT `".to_owned(),
        "SELECT /* ".to_owned(),
        "SELECT \u{0} \u{fffd} @@ @".to_owned(),
    ];
    for statement in &statements {
        assert!(bed.refused(statement).await.0 > 0);
    }
}

#[tokio::test]
async fn s18_older_versions_have_older_numbers() {
    let bed = Bed::of(Profile::V3_2).await;
    assert_eq!(bed.refused("USE nope").await.0, 1049);
    bed.create(TABLE).await;
    assert_eq!(bed.refused("SELECT * FROM d.nope").await.0, 1051);
    assert_eq!(bed.refused("SELECT nope FROM d.t").await.0, 1054);
    assert_eq!(bed.refused("ALTER TABLE d.t RENAME COLUMN v TO w").await.0, 1064);
    assert_eq!(bed.lines("SELECT @@version").await, ["5.1.0"]);
}

#[tokio::test]
async fn s18_selects_need_a_backend_and_shows_do_not() {
    let bed = filled().await;
    bed.standin.down(Part::Be).await;
    for query in ["SELECT current_version()", "SELECT * FROM information_schema.tables", "SELECT id FROM d.t"]
    {
        assert!(bed.refused(query).await.1.starts_with("Backend node not found."), "{query}");
    }
    for query in ["SELECT @@version_comment", "SHOW TABLES FROM d", "DESC d.t", "SHOW CREATE TABLE d.t"] {
        assert!(!bed.rows(query).await.is_empty(), "{query}");
    }
}

#[tokio::test]
async fn s19_rows_of_before_read_the_default_of_an_added_column() {
    let bed = filled().await;
    bed.run("ALTER TABLE d.t ADD COLUMN a INT NOT NULL DEFAULT '7' AFTER id, ADD COLUMN b DATE").await;
    assert_eq!(bed.lines("SELECT id, a, b FROM d.t WHERE id = 1").await, ["1,7,NULL"]);
    bed.load("", r#"{"id":1,"a":8,"b":"2026-01-01"}"#).await;
    assert_eq!(bed.lines("SELECT * FROM d.t WHERE id = 1").await, ["1,8,NULL,NULL,NULL,2026-01-01"]);
    bed.run("ALTER TABLE d.t DROP COLUMN v").await;
    bed.run("ALTER TABLE d.t MODIFY COLUMN n BIGINT").await;
    bed.finish_alters().await;
    assert_eq!(bed.lines("SELECT * FROM d.t WHERE id = 2").await, ["2,7,20,2.25,NULL"]);
    let jobs = "SHOW ALTER TABLE COLUMN FROM `d` WHERE TableName = \"t\" ORDER BY JobId DESC LIMIT 1";
    let rows = bed.rows(jobs).await;
    assert_eq!((rows.len(), rows[0][9].as_deref()), (1, Some("FINISHED")));
}

#[tokio::test]
async fn s19_a_statement_changes_everything_or_nothing() {
    let bed = filled().await;
    assert_eq!(bed.refused("ALTER TABLE d.t ADD COLUMN a INT, DROP COLUMN nope").await.0, 1064);
    assert_eq!(bed.rows("DESC d.t").await.len(), 4);
}

#[tokio::test]
async fn s20_a_renamed_column_keeps_its_first_name_inside() {
    let bed = filled().await;
    bed.run("ALTER TABLE d.t RENAME COLUMN v TO w").await;
    let (code, message) = bed.refused("ALTER TABLE d.t ADD COLUMN v INT").await;
    assert_eq!((code, message.as_str()), (1064, "Can not add column which already exists in column id: v"));
    assert_eq!(bed.lines("SELECT w FROM d.t WHERE id = 1").await, ["a"]);
}

#[tokio::test]
async fn s18_tables_can_be_renamed_swapped_emptied_and_dropped() {
    let bed = filled().await;
    bed.run("ALTER TABLE d.t RENAME u").await;
    bed.create(TABLE).await;
    bed.run("ALTER TABLE d.t SWAP WITH u").await;
    assert_eq!(bed.lines("SELECT COUNT(*) FROM d.t").await, ["3"]);
    bed.run("TRUNCATE TABLE d.t").await;
    assert_eq!(bed.lines("SELECT COUNT(*) FROM d.t").await, ["0"]);
    bed.run("DROP TABLE d.u").await;
    assert_eq!(bed.refused("SELECT 1 FROM d.u").await.0, 5502);
    bed.run("DROP DATABASE d").await;
    assert_eq!(bed.refused("SHOW TABLES FROM d").await.0, 5501);
}

#[tokio::test]
async fn s18_the_catalogue_is_in_information_schema() {
    let bed =
        Bed::with_table("id BIGINT NOT NULL, b BOOLEAN, l LARGEINT, x DECIMAL(38,9), v VARCHAR(20)").await;
    let columns = "SELECT COLUMN_NAME, DATA_TYPE, COLUMN_TYPE, COLUMN_KEY, IS_NULLABLE, CHARACTER_MAXIMUM_LENGTH FROM \
                   information_schema.columns WHERE TABLE_SCHEMA = 'd' AND TABLE_NAME = 't' ORDER BY ORDINAL_POSITION";
    let expected = [
        "id,bigint,bigint(20),PRI,NO,NULL",
        "b,tinyint,tinyint(1),,YES,NULL",
        "l,bigint unsigned,bigint(20) unsigned,,YES,NULL",
        "x,decimal,decimal(38, 9),,YES,NULL",
        "v,varchar,varchar(20),,YES,20",
    ];
    assert_eq!(bed.lines(columns).await, expected);
    let tables =
        "SELECT TABLE_NAME, TABLE_TYPE, ENGINE FROM information_schema.tables WHERE TABLE_SCHEMA='d'";
    assert_eq!(bed.lines(tables).await, ["t,BASE TABLE,StarRocks"]);
    let config = "SELECT TABLE_MODEL, PRIMARY_KEY, DISTRIBUTE_BUCKET FROM information_schema.tables_config";
    assert_eq!(bed.lines(config).await, ["PRIMARY_KEYS,`id`,1"]);
}
