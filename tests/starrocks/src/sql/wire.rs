//! The MySQL wire format: packets, the greeting, results (§12.1).

use std::io;

use sha1::{Digest, Sha1};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
};

use super::{SqlError, execute::Rows};
use crate::{catalog::SqlType, value::Value};

const MAX_PACKET: usize = 0x00ff_ffff;
const MAX_MESSAGE: usize = 64 * 1024 * 1024;
const AUTOCOMMIT: u16 = 2;
pub(super) const PLUGIN: &str = "mysql_native_password";

pub(super) const CONNECT_WITH_DB: u32 = 8;
const PROTOCOL_41: u32 = 0x200;
pub(super) const PLUGIN_AUTH: u32 = 0x8_0000;
const LENENC_AUTH: u32 = 0x20_0000;
/// CONNECT_WITH_DB, LONG_FLAG, PROTOCOL_41, SECURE_CONNECTION, PLUGIN_AUTH, CONNECT_ATTRS, LENENC_AUTH.
const CAPABILITIES: u32 = CONNECT_WITH_DB | 4 | PROTOCOL_41 | 0x8000 | PLUGIN_AUTH | 0x10_0000 | LENENC_AUTH;

#[derive(Debug)]
pub(super) struct Wire {
    stream: BufReader<TcpStream>,
    sequence: u8,
    out: Vec<u8>,
}

impl Wire {
    pub(super) fn new(stream: TcpStream) -> Self {
        Self { stream: BufReader::new(stream), sequence: 0, out: Vec::new() }
    }

    /// Reads one message; a long one arrives in several packets.
    pub(super) async fn read(&mut self) -> io::Result<Vec<u8>> {
        let mut message = Vec::new();
        loop {
            let header = self.stream.read_u32_le().await?;
            let length = (header & 0x00ff_ffff) as usize;
            let [.., sequence] = header.to_le_bytes();
            self.sequence = sequence.wrapping_add(1);
            if message.len() + length > MAX_MESSAGE {
                return Err(io::Error::other("the message is too long"));
            }
            let start = message.len();
            message.resize(start + length, 0);
            self.stream.read_exact(message.get_mut(start..).unwrap_or_default()).await?;
            if length < MAX_PACKET {
                return Ok(message);
            }
        }
    }

    /// Reads a command, which starts a new sequence of packets.
    pub(super) async fn command(&mut self) -> io::Result<Vec<u8>> {
        self.sequence = 0;
        self.read().await
    }

    fn put(&mut self, payload: &[u8]) {
        let mut rest = payload;
        loop {
            let (packet, after) = rest.split_at(rest.len().min(MAX_PACKET));
            let length = u32::try_from(packet.len()).unwrap_or(0);
            self.out.extend(length.to_le_bytes().iter().take(3));
            self.out.push(self.sequence);
            self.sequence = self.sequence.wrapping_add(1);
            self.out.extend_from_slice(packet);
            rest = after;
            if packet.len() < MAX_PACKET {
                return;
            }
        }
    }

    pub(super) async fn flush(&mut self) -> io::Result<()> {
        let out = std::mem::take(&mut self.out);
        self.stream.get_mut().write_all(&out).await
    }

    pub(super) async fn greet(&mut self, version: &str, connection: u32, salt: &[u8; 20]) -> io::Result<()> {
        let mut packet = vec![10];
        packet.extend_from_slice(version.as_bytes());
        packet.push(0);
        packet.extend(connection.to_le_bytes());
        let (first, second) = salt.split_at(8);
        packet.extend_from_slice(first);
        packet.push(0);
        let [low, lower_high, high, highest] = CAPABILITIES.to_le_bytes();
        packet.extend([low, lower_high, 33]);
        packet.extend(AUTOCOMMIT.to_le_bytes());
        packet.extend([high, highest, 21]);
        packet.extend([0; 10]);
        packet.extend_from_slice(second);
        packet.push(0);
        packet.extend_from_slice(PLUGIN.as_bytes());
        packet.push(0);
        self.sequence = 0;
        self.put(&packet);
        self.flush().await
    }

    /// Asks a client that has chosen another plugin to switch to this one.
    pub(super) async fn switch_plugin(&mut self, salt: &[u8; 20]) -> io::Result<Vec<u8>> {
        let mut packet = vec![0xfe];
        packet.extend_from_slice(PLUGIN.as_bytes());
        packet.push(0);
        packet.extend_from_slice(salt);
        packet.push(0);
        self.put(&packet);
        self.flush().await?;
        self.read().await
    }

    pub(super) async fn ok(&mut self) -> io::Result<()> {
        self.changed(0).await
    }

    /// Sends OK with the number of changed rows.
    pub(super) async fn changed(&mut self, rows: usize) -> io::Result<()> {
        let [low, high] = AUTOCOMMIT.to_le_bytes();
        let mut packet = vec![0];
        put_length(&mut packet, rows);
        packet.extend([0, low, high, 0, 0]);
        self.put(&packet);
        self.flush().await
    }

