//! The command of an administrator that grants privileges to tokens.

use super::FakePve;
use super::acl::{Acl, is_acl_path};
use super::cluster::Cluster;
use super::privileges::privileges_of_role;
use super::setup::{Rights, RightsPreset};

impl FakePve {
    /// Executes a command such as `pveum acl modify /vms --tokens 'a@pve!cli' --roles PVEVMUser`. Panics if
    /// Proxmox VE would refuse it, or if it would grant the token nothing.
    pub(crate) fn pveum(&self, line: &str) {
        let done = Command::read(line).and_then(|line| self.cluster().grant(&line));
        if let Err(why) = done {
            panic!("'{line}': {why}");
        }
    }
}

struct Command<'a> {
    path: &'a str,
    token: &'a str,
    roles: &'a str,
}

impl<'a> Command<'a> {
    fn read(line: &'a str) -> Result<Self, String> {
        let parts: Vec<&str> = line
            .split_whitespace()
            .map(unquoted)
            .collect::<Result<_, _>>()?;
        let ["pveum", "acl", "modify", path, ref options @ ..] = parts[..] else {
            return Err("only 'pveum acl modify PATH …' is understood".to_owned());
        };
        if !is_acl_path(path) {
            return Err(format!("invalid ACL path '{path}'"));
        }
        let [mut users, mut tokens, mut roles] = [None; 3];
        for option in options.chunks(2) {
            let (place, value) = match *option {
                ["--users", value] => (&mut users, value),
                ["--tokens", value] => (&mut tokens, value),
                ["--roles", value] => (&mut roles, value),
                _ => return Err(format!("{option:?} is not understood")),
            };
            if place.replace(value).is_some() {
                return Err(format!("'{value}' is given twice"));
            }
        }
        let token = tokens.ok_or("no token is named")?;
        check_user(token, users)?;
        let roles = roles.ok_or("no role is named")?;
        Ok(Self { path, token, roles })
    }
}

fn unquoted(word: &str) -> Result<&str, String> {
    let inner = word
        .strip_prefix('\'')
        .and_then(|word| word.strip_suffix('\''));
    let plain = inner.unwrap_or(word);
    if plain.is_empty() || plain.contains(['\'', '"']) {
        return Err(format!("\"{word}\" is not a word of a shell"));
    }
    Ok(plain)
}

/// The users here may do everything, so the privileges of a token are those granted to it.
fn check_user(token: &str, users: Option<&str>) -> Result<(), String> {
    let (user, _) = token.split_once('!').ok_or("a token is USER@REALM!ID")?;
    match users {
        None => Ok(()),
        Some(named) if named == user => Err(format!(
            "'{user}' would lose the roles that it inherits at that path"
        )),
        Some(named) => Err(format!("'{named}' is not the user of '{token}'")),
    }
}

impl Cluster {
    fn grant(&mut self, line: &Command) -> Result<(), String> {
        let mut privileges = Vec::new();
        for role in line.roles.split(',') {
            let of_role = privileges_of_role(role, &self.setup.version);
            privileges.extend(of_role.ok_or_else(|| format!("role '{role}' does not exist"))?);
        }
        self.list_of(line.token)?.list(line.path, privileges);
        Ok(())
    }

    /// `none` is an empty list; other presets cannot be changed.
    fn list_of(&mut self, token: &str) -> Result<&mut Acl, String> {
        let rights = self.setup.tokens.get_mut(token);
        let rights = rights.ok_or_else(|| format!("'{token}' has no list of privileges"))?;
        if let Rights::Preset(RightsPreset::None) = rights {
            *rights = Rights::Listed(Acl::default());
        }
        match rights {
            Rights::Listed(acl) => Ok(acl),
            Rights::Preset(_) => Err(format!("the privileges of '{token}' are a preset")),
        }
    }
}
