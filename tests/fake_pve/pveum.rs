//! The administrator's command that gives tokens their privileges.

use super::FakePve;
use super::acl::{Acl, is_acl_path};
use super::cluster::Cluster;
use super::privileges::privileges_of_role;
use super::setup::{Rights, RightsWord};

impl FakePve {
    /// Carries out a line such as `pveum acl modify /vms --tokens 'a@pve!cli' --roles
    /// PVEVMUser`. A line that Proxmox would not take, or that would give the token
    /// nothing, panics.
    pub(crate) fn pveum(&self, line: &str) {
        let done = Line::read(line).and_then(|line| self.cluster().give(&line));
        if let Err(why) = done {
            panic!("'{line}': {why}");
        }
    }
}

struct Line<'a> {
    path: &'a str,
    token: &'a str,
    roles: &'a str,
}

impl<'a> Line<'a> {
    fn read(line: &'a str) -> Result<Self, String> {
        let words: Vec<&str> = line
            .split_whitespace()
            .map(unquoted)
            .collect::<Result<_, _>>()?;
        let ["pveum", "acl", "modify", path, ref options @ ..] = words[..] else {
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
                return Err(format!("'{value}' is said twice"));
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
        return Err(format!("\"{word}\" is no word of a shell"));
    }
    Ok(plain)
}

/// The users here may do everything, so their tokens have what is given to them.
fn check_user(token: &str, users: Option<&str>) -> Result<(), String> {
    let (user, _) = token.split_once('!').ok_or("a token is USER@REALM!ID")?;
    match users {
        None => Ok(()),
        Some(named) if named == user => Err(format!(
            "'{user}' loses what he has from above at that path"
        )),
        Some(named) => Err(format!("'{named}' is not the user of '{token}'")),
    }
}

impl Cluster {
    fn give(&mut self, line: &Line) -> Result<(), String> {
        let mut privileges = Vec::new();
        for role in line.roles.split(',') {
            let of_role = privileges_of_role(role, &self.setup.version);
            privileges.extend(of_role.ok_or_else(|| format!("role '{role}' does not exist"))?);
        }
        self.list_of(line.token)?.list(line.path, privileges);
        Ok(())
    }

    /// `none` is an empty list; no other word can be changed.
    fn list_of(&mut self, token: &str) -> Result<&mut Acl, String> {
        let rights = self.setup.tokens.get_mut(token);
        let rights = rights.ok_or_else(|| format!("nobody has listed anything for '{token}'"))?;
        if let Rights::Word(RightsWord::None) = rights {
            *rights = Rights::Listed(Acl::default());
        }
        match rights {
            Rights::Listed(acl) => Ok(acl),
            Rights::Word(_) => Err(format!("what '{token}' may do is said in a word")),
        }
    }
}
