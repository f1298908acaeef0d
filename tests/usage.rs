//! Wrong usage: what is wrong, and what to type instead.

use rstest::rstest;

use crate::homelab::Homelab;

#[rstest]
#[case(
    "",
    "missing command: one of proxmox, completions, version, help",
    "homelab [options] <command>",
    "see 'homelab --help'"
)]
#[case(
    "vm list",
    "unknown command 'vm'",
    "homelab [options] <command>",
    "did you mean 'homelab proxmox vm list'? See 'homelab --help'"
)]
#[case(
    "proxmox",
    "missing command: one of template, vm, container, task, check",
    "homelab proxmox [options] <command>",
    "see 'homelab proxmox --help'"
)]
#[case(
    "proxmox vm",
    "missing command: one of list, show, create, start, shutdown, stop, reboot, delete, ssh",
    "homelab proxmox vm <command>",
    "see 'homelab proxmox vm --help'"
)]
#[case(
    "proxmox vm ls",
    "unknown command 'ls'",
    "homelab proxmox vm <command>",
    "did you mean 'list'? See 'homelab proxmox vm --help'"
)]
#[case(
    "proxmox vm rm web-1",
    "unknown command 'rm'",
    "homelab proxmox vm <command>",
    "homelab does not delete VMs; on the VM's node, as root: qm destroy VMID"
)]
#[case(
    "proxmox vm delete web-1",
    "unknown command 'delete'",
    "homelab proxmox vm <command>",
    "homelab does not delete VMs; on the VM's node, as root: qm destroy VMID"
)]
#[case(
    "proxmox vm start web-1",
    "unknown command 'start'",
    "homelab proxmox vm <command>",
    "'homelab proxmox vm create --start' starts a new VM; for an existing one, on its node, as root: qm start VMID"
)]
#[case(
    "proxmox vm lsit",
    "unknown command 'lsit'",
    "homelab proxmox vm <command>",
    "did you mean 'list'? See 'homelab proxmox vm --help'"
)]
#[case(
    "proxmox list",
    "unknown command 'list'",
    "homelab proxmox [options] <command>",
    "did you mean 'homelab proxmox vm list' or 'homelab proxmox template list'? See 'homelab proxmox --help'"
)]
#[case(
    "proxmox list vm",
    "unknown command 'list'",
    "homelab proxmox [options] <command>",
    "did you mean 'homelab proxmox vm list'? See 'homelab proxmox --help'"
)]
#[case(
    "proxmox ct list",
    "unknown command 'ct'",
    "homelab proxmox [options] <command>",
    "did you mean 'container'? See 'homelab proxmox --help'"
)]
#[case(
    "proxmox container start dns-1",
    "unknown command 'start'",
    "homelab proxmox container <command>",
    "homelab only lists containers; on a node, as root: pct"
)]
#[case(
    "proxmox vm info web-1",
    "unknown command 'info'",
    "homelab proxmox vm <command>",
    "did you mean 'show'? See 'homelab proxmox vm --help'"
)]
#[case(
    "proxmox vm connect web-1",
    "unknown command 'connect'",
    "homelab proxmox vm <command>",
    "did you mean 'ssh'? See 'homelab proxmox vm --help'"
)]
#[case(
    "proxmox vm ssh web-1 -l root",
    "unknown option '-l'",
    "homelab proxmox vm ssh <vm> [<command>...] [options]",
    "use --user NAME, or put '--' before the command if this is its option"
)]
#[case(
    "proxmox vm ssh web-1 ls -a",
    "unknown option '-a'",
    "homelab proxmox vm ssh <vm> [<command>...] [options]",
    "put '--' before the command"
)]
#[case(
    "proxmox vm ssh",
    "missing argument <vm>",
    "homelab proxmox vm ssh <vm> [<command>...] [options]",
    "see 'homelab proxmox vm ssh --help'"
)]
#[case(
    "proxmox vn list",
    "unknown command 'vn'",
    "homelab proxmox [options] <command>",
    "did you mean 'vm'? See 'homelab proxmox --help'"
)]
#[case(
    "proxmox --json vm list",
    "unknown option '--json'",
    "homelab proxmox vm list [options]",
    "put it after 'homelab proxmox vm list'"
)]
#[case(
    "proxmox --timeout 5 vm create a b",
    "unknown option '--timeout'",
    "homelab proxmox vm create <vm-name> <template-name> [options]",
    "put it after 'homelab proxmox vm create'"
)]
#[case(
    "proxmox vm create",
    "missing arguments <vm-name> <template-name>",
    "homelab proxmox vm create <vm-name> <template-name> [options]",
    "'homelab proxmox template list' shows the templates"
)]
#[case(
    "proxmox vm create web-1",
    "missing argument <template-name>",
    "homelab proxmox vm create <vm-name> <template-name> [options]",
    "'homelab proxmox template list' shows the templates"
)]
#[case(
    "proxmox vm create web-1 debian-12 extra",
    "unexpected argument 'extra'",
    "homelab proxmox vm create <vm-name> <template-name> [options]",
    "see 'homelab proxmox vm create --help'"
)]
#[case(
    "proxmox vm create web-1 debian-12 cores=4",
    "unexpected argument 'cores=...'",
    "homelab proxmox vm create <vm-name> <template-name> [options]",
    "use --set cores=..."
)]
#[case(
    "proxmox vm create web-1 debian-12 --sockets 2",
    "unknown option '--sockets'",
    "homelab proxmox vm create <vm-name> <template-name> [options]",
    "use --set sockets=2"
)]
#[case(
    "proxmox vm create web-1 debian-12 --set cores 4",
    "--set needs a value: --set KEY=VALUE",
    "homelab proxmox vm create <vm-name> <template-name> [options]",
    "use --set cores=4"
)]
#[case(
    "proxmox vm create --set web-1 debian-12",
    "missing argument <template-name>",
    "homelab proxmox vm create <vm-name> <template-name> [options]",
    "an argument was taken as the value of '--set KEY=VALUE'"
)]
#[case(
    "proxmox vm create --name web-1 --template debian-12",
    "unknown option '--name'",
    "homelab proxmox vm create <vm-name> <template-name> [options]",
    "names are arguments, not options: homelab proxmox vm create VM-NAME TEMPLATE-NAME"
)]
#[case(
    "proxmox vm create web-1 debian-12 --vmid 5 --vmid 6",
    "--vmid given twice",
    "homelab proxmox vm create <vm-name> <template-name> [options]",
    "see 'homelab proxmox vm create --help'"
)]
#[case(
    "proxmox vm create web-1 debian-12 --vmid",
    "--vmid needs a value: --vmid N",
    "homelab proxmox vm create <vm-name> <template-name> [options]",
    "see 'homelab proxmox vm create --help'"
)]
#[case(
    "proxmox vm create web-1 debian-12 --timeout 5m",
    "invalid value '5m' for --timeout: expected a number of seconds greater than 0, for example 300",
    "homelab proxmox vm create <vm-name> <template-name> [options]",
    "see 'homelab proxmox vm create --help'"
)]
#[case(
    "proxmox vm create web_1 debian-12",
    "invalid VM name 'web_1': expected letters, digits and '-', in parts joined by '.', each beginning and ending with a letter or digit",
    "homelab proxmox vm create <vm-name> <template-name> [options]",
    "see 'homelab proxmox vm create --help'"
)]
#[case(
    "proxmox vm create web-1 debian-12 --timout 5",
    "unknown option '--timout'",
    "homelab proxmox vm create <vm-name> <template-name> [options]",
    "did you mean '--timeout'? See 'homelab proxmox vm create --help'"
)]
#[case(
    "proxmox vm create web-1 debian-12 --ram 8G",
    "unknown option '--ram'",
    "homelab proxmox vm create <vm-name> <template-name> [options]",
    "use --memory SIZE"
)]
#[case(
    "proxmox vm create web-1 debian-12 --cpus 4",
    "unknown option '--cpus'",
    "homelab proxmox vm create <vm-name> <template-name> [options]",
    "use --cores N"
)]
#[case(
    "proxmox vm create web-1 debian-12 --cores four",
    "invalid value 'four' for --cores: expected a whole number, at least 1",
    "homelab proxmox vm create <vm-name> <template-name> [options]",
    "see 'homelab proxmox vm create --help'"
)]
#[case(
    "proxmox vm create web-1 debian-12 --memory 20000K",
    "invalid value '20000K' for --memory: expected a size of at least 16 MiB, like 8G or 8192 (a whole number of MiB)",
    "homelab proxmox vm create <vm-name> <template-name> [options]",
    "see 'homelab proxmox vm create --help'"
)]
#[case(
    "proxmox vm create web-1 debian-12 --description=",
    "invalid value '' for --description: must not be empty",
    "homelab proxmox vm create <vm-name> <template-name> [options]",
    "see 'homelab proxmox vm create --help'"
)]
#[case(
    "proxmox vm create web-1 debian-12 --tags ,",
    "invalid value ',' for --tags: expected tags separated by ',' or ';'",
    "homelab proxmox vm create <vm-name> <template-name> [options]",
    "see 'homelab proxmox vm create --help'"
)]
#[case(
    "proxmox vm create web-1 debian-12 --tag web",
    "unknown option '--tag'",
    "homelab proxmox vm create <vm-name> <template-name> [options]",
    "did you mean '--tags'? See 'homelab proxmox vm create --help'"
)]
#[case(
    "proxmox vm create web-1 debian-12 --cipassword hunter2",
    "unknown option '--cipassword'",
    "homelab proxmox vm create <vm-name> <template-name> [options]",
    "use --set cipassword=@FILE"
)]
#[case(
    "proxmox vm create web-1 debian-12 --token-secret=x",
    "unknown option '--token-secret'",
    "homelab proxmox vm create <vm-name> <template-name> [options]",
    "put the secret into the configuration file or PROXMOX_TOKEN_SECRET_FILE, because every user can read the arguments of a process; see 'homelab help config'"
)]
#[case(
    "proxmox vm list --vmid 5",
    "unknown option '--vmid'",
    "homelab proxmox vm list [options]",
    "it is an option of 'homelab proxmox vm create'"
)]
#[case(
    "proxmox vm list --json=1",
    "--json takes no value",
    "homelab proxmox vm list [options]",
    "see 'homelab proxmox vm list --help'"
)]
#[case(
    "proxmox vm list web-1",
    "unexpected argument 'web-1'",
    "homelab proxmox vm list [options]",
    "see 'homelab proxmox vm list --help'"
)]
#[case(
    "proxmox task wait foo",
    "invalid UPID 'foo': expected UPID:node:pid:pstart:starttime:type:id:user:",
    "homelab proxmox task wait <upid> [options]",
    "see 'homelab proxmox task wait --help'"
)]
#[case(
    "proxmox task list",
    "unknown command 'list'",
    "homelab proxmox task <command>",
    "on a node: pvenode task list"
)]
#[case(
    "completions sh",
    "'sh' is not one of bash, zsh, fish",
    "homelab completions <bash|zsh|fish>",
    "did you mean 'zsh'? See 'homelab completions --help'"
)]
#[case(
    "completions",
    "missing argument <bash|zsh|fish>",
    "homelab completions <bash|zsh|fish>",
    "see 'homelab completions --help'"
)]
#[case(
    "help nosuch",
    "unknown help topic 'nosuch'",
    "homelab help [<topic>...] [options]",
    "'homelab help' lists all topics"
)]
#[case(
    "help vm nosuch",
    "unknown help topic 'vm nosuch'",
    "homelab help [<topic>...] [options]",
    "'homelab help' lists all topics"
)]
#[case(
    "frobnicate",
    "unknown command 'frobnicate'",
    "homelab [options] <command>",
    "see 'homelab --help'"
)]
#[case(
    "list",
    "unknown command 'list'",
    "homelab [options] <command>",
    "did you mean 'homelab proxmox vm list'? See 'homelab --help'"
)]
#[case(
    "check",
    "unknown command 'check'",
    "homelab [options] <command>",
    "did you mean 'homelab proxmox check'? See 'homelab --help'"
)]
#[case(
    "template create",
    "unknown command 'template'",
    "homelab [options] <command>",
    "did you mean 'homelab proxmox template'? See 'homelab --help'"
)]
#[case(
    "proxmox template create x",
    "unknown command 'create'",
    "homelab proxmox template <command>",
    "see 'homelab help templates'"
)]
#[case(
    "proxmox vm create web-1 debian-12 -q",
    "unknown option '-q'",
    "homelab proxmox vm create <vm-name> <template-name> [options]",
    "use --quiet"
)]
#[case(
    "proxmox vm list --output json",
    "unknown option '--output'",
    "homelab proxmox vm list [options]",
    "use --json"
)]
#[case(
    "vm",
    "unknown command 'vm'",
    "homelab [options] <command>",
    "did you mean 'homelab proxmox vm'? See 'homelab --help'"
)]
#[case(
    "vm ls",
    "unknown command 'vm'",
    "homelab [options] <command>",
    "did you mean 'homelab proxmox vm'? See 'homelab --help'"
)]
#[case(
    "vm rm x",
    "unknown command 'vm'",
    "homelab [options] <command>",
    "did you mean 'homelab proxmox vm'? See 'homelab --help'"
)]
#[case(
    "vm start x",
    "unknown command 'vm'",
    "homelab [options] <command>",
    "did you mean 'homelab proxmox vm'? See 'homelab --help'"
)]
#[case(
    "frob proxmox vm list",
    "unknown command 'frob'",
    "homelab [options] <command>",
    "see 'homelab --help'"
)]
#[case(
    "proxmox vm template create",
    "unknown command 'template'",
    "homelab proxmox vm <command>",
    "see 'homelab proxmox vm --help'"
)]
#[case(
    "proxmox create vm",
    "unknown command 'create'",
    "homelab proxmox [options] <command>",
    "did you mean 'homelab proxmox vm create'? See 'homelab proxmox --help'"
)]
#[case(
    "proxmox create web-1 debian-12",
    "unknown command 'create'",
    "homelab proxmox [options] <command>",
    "did you mean 'homelab proxmox vm create'? See 'homelab proxmox --help'"
)]
#[case(
    "proxmox --set cipassword=hunter2 vm create a b",
    "unknown option '--set'",
    "homelab proxmox vm create <vm-name> <template-name> [options]",
    "put it after 'homelab proxmox vm create'"
)]
#[case(
    "proxmox vm create --set hunter2 web-1",
    "missing argument <template-name>",
    "homelab proxmox vm create <vm-name> <template-name> [options]",
    "an argument was taken as the value of '--set KEY=VALUE'"
)]
#[case(
    "proxmox vm create a b --set cipassword hunter2",
    "--set needs a value: --set KEY=VALUE",
    "homelab proxmox vm create <vm-name> <template-name> [options]",
    "use --set cipassword=@FILE"
)]
#[case(
    "proxmox vm create a b --onboot yes",
    "unknown option '--onboot'",
    "homelab proxmox vm create <vm-name> <template-name> [options]",
    "use --set onboot=VALUE"
)]
#[case(
    "proxmox vm create a b --resize scsi0 32G",
    "--resize needs a value: --resize DISK=SIZE",
    "homelab proxmox vm create <vm-name> <template-name> [options]",
    "use --resize scsi0=32G"
)]
#[case(
    "proxmox vm list -q",
    "unknown option '-q'",
    "homelab proxmox vm list [options]",
    "see 'homelab proxmox vm list --help'"
)]
#[case(
    "proxmox check --template debian-12",
    "unknown option '--template'",
    "homelab proxmox check [<template-name>] [options]",
    "see 'homelab proxmox check --help'"
)]
#[case(
    "completions -k",
    "unknown option '-k'",
    "homelab completions <bash|zsh|fish>",
    "see 'homelab completions --help'"
)]
#[case(
    "--insecure proxmox vm list",
    "unknown option '--insecure'",
    "homelab proxmox vm list [options]",
    "put it after 'homelab proxmox vm list'"
)]
#[case(
    "-v",
    "unknown option '-v'",
    "homelab [options] <command>",
    "use -V for the version"
)]
#[case(
    "help trust config",
    "unexpected argument 'config'",
    "homelab help [<topic>...] [options]",
    "'homelab help' shows one topic at a time"
)]
#[case(
    "help --man trust",
    "unexpected argument 'trust'",
    "homelab help [<topic>...] [options]",
    "--man prints all topics"
)]
#[case(
    "help vm rm",
    "unknown help topic 'vm rm'",
    "homelab help [<topic>...] [options]",
    "'homelab help' lists all topics"
)]
#[case(
    "proxmox task cancel x",
    "unknown command 'cancel'",
    "homelab proxmox task <command>",
    "on the task's node, as root: pvesh delete /nodes/NODE/tasks/UPID"
)]
#[case(
    "config",
    "unknown command 'config'",
    "homelab [options] <command>",
    "see 'homelab help config'"
)]
#[case(
    "help conf",
    "unknown help topic 'conf'",
    "homelab help [<topic>...] [options]",
    "did you mean 'config'? 'homelab help' lists all topics"
)]
#[case(
    "proxmox vm create a b --sshkeys x",
    "unknown option '--sshkeys'",
    "homelab proxmox vm create <vm-name> <template-name> [options]",
    "use --ssh-key FILE"
)]
#[case(
    "proxmox vm create a b --full",
    "unknown option '--full'",
    "homelab proxmox vm create <vm-name> <template-name> [options]",
    "omit it: without --linked, every VM is a full clone"
)]
#[case(
    "proxmox vm create a b --plan",
    "unknown option '--plan'",
    "homelab proxmox vm create <vm-name> <template-name> [options]",
    "use --dry-run"
)]
#[case(
    "proxmox vm create a b --ip-from 10.0.0.0",
    "invalid value '10.0.0.0' for --ip-from: expected a network with its prefix length, like 10.0.0.0/24",
    "homelab proxmox vm create <vm-name> <template-name> [options]",
    "see 'homelab proxmox vm create --help'"
)]
#[case(
    "proxmox vm create a b --timeout 0",
    "invalid value '0' for --timeout: expected a number of seconds greater than 0, for example 300",
    "homelab proxmox vm create <vm-name> <template-name> [options]",
    "see 'homelab proxmox vm create --help'"
)]
fn wrong_usage_says_what_to_type(
    #[case] typed: &str,
    #[case] message: &str,
    #[case] usage: &str,
    #[case] hint: &str,
) {
    let words: Vec<&str> = typed.split_whitespace().collect();
    let seen = Homelab::alone().run_arguments(&words);
    let expected = format!("{message}\nUsage: {usage}\nHint: {hint}\n");
    assert_eq!((seen.exit, seen.stderr), (Some(2), expected));
}
