//! Wrong usage: what is wrong, and what to type instead.

use rstest::rstest;

use crate::homelab::{Homelab, Seen};

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
    "did you mean 'delete'? See 'homelab proxmox vm --help'"
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
    "'homelab proxmox vm list' shows the VMs"
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
    "did you mean 'homelab proxmox template create'? See 'homelab --help'"
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
    "did you mean 'homelab proxmox vm start'? See 'homelab --help'"
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
    "did you mean 'homelab proxmox vm create' or 'homelab proxmox template create'? See 'homelab proxmox --help'"
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
#[case(
    "proxmox vm restart web-1",
    "unknown command 'restart'",
    "homelab proxmox vm <command>",
    "did you mean 'reboot'? See 'homelab proxmox vm --help'"
)]
#[case(
    "proxmox vm destroy web-1",
    "unknown command 'destroy'",
    "homelab proxmox vm <command>",
    "did you mean 'delete'? See 'homelab proxmox vm --help'"
)]
#[case(
    "proxmox vm poweroff web-1",
    "unknown command 'poweroff'",
    "homelab proxmox vm <command>",
    "did you mean 'stop'? See 'homelab proxmox vm --help'"
)]
#[case(
    "proxmox vm halt web-1",
    "unknown command 'halt'",
    "homelab proxmox vm <command>",
    "did you mean 'shutdown', which asks the guest, or 'stop', which powers the VM off? See 'homelab proxmox vm --help'"
)]
#[case(
    "proxmox vm boot web-1",
    "unknown command 'boot'",
    "homelab proxmox vm <command>",
    "did you mean 'start'? See 'homelab proxmox vm --help'"
)]
#[case(
    "proxmox vm login web-1",
    "unknown command 'login'",
    "homelab proxmox vm <command>",
    "did you mean 'ssh'? See 'homelab proxmox vm --help'"
)]
#[case(
    "proxmox vm strat web-1",
    "unknown command 'strat'",
    "homelab proxmox vm <command>",
    "did you mean 'start'? See 'homelab proxmox vm --help'"
)]
#[case(
    "proxmox vm resume web-1",
    "unknown command 'resume'",
    "homelab proxmox vm <command>",
    "on the VM's node, as root: qm suspend VMID, or qm resume VMID"
)]
#[case(
    "proxmox vm resize web-1",
    "unknown command 'resize'",
    "homelab proxmox vm <command>",
    "to change a VM: homelab proxmox vm create VM-NAME TEMPLATE-NAME --ensure --set KEY=VALUE"
)]
#[case(
    "proxmox vm console web-1",
    "unknown command 'console'",
    "homelab proxmox vm <command>",
    "on the VM's node, as root: qm terminal VMID"
)]
#[case(
    "proxmox task kill UPID",
    "unknown command 'kill'",
    "homelab proxmox task <command>",
    "did you mean 'cancel'? See 'homelab proxmox task --help'"
)]
#[case(
    "proxmox task log UPID",
    "unknown command 'log'",
    "homelab proxmox task <command>",
    "on the task's node: pvenode task log UPID"
)]
#[case(
    "proxmox container ls",
    "unknown command 'ls'",
    "homelab proxmox container <command>",
    "did you mean 'list'? See 'homelab proxmox container --help'"
)]
#[case(
    "proxmox container",
    "missing command: list",
    "homelab proxmox container <command>",
    "see 'homelab proxmox container --help'"
)]
#[case(
    "proxmox start web-1",
    "unknown command 'start'",
    "homelab proxmox [options] <command>",
    "did you mean 'homelab proxmox vm start'? See 'homelab proxmox --help'"
)]
#[case(
    "proxmox vm start",
    "missing argument <vm>",
    "homelab proxmox vm start <vm> [<more-vms>...] [options]",
    "'homelab proxmox vm list' shows the VMs"
)]
#[case(
    "proxmox vm shutdown",
    "missing argument <vm>",
    "homelab proxmox vm shutdown <vm> [<more-vms>...] [options]",
    "'homelab proxmox vm list' shows the VMs"
)]
#[case(
    "proxmox vm stop",
    "missing argument <vm>",
    "homelab proxmox vm stop <vm> [<more-vms>...] [options]",
    "'homelab proxmox vm list' shows the VMs"
)]
#[case(
    "proxmox vm reboot",
    "missing argument <vm>",
    "homelab proxmox vm reboot <vm> [<more-vms>...] [options]",
    "'homelab proxmox vm list' shows the VMs"
)]
#[case(
    "proxmox vm delete",
    "missing argument <vm>",
    "homelab proxmox vm delete <vm> [<more-vms>...] [options]",
    "'homelab proxmox vm list' shows the VMs"
)]
#[case(
    "proxmox vm show",
    "missing argument <vm>",
    "homelab proxmox vm show <vm> [options]",
    "'homelab proxmox vm list' shows the VMs"
)]
#[case(
    "proxmox vm show a b",
    "unexpected argument 'b'",
    "homelab proxmox vm show <vm> [options]",
    "see 'homelab proxmox vm show --help'"
)]
#[case(
    "proxmox vm start --wait-ip --wait",
    "unknown option '--wait'",
    "homelab proxmox vm start <vm> [<more-vms>...] [options]",
    "omit it: the command waits until the VM runs; --wait-ip also waits for its address"
)]
#[case(
    "proxmox vm stop a --wait",
    "unknown option '--wait'",
    "homelab proxmox vm stop <vm> [<more-vms>...] [options]",
    "omit it: the command waits until it is done"
)]
#[case(
    "proxmox vm start a --ip",
    "unknown option '--ip'",
    "homelab proxmox vm start <vm> [<more-vms>...] [options]",
    "use --wait-ip"
)]
#[case(
    "proxmox vm stop a --force",
    "unknown option '--force'",
    "homelab proxmox vm stop <vm> [<more-vms>...] [options]",
    "it is an option of 'homelab proxmox vm shutdown'"
)]
#[case(
    "proxmox vm delete a -y",
    "unknown option '-y'",
    "homelab proxmox vm delete <vm> [<more-vms>...] [options]",
    "use --yes"
)]
#[case(
    "proxmox vm delete a --force",
    "unknown option '--force'",
    "homelab proxmox vm delete <vm> [<more-vms>...] [options]",
    "use --yes to delete without asking, and --stop to power off a running VM first"
)]
#[case(
    "proxmox vm delete a --purge",
    "unknown option '--purge'",
    "homelab proxmox vm delete <vm> [<more-vms>...] [options]",
    "omit it: disks and jobs are deleted without it; to keep the jobs: --keep-jobs"
)]
#[case(
    "proxmox vm delete a --ignore-not-found",
    "unknown option '--ignore-not-found'",
    "homelab proxmox vm delete <vm> [<more-vms>...] [options]",
    "use --if-exists"
)]
#[case(
    "proxmox vm delete a --ensure",
    "unknown option '--ensure'",
    "homelab proxmox vm delete <vm> [<more-vms>...] [options]",
    "it is an option of 'homelab proxmox vm create'"
)]
#[case(
    "proxmox vm delete a --if-exist",
    "unknown option '--if-exist'",
    "homelab proxmox vm delete <vm> [<more-vms>...] [options]",
    "did you mean '--if-exists'? See 'homelab proxmox vm delete --help'"
)]
#[case(
    "proxmox --yes vm delete a",
    "unknown option '--yes'",
    "homelab proxmox vm delete <vm> [<more-vms>...] [options]",
    "put it after 'homelab proxmox vm delete'"
)]
#[case(
    "proxmox vm --stop delete a",
    "unknown option '--stop'",
    "homelab proxmox vm delete <vm> [<more-vms>...] [options]",
    "put it after 'homelab proxmox vm delete'"
)]
#[case(
    "proxmox vm delete a --vmid x",
    "invalid value 'x' for --vmid: expected a number from 100 to 999999999",
    "homelab proxmox vm delete <vm> [<more-vms>...] [options]",
    "see 'homelab proxmox vm delete --help'"
)]
#[case(
    "proxmox vm shutdown a --guest-timeout 0",
    "invalid value '0' for --guest-timeout: expected a number of seconds greater than 0, for example 300",
    "homelab proxmox vm shutdown <vm> [<more-vms>...] [options]",
    "see 'homelab proxmox vm shutdown --help'"
)]
#[case(
    "proxmox vm list --running",
    "unknown option '--running'",
    "homelab proxmox vm list [options]",
    "use --status running or --status stopped"
)]
#[case(
    "proxmox vm list --long",
    "unknown option '--long'",
    "homelab proxmox vm list [options]",
    "use --wide"
)]
#[case(
    "proxmox vm list --tags web",
    "unknown option '--tags'",
    "homelab proxmox vm list [options]",
    "did you mean '--tag'? See 'homelab proxmox vm list --help'"
)]
#[case(
    "proxmox vm list --status paused",
    "invalid value 'paused' for --status: expected running, stopped or unknown",
    "homelab proxmox vm list [options]",
    "see 'homelab proxmox vm list --help'"
)]
#[case(
    "proxmox task cancel",
    "missing argument <upid>",
    "homelab proxmox task cancel <upid> [options]",
    "see 'homelab proxmox task cancel --help'"
)]
#[case(
    "proxmox task cancel foo",
    "invalid UPID 'foo': expected UPID:node:pid:pstart:starttime:type:id:user:",
    "homelab proxmox task cancel <upid> [options]",
    "see 'homelab proxmox task cancel --help'"
)]
#[case(
    "proxmox template create",
    "missing arguments <template-name> --image URL|VOLUME",
    "homelab proxmox template create <template-name> --image URL|VOLUME [options]",
    "see 'homelab help images'"
)]
#[case(
    "proxmox template create debian-12",
    "missing option --image URL|VOLUME",
    "homelab proxmox template create <template-name> --image URL|VOLUME [options]",
    "see 'homelab help images'"
)]
#[case(
    "proxmox template create --image local:import/x.qcow2",
    "missing argument <template-name>",
    "homelab proxmox template create <template-name> --image URL|VOLUME [options]",
    "see 'homelab proxmox template create --help'"
)]
#[case(
    "proxmox template create local:import/x.qcow2",
    "missing option --image URL|VOLUME",
    "homelab proxmox template create <template-name> --image URL|VOLUME [options]",
    "the image is an option: --image URL|VOLUME"
)]
#[case(
    "proxmox template create debian-12.img",
    "missing option --image URL|VOLUME",
    "homelab proxmox template create <template-name> --image URL|VOLUME [options]",
    "the image is an option: --image URL|VOLUME"
)]
#[case(
    "proxmox template create debian-12 local:import/x.qcow2",
    "unexpected argument 'local:import/x.qcow2'",
    "homelab proxmox template create <template-name> --image URL|VOLUME [options]",
    "the image is an option: --image URL|VOLUME"
)]
#[case(
    "proxmox template create debian-12 https://example.com/x.img?key=1",
    "unexpected argument 'https://example.com/x.img?key=...'",
    "homelab proxmox template create <template-name> --image URL|VOLUME [options]",
    "the image is an option: --image URL|VOLUME"
)]
#[case(
    "proxmox template create https://example.com/x.img debian-12",
    "unexpected argument 'debian-12'",
    "homelab proxmox template create <template-name> --image URL|VOLUME [options]",
    "the image is an option: --image URL|VOLUME"
)]
#[case(
    "proxmox template create debian-12 web-1",
    "unexpected argument 'web-1'",
    "homelab proxmox template create <template-name> --image URL|VOLUME [options]",
    "see 'homelab proxmox template create --help'"
)]
#[case(
    "proxmox template create debian-12 cores=4 --image local:import/x.qcow2",
    "unexpected argument 'cores=...'",
    "homelab proxmox template create <template-name> --image URL|VOLUME [options]",
    "use --set cores=..."
)]
#[case(
    "proxmox template create debian-12 --image",
    "--image needs a value: --image URL|VOLUME",
    "homelab proxmox template create <template-name> --image URL|VOLUME [options]",
    "see 'homelab proxmox template create --help'"
)]
#[case(
    "proxmox template create debian_12 --image local:import/x.qcow2",
    "invalid template name 'debian_12': expected letters, digits and '-', in parts joined by '.', each beginning and ending with a letter or digit",
    "homelab proxmox template create <template-name> --image URL|VOLUME [options]",
    "see 'homelab proxmox template create --help'"
)]
#[case(
    "proxmox template create debian-12 --image /srv/x.qcow2",
    "invalid value '/srv/x.qcow2' for --image: expected an http or https URL, or a volume like local:import/debian-12.qcow2",
    "homelab proxmox template create <template-name> --image URL|VOLUME [options]",
    "a file that is in /var/lib/vz/import on the node is --image local:import/FILE, if storage 'local' has content type 'import'"
)]
#[case(
    "proxmox template create debian-12 --image debian-12",
    "invalid value 'debian-12' for --image: expected an http or https URL, or a volume like local:import/debian-12.qcow2",
    "homelab proxmox template create <template-name> --image URL|VOLUME [options]",
    "see 'homelab help images'"
)]
#[case(
    "proxmox template create debian-12 --image https://example.com/x.raw.xz",
    "invalid value 'https://example.com/x.raw.xz' for --image: the server cannot import .xz files; give the URL of a .qcow2, .img, .raw or .vmdk file",
    "homelab proxmox template create <template-name> --image URL|VOLUME [options]",
    "see 'homelab help images'"
)]
#[case(
    "proxmox template create debian-12 --image local:import/x.qcow2 --checksum abc",
    "invalid value 'abc' for --checksum: expected sha256:HEX or sha512:HEX",
    "homelab proxmox template create <template-name> --image URL|VOLUME [options]",
    "see 'homelab help images'"
)]
#[case(
    "proxmox template create debian-12 --image local:import/x.qcow2 --resize scsi0 32G",
    "--resize needs a value: --resize DISK=SIZE",
    "homelab proxmox template create <template-name> --image URL|VOLUME [options]",
    "use --resize scsi0=32G"
)]
#[case(
    "proxmox template create debian-12 --linked",
    "unknown option '--linked'",
    "homelab proxmox template create <template-name> --image URL|VOLUME [options]",
    "it is an option of 'homelab proxmox vm create'"
)]
#[case(
    "proxmox template create debian-12 --ensur",
    "unknown option '--ensur'",
    "homelab proxmox template create <template-name> --image URL|VOLUME [options]",
    "did you mean '--ensure'? See 'homelab proxmox template create --help'"
)]
#[case(
    "proxmox template",
    "missing command: one of list, create",
    "homelab proxmox template <command>",
    "see 'homelab proxmox template --help'"
)]
#[case(
    "proxmox template list --ensure",
    "unknown option '--ensure'",
    "homelab proxmox template list [options]",
    "it is an option of 'homelab proxmox template create'"
)]
#[case(
    "proxmox template clone debian-12",
    "unknown command 'clone'",
    "homelab proxmox template <command>",
    "did you mean 'homelab proxmox vm create'? See 'homelab proxmox template --help'"
)]
#[case(
    "proxmox template convert web-1",
    "unknown command 'convert'",
    "homelab proxmox template <command>",
    "on the VM's node, as root: qm template VMID"
)]
#[case(
    "proxmox template delete debian-12",
    "unknown command 'delete'",
    "homelab proxmox template <command>",
    "on the template's node, as root: qm destroy VMID"
)]
#[case(
    "create web-1",
    "unknown command 'create'",
    "homelab [options] <command>",
    "did you mean 'homelab proxmox vm create' or 'homelab proxmox template create'? See 'homelab --help'"
)]
#[case(
    "images",
    "unknown command 'images'",
    "homelab [options] <command>",
    "see 'homelab help images'"
)]
#[case(
    "proxmox images",
    "unknown command 'images'",
    "homelab proxmox [options] <command>",
    "to create a template from an image: homelab proxmox template create"
)]
#[case(
    "proxmox vm import x.qcow2",
    "unknown command 'import'",
    "homelab proxmox vm <command>",
    "to create a template from an image: homelab proxmox template create"
)]
#[case(
    "proxmox vm create a b --image x",
    "unknown option '--image'",
    "homelab proxmox vm create <vm-name> <template-name> [options]",
    "it is an option of 'homelab proxmox template create'"
)]
#[case(
    "proxmox vm create a b --url pve.lan",
    "unknown option '--url'",
    "homelab proxmox vm create <vm-name> <template-name> [options]",
    "use --host HOST"
)]
#[case(
    "proxmox vm create a b --cpu 4",
    "unknown option '--cpu'",
    "homelab proxmox vm create <vm-name> <template-name> [options]",
    "use --cores N for the number of cores, or --set cpu=TYPE for their type"
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

