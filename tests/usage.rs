//! Wrong usage: what is wrong, and what to type instead.

use rstest::rstest;

use crate::homelab::Homelab;

#[rstest]
#[case(
    "",
    "missing command: one of proxmox, completions, version, help",
    "see 'homelab --help'"
)]
#[case(
    "vm list",
    "unknown command 'vm'",
    "did you mean 'homelab proxmox vm list'? See 'homelab --help'"
)]
#[case(
    "proxmox",
    "missing command: one of template, vm, task, check",
    "see 'homelab proxmox --help'"
)]
#[case(
    "proxmox vm",
    "missing command: one of list, create",
    "see 'homelab proxmox vm --help'"
)]
#[case(
    "proxmox vm ls",
    "unknown command 'ls'",
    "did you mean 'list'? See 'homelab proxmox vm --help'"
)]
#[case(
    "proxmox vm rm web-1",
    "unknown command 'rm'",
    "homelab does not delete VMs; on the VM's node, as root: qm destroy VMID"
)]
#[case(
    "proxmox vm delete web-1",
    "unknown command 'delete'",
    "homelab does not delete VMs; on the VM's node, as root: qm destroy VMID"
)]
#[case(
    "proxmox vm start web-1",
    "unknown command 'start'",
    "for a new VM: vm create ... --start; for others, on the VM's node as root: qm start VMID"
)]
#[case(
    "proxmox vm lsit",
    "unknown command 'lsit'",
    "did you mean 'list'? See 'homelab proxmox vm --help'"
)]
#[case(
    "proxmox list",
    "unknown command 'list'",
    "did you mean 'homelab proxmox vm list' or 'homelab proxmox template list'? See 'homelab proxmox --help'"
)]
#[case(
    "proxmox list vm",
    "unknown command 'list'",
    "did you mean 'list'? See 'homelab proxmox vm --help'"
)]
#[case(
    "proxmox container list",
    "unknown command 'container'",
    "homelab has no command for containers; on a node: pct"
)]
#[case(
    "proxmox vn list",
    "unknown command 'vn'",
    "did you mean 'vm'? See 'homelab proxmox --help'"
)]
#[case(
    "proxmox --json vm list",
    "unknown option '--json'",
    "it goes after the command: homelab proxmox vm list --json"
)]
#[case(
    "proxmox --timeout 5 vm create a b",
    "unknown option '--timeout'",
    "it goes after the command: homelab proxmox vm create <vm-name> <template-name> --timeout 5"
)]
#[case(
    "proxmox vm create",
    "missing arguments <vm-name> <template-name>",
    "'homelab proxmox template list' shows the templates"
)]
#[case(
    "proxmox vm create web-1",
    "missing argument <template-name>",
    "'homelab proxmox template list' shows the templates"
)]
#[case(
    "proxmox vm create web-1 debian-12 extra",
    "unexpected argument 'extra'",
    "see 'homelab proxmox vm create --help'"
)]
#[case(
    "proxmox vm create web-1 debian-12 cores=4",
    "unexpected argument 'cores=...'",
    "use --set cores=..."
)]
#[case(
    "proxmox vm create web-1 debian-12 --cores 4",
    "unknown option '--cores'",
    "use --set cores=4"
)]
#[case(
    "proxmox vm create web-1 debian-12 --set cores 4",
    "--set needs KEY=VALUE, not 'cores' alone",
    "use --set cores=4"
)]
#[case(
    "proxmox vm create --set web-1 debian-12",
    "missing argument <template-name>",
    "the option is '--set KEY=VALUE', and 'web-1' was taken for its value"
)]
#[case(
    "proxmox vm create --name web-1 --template debian-12",
    "unknown option '--name'",
    "names are arguments, not options: homelab proxmox vm create <vm-name> <template-name>"
)]
#[case(
    "proxmox vm create web-1 debian-12 --vmid 5 --vmid 6",
    "--vmid given twice",
    "see 'homelab proxmox vm create --help'"
)]
#[case(
    "proxmox vm create web-1 debian-12 --vmid",
    "--vmid needs a value: --vmid N",
    "see 'homelab proxmox vm create --help'"
)]
#[case(
    "proxmox vm create web-1 debian-12 --timeout 5m",
    "invalid value '5m' for --timeout: expected seconds, for example 300",
    "see 'homelab proxmox vm create --help'"
)]
#[case(
    "proxmox vm create web_1 debian-12",
    "invalid VM name 'web_1': expected letters, digits and '-', in parts joined by '.', each beginning and ending with a letter or digit",
    "see 'homelab proxmox vm create --help'"
)]
#[case(
    "proxmox vm create web-1 debian-12 --timout 5",
    "unknown option '--timout'",
    "did you mean '--timeout'? See 'homelab proxmox vm create --help'"
)]
#[case(
    "proxmox vm create web-1 debian-12 --ram 8G",
    "unknown option '--ram'",
    "use --set memory=MIB"
)]
#[case(
    "proxmox vm create web-1 debian-12 --cipassword hunter2",
    "unknown option '--cipassword'",
    "use --set cipassword=@FILE"
)]
#[case(
    "proxmox vm create web-1 debian-12 --token-secret=x",
    "unknown option '--token-secret'",
    "put the secret into the configuration file or PROXMOX_TOKEN_SECRET_FILE, because every user can read the arguments of a process; see 'homelab help config'"
)]
#[case(
    "proxmox vm list --vmid 5",
    "unknown option '--vmid'",
    "it is an option of 'homelab proxmox vm create'"
)]
#[case(
    "proxmox vm list --json=1",
    "--json takes no value",
    "see 'homelab proxmox vm list --help'"
)]
#[case(
    "proxmox vm list web-1",
    "unexpected argument 'web-1'",
    "see 'homelab proxmox vm list --help'"
)]
#[case(
    "proxmox task wait foo",
    "invalid UPID 'foo': expected UPID:node:pid:pstart:starttime:type:id:user:",
    "see 'homelab proxmox task wait --help'"
)]
#[case(
    "proxmox task list",
    "unknown command 'list'",
    "on a node: pvenode task list"
)]
#[case(
    "completions sh",
    "'sh' is not one of bash, zsh, fish",
    "did you mean 'zsh'? See 'homelab completions --help'"
)]
#[case(
    "completions",
    "missing argument <bash|zsh|fish>",
    "see 'homelab completions --help'"
)]
#[case(
    "help nosuch",
    "unknown help topic 'nosuch'",
    "'homelab help' lists all topics"
)]
#[case(
    "help vm nosuch",
    "unknown help topic 'vm nosuch'",
    "'homelab help' lists all topics"
)]
#[case("frobnicate", "unknown command 'frobnicate'", "see 'homelab --help'")]
#[case(
    "list",
    "unknown command 'list'",
    "did you mean 'homelab proxmox vm list'? See 'homelab --help'"
)]
#[case(
    "check",
    "unknown command 'check'",
    "did you mean 'homelab proxmox check'? See 'homelab --help'"
)]
#[case(
    "template create",
    "unknown command 'template'",
    "did you mean 'homelab proxmox template list'? See 'homelab --help'"
)]
#[case(
    "proxmox template create x",
    "unknown command 'create'",
    "see 'homelab help templates'"
)]
#[case(
    "proxmox vm create web-1 debian-12 -q",
    "unknown option '-q'",
    "use --quiet"
)]
#[case(
    "proxmox vm list --output json",
    "unknown option '--output'",
    "use --json"
)]
fn wrong_usage_says_what_to_type(#[case] typed: &str, #[case] message: &str, #[case] hint: &str) {
    let words: Vec<&str> = typed.split_whitespace().collect();
    let seen = Homelab::alone().run_arguments(&words);
    let lines: Vec<&str> = seen.stderr.lines().collect();
    assert_eq!(seen.exit, Some(2));
    assert_eq!(
        (lines[0], lines[2]),
        (message, format!("Hint: {hint}").as_str())
    );
    assert!(lines[1].starts_with("Usage: homelab"), "{}", lines[1]);
    assert_eq!(lines.len(), 3);
}
