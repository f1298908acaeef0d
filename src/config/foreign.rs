//! Environment variables that look like connection settings but have no effect.

use std::ffi::OsString;

use super::layer::{FOREIGN_NAMES, OWN_NAMES};

/// The prefixes of connection settings of this program and of other tools.
const PREFIXES: [&str; 3] = ["PROXMOX_", "PM_", "PVE_"];

/// Variables of other tools that this program ignores, and the variables to use instead.
const REPLACEMENTS: [(&str, &str); 10] = [
    ("PM_API_TOKEN_ID", "PROXMOX_TOKEN_ID"),
    ("PM_API_TOKEN_SECRET", "PROXMOX_TOKEN_SECRET"),
    ("PM_API_URL", "PROXMOX_URL"),
    ("PM_TLS_INSECURE", "PROXMOX_VE_INSECURE"),
    ("PROXMOX_API_URL", "PROXMOX_URL"),
    ("PROXMOX_TOKEN", "PROXMOX_TOKEN_SECRET"),
    ("PROXMOX_TOKEN_NAME", "PROXMOX_TOKEN_KEY"),
    ("PROXMOX_TOKEN_VALUE", "PROXMOX_TOKEN_SECRET"),
    ("PROXMOX_USERNAME", "PROXMOX_USER"),
    ("PROXMOX_VE_USERNAME", "PROXMOX_USER"),
];

/// An environment variable that has no effect.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Ignored {
    /// Its name.
    pub name: String,
    /// The variable to use instead, if there is one.
    pub replacement: Option<&'static str>,
}

/// The variables among `names` that look like settings but have no effect, sorted by name.
pub fn ignored(names: impl IntoIterator<Item = String>) -> Vec<Ignored> {
    let is_setting = |name: &String| PREFIXES.iter().any(|prefix| name.starts_with(prefix));
    let names = names.into_iter();
    let mut names: Vec<String> = names
        .filter(|name| is_setting(name) && !is_understood(name))
        .collect();
    names.sort();
    let with_meaning = |name: String| {
        let replacement = REPLACEMENTS.iter().find(|(known, _)| *known == name);
        let replacement = replacement.map(|(_, replacement)| *replacement);
        Ignored { name, replacement }
    };
    names.into_iter().map(with_meaning).collect()
}

/// For each known variable of another tool that is set without effect, what to use instead.
pub(super) fn replacements(environment: &dyn Fn(&str) -> Option<OsString>) -> Vec<String> {
    let set = REPLACEMENTS
        .iter()
        .filter(|(name, _)| environment(name).is_some());
    set.map(|(name, replacement)| format!("{name} is ignored: use {replacement}"))
        .collect()
}

fn is_understood(name: &str) -> bool {
    let mut understood = OWN_NAMES.iter().chain(&FOREIGN_NAMES);
    understood.any(|(known, _)| *known == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_unknown_variables_that_look_like_settings_are_listed_as_ignored() {
        let names = [
            "PATH",
            "PROXMOX_USERNAME",
            "PROXMOX_HOST",
            "PROXMOX_VE_ENDPOINT",
            "PM_API_URL",
            "PVE_TOKEN_NAME",
            "PROXMOX_HOTS",
            "HOMELAB_STATE_DIR",
            "MY_PROXMOX_HOST",
        ];
        let seen = ignored(names.map(str::to_owned));
        let seen: Vec<_> = seen
            .iter()
            .map(|it| (it.name.as_str(), it.replacement))
            .collect();
        let expected = [
            ("PM_API_URL", Some("PROXMOX_URL")),
            ("PROXMOX_HOTS", None),
            ("PROXMOX_USERNAME", Some("PROXMOX_USER")),
            ("PVE_TOKEN_NAME", None),
        ];
        assert_eq!(seen, expected);
    }

    #[test]
    fn replacements_are_understood_and_ignored_variables_are_not() {
        for (name, replacement) in REPLACEMENTS {
            assert_eq!(
                (is_understood(name), is_understood(replacement)),
                (false, true),
                "{name}"
            );
        }
    }
}
