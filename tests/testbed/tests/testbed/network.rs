//! How bytes get in, out and about: forwarders, Services, and programs beside the pods.

use std::{
    io::{Read, Write},
    net::{Shutdown, TcpStream},
    process::Command,
    thread,
};

use testbed::{
    kubernetes::{ADDRESS, address},
    postgres::{Postgres, PostgresOptions},
    run,
};

use crate::pod::{CLUSTER, Namespace};

/// Answers each caller, once it has said everything, with what it said.
const ECHO: &str = r#"
socket(S, 2, 1, 6); bind(S, pack("S n a4 x8", 2, 8080, "\0\0\0\0")) or die; listen(S, 100);
while (accept(C, S)) { local $/; my $said = <C>; print C "heard: $said"; close C }
"#;

#[test]
fn a_pod_reaches_another_by_the_address_of_its_service() {
    let namespace = Namespace::create("services");
    namespace.perl("server", ECHO).unwrap();
    namespace.await_ready("server");
    namespace.kubectl(&["expose", "pod", "server", "--port=80", "--target-port=8080"]).unwrap();
    let service =
        namespace.kubectl(&["get", "service", "server", "--output=jsonpath={.spec.clusterIP}"]).unwrap();
    // The first attempts may come before the proxy knows of the Service.
    let call = format!("exec 3<>/dev/tcp/{service}/80 && echo connected || exit 1");
    namespace.bash("client", &call).unwrap();
    namespace.await_output("client", "connected");
}

#[test]
fn a_pod_reaches_a_postgresql_beside_it_and_so_does_psql_from_outside() {
    let namespace = Namespace::create("database");
    let network = Some(CLUSTER.network().unwrap());
    let postgres =
        Postgres::start(PostgresOptions { listen: ADDRESS.into(), network, ..Default::default() }).unwrap();
    namespace
        .bash("client", &format!("exec 3<>/dev/tcp/{ADDRESS}/{} && echo connected", postgres.port()))
        .unwrap();
    namespace.await_output("client", "connected");

    let forwarder = CLUSTER.forward(postgres.address()).unwrap();
    let url =
        postgres.url("postgres").replace(&postgres.address().to_string(), &forwarder.address().to_string());
    assert_eq!(run::output(Command::new("psql").args([&url, "-Atc", "SELECT 1"])).unwrap(), "1\n");
}

#[test]
fn a_forwarder_carries_many_callers_and_the_end_of_each_direction() {
    let listener = CLUSTER.network().unwrap().listen(address(0)).unwrap();
    let forwarder = CLUSTER.forward(listener.local_addr().unwrap()).unwrap();
    let echo =
        thread::spawn(move || listener.incoming().take(CALLERS).for_each(|caller| answer(caller.unwrap())));
    let callers: Vec<_> = (0..CALLERS)
        .map(|number| {
            thread::spawn({
                let address = forwarder.address();
                move || call(TcpStream::connect(address).unwrap(), &[number as u8; 100_000])
            })
        })
        .collect();
    for (number, caller) in callers.into_iter().enumerate() {
        assert_eq!(caller.join().unwrap(), vec![number as u8; 100_000]);
    }
    echo.join().unwrap();
}

#[test]
fn a_dropped_forwarder_takes_no_more_callers() {
    let forwarder = CLUSTER.forward(address(1)).unwrap();
    let outside = forwarder.address();
    drop(forwarder);
    run::wait_until("the port is closed", crate::pod::LIMIT, || Ok(TcpStream::connect(outside).is_err()))
        .unwrap();
}

const CALLERS: usize = 40;

fn answer(mut caller: TcpStream) {
    let mut said = Vec::new();
    caller.read_to_end(&mut said).unwrap();
    caller.write_all(&said).unwrap();
}

/// Says everything, ends its own direction, and only then listens.
fn call(mut stream: TcpStream, words: &[u8]) -> Vec<u8> {
    stream.write_all(words).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut heard = Vec::new();
    stream.read_to_end(&mut heard).unwrap();
    heard
}
