//! Rights, one by one (§12.2).

use mysql_async::{Conn, Error, prelude::Queryable};

use crate::bed::{Bed, ask};

const CDC: &str = "Authorization: Basic Y2RjOnB3";

async fn code(connection: &mut Conn, statement: &str) -> u16 {
    match connection.query_drop(statement).await {
        Ok(()) => 0,
        Err(Error::Server(error)) => error.code,
        Err(error) => panic!("{statement}: {error}"),
    }
}

async fn bed() -> Bed {
    let bed = Bed::with_table("id BIGINT NOT NULL, v INT").await;
    bed.run("CREATE DATABASE other").await;
    bed
}

#[tokio::test]
async fn s18_the_least_privileged_user_can_do_its_work_and_nothing_else() {
    let bed = bed().await;
    bed.run("GRANT CREATE TABLE ON DATABASE d TO USER 'cdc'@'%'").await;
    bed.run("GRANT SELECT, INSERT, ALTER, DROP, DELETE ON ALL TABLES IN DATABASE d TO USER 'cdc'@'%'").await;
    let mut cdc = bed.connect_as("cdc", "pw", bed.standin.sql_port()).await;
    let allowed = [
        "USE d",
        "CREATE TABLE IF NOT EXISTS u (id BIGINT NOT NULL) PRIMARY KEY(id) PROPERTIES('replication_num'='1')",
        "ALTER TABLE u ADD COLUMN v INT",
        "SHOW ALTER TABLE COLUMN FROM d",
        "SELECT * FROM u",
        "DESC u",
        "TRUNCATE TABLE u",
        "DROP TABLE u",
    ];
    for statement in allowed {
        assert_eq!(code(&mut cdc, statement).await, 0, "{statement}");
    }
    let refused = [
        "CREATE DATABASE IF NOT EXISTS d",
        "DROP DATABASE d",
        "USE other",
        "CREATE TABLE other.u (id BIGINT NOT NULL) PRIMARY KEY(id) PROPERTIES('replication_num'='1')",
        "SHOW BACKENDS",
        "GRANT SELECT ON TABLE d.t TO USER cdc",
        "CREATE USER x",
    ];
    for statement in refused {
        assert_eq!(code(&mut cdc, statement).await, 5203, "{statement}");
    }
    assert_eq!(code(&mut cdc, "DROP DATABASE nope").await, 1008, "an unknown object comes first");
    let databases: Vec<String> = cdc.query("SHOW DATABASES LIKE '%'").await.expect("shows");
    assert!(databases.contains(&"d".to_owned()) && !databases.contains(&"other".to_owned()), "{databases:?}");
}

#[tokio::test]
async fn s18_each_statement_needs_its_own_privilege() {
    let bed = bed().await;
    let cases = [
        ("SELECT * FROM d.t", "SELECT"),
        ("ALTER TABLE d.t ADD COLUMN w INT", "ALTER"),
        ("TRUNCATE TABLE d.t", "DELETE"),
        ("DROP TABLE d.t", "DROP"),
    ];
    for (statement, privilege) in cases {
        let mut cdc = bed.connect_as("cdc", "pw", bed.standin.sql_port()).await;
        assert_eq!(code(&mut cdc, statement).await, 5203, "{statement}");
        bed.run(&format!("GRANT {privilege} ON TABLE d.t TO USER cdc")).await;
        assert_eq!(code(&mut cdc, statement).await, 0, "{statement}");
    }
}

#[tokio::test]
async fn s02_a_load_needs_insert_on_its_table_at_both_hops() {
    let bed = bed().await;
    let request = format!(
        "PUT /api/d/t/_stream_load HTTP/1.1\r\n{CDC}\r\nExpect: 100-continue\r\nContent-Length: 0\r\n\r\n"
    );
    let be = request.replace("Content-Length: 0", "format: json\r\nContent-Length: 8");
    let both = async || {
        let first = ask(bed.standin.fe_port(), request.as_bytes()).await.status;
        let second = crate::bed::put(bed.standin.be_port(), &be, r#"{"id":1}"#).await.field("Message");
        (first, second)
    };
    assert_eq!(both().await.0, 401);
    assert!(both().await.1.contains("INSERT privilege"));
    bed.run("GRANT INSERT ON TABLE d.t TO cdc").await;
    assert_eq!(both().await, (307, "OK".into()));
    bed.run("REVOKE INSERT ON TABLE d.t FROM USER cdc").await;
    assert_eq!(both().await.0, 401);
}

#[tokio::test]
async fn s18_users_come_and_go() {
    let bed = bed().await;
    bed.run("CREATE USER 'eve'@'%' IDENTIFIED BY 's3'").await;
    assert_eq!(bed.refused("CREATE USER eve").await.0, 1064);
    bed.run("CREATE USER IF NOT EXISTS eve").await;
    bed.run("GRANT ALL ON ALL TABLES IN ALL DATABASES TO USER eve").await;
    let mut eve = bed.connect_as("eve", "s3", bed.standin.sql_port()).await;
    assert_eq!(code(&mut eve, "SELECT * FROM d.t").await, 0);
    bed.run("DROP USER eve").await;
    assert_eq!(bed.refused("DROP USER eve").await.0, 1064);
    assert_eq!(bed.refused("GRANT SELECT ON TABLE d.t TO USER eve").await.0, 1064);
}
