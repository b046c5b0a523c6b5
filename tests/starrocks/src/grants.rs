//! Users and their privileges (§12.2).

use crate::{Rights, User};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Privilege {
    CreateDatabase,
    CreateTable,
    Select,
    Insert,
    Update,
    Delete,
    Alter,
    Drop,
    Operate,
    Node,
}

impl Privilege {
    pub(crate) const ALL: [Self; 10] = [
        Self::CreateDatabase,
        Self::CreateTable,
        Self::Select,
        Self::Insert,
        Self::Update,
        Self::Delete,
        Self::Alter,
        Self::Drop,
        Self::Operate,
        Self::Node,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::CreateDatabase => "CREATE DATABASE",
            Self::CreateTable => "CREATE TABLE",
            Self::Select => "SELECT",
            Self::Insert => "INSERT",
            Self::Update => "UPDATE",
            Self::Delete => "DELETE",
            Self::Alter => "ALTER",
            Self::Drop => "DROP",
            Self::Operate => "OPERATE",
            Self::Node => "NODE",
        }
    }

    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|privilege| privilege.name().eq_ignore_ascii_case(name))
    }
}

/// The object that a privilege is granted on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Object {
    System,
    Catalog,
    AllDatabases,
    Database(String),
    AllTables,
    TablesOf(String),
    Table(String, String),
}

impl Object {
    /// Whether a grant on this object also holds for `other`.
    fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::AllDatabases, Self::Database(_)) | (Self::AllTables, Self::Table(..)) => true,
            (Self::TablesOf(database), Self::Table(of, _)) => database == of,
            _ => self == other,
        }
    }

    /// Whether this is the database, or an object in it.
    fn is_within(&self, database: &str) -> bool {
        match self {
            Self::System | Self::Catalog => false,
            Self::AllDatabases | Self::AllTables => true,
            Self::Database(name) | Self::TablesOf(name) | Self::Table(name, _) => name == database,
        }
    }

    /// The object as error messages name it.
    pub(crate) fn print(&self) -> String {
        match self {
            Self::System => "SYSTEM".to_owned(),
            Self::Catalog => "CATALOG default_catalog".to_owned(),
            Self::AllDatabases => "ALL DATABASES".to_owned(),
            Self::Database(name) => format!("DATABASE {name}"),
            Self::AllTables => "ALL TABLES".to_owned(),
            Self::TablesOf(database) => format!("ALL TABLES IN DATABASE {database}"),
            Self::Table(_, name) => format!("TABLE {name}"),
        }
    }
}

#[derive(Debug)]
pub(crate) struct Grants {
    users: Vec<User>,
    granted: Vec<(String, Privilege, Object)>,
}

impl Grants {
    pub(crate) fn new(users: Vec<User>) -> Self {
        Self { users, granted: Vec::new() }
    }

    pub(crate) fn user(&self, name: &str) -> Option<&User> {
        self.users.iter().find(|user| user.name == name)
    }

    /// Returns false when the user exists already.
    pub(crate) fn create_user(&mut self, name: &str, password: &str) -> bool {
        let is_new = self.user(name).is_none();
        if is_new {
            self.users.push(User::new(name, password, Rights::None));
        }
        is_new
    }

    pub(crate) fn drop_user(&mut self, name: &str) -> bool {
        let before = self.users.len();
        self.users.retain(|user| user.name != name);
        self.granted.retain(|(user, _, _)| user != name);
        self.users.len() < before
    }

    pub(crate) fn grant(&mut self, user: &str, privilege: Privilege, object: &Object) {
        self.granted.push((user.to_owned(), privilege, object.clone()));
    }

    pub(crate) fn revoke(&mut self, user: &str, privilege: Privilege, object: &Object) {
        self.granted.retain(|(other, granted, on)| other != user || *granted != privilege || on != object);
    }

    /// Whether a user has this privilege on the object, or any privilege when none is named.
    pub(crate) fn may(&self, user: &User, wanted: Option<Privilege>, object: &Object) -> bool {
        let mut own = self.granted.iter().filter(|(name, _, _)| *name == user.name);
        user.rights == Rights::All
            || own.any(|(_, privilege, on)| {
                wanted.is_none_or(|wanted| wanted == *privilege) && on.covers(object)
            })
    }

    /// Whether a user has any privilege in a database.
    pub(crate) fn may_enter(&self, user: &User, database: &str) -> bool {
        let mut own = self.granted.iter().filter(|(name, _, _)| *name == user.name);
        user.rights == Rights::All || own.any(|(_, _, on)| on.is_within(database))
    }
}
