//! For tests: tables, batches, and a server with scripted answers.

pub(crate) mod turn;

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::SystemTime,
};

use crate::{
    change::{Change, Old, Tuple, Value, write_value},
    config::{Deletes, Secret, SinkConfig},
    lsn::Lsn,
    pipeline::{Batch, batch::Accumulation},
    table::{Column, Kind, Table, TableId, TableName},
};

/// The table `public.t`, whose key is its first column.
pub(crate) fn table(columns: &[(&str, Kind)]) -> Table {
    let column = |(place, (name, kind)): (usize, &(&str, Kind))| Column {
        number: place as i32 + 1,
        ..Column::new(*name, *kind, "a type")
    };
    Table {
        id: TableId(0),
        name: TableName::parse("public.t").unwrap(),
        target: "t".to_owned(),
        columns: columns.iter().enumerate().map(column).collect(),
        key: vec![0],
        last_number: columns.len() as i32,
        facts: Default::default(),
    }
}

pub(crate) fn row(values: &[Value<'_>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    values.iter().for_each(|value| write_value(*value, &mut bytes));
    bytes
}

/// Inserts of one transaction.
pub(crate) fn inserts(table: &Table, rows: &[Vec<Value<'_>>]) -> Batch {
    let rows: Vec<_> = rows.iter().map(|values| row(values)).collect();
    let changes = rows.iter().map(|row| Change::Insert { new: tuple(row, table) });
    changes_of(table, Deletes::Soft, changes).into_iter().next().unwrap()
}

pub(crate) fn tuple<'a>(row: &'a [u8], table: &Table) -> Tuple<'a> {
    Tuple::split(row, table.columns.len()).unwrap().0
}

pub(crate) fn deletes(table: &Table, deletes: Deletes, key: &[Value<'_>]) -> Batch {
    let row = row(key);
    let change = Change::Delete { old: Old::Key(tuple(&row, table)) };
    changes_of(table, deletes, [change]).into_iter().next().unwrap()
}

pub(crate) fn changes_of<'a>(
    table: &Table,
    deletes: Deletes,
    changes: impl IntoIterator<Item = Change<'a>>,
) -> Vec<Batch> {
    let mut gathered = Accumulation::new(Arc::new(table.clone()), deletes);
    changes.into_iter().for_each(|change| gathered.push(change, Lsn(0x1234)).unwrap());
    gathered.close(SystemTime::UNIX_EPOCH)
}

/// An answer without a count of rows, and with an unknown label.
const BEYOND: &str = r#"{"Status":"Success","state":"UNKNOWN"}"#;

/// A sink at this HTTP port of this machine; its SQL port is not served.
pub(crate) fn sink(port: u16) -> SinkConfig {
    SinkConfig {
        host: "127.0.0.1".to_owned(),
        http_port: port,
        query_port: 0,
        database: "d".to_owned(),
        user: "u".to_owned(),
        password: Secret::new("p"),
        deletes: Deletes::Soft,
        consistency: Default::default(),
        values: Default::default(),
        on_refused_row: Default::default(),
        on_target_lost: Default::default(),
    }
}

/// What the server does with one connection.
pub(crate) type Turn = Box<dyn FnOnce(&mut Conversation) + Send>;

/// A server that accepts one connection for each turn, in order, and records what it received. Further connections get
/// an answer that ends every load, so that a test fails instead of retrying without end.
#[derive(Debug)]
pub(crate) struct Double {
    pub(crate) port: u16,
    over: Arc<AtomicBool>,
    thread: JoinHandle<Vec<String>>,
}

impl Double {
    pub(crate) fn start(turns: Vec<Turn>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let over = Arc::new(AtomicBool::new(false));
        let ends = Arc::clone(&over);
        let serve = move || {
            let serve_turn = |turn| Conversation::accept(&listener, port).serve(turn);
            let heard = turns.into_iter().map(serve_turn).collect();
            loop {
                let mut beyond = Conversation::accept(&listener, port);
                if ends.load(Ordering::SeqCst) {
                    return heard;
                }
                beyond.head();
                beyond.answer(BEYOND);
            }
        };
        Self { port, over, thread: std::thread::spawn(serve) }
    }

    /// What the server received, one text for each turn: heads and bodies as they came.
    pub(crate) fn heard(self) -> Vec<String> {
        self.over.store(true, Ordering::SeqCst);
        drop(TcpStream::connect(("127.0.0.1", self.port)));
        self.thread.join().unwrap()
    }
}

#[derive(Debug)]
pub(crate) struct Conversation {
    stream: BufReader<TcpStream>,
    pub(crate) port: u16,
    heard: String,
}

impl Conversation {
    fn accept(listener: &TcpListener, port: u16) -> Self {
        Self { stream: BufReader::new(listener.accept().unwrap().0), port, heard: String::new() }
    }

    fn serve(mut self, turn: Turn) -> String {
        turn(&mut self);
        self.heard
    }

    /// Reads a head and returns its `Content-Length`.
    pub(crate) fn head(&mut self) -> usize {
        let begun = self.heard.len();
        while !self.heard[begun..].ends_with("\r\n\r\n") {
            assert!(self.stream.read_line(&mut self.heard).unwrap() > 0, "the client closed within the head");
        }
        let head = &self.heard[begun..];
        let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
        length.map_or(0, |length| length.parse().unwrap())
    }

    pub(crate) fn body(&mut self, length: usize) {
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body).unwrap();
        self.heard.push_str(std::str::from_utf8(&body).unwrap());
    }

    pub(crate) fn say(&mut self, text: &str) {
        self.stream.get_mut().write_all(text.as_bytes()).unwrap();
    }

    pub(crate) fn answer(&mut self, json: &str) {
        self.say(&format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{json}", json.len()));
    }

    /// Keeps the connection open until the client closes it.
    pub(crate) fn until_closed(&mut self) {
        let _ = self.stream.read_to_string(&mut self.heard);
    }

    /// Records whatever the client still sends before it closes; tests assert that it is nothing.
    pub(crate) fn expect_silence(&mut self) {
        let mut rest = String::new();
        self.stream.get_mut().shutdown(std::net::Shutdown::Write).unwrap();
        let _ = self.stream.read_to_string(&mut rest);
        self.heard.push_str(&rest);
    }
}
