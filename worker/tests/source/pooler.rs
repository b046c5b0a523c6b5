//! A connection pooler in front of the server: it answers the startup message itself and drops settings from it.

use std::{
    io::{self, Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    thread,
};

/// Version 3.0 of the protocol, at the start of every startup message.
const PROTOCOL: [u8; 4] = [0, 3, 0, 0];

/// Serves until the test process ends. Settings with these names do not reach the server.
pub(crate) fn dropping(server: SocketAddr, names: &'static [&'static str]) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            thread::spawn(move || serve(client, server, names));
        }
    });
    port
}

fn serve(mut client: TcpStream, server: SocketAddr, names: &[&str]) -> io::Result<()> {
    let mut server = TcpStream::connect(server)?;
    let mut length = [0; 4];
    client.read_exact(&mut length)?;
    let mut body = vec![0; u32::from_be_bytes(length) as usize - 4];
    client.read_exact(&mut body)?;
    let body = if body.starts_with(&PROTOCOL) { without(&body, names) } else { body };
    server.write_all(&(body.len() as u32 + 4).to_be_bytes())?;
    server.write_all(&body)?;
    let (mut from_server, mut to_client) = (server.try_clone()?, client.try_clone()?);
    thread::spawn(move || {
        drop(io::copy(&mut from_server, &mut to_client));
        drop(to_client.shutdown(Shutdown::Both));
    });
    drop(io::copy(&mut client, &mut server));
    server.shutdown(Shutdown::Both)
}

/// The startup message without the parameters of these names.
fn without(body: &[u8], names: &[&str]) -> Vec<u8> {
    let texts: Vec<&[u8]> = body[PROTOCOL.len()..].split(|byte| *byte == 0).collect();
    let mut kept = PROTOCOL.to_vec();
    for pair in texts.chunks_exact(2).filter(|pair| !pair[0].is_empty()) {
        if !names.iter().any(|name| name.as_bytes() == pair[0]) {
            pair.iter().for_each(|text| kept.extend(text.iter().copied().chain([0])));
        }
    }
    kept.push(0);
    kept
}
