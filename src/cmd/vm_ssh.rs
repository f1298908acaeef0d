//! `vm ssh`

use std::io::{self, IsTerminal};
use std::net::IpAddr;
use std::os::unix::process::CommandExt;
use std::process::Command;

use super::lookup::{find_vm, read_config};
use super::{Session, Success};
use crate::cli::VmSsh;
use crate::config::secret_variables;
use crate::guests::addresses::{AgentAnswer, ask_agent, hint_for_agent, listed};
use crate::pve::types::Guest;
use crate::pve::{Addresses, VmConfig};
use crate::say::failure::{Facts, Failure, Kind};
use crate::settings::ip_from::{IpFrom, expected};
use crate::settings::setup::no_agent;
use crate::ui::progress::say;

/// Replaces this program by ssh, connected to the VM. Returns only if that fails.
pub fn run(session: &Session, arguments: &VmSsh) -> Result<Success, Failure> {
    let access = session.configuration()?.access;
    let pve = session.connect(&access, None)?;
    let server = session.server_for_one_try(&pve);
    let guest = find_vm(server, &arguments.vm, arguments.ignore_offline)?;
    let config = read_config(&pve, &guest, &arguments.vm)?;
    let answer = ask_agent(&pve, &guest.node, guest.vmid, &config, &arguments.ip_from);
    let answer = answer.map_err(|error| Failure::of_request(&error))?;
    let ip = match answer {
        AgentAnswer::Addresses(Addresses { ip: Some(ip), .. }) => ip,
        answer => return Err(no_address(&guest, &config, answer, &arguments.ip_from)),
    };
    let user = arguments.user.as_deref().or(config.option("ciuser"));
    // A person wants to know what the program is waiting for; a script gets only ssh's output.
    if io::stderr().is_terminal() {
        say(&format!("Connecting to {guest} at {ip}..."));
    }
    Err(cannot_start(&ssh(arguments, user, ip).exec(), ip))
}

/// The command. After `--`, ssh takes nothing as an option, neither the address nor a word of the command.
fn ssh(arguments: &VmSsh, user: Option<&str>, ip: IpAddr) -> Command {
    let mut ssh = Command::new("ssh");
    if let Some(user) = user {
        ssh.args(["-l", user]);
    }
    if let Some(identity) = &arguments.identity {
        ssh.arg("-i").arg(identity);
    }
    ssh.args(["--", &ip.to_string()]).args(&arguments.command);
    // Neither ssh nor a program that it starts needs the token's secret.
    for name in secret_variables() {
        ssh.env_remove(name);
    }
    ssh
}

fn cannot_start(error: &io::Error, ip: IpAddr) -> Failure {
    let (message, hint) = if error.kind() == io::ErrorKind::NotFound {
        (
            "there is no program 'ssh' in PATH".to_owned(),
            format!("install it; on Debian: apt-get install openssh-client; the address is {ip}"),
        )
    } else {
        (
            format!("cannot run ssh: {error}"),
            format!("the address is {ip}"),
        )
    };
    Failure::new(Kind::Failed, message).with_hint(hint)
}

/// Why there is no address to connect to, and what to do about it.
fn no_address(guest: &Guest, config: &VmConfig, answer: AgentAnswer, from: &[IpFrom]) -> Failure {
    let cards = config.cards();
    let (why, hint) = match answer {
        AgentAnswer::Addresses(Addresses { ips, .. }) => {
            let expected = expected(from, &cards);
            match ips.first() {
                None => (
                    format!("has no address that other machines can reach; expected {expected}"),
                    "check the VM's bridge and the DHCP server on it; a VM that was just started may need \
                     more time"
                        .to_owned(),
                ),
                Some(first) => (
                    format!("has {}; expected {expected}", listed(&ips)),
                    format!("--ip-from {} accepts that address", first.ip),
                ),
            }
        }
        AgentAnswer::Disabled => {
            let known = cards.first().and_then(|card| card.static_address(None));
            let connect = known.map_or_else(String::new, |ip| {
                format!("; to connect to the configured address: ssh {ip}")
            });
            (
                no_agent(known),
                format!(
                    "on the VM's node, as root: qm set {} --agent 1; then stop and start the VM{connect}",
                    guest.vmid
                ),
            )
        }
        AgentAnswer::Refused(error) => (
            format!("has an unknown address: guest agent error: {}", error.message),
            hint_for_agent(&error).to_owned(),
        ),
        AgentAnswer::Unavailable(message) if message.ends_with(" is not running") && message.starts_with("VM ") => (
            "is not running".to_owned(),
            format!("'homelab proxmox vm start {}' starts it", guest.vmid),
        ),
        AgentAnswer::Unavailable(message) => (
            format!("has an unknown address: {message}"),
            "qemu-guest-agent must be installed and running in the guest; a VM that was just started may need \
             more time"
                .to_owned(),
        ),
    };
    let message = format!("{guest} {why}");
    let facts = Facts {
        vmid: Some(guest.vmid),
        node: Some(guest.node.clone()),
        ..Facts::default()
    };
    Failure::new(Kind::Failed, message)
        .with_hint(hint)
        .about(facts)
}