    pub(super) async fn error(&mut self, error: &SqlError) -> io::Result<()> {
        let mut packet = vec![0xff];
        packet.extend(error.code.to_le_bytes());
        packet.push(b'#');
        packet.extend_from_slice(error.state.as_bytes());
        packet.extend_from_slice(error.message.as_bytes());
        self.put(&packet);
        self.flush().await
    }

    pub(super) async fn rows(&mut self, rows: &Rows, with_micros: bool) -> io::Result<()> {
        let mut count = Vec::new();
        put_length(&mut count, rows.fields.len());
        self.put(&count);
        for (name, sql_type) in &rows.fields {
            self.put(&field(name, sql_type));
        }
        self.end_of_list();
        let mut packet = Vec::new();
        for row in &rows.rows {
            packet.clear();
            for value in row {
                put_value(&mut packet, value, with_micros);
            }
            self.put(&packet);
            if self.out.len() > 1 << 20 {
                self.flush().await?;
            }
        }
        self.end_of_list();
        self.flush().await
    }

    fn end_of_list(&mut self) {
        let [low, high] = AUTOCOMMIT.to_le_bytes();
        self.put(&[0xfe, 0, 0, low, high]);
    }
}

fn put_value(packet: &mut Vec<u8>, value: &Value, with_micros: bool) {
    match value.print(with_micros) {
        Some(text) => put_bytes(packet, &text),
        None => packet.push(0xfb),
    }
}

fn put_bytes(packet: &mut Vec<u8>, bytes: &[u8]) {
    put_length(packet, bytes.len());
    packet.extend_from_slice(bytes);
}

fn put_length(packet: &mut Vec<u8>, length: usize) {
    let bytes = (length as u64).to_le_bytes();
    let width = match length {
        0..=250 => 1,
        251..=0xffff => {
            packet.push(0xfc);
            2
        }
        0x1_0000..=0xff_ffff => {
            packet.push(0xfd);
            3
        }
        _ => {
            packet.push(0xfe);
            8
        }
    };
    packet.extend(bytes.iter().take(width));
}

fn field(name: &str, sql_type: &SqlType) -> Vec<u8> {
    let (code, charset, length, decimals): (u8, u16, u32, u8) = match sql_type {
        SqlType::Boolean | SqlType::TinyInt => (1, 63, 4, 0),
        SqlType::SmallInt => (2, 63, 6, 0),
        SqlType::Int => (3, 63, 11, 0),
        SqlType::BigInt => (8, 63, 20, 0),
        SqlType::Float => (4, 63, 12, 31),
        SqlType::Double => (5, 63, 22, 31),
        SqlType::Decimal { precision, scale } => (246, 63, u32::from(*precision) + 2, *scale),
        SqlType::Date => (10, 63, 10, 0),
        SqlType::DateTime => (12, 63, 26, 0),
        SqlType::Varbinary(_) => (252, 63, crate::catalog::MAX_VARCHAR, 0),
        SqlType::Char(length) => (254, 33, length.saturating_mul(3), 0),
        SqlType::Varchar(length) => (253, 33, length.saturating_mul(3), 0),
        _ => (254, 33, crate::catalog::MAX_VARCHAR, 0),
    };
    let mut packet = Vec::new();
    for part in ["def", "", "", "", name, ""] {
        put_bytes(&mut packet, part.as_bytes());
    }
    packet.push(0x0c);
    packet.extend(charset.to_le_bytes());
    packet.extend(length.to_le_bytes());
    packet.push(code);
    packet.extend([0, 0, decimals, 0, 0]);
    packet
}

/// SHA1(password) XOR SHA1(salt + SHA1(SHA1(password))); empty for an empty password.
pub(super) fn scramble(password: &str, salt: &[u8; 20]) -> Vec<u8> {
    if password.is_empty() {
        return Vec::new();
    }
    let once = Sha1::digest(password.as_bytes());
    let twice = Sha1::digest(once);
    let mut salted = Sha1::new();
    salted.update(salt);
    salted.update(twice);
    once.iter().zip(salted.finalize()).map(|(left, right)| left ^ right).collect()
}

/// Checked reads from a client's message.
#[derive(Debug)]
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn bytes(&mut self, length: usize) -> Option<&'a [u8]> {
        let (bytes, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(bytes)
    }

    pub(super) fn u8(&mut self) -> Option<u8> {
        self.bytes(1)?.first().copied()
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        Some(u32::from_le_bytes(self.bytes(4)?.try_into().ok()?))
    }

    pub(super) fn text(&mut self) -> Option<String> {
        let end = self.0.iter().position(|byte| *byte == 0)?;
        let text = String::from_utf8_lossy(self.bytes(end)?).into_owned();
        self.u8()?;
        Some(text)
    }

    /// The client's answer to the salt. It has two encodings, and a length of one byte fits both.
    pub(super) fn counted(&mut self) -> Option<&'a [u8]> {
        let length = self.u8()?;
        self.bytes(usize::from(length))
    }
}
