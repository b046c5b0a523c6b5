//! One SQL connection, from the greeting to its end.

use std::{
    collections::BTreeMap,
    io,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use tokio::{net::TcpStream, sync::Notify};

use super::{
    SqlError,
    execute::{Outcome, execute},
    variables,
    wire::{self, Reader, Wire},
};
use crate::{
    User,
    cluster::{Cluster, Connected},
    fault::{Action, Stage},
    value::Value,
};

static CONNECTIONS: AtomicU32 = AtomicU32::new(1);

/// The state of a session.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) user: User,
    pub(super) client: String,
    pub(super) connection: u32,
    /// The index of the FE that serves this session.
    pub(super) frontend: usize,
    pub(super) database: Option<String>,
    pub(super) variables: BTreeMap<String, Value>,
}

impl Session {
    pub(super) fn has_ansi_quotes(&self) -> bool {
        let mode = self.variables.get("sql_mode").and_then(|mode| mode.print(true)).unwrap_or_default();
        String::from_utf8_lossy(&mode).to_uppercase().split(',').any(|part| part.trim().starts_with("ANSI"))
    }

    /// Makes a database the current one.
    pub(super) fn enter(&mut self, name: &str, cluster: &Cluster) -> Result<(), SqlError> {
        let name = name.strip_prefix("default_catalog.").unwrap_or(name);
        let exists =
            name == "information_schema" || cluster.catalog_of(self.frontend).databases.contains_key(name);
        if !exists {
            return Err(SqlError::unknown_database(name, cluster.profile()));
        }
        if name != "information_schema" && !cluster.may_enter(&self.user, name) {
            return Err(SqlError::denied("any", &format!("DATABASE {name}"), cluster.profile()));
        }
        self.database = Some(name.to_owned());
        Ok(())
    }
}

pub(crate) async fn serve(cluster: Arc<Cluster>, stream: TcpStream, client: String, frontend: usize) {
    // An error here means only that the client has disconnected, which is no error of the server.
    let _ = converse(&cluster, stream, client, frontend).await;
}

async fn converse(
    cluster: &Arc<Cluster>,
    stream: TcpStream,
    client: String,
    frontend: usize,
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut wire = Wire::new(stream);
    let Some(session) = log_in(cluster, &mut wire, client, frontend).await? else { return Ok(()) };
    let (id, kill) = (session.connection, Arc::new(Notify::new()));
    cluster.connect(Connected {
        id,
        user: session.user.name.clone(),
        client: session.client.clone(),
        since_millis: cluster.clock.now(),
        statement: None,
        kill: Arc::clone(&kill),
    });
    let _listed = Listed { cluster, id };
    tokio::select! {
        ended = obey(cluster, &mut wire, session) => ended,
        () = kill.notified() => Ok(()),
    }
}

/// Removes the connection from the list when dropped, however the connection ends.
struct Listed<'c> {
    cluster: &'c Cluster,
    id: u32,
}

impl Drop for Listed<'_> {
    fn drop(&mut self) {
        self.cluster.disconnect(self.id);
    }
}

async fn obey(cluster: &Arc<Cluster>, wire: &mut Wire, mut session: Session) -> io::Result<()> {
    loop {
        let command = wire.command().await?;
        let Some((code, content)) = command.split_first() else { return Ok(()) };
        let text = String::from_utf8_lossy(content).into_owned();
        match code {
            0x01 => return Ok(()),
            0x02 => match session.enter(&text, cluster) {
                Ok(()) => wire.ok().await?,
                Err(error) => wire.error(&error).await?,
            },
            0x03 => {
                cluster.busy_with(session.connection, Some(&text));
                let ended = query(cluster, wire, &mut session, text).await;
                cluster.busy_with(session.connection, None);
                ended?;
            }
            0x0e | 0x1a => wire.ok().await?,
            0x1f => {
                session.variables = variables::defaults(cluster.profile());
                session.database = None;
                wire.ok().await?;
            }
            0x16 => wire.error(&SqlError::not_prepared()).await?,
            0x19 => {}
            _ => wire.error(&SqlError::unknown_command()).await?,
        }
    }
}

