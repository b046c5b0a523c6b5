//! The listeners; each can be taken down and up again while the data is kept.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use tokio::{
    net::{TcpListener, TcpStream},
    sync::Mutex,
    task::JoinSet,
};

use crate::{Action, Fault, Options, Stats, admin, be, cluster::Cluster, fe, http::Connection, locked, sql};

/// A listener that can be taken down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    Fe,
    Be,
    Sql,
}

impl Part {
    pub const ALL: [Self; 3] = [Self::Fe, Self::Be, Self::Sql];
}

/// A running stand-in. Dropping it stops it.
#[derive(Debug)]
pub struct Standin {
    servers: Arc<Servers>,
    admin_port: u16,
    followers: Vec<FollowerPorts>,
    _others: JoinSet<()>,
}

/// The ports of an FE other than the first one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FollowerPorts {
    pub fe: u16,
    pub sql: u16,
}

/// The servers that the admin port controls.
#[derive(Debug)]
pub(crate) struct Servers {
    pub(crate) cluster: Arc<Cluster>,
    ports: [u16; 3],
    running: Mutex<[JoinSet<()>; 3]>,
}

impl Standin {
    /// Listens on all ports before it returns.
    pub async fn start(options: Options) -> io::Result<Self> {
        let cluster = Arc::new(Cluster::new(options));
        let options = &cluster.options;
        let mut ports = [options.fe_port, options.be_port, options.sql_port];
        let mut running = [JoinSet::new(), JoinSet::new(), JoinSet::new()];
        for ((part, port), tasks) in Part::ALL.into_iter().zip(&mut ports).zip(&mut running) {
            let listener = listen(options.listen, *port).await?;
            *port = listener.local_addr()?.port();
            start_part(part, listener, &cluster, tasks, 0);
        }
        let [fe_port, be_port, _] = ports;
        let _ = cluster.be_port.set(be_port);
        let listener = listen(options.admin_listen, options.admin_port).await?;
        let admin_port = listener.local_addr()?.port();
        let mut others = JoinSet::new();
        let mut followers = Vec::new();
        for frontend in 1..=cluster.options.followers {
            let (fe, sql) = (listen(options.listen, 0).await?, listen(options.listen, 0).await?);
            followers.push(FollowerPorts { fe: fe.local_addr()?.port(), sql: sql.local_addr()?.port() });
            start_part(Part::Fe, fe, &cluster, &mut others, frontend);
            start_part(Part::Sql, sql, &cluster, &mut others, frontend);
        }
        let fe_ports = std::iter::once(fe_port).chain(followers.iter().map(|ports| ports.fe)).collect();
        let _ = cluster.fe_ports.set(fe_ports);
        let servers = Arc::new(Servers { cluster, ports, running: Mutex::new(running) });
        let admin_servers = Arc::clone(&servers);
        others.spawn(accept(listener, move |stream, peer| {
            admin::serve(Arc::clone(&admin_servers), Connection::new(stream, peer))
        }));
        Ok(Self { servers, admin_port, followers, _others: others })
    }

    pub fn fe_port(&self) -> u16 {
        self.servers.port(Part::Fe)
    }

    pub fn be_port(&self) -> u16 {
        self.servers.port(Part::Be)
    }

    pub fn sql_port(&self) -> u16 {
        self.servers.port(Part::Sql)
    }

    pub fn admin_port(&self) -> u16 {
        self.admin_port
    }

    /// The FEs other than the first one.
    pub fn followers(&self) -> &[FollowerPorts] {
        &self.followers
    }

    /// Makes another FE the leader, 0 being the first one; the state in the memory of the old leader is lost.
    pub fn lead(&self, frontend: usize) {
        self.servers.cluster.change_leader(frontend);
    }

    pub fn inject(&self, fault: Fault) {
        self.servers.cluster.faults.add(fault);
    }

    /// Removes all faults; held loads continue.
    pub fn clear_faults(&self) {
        self.servers.cluster.faults.clear();
    }

