//! Variables of other tools that are set but have no effect.

use super::support::{all_but, at, cluster, fake, lines, with_verdict};
use crate::homelab::{Homelab, StateDir};

#[test]
fn ignored_variables_of_other_tools_are_named_with_their_replacements() {
    let fake = fake(cluster(&all_but(None)));
    let state = StateDir::new();
    let seen = at(&fake, &state)
        .env("PM_API_URL", "https://other.lan:8006/api2/json")
        .env("PROXMOX_USERNAME", "other@pam")
        .env("PROXMOX_TOKEN", "hunter2")
        .env("PROXMOX_PASSWORD", "hunter3")
        .run("proxmox check");
    let line = "warn  environment: set but ignored: PM_API_URL, PROXMOX_PASSWORD, PROXMOX_TOKEN, \
                PROXMOX_USERNAME; use PROXMOX_URL instead of PM_API_URL, use PROXMOX_TOKEN_SECRET instead \
                of PROXMOX_TOKEN, use PROXMOX_USER instead of PROXMOX_USERNAME";
    assert_eq!(with_verdict("warn", &lines(&seen, &fake, &state)), [line]);
    assert_eq!((seen.exit, seen.stderr.as_str()), (Some(0), ""));
}

#[test]
fn ignored_variables_are_named_if_settings_are_missing() {
    let state = StateDir::new();
    let seen = Homelab::alone()
        .in_state(&state)
        .env("PROXMOX_HOTS", "pve.lan")
        .run("proxmox check");
    let line = "warn  environment: set but ignored: PROXMOX_HOTS";
    assert_eq!(seen.stdout.lines().next(), Some(line));
    assert_eq!(seen.exit, Some(2));
}

#[test]
fn an_empty_variable_is_not_set() {
    let fake = fake(cluster(&all_but(None)));
    let state = StateDir::new();
    let seen = at(&fake, &state).env("PM_USER", "").run("proxmox check");
    let warned = with_verdict("warn", &lines(&seen, &fake, &state));
    assert_eq!((warned, seen.exit), (Vec::new(), Some(0)));
}
