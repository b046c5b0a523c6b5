//! Statements related to those of the recordings: the ones that drivers send, and ones that are refused (S18, S19).

use mysql_async::prelude::Queryable;
use starrocks_standin::{Part, Profile};

use crate::bed::Bed;

const COLUMNS: &str = "id BIGINT NOT NULL, v VARCHAR(10), n INT DEFAULT \"7\"";

#[tokio::test]
async fn s18_what_drivers_ask_for_has_its_columns() {
    let bed = Bed::with_table(COLUMNS).await;
    let mut connection = bed.connect().await;
    connection.query_drop("USE d").await.expect("enters");
    for (statement, first, columns, rows) in [
        ("SHOW ENGINES", "Engine", 6, 5),
        ("SHOW STORAGE ENGINES", "Engine", 6, 5),
        ("SHOW COLLATION", "Collation", 6, 3),
        ("SHOW COLLATION LIKE 'utf8%'", "Collation", 6, 3),
        ("SHOW CHARSET", "Charset", 4, 1),
        ("SHOW CHARACTER SET WHERE Charset = 'utf8'", "Charset", 4, 1),
        ("SHOW PROCESSLIST", "ServerName", 15, 1),
        ("SHOW FULL PROCESSLIST", "ServerName", 15, 1),
        ("SHOW INDEX FROM t", "Table", 12, 0),
        ("SHOW INDEXES IN t FROM d", "Table", 12, 0),
        ("SHOW KEYS FROM d.t", "Table", 12, 0),
        ("SHOW PARTITIONS FROM t", "PartitionId", 22, 1),
        ("SHOW TABLE STATUS", "Name", 18, 1),
        ("SHOW TABLE STATUS FROM d LIKE 'x%'", "Name", 18, 0),
        ("SHOW TABLE STATUS WHERE Name = 't'", "Name", 18, 1),
        (
            "SHOW VARIABLES WHERE Variable_name = 'autocommit' OR Variable_name = 'sql_mode'",
            "Variable_name",
            2,
            2,
        ),
        ("SHOW GLOBAL VARIABLES LIKE 'lower_case%'", "Variable_name", 2, 1),
        ("SHOW SESSION STATUS LIKE 'Ssl_cipher'", "Variable_name", 2, 0),
        ("SHOW WARNINGS LIMIT 5", "Level", 3, 0),
        ("SHOW ERRORS", "Level", 3, 0),
        ("SHOW GRANTS", "UserIdentity", 3, 1),
        ("SHOW GRANTS FOR 'root'@'%'", "UserIdentity", 3, 1),
        ("SHOW CREATE DATABASE d", "Database", 2, 1),
        ("SHOW FUNCTIONS", "Function Name", 1, 0),
        ("SHOW FULL FUNCTIONS FROM d", "Signature", 5, 0),
        ("SHOW EVENTS", "Db", 15, 0),
        ("SHOW TRIGGERS FROM d", "Trigger", 11, 0),
        ("SHOW PROCEDURE STATUS WHERE Db = 'd'", "Db", 11, 0),
        ("SHOW OPEN TABLES", "Database", 4, 0),
        ("SHOW PLUGINS", "Name", 10, 0),
        ("SHOW PRIVILEGES", "Privilege", 3, 0),
        ("SHOW CATALOGS", "Catalog", 3, 1),
        ("SHOW ROLES", "Name", 3, 6),
        ("SHOW FRONTENDS", "Id", 17, 1),
        ("SHOW PROC '/dbs'", "DbId", 6, 1),
        ("SHOW FULL TABLES WHERE Table_type = 'BASE TABLE'", "Tables_in_d", 2, 1),
        ("SHOW COLUMNS FROM t LIKE 'n'", "Field", 6, 1),
    ] {
        let result = connection.query_iter(statement).await;
        let result = result.unwrap_or_else(|error| panic!("{statement}: {error}"));
        let names: Vec<String> = result.columns_ref().iter().map(|c| c.name_str().into_owned()).collect();
        let found: Vec<mysql_async::Row> = result.collect_and_drop().await.expect("rows");
        assert_eq!((names[0].as_str(), names.len(), found.len()), (first, columns, rows), "{statement}");
    }
    for (statement, code) in [
        ("SHOW INDEX FROM d.nope", 5502),
        ("SHOW PARTITIONS FROM d.nope", 5502),
        ("SHOW CREATE DATABASE nope", 5501),
        ("SHOW TABLE STATUS FROM nope", 5501),
        ("SHOW TABLE STATUS", 1046),
        ("SHOW FUNCTIONS FROM nope", 5501),
        ("SHOW PROC '/nope'", 1064),
        ("SHOW NOPE", 1064),
    ] {
        assert_eq!(bed.refused(statement).await.0, code, "{statement}");
    }
}

