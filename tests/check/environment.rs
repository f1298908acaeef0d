//! Variables of other tools that are set and have no effect.

use super::ground::{all_but, at, cluster, fake, lines, that_are};
use crate::homelab::{Homelab, StateDir};

#[test]
fn variables_of_other_tools_are_named_and_those_that_take_their_values() {
    let fake = fake(cluster(&all_but(None)));
    let state = StateDir::new();
    let seen = at(&fake, &state)
        .env("PM_API_URL", "https://other.lan:8006/api2/json")
        .env("PROXMOX_USERNAME", "other@pam")
        .env("PROXMOX_TOKEN", "hunter2")
        .env("PROXMOX_PASSWORD", "hunter3")
        .run("proxmox check");
    let line = "warn  environment: set, and ignored: PM_API_URL, PROXMOX_PASSWORD, PROXMOX_TOKEN, \
                PROXMOX_USERNAME; instead of PM_API_URL: PROXMOX_URL, instead of PROXMOX_TOKEN: \
                PROXMOX_TOKEN_SECRET, instead of PROXMOX_USERNAME: PROXMOX_USER";
    assert_eq!(that_are("warn", &lines(&seen, &fake, &state)), [line]);
    assert_eq!((seen.exit, seen.stderr.as_str()), (Some(0), ""));
}

#[test]
fn ignored_variables_are_named_where_settings_are_missing() {
    let state = StateDir::new();
    let seen = Homelab::alone()
        .in_state(&state)
        .env("PROXMOX_HOTS", "pve.lan")
        .run("proxmox check");
    let line = "warn  environment: set, and ignored: PROXMOX_HOTS";
    assert_eq!(seen.stdout.lines().next(), Some(line));
    assert_eq!(seen.exit, Some(2));
}

#[test]
fn an_empty_variable_is_not_set() {
    let fake = fake(cluster(&all_but(None)));
    let state = StateDir::new();
    let seen = at(&fake, &state).env("PM_USER", "").run("proxmox check");
    let warned = that_are("warn", &lines(&seen, &fake, &state));
    assert_eq!((warned, seen.exit), (Vec::new(), Some(0)));
}