    pub fn faults(&self) -> Vec<Fault> {
        self.servers.cluster.faults.list()
    }

    pub fn stats(&self) -> Stats {
        self.servers.cluster.stats()
    }

    /// Advances the clock that labels and timeouts use.
    pub fn advance_clock(&self, by: Duration) {
        self.servers.cluster.clock.advance(by);
    }

    /// Changes the settings that the JSON object names.
    pub fn set(&self, changes: &str) -> Result<(), serde_json::Error> {
        self.servers.cluster.change_settings(changes.as_bytes())
    }

    /// Closes a listener and its connections.
    pub async fn down(&self, part: Part) {
        self.servers.down(part).await;
    }

    /// Listens again on the same port, with the data unchanged.
    pub async fn up(&self, part: Part) -> io::Result<()> {
        self.servers.up(part).await
    }

    /// Closes everything.
    pub async fn stop(self) {
        for part in Part::ALL {
            self.servers.down(part).await;
        }
    }

    /// Shorthand for the most dangerous fault: a commit whose answer is lost.
    pub fn lose_next_answer(&self) {
        self.inject(Fault::once(crate::Stage::Answer, Action::Close));
    }
}

impl Servers {
    pub(crate) fn port(&self, part: Part) -> u16 {
        let [fe, be, sql] = self.ports;
        match part {
            Part::Fe => fe,
            Part::Be => be,
            Part::Sql => sql,
        }
    }

    pub(crate) async fn down(&self, part: Part) {
        let mut running = self.running.lock().await;
        tasks_of(&mut running, part).shutdown().await;
        if part == Part::Be {
            self.cluster.is_be_up.store(false, Ordering::Relaxed);
            let now = self.cluster.clock.now();
            locked(&self.cluster.transactions).abort_running("coordinate BE is down", now);
            locked(&self.cluster.open).lose_backend();
        }
        if part == Part::Fe {
            // The FE keeps what is prepared or committed. It forgets running loads, and then finds no label for them.
            self.cluster.lose_leader();
        }
    }

    pub(crate) async fn up(&self, part: Part) -> io::Result<()> {
        let mut running = self.running.lock().await;
        let tasks = tasks_of(&mut running, part);
        if tasks.is_empty() {
            let listener = listen(self.cluster.options.listen, self.port(part)).await?;
            start_part(part, listener, &self.cluster, tasks, 0);
        }
        if part == Part::Be {
            self.cluster.backend_is_up();
        }
        Ok(())
    }
}

fn tasks_of(running: &mut [JoinSet<()>; 3], part: Part) -> &mut JoinSet<()> {
    let [fe, be, sql] = running;
    match part {
        Part::Fe => fe,
        Part::Be => be,
        Part::Sql => sql,
    }
}

async fn listen(address: IpAddr, port: u16) -> io::Result<TcpListener> {
    TcpListener::bind(SocketAddr::new(address, port)).await
}

fn start_part(
    part: Part,
    listener: TcpListener,
    cluster: &Arc<Cluster>,
    tasks: &mut JoinSet<()>,
    frontend: usize,
) {
    let cluster = Arc::clone(cluster);
    match part {
        Part::Fe => tasks.spawn(accept(listener, move |stream, peer| {
            fe::serve(Arc::clone(&cluster), Connection::new(stream, peer), frontend)
        })),
        Part::Be => tasks.spawn(accept(listener, move |stream, peer| {
            be::serve(Arc::clone(&cluster), Connection::new(stream, peer))
        })),
        Part::Sql => tasks.spawn(accept(listener, move |stream, peer| {
            sql::serve(Arc::clone(&cluster), stream, peer.ip().to_string(), frontend)
        })),
    };
}

/// Accepts connections and owns their tasks: they end with it.
async fn accept<F>(listener: TcpListener, mut serve: impl FnMut(TcpStream, SocketAddr) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => {
                    let _ = stream.set_nodelay(true);
                    connections.spawn(serve(stream, peer));
                }
                // The likely cause is a lack of file descriptors; connections that end free some.
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            },
        }
    }
}
