//! What users of other programs type, and what to type instead.

/// Commands of other programs, and what this program leaves to others: the command that they follow, the
/// words, and the advice.
pub(super) const RELATED: &[(&str, &str, &str)] = &[
    ("vm", "ls ps ll", "did you mean 'list'?"),
    (
        "vm",
        "clone new add deploy provision launch",
        "did you mean 'create'?",
    ),
    (
        "vm",
        "rm remove destroy del purge",
        "did you mean 'delete'?",
    ),
    ("vm", "boot run up poweron", "did you mean 'start'?"),
    (
        "vm",
        "resume suspend pause",
        "on the VM's node, as root: qm suspend VMID, or qm resume VMID",
    ),
    (
        "vm",
        "halt down off",
        "did you mean 'shutdown', which asks the guest, or 'stop', which powers the VM off?",
    ),
    ("vm", "poweroff kill", "did you mean 'stop'?"),
    ("vm", "restart reset", "did you mean 'reboot'?"),
    (
        "vm",
        "info get status describe config inspect ip",
        "did you mean 'show'?",
    ),
    (
        "vm",
        "set update modify edit resize configure",
        "to change a VM: homelab proxmox vm create VM-NAME TEMPLATE-NAME --ensure --set KEY=VALUE",
    ),
    (
        "vm",
        "connect exec login enter shell",
        "did you mean 'ssh'?",
    ),
    (
        "vm",
        "console terminal vnc",
        "on the VM's node, as root: qm terminal VMID",
    ),
    (
        "vm",
        "migrate move",
        "on the VM's node, as root: qm migrate VMID NODE",
    ),
    ("container", "ls ps ll", "did you mean 'list'?"),
    (
        "container",
        "create start stop shutdown reboot delete show",
        "homelab only lists containers; on a node, as root: pct",
    ),
    ("template", "ls ps ll show info", "did you mean 'list'?"),
    (
        "template",
        "new add build make import download upload",
        "did you mean 'create'?",
    ),
    (
        "template",
        "convert",
        "on the VM's node, as root: qm template VMID",
    ),
    (
        "template",
        "clone",
        "did you mean 'homelab proxmox vm create'?",
    ),
    (
        "template",
        "rm remove delete destroy del",
        "on the template's node, as root: qm destroy VMID",
    ),
    ("task", "list ls", "on a node: pvenode task list"),
    (
        "task",
        "log status show",
        "on the task's node: pvenode task log UPID",
    ),
    (
        "task",
        "stop kill abort rm delete",
        "did you mean 'cancel'?",
    ),
    (
        "vm",
        "import",
        "to create a template from an image: homelab proxmox template create",
    ),
    (
        "proxmox",
        "image images iso",
        "to create a template from an image: homelab proxmox template create",
    ),
    (
        "proxmox",
        "create new",
        "did you mean 'homelab proxmox vm create' or 'homelab proxmox template create'?",
    ),
    (
        "homelab",
        "create new",
        "did you mean 'homelab proxmox vm create' or 'homelab proxmox template create'?",
    ),
    (
        "proxmox",
        "list ls",
        "did you mean 'homelab proxmox vm list' or 'homelab proxmox template list'?",
    ),
    ("proxmox", "vms qemu kvm", "did you mean 'vm'?"),
    (
        "proxmox",
        "containers ct lxc pct",
        "did you mean 'container'?",
    ),
    (
        "proxmox",
        "doctor test verify ping status version",
        "did you mean 'check'?",
    ),
    (
        "homelab",
        "list ls",
        "did you mean 'homelab proxmox vm list'?",
    ),
    ("homelab", "man manual docs", "did you mean 'help'?"),
    ("homelab", "pve vms", "did you mean 'proxmox'?"),
];

