#!/usr/bin/env bash
# Runs the static program in an empty root: without libraries, name service, home, /tmp and open files.
# Installs, upgrades and removes its package, too. As root, does the same in roots of Debian releases,
# which debootstrap creates. tests/static.sh PROGRAM [DEB [RELEASE ...]]; an empty DEB skips the package.
set -eu

program=$1
deb=${2-}
shift $(($# < 2 ? $# : 2))
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0

# Other users than root may do in a user namespace what takes root.
as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    else
        unshare --map-root-user "$@"
    fi
}
within() {
    as_root env -i "${settings[@]}" "$(command -v chroot)" "$@"
}
settings=(
    PROXMOX_USER=root@pam PROXMOX_TOKEN_KEY=cli PROXMOX_TOKEN_SECRET=00000000-0000-0000-0000-000000000000
)

# expect WHAT EXIT-CODE PATTERN COMMAND...: the pattern must match stdout and stderr as a whole.
expect() {
    local what=$1 code=$2 pattern=$3 seen=0 text
    shift 3
    text=$("$@" 2>&1) || seen=$?
    # Unquoted: a pattern.
    if [ "$seen" != "$code" ] || [[ $text != $pattern ]]; then
        printf 'FAIL  %s: the exit code is %s instead of %s, and the output is\n%s\n' "$what" "$seen" "$code" "$text"
        failed=1
    else
        printf 'ok    %s\n' "$what"
    fi
}

# Nothing listens on port 1, so a connection to a name that resolves is refused.
expect_names() {
    local where=$1 root=$2
    expect "$where: a name in /etc/hosts resolves" 1 \
        'Failed to list templates: cannot reach known.example:1: Connection refused*' \
        within "$root" /homelab proxmox template list --host known.example:1
    expect "$where: an unknown name is an error" 1 \
        'Failed to list templates: cannot resolve unknown.example: *' \
        within "$root" /homelab proxmox template list --host unknown.example:1
}

# A name server that does not exist, so that no query leaves this machine.
name_service() {
    mkdir -p "$1/etc"
    echo '127.0.0.2 known.example' > "$1/etc/hosts"
    printf 'nameserver 127.0.0.1\noptions timeout:1 attempts:1\n' > "$1/etc/resolv.conf"
}

# This machine's dpkg, on another root. It may be configured to leave out documentation.
host_dpkg() {
    (cd "$root" && as_root dpkg --root="$PWD" --log=/dev/null --force-not-root --path-include='/usr/share/*' "$@")
}
release_dpkg() {
    within "$root" /usr/bin/env PATH=/usr/sbin:/usr/bin:/sbin:/bin dpkg "$@"
}

files_of_package() {
    dpkg-deb --fsys-tarfile "$deb" | tar -t | sed -n 's,^\./\(.*[^/]\)$,\1,p'
}
remaining_files() {
    local file
    for file in $(files_of_package) usr/share/doc/homelab/old; do
        if [ -e "$root/$file" ]; then
            echo "$file"
        fi
    done
}
compare_manual() {
    cmp <("$program" help --man) <(gzip -dc "$root/usr/share/man/man1/homelab.1.gz")
}

# expect_package WHERE ROOT DPKG: with this dpkg, from an older version to the removal.
expect_package() {
    local where=$1 root=$2 dpkg=$3 settings=() version verb arguments
    local examples=$root/usr/share/doc/homelab/examples
    version=$(dpkg-deb --field "$deb" Version)
    cp "$work/old.deb" "$deb" "$root"
    expect "$where: an older package is installed" 0 '*' "$dpkg" -i old.deb
    expect "$where: the package replaces it" 0 "*homelab ($version) over (0~old)*" "$dpkg" -i "${deb##*/}"
    expect "$where: the older files are replaced or removed" 0 "$(files_of_package)" remaining_files
    expect "$where: its files are intact" 0 '' "$dpkg" -V homelab
    expect "$where: the installed program starts" 0 'homelab *' within "$root" /usr/bin/homelab --version
    expect "$where: the installed manual is that of the program" 0 '' compare_manual
    as_root install -D -m 600 "$examples/config.json" "$root/etc/homelab/config.json"
    expect "$where: the example of a configuration is accepted" 1 \
        'Failed to list templates: *cannot resolve pve.lan: *' \
        within "$root" /usr/bin/homelab proxmox template list
    # As cron does it, but without its shell, which an empty root lacks.
    for verb in create delete; do
        arguments=$(sed -n "s/^[0-9].*  homelab  homelab \(proxmox vm $verb \)/\1/p" "$examples/homelab.cron")
        eval "arguments=(${arguments//\\%/%})"
        expect "$where: the example of a cron job is accepted: $verb" 1 \
            "Failed to $verb VM: *cannot resolve pve.lan: *" within "$root" /usr/bin/homelab "${arguments[@]}"
    done
    rm -rf "$root/etc/homelab" "$root/var/lib/homelab"
    expect "$where: the package is removed" 0 '*' "$dpkg" -r homelab
    expect "$where: none of its files is left" 0 '' remaining_files
}

empty=$work/empty
mkdir "$empty"
cp "$program" "$empty/homelab"
expect 'empty root: it starts' 0 'homelab *' within "$empty" /homelab --version
expect 'empty root: it prints its help' 0 '*Usage: homelab *' within "$empty" /homelab --help
expect 'empty root: a missing configuration is an error' 2 \
    'Failed to list templates: *Hint: *' within "$empty" /homelab proxmox template list
expect 'empty root: an address needs no name service' 1 \
    'Failed to list templates: cannot reach 127.0.0.1:1: Connection refused*' \
    within "$empty" /homelab proxmox template list --host 127.0.0.1:1
expect 'empty root: a name is an error' 1 \
    'Failed to list templates: cannot resolve unknown.example: *' \
    within "$empty" /homelab proxmox template list --host unknown.example:1
# Without a home the state directory is /var/lib/homelab, which the program creates.
expect 'empty root: no VM is created without a server' 1 \
    "Creating VM 'web-1' from template 'debian-12'...
Failed to create VM: *cannot reach 127.0.0.1:1: Connection refused*" \
    within "$empty" /homelab proxmox vm create web-1 debian-12 --host 127.0.0.1:1

# Rust opens /dev/null for them, so that files that are opened later are not taken for them.
closed() {
    env -i "${settings[@]}" HOMELAB_STATE_DIR="$work/state" "$program" "$@" <&- >&- 2>&-
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
    expect 'only /dev/null, no open files: help' 0 '' closed_within --help
    expect 'only /dev/null, no open files: an error' 1 '' \
        closed_within proxmox template list --host unknown.example:1
fi

name_service "$empty"
expect_names '/etc/hosts and resolv.conf' "$empty"

# As 'man' calls it.
formatted() {
    set -o pipefail
    "$program" help --man | groff -k -t -ww -man -Tutf8 -z
}
linted() {
    set -o pipefail
    "$program" help --man | mandoc -T lint -W warning
}
if command -v groff >/dev/null; then
    expect 'manual: groff has no warning' 0 '' formatted
else
    echo 'skipped: groff is not installed'
fi
if command -v mandoc >/dev/null; then
    expect 'manual: mandoc has no warning' 0 '' linted
fi

if [ -n "$deb" ]; then
    # The same package with a lower version and a file that the new one lacks.
    dpkg-deb --raw-extract "$deb" "$work/old"
    sed -i 's/^Version: .*/Version: 0~old/' "$work/old/DEBIAN/control"
    touch "$work/old/usr/share/doc/homelab/old"
    dpkg-deb --root-owner-group -Zxz --build "$work/old" "$work/old.deb" >/dev/null

    mkdir -p "$work/root/var/lib/dpkg/info" "$work/root/var/lib/dpkg/updates"
    touch "$work/root/var/lib/dpkg/status"
    name_service "$work/root"
    expect_package 'package' "$work/root" host_dpkg
else
    echo 'skipped: dpkg is not installed, so the package is not tested'
fi

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
    # A program that loads these modules with another libc than the host's crashes.
    echo 'hosts: resolve [!UNAVAIL=return] myhostname compat files dns' > "$root/etc/nsswitch.conf"
    expect "$release: it starts" 0 'homelab *' within "$root" /homelab --version
    expect_names "$release" "$root"
    if [ -n "$deb" ]; then
        expect_package "$release" "$root" release_dpkg
    fi
done
exit $failed