#[tokio::test]
async fn s18_older_versions_list_fewer_things_of_a_connection() {
    for (profile, columns) in [(Profile::V3_2, 10), (Profile::V3_5, 13), (Profile::V4_1, 15)] {
        assert_eq!(Bed::of(profile).await.rows("SHOW PROCESSLIST").await[0].len(), columns, "{profile}");
    }
}

#[tokio::test]
async fn s18_only_variables_that_there_are_can_be_set_and_only_to_what_they_hold() {
    let bed = Bed::start().await;
    for (statement, code) in [
        ("SET no_such_variable = 1", 1193),
        ("SET SESSION no_such_variable = 'x'", 1193),
        ("SET @@no_such_variable = 1", 1193),
        ("SET foo = 1, autocommit = 1", 1193),
        ("SET version_comment = 'x'", 1238),
        ("SET lower_case_table_names = 1", 1238),
        ("SET init_connect = ''", 1229),
        ("SET query_timeout = 'soon'", 1232),
        ("SET autocommit = 'perhaps'", 1232),
        ("SET time_zone = 'Nowhere/Land'", 1298),
    ] {
        assert_eq!(bed.refused(statement).await.0, code, "{statement}");
    }
    let mut connection = bed.connect().await;
    for statement in [
        "SET query_timeout = 10",
        "SET SESSION wait_timeout = DEFAULT",
        "SET @@session.autocommit = OFF",
        "SET GLOBAL init_connect = ''",
        "SET time_zone = '+02:00'",
        "SET enable_profile = true",
        "SET sql_select_limit = 5",
        "SET @mine = 5",
    ] {
        connection.query_drop(statement).await.unwrap_or_else(|error| panic!("{statement}: {error}"));
    }
    let mine: Vec<(Option<String>, Option<String>)> =
        connection.query("SELECT @mine, @other").await.expect("reads");
    assert_eq!(mine, [(Some("5".to_owned()), None)]);
}

#[tokio::test]
async fn s18_a_connection_is_killed_by_its_number() {
    let bed = Bed::start().await;
    let mut victim = bed.connect().await;
    let id: Option<u32> = victim.query_first("SELECT CONNECTION_ID()").await.expect("says");
    let id = id.expect("a number");
    bed.run(&format!("KILL QUERY {id}")).await;
    victim.query_drop("SELECT 1").await.expect("only a query was to be killed");
    bed.run(&format!("KILL {id}")).await;
    victim.query_drop("SELECT 1").await.expect_err("the connection is gone");
    assert_eq!(bed.refused("KILL 4000000000").await.0, 1094);
}

