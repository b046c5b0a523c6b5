//! The stages before the body: checks, then the transaction (§3.2).

use std::time::Instant;

use super::{
    super::{
        answer::LoadStatus,
        headers::{BeginHeaders, Format},
    },
    Load, Stop,
};
use crate::{
    fault::Stage,
    grants::{Object, Privilege},
    locked,
    transaction::BeginError,
};

impl Load<'_> {
    /// Makes the checks that precede a transaction, then begins the transaction.
    pub(in crate::be) async fn begin(&mut self) -> Result<Format, Stop> {
        if self.request.credentials().is_err() {
            return Err(Stop::fail("no valid Basic authorization"));
        }
        let headers = BeginHeaders::read(self.request).map_err(Stop::fail)?;
        self.label = headers.label.clone().unwrap_or_else(|| self.make_label());
        self.strike(Stage::Begin).await?;
        let started = Instant::now();
        let table = self.check_rights().map_err(Stop::fail)?;
        let timeout =
            u32::try_from(headers.timeout_seconds).ok().filter(|seconds| (1..=259_200).contains(seconds));
        let timeout = timeout.ok_or_else(|| {
            Stop::fail(format!(
                "Invalid timeout: '{}'. Expected values should be between 1 and 259200 seconds",
                headers.timeout_seconds
            ))
        })?;
        check_label(&self.label).map_err(Stop::fail)?;
        self.transaction = Some(self.begin_transaction(table, timeout)?);
        self.times.begin = started.elapsed();
        Ok(headers.format)
    }

    fn make_label(&self) -> String {
        let number = locked(&self.cluster.transactions).next_id();
        format!("{number:08x}-{:012x}", self.cluster.clock.now())
    }

    /// Checks user, database, table and privilege, in this order (recording). Returns the table's id.
    pub(in crate::be) fn check_rights(&self) -> Result<u64, String> {
        let credentials =
            self.request.credentials().map_err(|_| "no valid Basic authorization".to_owned())?;
        let user = self.cluster.user(&credentials.user).filter(|user| user.password == credentials.password);
        let user = user.ok_or_else(|| {
            let using = if credentials.password.is_empty() { "NO" } else { "YES" };
            format!("Access denied for user '{}' (using password: {using})", credentials.user)
        })?;
        let catalog = locked(&self.cluster.catalog);
        let database = catalog.databases.get(self.database);
        let database = database.ok_or_else(|| format!("unknown database, database={}", self.database))?;
        let table = database.tables.get(self.table);
        let table = table.ok_or_else(|| format!("unknown table \"{}.{}\"", self.database, self.table))?;
        let object = Object::Table(self.database.to_owned(), self.table.to_owned());
        if self.cluster.may(&user, Some(Privilege::Insert), &object) {
            return Ok(table.id);
        }
        Err("Access denied; you need (at least one of) the INSERT privilege(s) for this operation".to_owned())
    }

    fn begin_transaction(&self, table: u64, timeout: u32) -> Result<u64, Stop> {
        let now = self.cluster.clock.now();
        let begun = locked(&self.cluster.transactions).begin(self.database, &self.label, table, timeout, now);
        let id = begun.map_err(|error| match error {
            BeginError::LabelExists { is_finished } => self.label_exists(is_finished),
            BeginError::TooManyRunning { running } => Stop::fail(self.too_many_running(running)),
        })?;
        locked(&self.cluster.stats).begun += 1;
        Ok(id)
    }

    pub(super) fn label_exists(&self, is_finished: bool) -> Stop {
        Stop::Answered {
            status: LoadStatus::LabelAlreadyExists,
            message: format!("Label [{}] has already been used.", self.label),
            existing: Some(if is_finished { "FINISHED" } else { "RUNNING" }),
        }
    }

    pub(super) fn too_many_running(&self, running: usize) -> String {
        let id = locked(&self.cluster.catalog).databases.get(self.database).map_or(0, |database| database.id);
        format!("current running txns on db {id} is {running}, larger than limit 1000")
    }
}

fn check_label(label: &str) -> Result<(), String> {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    if (1..=128).contains(&label.len()) && label.bytes().all(is_word) {
        return Ok(());
    }
    Err(format!(
        "Getting analyzing error. Detail message: Label format error. regex: ^[-\\w]{{1,128}}$, label: {label}."
    ))
}
