//! How a stand-in is set up: ports, version, users, mode.

use std::{net::IpAddr, net::Ipv4Addr, str::FromStr};

use crate::Profile;

/// Everything that is fixed when the server starts. Port 0 takes any free port.
#[derive(Debug, Clone)]
pub struct Options {
    /// Address that FE, BE and SQL listen on.
    pub listen: IpAddr,
    /// Address that the admin port listens on.
    pub admin_listen: IpAddr,
    /// Host that the FE writes into its redirects.
    pub advertise: String,
    pub fe_port: u16,
    pub be_port: u16,
    pub sql_port: u16,
    pub admin_port: u16,
    pub profile: Profile,
    /// Count rows and forget them: for benchmarks of the sender.
    pub discard: bool,
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
            discard: false,
            users: vec![User::new("root", "", Rights::All)],
        }
    }
}

/// What a user may do. A user without rights may still log in (§3.1, §12.1).
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