#[rstest]
fn other_words_for_creating_a_template_lead_to_create(
    #[values("new", "add", "build", "make", "import", "download", "upload")] word: &str,
) {
    let seen = Homelab::alone().run(&format!("proxmox template {word} debian-12"));
    let expected = format!(
        "unknown command '{word}'\n\
         Usage: homelab proxmox template <command>\n\
         Hint: did you mean 'create'? See 'homelab proxmox template --help'\n"
    );
    assert_eq!((seen.exit, seen.stderr), (Some(2), expected));
}

/// What other tools call the options of 'template create'.
#[rstest]
#[case(
    "--url --img --file --iso --image-url --qcow2 --volume --from --source --import-from",
    "use --image URL|VOLUME"
)]
#[case(
    "--sha256 --sha512 --sha256sum --hash --checksum-algorithm",
    "use --checksum sha256:HEX or --checksum sha512:HEX"
)]
#[case(
    "-n --name --template-name",
    "the name is an argument, not an option: homelab proxmox template create TEMPLATE-NAME"
)]
#[case("--disk --disk-size --size", "use --resize scsi0=SIZE")]
#[case(
    "--net --network --nic",
    "use --bridge NAME, or --set net0=virtio,bridge=NAME,tag=VLAN"
)]
#[case("--vlan", "use --set net0=virtio,bridge=NAME,tag=VLAN")]
#[case(
    "--template-storage --disk-storage --target-storage --datastore",
    "use --storage ID"
)]
#[case(
    "--iso-storage --import-storage --download-storage",
    "use --image-storage ID"
)]
#[case(
    "-f --force --overwrite --replace",
    "a template is not replaced: choose another name, or delete it first, on its node, as root: qm destroy VMID"
)]
#[case("--template --convert", "omit it: the new VM becomes a template")]
#[case(
    "--cloud-init --cloudinit",
    "omit it: the template gets a cloud-init drive"
)]
#[case(
    "--dry-run --plan",
    "there is no dry run; to check storages and privileges: homelab proxmox check --image-storage ID"
)]
#[case(
    "--ip --address",
    "use --set ipconfig0=ip=dhcp, or set an address for each VM that you create from the template"
)]
#[case("--ram --mem", "use --memory SIZE")]
#[case("--cpus --vcpu --vcpus", "use --cores N")]
#[case(
    "--cpu",
    "use --cores N for the number of cores, or --set cpu=TYPE for their type"
)]
#[case("--id --newid --template-id", "use --vmid N")]
#[case("--target --target-node", "use --node NAME")]
#[case("--sshkeys", "use --ssh-key FILE")]
#[case("--user", "use --set ciuser=NAME")]
#[case("--exist-ok", "use --ensure")]
#[case("--machine", "use --set machine=VALUE")]
#[case("--wait", "omit it: the command waits until it is done")]
#[case(
    "--start --wait-ip --pool",
    "it is an option of 'homelab proxmox vm create'"
)]
fn other_names_of_the_options_of_template_create_lead_to_them(
    #[case] names: &str,
    #[case] hint: &str,
) {
    for name in names.split(' ') {
        let words = ["proxmox", "template", "create", "debian-12", name];
        let seen = Homelab::alone().run_arguments(&words);
        let expected = format!(
            "unknown option '{name}'\n\
             Usage: homelab proxmox template create <template-name> --image URL|VOLUME [options]\n\
             Hint: {hint}\n"
        );
        assert_eq!((seen.exit, seen.stderr), (Some(2), expected));
    }
}

