#!/usr/bin/env bash
# Builds packages again in another folder, with another cargo home and umask, and compares the bytes.
# tests/dist.sh ARCHIVE [DEB]
set -eu

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

copy="$work/a copy"
mkdir "$copy" "$work/cargo"
tar --exclude=./target --exclude=./.git -cf - . | tar -xf - -C "$copy"
# Links: a copy of the crates would take longer, and cargo does not resolve them.
ln -s "${CARGO_HOME:-$HOME/.cargo}"/* "$work/cargo"

targets=dist
if [ $# -gt 1 ]; then
    targets='dist deb'
fi
# Unquoted: one word for each target.
(umask 077 && CARGO_HOME="$work/cargo" make --no-print-directory -C "$copy" $targets)

failed=0
for package; do
    if cmp "$package" "$copy/$package"; then
        printf 'ok    two builds of %s are equal\n' "${package##*/}"
    else
        failed=1
    fi
done
# cargo names a folder of crates after the registry that it uses.
registry=$(ls "${CARGO_HOME:-$HOME/.cargo}/registry/src" | paste -sd '|')
names=$(gzip -dc "$1" | grep -aoE "($PWD|$work|${CARGO_HOME:-$HOME/.cargo}|${registry:-$work})/[[:alnum:]_./-]*" | head -n 5)
if [ -n "$names" ]; then
    printf 'FAIL  these names of this machine are in %s:\n%s\n' "${1##*/}" "$names"
    failed=1
fi
(cd target && sha256sum --check SHA256SUMS) || failed=1
exit $failed
