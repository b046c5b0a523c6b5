//! The MySQL protocol, as everybody speaks it who asks StarRocks: the options of a session, and a guard round the driver.

use std::panic::AssertUnwindSafe;

use futures::FutureExt;
use mysql_async::{DriverError, OptsBuilder};

use crate::config::SinkConfig;

/// A session lives as long as its statements: this is the default of StarRocks, and has no effect.
const IDLE_SECONDS: usize = 28_800;

/// What no session needs is left out: a connection with a default database that the user may not use is closed without
/// a word.
pub(crate) fn options(config: &SinkConfig, largest_packet: usize) -> OptsBuilder {
    OptsBuilder::default()
        .ip_or_hostname(&config.host)
        .tcp_port(config.query_port)
        .user(Some(&config.user))
        .pass(Some(config.password.reveal()))
        .prefer_socket(false)
        .max_allowed_packet(Some(largest_packet))
        // What is not given here the driver asks the server for, and takes no answer but a number.
        .wait_timeout(Some(IDLE_SECONDS))
        .stmt_cache_size(0)
}

/// The driver panics at a packet without content. What a server sends must not end the program.
pub(crate) async fn guarded<T>(talk: impl Future<Output = mysql_async::Result<T>>) -> mysql_async::Result<T> {
    let caught = AssertUnwindSafe(talk).catch_unwind().await;
    caught.unwrap_or_else(|_| Err(DriverError::UnexpectedPacket { payload: Vec::new() }.into()))
}

#[cfg(test)]
pub(crate) mod double {
    //! A server that answers the first statement with rows of one column, whatever was asked.

    use tokio::{
        io::AsyncWriteExt,
        net::{TcpListener, TcpStream},
    };

    use crate::config::SinkConfig;

    /// A packet that no server sends, in the place of a row.
    pub(crate) const EMPTY: &[u8] = b"";
    const END_OF_ROWS: &[u8] = b"\xFE\0\0\x02\0";

    /// A row with this value.
    pub(crate) fn row(value: &str) -> Vec<u8> {
        [&[value.len() as u8], value.as_bytes()].concat()
    }

    /// Everything that it says in a session with one statement.
    fn conversation(rows: &[&[u8]]) -> Vec<u8> {
        let greeting = b"\x0A5.1.0\0\x07\0\0\x0012345678\0\x8D\xA6\x21\x02\0\x08\0\x15\0\0\0\0\0\0\0\0\0\0\
                         901234567890\0mysql_native_password\0";
        let column = b"\x03def\0\0\0\x01c\x01c\x0C\x21\0\xFF\0\0\0\xFD\0\0\0\0\0";
        let begin =
            [(0, &greeting[..]), (2, b"\0\0\0\x02\0\0\0"), (1, b"\x01"), (2, column), (3, END_OF_ROWS)];
        let rows = rows.iter().copied().chain([END_OF_ROWS]);
        let packets = begin.into_iter().chain((4..).zip(rows));
        packets.flat_map(|(number, body)| [&[body.len() as u8, 0, 0, number], body].concat()).collect()
    }

    /// Where it listens.
    pub(crate) async fn server() -> (TcpListener, SinkConfig) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port().to_string();
        let config = crate::config::environment::read(|name| match name {
            "SOURCE_URL" => Some("postgres://u@h/d".to_owned()),
            "SINK_URL" => Some("127.0.0.1".to_owned()),
            "SINK_DATABASE" => Some("d".to_owned()),
            "SINK_PORT" => Some(port.clone()),
            _ => None,
        });
        (listener, config.unwrap().sink)
    }

    /// Says all of it to whoever comes; the session lasts as long as what is given back.
    pub(crate) async fn talk(listener: TcpListener, rows: &[&[u8]]) -> TcpStream {
        let (mut client, _) = listener.accept().await.unwrap();
        client.write_all(&conversation(rows)).await.unwrap();
        client
    }
}