/// Options of other programs, the option that the command must have for the advice to help, and the
/// advice.
pub(super) const OTHER_NAMES: &[(&str, &str, &str)] = &[
    (
        "--url --img --file --iso --image-url --image-file --image-path --disk-image --qcow2 --volume --from \
         --source --import-from",
        "--image",
        "use --image URL|VOLUME",
    ),
    (
        "--sha256 --sha512 --sha256sum --sha512sum --sha --hash --digest --checksum-algorithm",
        "--checksum",
        "use --checksum sha256:HEX or --checksum sha512:HEX",
    ),
    (
        "-n --name --vm-name --template-name --hostname",
        "--image",
        "the name is an argument, not an option: homelab proxmox template create TEMPLATE-NAME",
    ),
    (
        "--disk --disk-size --size --grow",
        "--image",
        "use --resize scsi0=SIZE",
    ),
    (
        "--net --network --nic --vmbr --net-bridge",
        "--bridge",
        "use --bridge NAME, or --set net0=virtio,bridge=NAME,tag=VLAN",
    ),
    (
        "--vlan --vlan-tag",
        "--bridge",
        "use --set net0=virtio,bridge=NAME,tag=VLAN",
    ),
    (
        "--template-storage --disk-storage --vm-storage --target-storage",
        "--image-storage",
        "use --storage ID",
    ),
    (
        "--iso-storage --import-storage --download-storage --images",
        "--image-storage",
        "use --image-storage ID",
    ),
    (
        "-f --force --overwrite --replace",
        "--image",
        "a template is not replaced: choose another name, or delete it first, on its node, as root: qm \
         destroy VMID",
    ),
    (
        "--template --convert",
        "--image",
        "omit it: the new VM becomes a template",
    ),
    (
        "--cloud-init --cloudinit",
        "--image",
        "omit it: the template gets a cloud-init drive",
    ),
    (
        "--dry-run --check --plan --preview",
        "--image",
        "there is no dry run; to check storages and privileges: homelab proxmox check --image-storage ID",
    ),
    (
        "--ip --address --dhcp",
        "--image",
        "use --set ipconfig0=ip=dhcp, or set an address for each VM that you create from the template",
    ),
    ("-v", "--verbose", "use --verbose, or -V for the version"),
    ("-v", "--version", "use -V for the version"),
    ("-q -s --silent", "--quiet", "use --quiet"),
    ("--debug --trace", "--verbose", "use --verbose"),
    ("-o -j --output --format", "--json", "use --json"),
    (
        "-k --no-verify --skip-tls-verify --tls-insecure",
        "--insecure",
        "use --insecure",
    ),
    (
        "-H --server --url --endpoint --api-url",
        "--host",
        "use --host HOST",
    ),
    ("-c --config-file", "--config", "use --config FILE"),
    (
        "--token --token-secret --secret --password --api-token",
        "--host",
        "put the secret into the configuration file or PROXMOX_TOKEN_SECRET_FILE, because every user can \
         read the arguments of a process; see 'homelab help config'",
    ),
    (
        "-n -t --name --vm-name --hostname --template --template-name --from --source --clone",
        "--linked",
        "names are arguments, not options: homelab proxmox vm create VM-NAME TEMPLATE-NAME",
    ),
    ("-y --assume-yes --confirm", "--yes", "use --yes"),
    (
        "-f --force",
        "--yes",
        "use --yes to delete without asking, and --stop to power off a running VM first",
    ),
    (
        "--ignore-not-found --ignore-missing --missing-ok",
        "--if-exists",
        "use --if-exists",
    ),
    (
        "--purge --destroy-unreferenced-disks --destroy-disks",
        "--keep-jobs",
        "omit it: disks and jobs are deleted without it; to keep the jobs: --keep-jobs",
    ),
    (
        "--running --stopped --state",
        "--status",
        "use --status running or --status stopped",
    ),
    ("-l -w --long", "--wide", "use --wide"),
    (
        "--sshkey --sshkeys --ssh-keys --key",
        "--ssh-key",
        "use --ssh-key FILE",
    ),
    (
        "--full --full-clone",
        "--linked",
        "omit it: without --linked, every VM is a full clone",
    ),
    ("--check --plan --preview", "--dry-run", "use --dry-run"),
    (
        "--id --newid --vm-id --template-id",
        "--vmid",
        "use --vmid N",
    ),
    ("--target --target-node", "--node", "use --node NAME"),
    ("--datastore", "--storage", "use --storage ID"),
    ("--ram --mem", "--memory", "use --memory SIZE"),
    (
        "--cpus --cpu-count --vcpu --vcpus",
        "--cores",
        "use --cores N",
    ),
    (
        "--cpu",
        "--cores",
        "use --cores N for the number of cores, or --set cpu=TYPE for their type",
    ),
    (
        "--disk --disk-size --size",
        "--resize",
        "use --resize DISK=SIZE",
    ),
    (
        "-l --login --ssh-user",
        "--identity",
        "use --user NAME, or put '--' before the command if this is its option",
    ),
    (
        "-i --key",
        "--identity",
        "use --identity FILE, or put '--' before the command if this is its option",
    ),
    ("--user --ssh-user", "--set", "use --set ciuser=NAME"),
    (
        "--ip --address",
        "--linked",
        "use --wait-ip to wait for an address, or --set ipconfig0=ip=ADDRESS/PREFIX to set one",
    ),
    ("--ip --address", "--wait-ip", "use --wait-ip"),
    (
        "--wait",
        "--linked",
        "omit it: vm create waits for the clone; --start and --wait-ip also wait for the VM",
    ),
    (
        "--wait",
        "--wait-ip",
        "omit it: the command waits until the VM runs; --wait-ip also waits for its address",
    ),
    (
        "--wait",
        "--poll-interval",
        "omit it: the command waits until it is done",
    ),
    ("--if-not-exists --exist-ok", "--ensure", "use --ensure"),
    ("--linked-clone", "--linked", "use --linked"),
];
