//! Authentication: SCRAM-SHA-256, with channel binding over TLS; MD5; and clear text over TLS only.

use std::time::Instant;

use postgres_protocol::authentication::{
    md5_hash,
    sasl::{ChannelBinding, SCRAM_SHA_256, SCRAM_SHA_256_PLUS, ScramSha256},
};

use super::{Connection, channel_binding, frame, server_error, unexpected};
use crate::{
    config::SourceConfig,
    postgres::{cursor::Cursor, error::SourceError},
};

/// Limit of SCRAM iterations: PostgreSQL's default is 4096; a hostile number would keep the thread busy for hours.
const MOST_ITERATIONS: u32 = 1_000_000;

/// The server's authentication request.
enum Request {
    Done,
    ClearText,
    Md5([u8; 4]),
    Sasl(Vec<String>),
    SaslContinue(Vec<u8>),
    SaslFinal(Vec<u8>),
}

/// Answers authentication requests until the server accepts.
pub(super) fn log_in(
    connection: &mut Connection,
    config: &SourceConfig,
    deadline: Instant,
) -> Result<(), SourceError> {
    let password = config.password.reveal();
    match next(connection, deadline)? {
        Request::Done => return Ok(()),
        Request::ClearText if connection.socket.tls().is_some() => send_password(connection, password)?,
        Request::ClearText => {
            return Err(refused("the server asks for the password in clear text without TLS"));
        }
        Request::Md5(salt) => {
            send_password(connection, &md5_hash(config.user.as_bytes(), password.as_bytes(), salt))?;
        }
        Request::Sasl(mechanisms) => scram(connection, password, &mechanisms, deadline)?,
        Request::SaslContinue(_) | Request::SaslFinal(_) => {
            return Err(refused("it answers before it is asked"));
        }
    }
    match next(connection, deadline)? {
        Request::Done => Ok(()),
        _ => Err(refused("it asks twice")),
    }
}

fn next(connection: &mut Connection, deadline: Instant) -> Result<Request, SourceError> {
    loop {
        let (tag, body) = connection.receive(deadline)?;
        match tag {
            b'R' => {
                return read_request(&body)
                    .ok_or_else(|| refused("its way to authenticate is not supported"))?;
            }
            b'E' => return Err(SourceError::Server(server_error(&body)?)),
            b'N' | b'v' => {}
            _ => return Err(unexpected(tag)),
        }
    }
}

fn read_request(body: &[u8]) -> Option<Result<Request, SourceError>> {
    let mut cursor = Cursor(body);
    Some(Ok(match cursor.u32()? {
        0 => Request::Done,
        3 => Request::ClearText,
        5 => Request::Md5(*cursor.0.first_chunk()?),
        10 => Request::Sasl(std::iter::from_fn(|| cursor.string().filter(|name| !name.is_empty())).collect()),
        11 => Request::SaslContinue(cursor.0.to_vec()),
        12 => Request::SaslFinal(cursor.0.to_vec()),
        number => return Some(Err(refused(&format!("method {number} is not supported")))),
    }))
}

fn send_password(connection: &mut Connection, password: &str) -> Result<(), SourceError> {
    connection.send(&frame::message(b'p', |body| {
        body.extend_from_slice(password.as_bytes());
        body.push(0);
    }))
}

fn scram(
    connection: &mut Connection,
    password: &str,
    mechanisms: &[String],
    deadline: Instant,
) -> Result<(), SourceError> {
    let (mechanism, binding) = choose(connection, mechanisms)?;
    let mut scram = ScramSha256::new(password.as_bytes(), binding);
    connection.send(&frame::message(b'p', |body| {
        body.extend(mechanism.bytes().chain([0]));
        body.extend((scram.message().len() as u32).to_be_bytes());
        body.extend(scram.message());
    }))?;
    let Request::SaslContinue(challenge) = next(connection, deadline)? else {
        return Err(refused("no challenge"));
    };
    check_iterations(&challenge)?;
    scram.update(&challenge).map_err(|error| refused(&error.to_string()))?;
    connection.send(&frame::message(b'p', |body| body.extend(scram.message())))?;
    let Request::SaslFinal(proof) = next(connection, deadline)? else { return Err(refused("no proof")) };
    // The server has to prove that it knows the password too.
    scram.finish(&proof).map_err(|error| refused(&error.to_string()))
}

/// The strongest mechanism that both sides support.
fn choose(
    connection: &Connection,
    mechanisms: &[String],
) -> Result<(&'static str, ChannelBinding), SourceError> {
    let offers = |name: &str| mechanisms.iter().any(|mechanism| mechanism == name);
    let binding = connection.socket.tls().and_then(channel_binding::tls_server_end_point);
    match binding {
        Some(binding) if offers(SCRAM_SHA_256_PLUS) => {
            Ok((SCRAM_SHA_256_PLUS, ChannelBinding::tls_server_end_point(binding)))
        }
        // Tells the server that this client supports channel binding, so that a removed offer is noticed.
        Some(_) if offers(SCRAM_SHA_256) => Ok((SCRAM_SHA_256, ChannelBinding::unrequested())),
        None if offers(SCRAM_SHA_256) => Ok((SCRAM_SHA_256, ChannelBinding::unsupported())),
        _ => Err(refused("none of its SASL mechanisms is supported")),
    }
}

fn check_iterations(challenge: &[u8]) -> Result<(), SourceError> {
    let text = String::from_utf8_lossy(challenge);
    let count =
        text.split(',').find_map(|part| part.strip_prefix("i=")).and_then(|count| count.parse::<u32>().ok());
    match count {
        Some(count) if count <= MOST_ITERATIONS => Ok(()),
        _ => Err(refused("its SCRAM challenge is unreasonable")),
    }
}

fn refused(problem: &str) -> SourceError {
    SourceError::Authentication(problem.to_owned())
}