#[tokio::test]
async fn s18_rows_are_deleted_and_updated_by_any_column_and_never_all() {
    let bed = Bed::with_table(COLUMNS).await;
    bed.load("", r#"{"id":1,"v":"a","n":1}{"id":2,"v":"b","n":2}{"id":3,"v":"b","n":3}"#).await;
    for (statement, code) in [
        ("DELETE FROM d.t", 1064),
        ("DELETE FROM d.nope WHERE id = 1", 1064),
        ("DELETE FROM d.t WHERE nope = 1", 1064),
        ("UPDATE d.t SET n = 1", 1064),
        ("UPDATE d.t SET id = 9 WHERE n = 1", 1064),
        ("UPDATE d.t SET nope = 9 WHERE n = 1", 1064),
    ] {
        assert_eq!(bed.refused(statement).await.0, code, "{statement}");
    }
    let mut connection = bed.connect().await;
    connection.query_drop("UPDATE d.t SET n = 30, v = NULL WHERE id = 3").await.expect("updates");
    assert_eq!(connection.affected_rows(), 1);
    connection.query_drop("DELETE FROM d.t WHERE v = 'b' OR n = 1").await.expect("deletes");
    assert_eq!(connection.affected_rows(), 2);
    assert_eq!(bed.lines("SELECT id, v, n FROM d.t").await, ["3,NULL,30"]);
    bed.standin.down(Part::Be).await;
    assert_eq!(bed.refused("DELETE FROM d.t WHERE id = 3").await.0, 1064, "a BE carries it out");
}

#[tokio::test]
async fn s19_a_modify_repeats_the_default() {
    for profile in Profile::ALL {
        let bed = Bed::of(profile).await;
        bed.create(COLUMNS).await;
        for default in ["", "DEFAULT \"8\"", "DEFAULT NULL"] {
            let (code, message) =
                bed.refused(&format!("ALTER TABLE d.t MODIFY COLUMN n BIGINT NULL {default}")).await;
            assert!(code == 1064 && message.contains("Can not change default value"), "{profile}: {message}");
        }
        let added = bed.refused("ALTER TABLE d.t MODIFY COLUMN v VARCHAR(20) DEFAULT \"x\"").await;
        assert!(added.1.contains("Can not change default value"), "{profile}");
        bed.run("ALTER TABLE d.t MODIFY COLUMN n BIGINT NULL DEFAULT \"7\"").await;
    }
}

#[tokio::test]
async fn s18_what_no_table_may_be_is_refused() {
    let bed = Bed::with_table(COLUMNS).await;
    let one = "PROPERTIES('replication_num'='1')";
    for columns in [
        "(id BIGINT NULL, c INT) PRIMARY KEY(id) DISTRIBUTED BY HASH(id) BUCKETS 1",
        "(id BIGINT NOT NULL, c INT) PRIMARY KEY(id) DISTRIBUTED BY HASH(nope) BUCKETS 1",
        "(id BIGINT NOT NULL, c INT) PRIMARY KEY(id) DISTRIBUTED BY HASH(id) BUCKETS 0",
        "(id BIGINT NOT NULL, c INT) PRIMARY KEY(id) DISTRIBUTED BY RANDOM BUCKETS 1",
        "(id BIGINT NOT NULL, c INT) PRIMARY KEY(id, nope) DISTRIBUTED BY HASH(id) BUCKETS 1",
        "(id FLOAT NOT NULL, c INT) PRIMARY KEY(id) DISTRIBUTED BY HASH(id) BUCKETS 1",
        "(id CHAR(5) NOT NULL, c INT) PRIMARY KEY(id) DISTRIBUTED BY HASH(id) BUCKETS 1",
        "(id JSON NOT NULL, c INT) PRIMARY KEY(id) DISTRIBUTED BY HASH(id) BUCKETS 1",
        "(id BIGINT NOT NULL, c DOUBLE DEFAULT \"NaN\") PRIMARY KEY(id) DISTRIBUTED BY HASH(id)",
        "(id BIGINT NOT NULL, c VARCHAR(3) DEFAULT \"long\") PRIMARY KEY(id) DISTRIBUTED BY HASH(id)",
        "(id BIGINT NOT NULL, c INT DEFAULT \"x\") PRIMARY KEY(id) DISTRIBUTED BY HASH(id)",
        "(id BIGINT NOT NULL, c TINYINT DEFAULT \"300\") PRIMARY KEY(id) DISTRIBUTED BY HASH(id)",
    ] {
        assert_eq!(bed.refused(&format!("CREATE TABLE d.u {columns} {one}")).await.0, 1064, "{columns}");
    }
    for (statement, code) in [
        ("ALTER TABLE d.t RENAME t", 1064),
        ("ALTER TABLE d.t RENAME COLUMN v TO __op", 1064),
        ("ALTER TABLE d.t RENAME COLUMN v TO `a=b`", 1166),
        ("ALTER TABLE d.t SET (\"no_such_property\" = \"1\")", 1064),
        ("CREATE TABLE d.t LIKE d.t", 1050),
        ("CREATE TABLE d.u LIKE d.nope", 5502),
        ("TRUNCATE TABLE d.nope", 1064),
    ] {
        assert_eq!(bed.refused(statement).await.0, code, "{statement}");
    }
    bed.run("CREATE TABLE d.u LIKE d.t").await;
    assert_eq!(bed.rows("DESC d.u").await, bed.rows("DESC d.t").await);
    let (code, message) = bed.refused("ALTER TABLE d.t RENAME u").await;
    assert!(code == 1064 && message.contains("is already used"), "{code} {message}");
}

/// The ids by which a client recognises a table, whatever its name is (§12.5).
#[tokio::test]
async fn s18_a_table_made_anew_has_another_number_and_a_changed_one_keeps_its_own() {
    let bed = Bed::with_table(COLUMNS).await;
    let number = async || {
        let configured = bed.lines("SELECT TABLE_ID FROM information_schema.tables_config").await.concat();
        let database =
            bed.lines("SHOW PROC '/dbs'").await[0].split(',').next().unwrap_or_default().to_owned();
        let listed = bed.lines(&format!("SHOW PROC '/dbs/{database}'")).await[0].clone();
        assert!(listed.starts_with(&format!("{configured},")), "{listed}");
        configured
    };
    let partition =
        async || bed.lines("SHOW PARTITIONS FROM d.t").await[0].split(',').next().map(str::to_owned);
    let (first, first_partition) = (number().await, partition().await);
    bed.run("ALTER TABLE d.t ADD COLUMN x INT").await;
    bed.run("ALTER TABLE d.t MODIFY COLUMN v VARCHAR(20)").await;
    bed.finish_alters().await;
    bed.load("", r#"{"id":1}"#).await;
    assert_eq!((number().await, partition().await), (first.clone(), first_partition.clone()));
    bed.run("TRUNCATE TABLE d.t").await;
    assert_eq!(number().await, first, "an emptied table is the same");
    assert_ne!(partition().await, first_partition, "and its rows are in another partition");
    bed.run("DROP TABLE d.t").await;
    bed.create(COLUMNS).await;
    assert_ne!(number().await, first);
}
