//! `vm ssh`: the arguments and the environment that ssh gets, its exit code, and why there is no address.
//! `ssh` is a script here, which prints its arguments.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use rstest::rstest;
use serde_json::json;

use crate::fake_pve::{FakePve, Setup};
use crate::homelab::{Homelab, Seen};

/// Prints its arguments, each in brackets, and its secrets.
const SSH: &str = "#!/bin/sh
printf '[%s]' \"$@\"
printf ' secret=%s\\n' \"$PROXMOX_TOKEN_SECRET$PROXMOX_VE_API_TOKEN\"
echo 'from ssh' >&2
exit 7
";

fn fake() -> FakePve {
    let setup = json!({
        "guests": [
            {"vmid": 101, "name": "web-1", "status": "running", "config": {"ciuser": "admin"}},
            {"vmid": 102, "name": "plain", "status": "running"},
            {"vmid": 103, "name": "off"},
            {"vmid": 104, "name": "mute", "status": "running", "config": {
                "agent": null, "ide2": "data:cloudinit,media=cdrom", "ipconfig0": "ip=10.0.0.9/24"}},
            {"vmid": 105, "name": "booting", "status": "running"},
            {"vmid": 106, "name": "inside", "status": "running"},
            {"vmid": 107, "name": "lonely", "status": "running"},
            {"vmid": 108, "name": "refuses", "status": "running"},
            {"vmid": 109, "name": "option", "status": "running", "config": {"ciuser": "-oProxyCommand=x"}},
        ],
        "agents": {
            "105": {"polls": 1000},
            "106": {"interfaces": [{"name": "docker0", "hardware-address": "02:42:00:00:00:01",
                "ip-addresses": [{"ip-address": "172.17.0.1"}]}]},
            "107": {"interfaces": []},
            "108": {"error": {"class": "CommandNotFound", "desc": "Command x has been disabled"}},
        },
    });
    FakePve::start(serde_json::from_value::<Setup>(setup).unwrap())
}

fn with_ssh(fake: &FakePve) -> Homelab {
    let homelab = Homelab::at(fake).with_file("ssh", SSH);
    let path = homelab.home().to_owned();
    fs::set_permissions(path.join("ssh"), fs::Permissions::from_mode(0o755)).unwrap();
    homelab.env("PATH", path.to_str().unwrap())
}

#[rstest]
#[case::a_shell("web-1", "[-l][admin][--][10.0.0.5]")]
#[case::by_vmid("101", "[-l][admin][--][10.0.0.5]")]
#[case::a_command("web-1 -- uptime", "[-l][admin][--][10.0.0.5][uptime]")]
#[case::a_command_without_dashes("web-1 uptime", "[-l][admin][--][10.0.0.5][uptime]")]
#[case::options_of_the_command(
    "web-1 -- tail -n 5 --help --json -- x",
    "[-l][admin][--][10.0.0.5][tail][-n][5][--help][--json][--][x]"
)]
#[case::another_user("web-1 --user root", "[-l][root][--][10.0.0.5]")]
#[case::no_user("plain", "[--][10.0.0.6]")]
#[case::an_identity(
    "plain --identity ~/.ssh/lab -- id",
    "[-i][~/.ssh/lab][--][10.0.0.6][id]"
)]
#[case::an_address_inside_the_guest("inside --ip-from 172.16.0.0/12", "[--][172.17.0.1]")]
#[case::a_user_that_looks_like_an_option("option", "[-l][-oProxyCommand=x][--][10.0.0.13]")]
fn ssh_gets_the_address_and_the_command_and_no_secret(
    #[case] words: &str,
    #[case] arguments: &str,
) {
    let seen = with_ssh(&fake()).run(&format!("proxmox vm ssh {words}"));
    let expected = Seen {
        exit: Some(7),
        stdout: format!("{arguments} secret=\n"),
        stderr: "from ssh\n".to_owned(),
    };
    assert_eq!(seen, expected);
}

#[test]
fn ssh_is_reached_with_three_requests() {
    let fake = fake();
    with_ssh(&fake).run("proxmox vm ssh web-1");
    let expected = [
        "GET /cluster/resources?type=vm",
        "GET /nodes/pve1/qemu/101/config",
        "GET /nodes/pve1/qemu/101/agent/network-get-interfaces",
    ];
    assert_eq!(fake.take_journal(), expected);
}

#[rstest]
#[case::off(
    "off",
    "VM 103 'off' on node 'pve1' is not running",
    "'homelab proxmox vm start 103' starts it"
)]
#[case::no_agent(
    "mute",
    "VM 104 'mute' on node 'pve1' has its guest agent disabled, and only the agent can confirm its static \
     address 10.0.0.9",
    "on the VM's node, as root: qm set 104 --agent 1; then stop and start the VM; to connect to the \
     configured address: ssh 10.0.0.9"
)]
#[case::agent_not_running(
    "booting",
    "VM 105 'booting' on node 'pve1' has an unknown address: QEMU guest agent is not running",
    "qemu-guest-agent must be installed and running in the guest; a VM that was just started may need more time"
)]
#[case::only_others(
    "inside",
    "VM 106 'inside' on node 'pve1' has 172.17.0.1 (docker0); expected an address on one of its network cards",
    "--ip-from 172.17.0.1 accepts that address"
)]
#[case::another_card(
    "web-1 --ip-from net1",
    "VM 101 'web-1' on node 'pve1' has 10.0.0.5 (net0), 172.17.0.1 (docker0); expected an \
     address on net1",
    "--ip-from 10.0.0.5 accepts that address"
)]
#[case::none(
    "lonely",
    "VM 107 'lonely' on node 'pve1' has no address that other machines can reach; expected an address on one \
     of its network cards",
    "check the VM's bridge and the DHCP server on it; a VM that was just started may need more time"
)]
#[case::agent_refuses(
    "refuses",
    "VM 108 'refuses' on node 'pve1' has an unknown address: guest agent error: Command x has been disabled",
    "in the guest, allow guest-network-get-interfaces (block-rpcs or allow-rpcs in /etc/qemu/qemu-ga.conf, or \
     the options in /etc/sysconfig/qemu-ga) and restart qemu-guest-agent"
)]
#[case::absent(
    "web-9",
    "VM 'web-9' not found",
    "'homelab proxmox vm list' shows the VMs that this token can see"
)]
fn without_an_address_the_error_says_what_was_seen(
    #[case] words: &str,
    #[case] message: &str,
    #[case] hint: &str,
) {
    let seen = with_ssh(&fake()).run(&format!("proxmox vm ssh {words}"));
    let expected = Seen {
        exit: Some(1),
        stdout: String::new(),
        stderr: format!("Failed to connect to VM: {message}\nHint: {hint}\n"),
    };
    assert_eq!(seen, expected);
}

#[test]
fn a_missing_ssh_is_an_error_with_the_address() {
    let seen = Homelab::at(&fake())
        .env("PATH", "/nonexistent")
        .run("proxmox vm ssh web-1");
    let expected = Seen {
        exit: Some(1),
        stdout: String::new(),
        stderr: "Failed to connect to VM: there is no program 'ssh' in PATH\n\
                 Hint: install it; on Debian: apt-get install openssh-client; the address is 10.0.0.5\n"
            .to_owned(),
    };
    assert_eq!(seen, expected);
}
