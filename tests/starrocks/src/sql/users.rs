//! Users and grants: the grammar of their statements, and their execution.

use super::{
    SqlError, Token,
    parser::Parser,
    statement::{Grant, Statement},
};
use crate::{
    cluster::Cluster,
    grants::{Object, Privilege},
    locked,
};

impl Parser {
    /// `GRANT a, b ON object TO [USER] u` and `REVOKE … FROM [USER] u`.
    pub(super) fn grant(&mut self) -> Result<Statement, SqlError> {
        let is_revoke = self.take_word("REVOKE");
        if !is_revoke {
            self.word("GRANT")?;
        }
        let privileges = self.list(Self::privilege)?.concat();
        self.word("ON")?;
        let object = self.object()?;
        self.word(if is_revoke { "FROM" } else { "TO" })?;
        self.take_word("USER");
        Ok(Statement::Grant(Grant { is_revoke, privileges, object, user: self.user_name()? }))
    }

    fn privilege(&mut self) -> Result<Vec<Privilege>, SqlError> {
        if self.take_word("ALL") {
            self.take_word("PRIVILEGES");
            return Ok(Privilege::ALL.to_vec());
        }
        let mut words = vec![self.name()?];
        while !self.comes("ON") && self.peek() != Some(&Token::Symbol(',')) {
            words.push(self.name()?);
        }
        let privilege = Privilege::named(&words.join(" "));
        privilege.map(|privilege| vec![privilege]).ok_or_else(|| self.unexpected())
    }

    fn object(&mut self) -> Result<Object, SqlError> {
        if self.take_words(&["ALL", "TABLES", "IN", "ALL", "DATABASES"]) {
            return Ok(Object::AllTables);
        }
        if self.take_words(&["ALL", "TABLES", "IN", "DATABASE"]) {
            return self.name().map(Object::TablesOf);
        }
        if self.take_words(&["ALL", "DATABASES"]) {
            return Ok(Object::AllDatabases);
        }
        if self.take_word("DATABASE") {
            return self.name().map(Object::Database);
        }
        if self.take_word("CATALOG") {
            return self.name().map(|_| Object::Catalog);
        }
        if self.take_word("SYSTEM") {
            return Ok(Object::System);
        }
        self.word("TABLE")?;
        let table = self.table_name()?;
        let database = table.database.ok_or_else(SqlError::no_database_selected)?;
        Ok(Object::Table(database, table.table))
    }

    /// `u`, `'u'` or `'u'@'%'`.
    pub(super) fn user_name(&mut self) -> Result<String, SqlError> {
        let name = if matches!(self.peek(), Some(Token::Text(_))) { self.text()? } else { self.name()? };
        if let Some(Token::Variable(host)) = self.peek().cloned() {
            self.next();
            if host == "@" {
                self.text()?;
            }
        }
        Ok(name)
    }

    pub(super) fn create_user(&mut self) -> Result<Statement, SqlError> {
        let if_not_exists = self.take_words(&["IF", "NOT", "EXISTS"]);
        let name = self.user_name()?;
        let has_password = self.take_words(&["IDENTIFIED", "BY"]);
        let password = if has_password { self.text()? } else { String::new() };
        Ok(Statement::CreateUser { name, password, if_not_exists })
    }
}

pub(super) fn grant(cluster: &Cluster, grant: &Grant) -> Result<(), SqlError> {
    let Grant { is_revoke, privileges, object, user } = grant;
    let mut grants = locked(&cluster.grants);
    if grants.user(user).is_none() {
        return Err(SqlError::analyzing(&format!("cannot find user '{user}'@'%'")));
    }
    for privilege in privileges {
        if *is_revoke {
            grants.revoke(user, *privilege, object);
        } else {
            grants.grant(user, *privilege, object);
        }
    }
    Ok(())
}

pub(super) fn create(
    cluster: &Cluster,
    name: &str,
    password: &str,
    if_not_exists: bool,
) -> Result<(), SqlError> {
    if locked(&cluster.grants).create_user(name, password) || if_not_exists {
        return Ok(());
    }
    Err(SqlError::analyzing(&format!("Operation CREATE USER failed for '{name}'@'%' : user already exists")))
}

pub(super) fn remove(cluster: &Cluster, name: &str, if_exists: bool) -> Result<(), SqlError> {
    if locked(&cluster.grants).drop_user(name) || if_exists {
        return Ok(());
    }
    Err(SqlError::analyzing(&format!("Operation DROP USER failed for '{name}'@'%' : user not exists")))
}
