//! The commands of an administrator that define roles and grant them to tokens.

use super::FakePve;
use super::acl::{Acl, is_acl_path};
use super::cluster::Cluster;
use super::privileges::{privileges_of, privileges_of_role};
use super::setup::{Rights, RightsPreset};

impl FakePve {
    /// Executes a command such as `pveum acl modify /vms --tokens 'a@pve!cli' --roles PVEVMUser` or
    /// `pveum role add Few --privs 'VM.Audit VM.Clone'`. Panics if Proxmox VE would refuse it, or if it
    /// would grant the token nothing.
    pub(crate) fn pveum(&self, line: &str) {
        let done = words(line).and_then(|words| self.cluster().administer(&words));
        if let Err(why) = done {
            panic!("'{line}': {why}");
        }
    }
}

struct Grant<'a> {
    path: &'a str,
    token: &'a str,
    roles: &'a str,
}

impl<'a> Grant<'a> {
    fn read(path: &'a str, options: &[&'a str]) -> Result<Self, String> {
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

/// The words of a line as a shell splits it.
fn words(line: &str) -> Result<Vec<String>, String> {
    let words = shlex::split(line).ok_or("a shell would not accept it")?;
    if words.iter().any(String::is_empty) {
        return Err("a word is empty".to_owned());
    }
    Ok(words)
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
    fn administer(&mut self, words: &[String]) -> Result<(), String> {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        match words[..] {
            ["pveum", "acl", "modify", path, ref options @ ..] => {
                self.grant(&Grant::read(path, options)?)
            }
            ["pveum", "role", "add", role, "--privs", privileges] => {
                self.add_role(role, privileges)
            }
            _ => Err("only 'pveum acl modify' and 'pveum role add' are understood".to_owned()),
        }
    }

    fn add_role(&mut self, role: &str, privileges: &str) -> Result<(), String> {
        if self.privileges_of(role).is_some() {
            return Err(format!("role '{role}' already exists"));
        }
        let names = privileges.split([' ', ',', ';']);
        let names: Vec<&str> = names.filter(|name| !name.is_empty()).collect();
        let known: Vec<&str> = privileges_of(&self.setup.version).collect();
        if let Some(name) = names.iter().find(|name| !known.contains(name)) {
            return Err(format!("invalid privilege '{name}'"));
        }
        let names = names.into_iter().map(str::to_owned).collect();
        self.setup.roles.insert(role.to_owned(), names);
        Ok(())
    }

    /// `None` if there is no such role.
    fn privileges_of(&self, role: &str) -> Option<Vec<String>> {
        if let Some(privileges) = self.setup.roles.get(role) {
            return Some(privileges.iter().cloned().collect());
        }
        let privileges = privileges_of_role(role, &self.setup.version)?;
        Some(privileges.into_iter().map(str::to_owned).collect())
    }

    fn grant(&mut self, line: &Grant) -> Result<(), String> {
        let mut privileges = Vec::new();
        for role in line.roles.split(',') {
            let of_role = self.privileges_of(role);
            privileges.extend(of_role.ok_or_else(|| format!("role '{role}' does not exist"))?);
        }
        self.list_of(line.token)?
            .list(line.path, privileges.iter().map(String::as_str));
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
