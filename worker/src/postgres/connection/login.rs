//! Authentication: SCRAM-SHA-256, with channel binding over TLS; MD5; and clear text over TLS only.

use std::time::Instant;

use postgres_protocol::{
    authentication::{
        md5_hash,
        sasl::{ChannelBinding, SCRAM_SHA_256, SCRAM_SHA_256_PLUS, ScramSha256},
    },
    message::frontend,
};

use super::{Connection, channel_binding, server_error, unexpected};
use crate::{
    config::SourceConfig,
    postgres::{cursor::Cursor, error::SourceError},
};

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
    connection.write(|bytes| frontend::password_message(password.as_bytes(), bytes))
}

fn scram(
    connection: &mut Connection,
    password: &str,
    mechanisms: &[String],
    deadline: Instant,
) -> Result<(), SourceError> {
    let (mechanism, binding) = choose(connection, mechanisms)?;
    let mut scram = ScramSha256::new(password.as_bytes(), binding);
    connection.write(|bytes| frontend::sasl_initial_response(mechanism, scram.message(), bytes))?;
    let Request::SaslContinue(challenge) = next(connection, deadline)? else {
        return Err(refused("no challenge"));
    };
    // The library refuses more than 100,000 iterations, which would keep the thread busy for hours.
    scram.update(&challenge).map_err(|error| refused(&error.to_string()))?;
    connection.write(|bytes| frontend::sasl_response(scram.message(), bytes))?;
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

fn refused(problem: &str) -> SourceError {
    SourceError::Authentication(problem.to_owned())
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read, Write},
        net::{TcpListener, TcpStream},
        thread,
        time::Duration,
    };

    use super::*;
    use crate::postgres::{
        connection::{frame, socket::Socket},
        error::tests::config,
    };

    /// Logs in at a server that asks `first`, and then what `then` makes of what it was sent. Returns why the login
    /// failed, and all that was sent.
    fn log_in_at(first: &[u8], then: fn(&str) -> Vec<u8>) -> (String, String) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let tcp = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        tcp.set_nonblocking(true).unwrap();
        let (mut server, _) = listener.accept().unwrap();
        server.write_all(&frame::message(b'R', |body| body.extend(first))).unwrap();
        let server = thread::spawn(move || {
            let mut sent = vec![0; 4096];
            let count = server.read(&mut sent).unwrap();
            sent.truncate(count);
            let asked = then(&String::from_utf8_lossy(&sent));
            server.write_all(&frame::message(b'R', |body| body.extend(asked))).unwrap();
            server.read_to_end(&mut sent).unwrap();
            String::from_utf8_lossy(&sent).into_owned()
        });
        let mut connection = Connection { socket: Socket::plain(tcp), inbox: Vec::new(), key: None };
        let deadline = Instant::now() + Duration::from_secs(20);
        let error = log_in(&mut connection, &config(), deadline).unwrap_err();
        drop(connection);
        (error.to_string(), server.join().unwrap())
    }

    #[test]
    fn the_password_is_not_sent_in_clear_text_without_tls() {
        let (error, sent) = log_in_at(&[0, 0, 0, 3], |_| Vec::new());
        assert!(error.contains("in clear text without TLS"), "{error}");
        assert_eq!(sent, "");
    }

    #[test]
    fn a_hostile_number_of_iterations_is_refused_at_once() {
        let (error, _) = log_in_at(b"\0\0\0\x0ASCRAM-SHA-256\0\0", |sent| {
            let nonce = sent.rsplit_once("r=").unwrap().1;
            [b"\0\0\0\x0B", format!("r={nonce}x,s=c2FsdA==,i=4294967295").as_bytes()].concat()
        });
        assert!(error.contains("SCRAM iteration count exceeds the maximum"), "{error}");
    }
}