async fn log_in(
    cluster: &Arc<Cluster>,
    wire: &mut Wire,
    client: String,
    frontend: usize,
) -> io::Result<Option<Session>> {
    let connection = CONNECTIONS.fetch_add(1, Ordering::Relaxed);
    let salt = salt(connection);
    wire.greet(cluster.profile().greeting_version(), connection, &salt).await?;
    let message = wire.read().await?;
    let Some(Login { user, mut answer, database, plugin }) = Login::read(&message) else { return Ok(None) };
    if plugin.is_some_and(|plugin| plugin != wire::PLUGIN) {
        answer = wire.switch_plugin(&salt).await?;
    }
    let known = cluster.user(&user).filter(|known| wire::scramble(&known.password, &salt) == answer);
    let Some(known) = known else {
        wire.error(&SqlError::wrong_password(&user, &client, !answer.is_empty())).await?;
        return Ok(None);
    };
    let variables = variables::defaults(cluster.profile());
    let mut session = Session { user: known, client, connection, frontend, database: None, variables };
    if let Some(database) = database.filter(|database| !database.is_empty())
        && let Err(error) = session.enter(&database, cluster)
    {
        // A database that the user may not use closes the socket without an answer (§12.1).
        if error == SqlError::unknown_database(&database, cluster.profile()) {
            wire.error(&error).await?;
        }
        return Ok(None);
    }
    wire.ok().await?;
    Ok(Some(session))
}

/// Twenty letters. This server protects no secrets, so salts only have to differ.
fn salt(connection: u32) -> [u8; 20] {
    let mut state = u64::from(connection).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    std::array::from_fn(|_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let [.., top] = state.to_le_bytes();
        b'a' + top % 26
    })
}

struct Login {
    user: String,
    answer: Vec<u8>,
    database: Option<String>,
    plugin: Option<String>,
}

impl Login {
    fn read(message: &[u8]) -> Option<Self> {
        let mut reader = Reader(message);
        let capabilities = reader.u32()?;
        reader.bytes(28)?;
        let user = reader.text()?;
        let answer = reader.counted()?.to_vec();
        let has_database = capabilities & wire::CONNECT_WITH_DB != 0;
        let database = if has_database { reader.text() } else { None };
        let has_plugin = capabilities & wire::PLUGIN_AUTH != 0;
        let plugin = if has_plugin { reader.text() } else { None };
        Some(Self { user, answer, database, plugin })
    }
}

/// A query may read many rows, so it runs on a thread that may block.
async fn query(
    cluster: &Arc<Cluster>,
    wire: &mut Wire,
    session: &mut Session,
    text: String,
) -> io::Result<()> {
    let database = format!("{}.", session.database.as_deref().unwrap_or_default());
    match cluster.meet(Stage::Statement, &database, &text).await {
        None => {}
        Some(Action::Fail { message }) => return wire.error(&SqlError::plain(message)).await,
        Some(_) => return Err(io::Error::other("a fault ends the connection")),
    }
    let (work_cluster, statement) = (Arc::clone(cluster), text.clone());
    let placeholder = Session {
        user: session.user.clone(),
        client: String::new(),
        connection: session.connection,
        frontend: session.frontend,
        database: None,
        variables: BTreeMap::new(),
    };
    let mut own = std::mem::replace(session, placeholder);
    let work = tokio::task::spawn_blocking(move || {
        let outcome = execute(&work_cluster, &mut own, &statement);
        (own, outcome)
    });
    let (own, outcome) = work.await.map_err(io::Error::other)?;
    *session = own;
    if cluster.meet(Stage::Result, &database, &text).await.is_some() {
        return Err(io::Error::other("a fault ends the connection"));
    }
    match outcome {
        Ok(Outcome::Done) => wire.ok().await,
        Ok(Outcome::Changed(rows)) => wire.changed(rows).await,
        Ok(Outcome::Rows(rows)) => wire.rows(&rows, cluster.profile().prints_microseconds()).await,
        Err(error) => wire.error(&error).await,
    }
}
