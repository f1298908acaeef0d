#!/usr/bin/env bash
# Runs the static program in a root that contains nothing else: no libraries, no name service, no home,
# no /tmp, no open files. tests/static.sh PROGRAM [DEBIAN-RELEASE ...]; the releases need debootstrap.
set -eu

program=$1
shift
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0

# Root can use chroot directly, other users only in a namespace.
within() {
    if [ "$(id -u)" = 0 ]; then
        env -i "$settings" "${secrets[@]}" "$(command -v chroot)" "$@"
    else
        env -i "$settings" "${secrets[@]}" "$(command -v unshare)" --map-root-user "$(command -v chroot)" "$@"
    fi
}
settings=PROXMOX_USER=root@pam
secrets=(PROXMOX_TOKEN_KEY=cli PROXMOX_TOKEN_SECRET=00000000-0000-0000-0000-000000000000)

# expect WHAT EXIT-CODE PATTERN COMMAND...: the pattern must match the whole output.
expect() {
    local what=$1 code=$2 pattern=$3 seen=0 text
    shift 3
    text=$("$@" 2>&1) || seen=$?
    # Unquoted: a pattern.
    if [ "$seen" != "$code" ] || [[ $text != $pattern ]]; then
        printf 'FAIL  %s: exit code %s instead of %s, and this output:\n%s\n' "$what" "$seen" "$code" "$text"
        failed=1
    else
        printf 'ok    %s\n' "$what"
    fi
}

# Port 1 is closed, so a connection to a known name is refused.
expect_names() {
    local where=$1 root=$2
    expect "$where: a name in /etc/hosts is resolved" 1 \
        'Failed to list templates: cannot reach known.example:1: Connection refused*' \
        within "$root" /homelab proxmox template list --host known.example:1
    expect "$where: an unknown name is an error" 1 \
        'Failed to list templates: cannot resolve unknown.example: *' \
        within "$root" /homelab proxmox template list --host unknown.example:1
}

name_service() {
    mkdir -p "$1/etc"
    echo '127.0.0.2 known.example' > "$1/etc/hosts"
    # A closed port, so that no query leaves this machine.
    printf 'nameserver 127.0.0.1\noptions timeout:1 attempts:1\n' > "$1/etc/resolv.conf"
}

empty=$work/empty
mkdir "$empty"
cp "$program" "$empty/homelab"
expect 'empty root: it starts' 0 'homelab *' within "$empty" /homelab --version
expect 'empty root: it prints its help' 0 'Usage: homelab *' within "$empty" /homelab --help
expect 'empty root: without a configuration it fails with a hint' 2 \
    'Failed to list templates: *Hint: *' within "$empty" /homelab proxmox template list
expect 'empty root: an address needs no name service' 1 \
    'Failed to list templates: cannot reach 127.0.0.1:1: Connection refused*' \
    within "$empty" /homelab proxmox template list --host 127.0.0.1:1
expect 'empty root: a name cannot be resolved' 1 \
    'Failed to list templates: cannot resolve unknown.example: *' \
    within "$empty" /homelab proxmox template list --host unknown.example:1
# Without a home the state directory is /var/lib/homelab, which it creates.
expect 'empty root: no VM is created if the server is down' 1 \
    "Creating VM 'web-1' from template 'debian-12'...
Failed to create VM: *cannot reach 127.0.0.1:1: Connection refused*" \
    within "$empty" /homelab proxmox vm create web-1 debian-12 --host 127.0.0.1:1

# Rust's runtime opens /dev/null for these, so that files opened later do not get their numbers.
closed() {
    env -i "$settings" "${secrets[@]}" HOMELAB_STATE_DIR="$work/state" "$program" "$@" <&- >&- 2>&-
}
closed_within() {
    within "$empty" /homelab "$@" <&- >&- 2>&-
}
expect 'no open files: help' 0 '' closed --help
expect 'no open files: wrong usage' 2 '' closed nonsense
expect 'no open files: an error' 1 '' closed proxmox template list --host 127.0.0.1:1
expect 'no open files: a VM' 1 '' closed proxmox vm create web-1 debian-12 --host 127.0.0.1:1
if [ "$(id -u)" = 0 ]; then
    mkdir "$empty/dev"
    mknod "$empty/dev/null" c 1 3
    expect 'nothing but /dev/null, no open files: help' 0 '' closed_within --help
    expect 'nothing but /dev/null, no open files: an error' 1 '' \
        closed_within proxmox template list --host unknown.example:1
fi

name_service "$empty"
expect_names '/etc/hosts and resolv.conf' "$empty"

for release; do
    root=target/roots/$release
    if ! [ -x "$root/bin/sh" ]; then
        mkdir -p target/roots
        rm -rf "$root.half"
        debootstrap --variant=minbase "$release" "$root.half" > "$work/log" 2>&1 || {
            tail -n 5 "$work/log"
            exit 1
        }
        mv "$root.half" "$root"
    fi
    cp "$program" "$root/homelab"
    name_service "$root"
    # Loading these modules into a static program with another libc would crash it.
    echo 'hosts: resolve [!UNAVAIL=return] myhostname compat files dns' > "$root/etc/nsswitch.conf"
    expect "$release: it starts" 0 'homelab *' within "$root" /homelab --version
    expect_names "$release" "$root"
done
exit $failed