/// What only the command itself finds has no usage line.
#[rstest]
#[case(
    "proxmox vm delete web-1",
    "Failed to delete VM: nothing is deleted without a confirmation, and stdin is not a terminal",
    "to delete without a confirmation: --yes"
)]
#[case(
    "proxmox vm delete web-1 web-2 --vmid 101 --yes",
    "Failed to delete VM: --vmid is for one VM, but several are named",
    "name one VM, or omit --vmid"
)]
#[case(
    "proxmox vm start web-1 --json --quiet",
    "Failed to start VM: --json and --quiet cannot be used together",
    "omit --quiet; to silence progress too: 2>/dev/null"
)]
#[case(
    "proxmox vm delete web-1 --yes --json --quiet",
    "Failed to delete VM: --json and --quiet cannot be used together",
    "omit --quiet; to silence progress too: 2>/dev/null"
)]
#[case(
    "proxmox task cancel UPID:pve1:000001E0:0001ECB8:6B03EE51:qmclone:9000:root@pam!cli: --json --quiet",
    "Failed to cancel the task: --json and --quiet cannot be used together",
    "omit --quiet; to silence progress too: 2>/dev/null"
)]
#[case(
    "proxmox vm shutdown web-1 --guest-timeout 300",
    "Failed to shut down VM: --guest-timeout 300 is not shorter than the time limit of 300 s",
    "set a longer --timeout, too"
)]
#[case(
    "proxmox vm reboot web-1 --timeout 20 --guest-timeout 30",
    "Failed to reboot VM: --guest-timeout 30 is not shorter than the time limit of 20 s",
    "set a longer --timeout, too"
)]
#[case(
    "proxmox vm create web-1 debian-12 --cores 4 --set cores=2",
    "Failed to create VM: --cores and --set cores cannot be used together",
    "omit one of the two: they set the same option"
)]
#[case(
    "proxmox template create a --image local:import/x.qcow2 --json --quiet",
    "Failed to create template: --json and --quiet cannot be used together",
    "omit --quiet; to silence progress too: 2>/dev/null"
)]
#[case(
    "proxmox template create a --image local:import/x.qcow2 --image-storage local",
    "Failed to create template: --image-storage does not apply to 'local:import/x.qcow2'",
    "omit it: the volume names its storage"
)]
#[case(
    "proxmox template create a --image local:import/x.qcow2 --resize scsi0=+8G",
    "Failed to create template: --resize scsi0=+SIZE: the size of the image is not known yet",
    "give the absolute size: --resize scsi0=32G"
)]
#[case(
    "proxmox template create a --image local:import/x.qcow2 --resize scsi1=8G",
    "Failed to create template: --resize scsi1: the new template has one disk, scsi0",
    "--resize scsi0=SIZE grows it"
)]
#[case(
    "proxmox template create a --image local:import/x.qcow2 --bridge vmbr1 --set net0=virtio",
    "Failed to create template: --bridge and --set net0 contradict each other",
    "omit --bridge, and name the bridge in net0"
)]
fn options_that_contradict_each_other_are_wrong_usage(
    #[case] typed: &str,
    #[case] message: &str,
    #[case] hint: &str,
) {
    let words: Vec<&str> = typed.split_whitespace().collect();
    let seen = Homelab::alone().run_arguments(&words);
    let expected = Seen {
        exit: Some(2),
        stdout: if typed.contains("--json") {
            let (_, said) = message.split_once(": ").unwrap();
            format!(
                "{{\"error\":{{\"kind\":\"usage\",\"message\":\"{said}\",\"hint\":\"{hint}\",\"vmid\":null,\
                 \"upid\":null,\"node\":null,\"started\":\"no\"}}}}\n"
            )
        } else {
            String::new()
        },
        stderr: format!("{message}\nHint: {hint}\n"),
    };
    assert_eq!(seen, expected);
}
