//! The fixture of the tests: a running stand-in, a raw HTTP client that makes the two hops itself, and a MySQL client.

use std::time::Duration;

use mysql_async::{Conn, OptsBuilder, Row, prelude::Queryable};
use starrocks_standin::{Options, Profile, Rights, Standin, User};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

pub(crate) struct Bed {
    pub(crate) standin: Standin,
}

/// An HTTP answer, not decoded.
#[derive(Debug, Clone, Default)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
    pub(crate) closed: bool,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<String> {
        let lines = self.head.lines().filter_map(|line| line.split_once(':'));
        let mut lines = lines.map(|(key, value)| (key.to_lowercase(), value.trim().to_owned()));
        lines.find(|(key, _)| *key == name.to_lowercase()).map(|(_, value)| value)
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error} in {:?}", self.body))
    }

    pub(crate) fn field(&self, name: &str) -> String {
        match &self.json()[name] {
            serde_json::Value::String(text) => text.clone(),
            other => other.to_string(),
        }
    }
}

pub(crate) const ROOT: &str = "Authorization: Basic cm9vdDo=";

impl Bed {
    pub(crate) async fn start() -> Self {
        Self::with(Options::default()).await
    }

    pub(crate) async fn of(profile: Profile) -> Self {
        Self::with(Options { profile, ..Options::default() }).await
    }

    pub(crate) async fn with(options: Options) -> Self {
        let users = vec![User::new("root", "", Rights::All), User::new("cdc", "pw", Rights::None)];
        Self { standin: Standin::start(Options { users, ..options }).await.expect("starts") }
    }

    /// A stand-in with database `d` and a table `t` that has these columns and the key `id`.
    pub(crate) async fn with_table(columns: &str) -> Self {
        let bed = Self::start().await;
        bed.create(columns).await;
        bed
    }

    pub(crate) async fn create(&self, columns: &str) {
        self.run("CREATE DATABASE IF NOT EXISTS d").await;
        self.run(&format!(
            "CREATE TABLE d.t ({columns}) PRIMARY KEY(id) DISTRIBUTED BY HASH(id) BUCKETS 1 \
             PROPERTIES('replication_num'='1')"
        ))
        .await;
    }

    /// A session of another user, or at another frontend's port.
    pub(crate) async fn connect_as(&self, user: &str, password: &str, port: u16) -> Conn {
        let options = OptsBuilder::default()
            .ip_or_hostname("127.0.0.1")
            .tcp_port(port)
            .user(Some(user))
            .pass(Some(password).filter(|password| !password.is_empty()))
            .prefer_socket(false);
        Conn::new(options).await.expect("connects")
    }

    pub(crate) async fn connect(&self) -> Conn {
        let options = OptsBuilder::default()
            .ip_or_hostname("127.0.0.1")
            .tcp_port(self.standin.sql_port())
            .user(Some("root"))
            .prefer_socket(false);
        Conn::new(options).await.expect("connects")
    }

    pub(crate) async fn run(&self, statement: &str) {
        let mut connection = self.connect().await;
        connection.query_drop(statement).await.unwrap_or_else(|error| panic!("{statement}: {error}"));
    }

    pub(crate) async fn rows(&self, query: &str) -> Vec<Vec<Option<String>>> {
        let mut connection = self.connect().await;
        let rows: Vec<Row> = connection.query(query).await.unwrap_or_else(|error| panic!("{query}: {error}"));
        rows.into_iter().map(texts).collect()
    }

    /// Rows as text: `NULL` written out, values joined by commas.
    pub(crate) async fn lines(&self, query: &str) -> Vec<String> {
        let join = |row: Vec<Option<String>>| {
            row.into_iter()
                .map(|value| value.unwrap_or_else(|| "NULL".to_owned()))
                .collect::<Vec<_>>()
                .join(",")
        };
        self.rows(query).await.into_iter().map(join).collect()
    }

    /// The states of the jobs on `d.t`, in order of creation.
    pub(crate) async fn alter_states(&self) -> Vec<String> {
        self.lines("SHOW ALTER TABLE COLUMN FROM d ORDER BY JobId")
            .await
            .iter()
            .filter_map(|line| line.split(',').nth(9).map(str::to_owned))
            .collect()
    }

    /// Advances the clock until no schema change is running.
    pub(crate) async fn finish_alters(&self) {
        let is_open = |state: &String| state != "FINISHED" && state != "CANCELLED";
        while self.alter_states().await.iter().any(is_open) {
            self.standin.advance_clock(Duration::from_secs(1));
        }
    }

