//! The options of a stand-in: ports, version, mode, users.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr},
    str::FromStr,
};

use crate::{Profile, Settings};

/// The options that are fixed when the server starts. Port 0 takes any free port.
#[derive(Debug, Clone)]
pub struct Options {
    /// Address that FE, BE and SQL listen on.
    pub listen: IpAddr,
    /// Address that the admin port listens on.
    pub admin_listen: IpAddr,
    /// Host in the redirects of the FE.
    pub advertise: String,
    pub fe_port: u16,
    pub be_port: u16,
    pub sql_port: u16,
    pub admin_port: u16,
    pub profile: Profile,
    pub mode: Mode,
    /// FEs in addition to the first one; they take any free ports.
    pub followers: usize,
    /// The initial values of the settings that can be changed later.
    pub settings: Settings,
    /// Count rows and drop them: for benchmarks of the sender.
    pub discard: bool,
    /// With `discard`: tables whose names begin like this keep their rows.
    pub keep: Option<String>,
    pub users: Vec<User>,
}

impl Default for Options {
    fn default() -> Self {
        let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
        Self {
            listen: loopback,
            admin_listen: loopback,
            advertise: "127.0.0.1".to_owned(),
            fe_port: 0,
            be_port: 0,
            sql_port: 0,
            admin_port: 0,
            profile: Profile::default(),
            mode: Mode::default(),
            followers: 0,
            settings: Settings::default(),
            discard: false,
            keep: None,
            users: vec![User::new("root", "", Rights::All)],
        }
    }
}

/// Where the data of tables is stored.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Mode {
    /// Shared-nothing: BEs with their own disks.
    #[default]
    Nothing,
    /// Shared-data: compute nodes over an object store.
    Data,
}

impl fmt::Display for Mode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Nothing => "nothing",
            Self::Data => "data",
        })
    }
}

#[derive(Debug, thiserror::Error)]
#[error("{0:?} is no mode: nothing (shared-nothing) or data (shared-data)")]
pub struct UnknownMode(String);

impl FromStr for Mode {
    type Err = UnknownMode;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "nothing" => Ok(Self::Nothing),
            "data" => Ok(Self::Data),
            _ => Err(UnknownMode(text.to_owned())),
        }
    }
}

/// The rights of a user. A user without rights may still log in (§3.1, §12.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rights {
    All,
    None,
}

#[derive(Debug, Clone)]
pub struct User {
    pub name: String,
    pub password: String,
    pub rights: Rights,
}

impl User {
    pub fn new(name: &str, password: &str, rights: Rights) -> Self {
        Self { name: name.to_owned(), password: password.to_owned(), rights }
    }
}

#[derive(Debug, thiserror::Error)]
#[error("a user is written name:password, or name:password:none for one without rights")]
pub struct BadUser;

impl FromStr for User {
    type Err = BadUser;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut parts = text.splitn(3, ':');
        let (name, password) = (parts.next().unwrap_or_default(), parts.next().ok_or(BadUser)?);
        let rights = match parts.next() {
            None | Some("all") => Rights::All,
            Some("none") => Rights::None,
            Some(_) => return Err(BadUser),
        };
        if name.is_empty() { Err(BadUser) } else { Ok(Self::new(name, password, rights)) }
    }
}
