//! The account that a server runs as. PostgreSQL refuses root, so root's servers use an unprivileged account.

use std::{fs, os::unix::fs::chown, path::Path, process::Command};

use anyhow::{Context, Result};

use crate::packages::is_root;

#[derive(Debug, Clone, Copy)]
pub(super) struct Account {
    uid: u32,
    gid: u32,
}

impl Account {
    /// `None` when the current user is not root: the server then runs as the current user.
    pub(super) fn for_server() -> Result<Option<Self>> {
        if !is_root() {
            return Ok(None);
        }
        let accounts = fs::read_to_string("/etc/passwd").context("cannot read /etc/passwd")?;
        let found = ["postgres", "nobody"].iter().find_map(|name| Self::named(&accounts, name));
        found
            .map(Some)
            .context("neither postgres nor nobody is in /etc/passwd: PostgreSQL needs one of them, not root")
    }

    fn named(accounts: &str, name: &str) -> Option<Self> {
        let mut fields = accounts
            .lines()
            .map(|line| line.split(':'))
            .find_map(|mut fields| (fields.next() == Some(name)).then_some(fields))?;
        let uid = fields.nth(1)?.parse().ok()?;
        Some(Self { uid, gid: fields.next()?.parse().ok()? })
    }

    pub(super) fn own(self, file: &Path) -> Result<()> {
        chown(file, Some(self.uid), Some(self.gid))
            .with_context(|| format!("cannot give away {}", file.display()))
    }

    /// Wraps `command` so that its program runs as this account.
    pub(super) fn take_on(self, command: &mut Command) {
        let Self { uid, gid } = self;
        command
            .arg("setpriv")
            .args([format!("--reuid={uid}"), format!("--regid={gid}")])
            .args(["--clear-groups", "--"]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_found_by_its_whole_name() {
        let accounts = "postgresql:x:7:8::/:\npostgres:x:101:104:PostgreSQL administrator,,,:/var/lib/postgresql:/bin/bash\n";
        let account = Account::named(accounts, "postgres").unwrap();
        assert_eq!((account.uid, account.gid), (101, 104));
        assert!(Account::named(accounts, "nobody").is_none());
    }
}