    /// The error number and message of a statement that must be refused.
    pub(crate) async fn refused(&self, statement: &str) -> (u16, String) {
        let mut connection = self.connect().await;
        match connection.query_drop(statement).await {
            Err(mysql_async::Error::Server(error)) => (error.code, error.message),
            other => panic!("{statement}: {other:?}"),
        }
    }

    pub(crate) async fn fe(&self, request: &str) -> Answer {
        ask(self.standin.fe_port(), request.as_bytes()).await
    }

    pub(crate) async fn be(&self, request: &str) -> Answer {
        ask(self.standin.be_port(), request.as_bytes()).await
    }

    /// Makes both hops of a load into `d.t`. The headers are lines; the format is JSON when they name none.
    pub(crate) async fn load(&self, headers: &str, body: impl AsRef<[u8]>) -> Answer {
        self.load_into("d/t", headers, body).await
    }

    pub(crate) async fn load_into(&self, target: &str, headers: &str, body: impl AsRef<[u8]>) -> Answer {
        let body = body.as_ref();
        let hop1 = format!(
            "PUT /api/{target}/_stream_load HTTP/1.1\r\nHost: fe\r\n{ROOT}\r\nExpect: 100-continue\r\n\
             Content-Length: 0\r\n\r\n"
        );
        let redirect = self.fe(&hop1).await;
        assert_eq!(redirect.status, 307, "{}", redirect.body);
        let location = redirect.header("location").expect("a redirect has a location");
        let port = location.split('/').nth(2).and_then(|host| host.split(':').nth(1)).expect("a port");
        put(port.parse().expect("a port"), &head(target, headers, body.len()), body).await
    }
}

pub(crate) fn head(target: &str, headers: &str, length: usize) -> String {
    let names_format = headers.lines().any(|line| line.trim().starts_with("format:"));
    let format = if names_format { "" } else { "format: json\r\n" };
    let headers: String = headers.lines().map(|line| format!("{}\r\n", line.trim_start())).collect();
    format!(
        "PUT /api/{target}/_stream_load HTTP/1.1\r\nHost: be\r\n{ROOT}\r\nExpect: 100-continue\r\n{format}\
         Content-Length: {length}\r\n{headers}\r\n"
    )
}

/// Sends the head, waits for `100 Continue` or a final answer, then the body.
pub(crate) async fn put(port: u16, head: &str, body: impl AsRef<[u8]>) -> Answer {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.expect("the BE listens");
    stream.write_all(head.as_bytes()).await.expect("the BE takes the head");
    let first = read_answer(&mut stream).await;
    if first.status != 100 {
        return first;
    }
    // A BE that ends the load while the body is sent may reset the connection; an answer sent before that still counts.
    let _ = stream.write_all(body.as_ref()).await;
    read_answer(&mut stream).await
}

/// Sends one request and reads one answer; waits for the end of the connection only when the answer announces it.
pub(crate) async fn ask(port: u16, request: &[u8]) -> Answer {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.expect("the server listens");
    let _ = stream.write_all(request).await;
    let mut answer = read_answer(&mut stream).await;
    if answer.header("connection").as_deref() == Some("close") {
        answer.closed = matches!(stream.read(&mut [0]).await, Ok(0) | Err(_));
    }
    answer
}

/// Sends one request, reads one answer, and notes whether the server then closes.
pub(crate) async fn exchange(port: u16, request: &[u8]) -> Answer {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.expect("the server listens");
    let _ = stream.write_all(request).await;
    let mut answer = read_answer(&mut stream).await;
    let mut byte = [0];
    let end = tokio::time::timeout(Duration::from_millis(200), stream.read(&mut byte)).await;
    answer.closed = matches!(end, Ok(Ok(0) | Err(_)));
    answer
}

/// Reads exactly one answer, because another may follow at once. Status 0 means that the connection ended before it.
pub(crate) async fn read_answer(stream: &mut TcpStream) -> Answer {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => {
                return Answer { body: String::from_utf8_lossy(&head).into_owned(), ..Answer::default() };
            }
        }
    }
    let head = String::from_utf8_lossy(&head).trim_end().to_owned();
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    let mut answer = Answer { status, head, ..Answer::default() };
    let length = answer.header("content-length").map_or(0, |length| length.parse().expect("a number"));
    let mut body = vec![0; length];
    if stream.read_exact(&mut body).await.is_err() {
        answer.status = 0;
    }
    answer.body = String::from_utf8_lossy(&body).into_owned();
    answer
}

pub(crate) fn texts(row: Row) -> Vec<Option<String>> {
    let text = |value| match value {
        mysql_async::Value::NULL => None,
        mysql_async::Value::Bytes(bytes) => Some(String::from_utf8_lossy(&bytes).into_owned()),
        other => panic!("{other:?} is no text"),
    };
    row.unwrap().into_iter().map(text).collect()
}
