#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Shorthaul authors
#
# Prove that the demo and the tests need nothing but a fresh Debian 12: make one with debootstrap,
# copy the sources into it, and run them there. Root only; wants debootstrap and some 5 GB.
#
#   scripts/clean-debian.sh DIR [COMMAND...]   default: ./scripts/demo.sh, then ./scripts/test.sh
#
# DIR is made if it does not exist, and kept: remove it yourself, or run again in it. Processes and
# mounts are in namespaces of their own and end with the script.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# in_debian DIR COMMAND...: in the copy of the sources there, with a fresh environment.
in_debian() {
    local dir=$1
    shift
    chroot "$dir" /usr/bin/env -i HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin \
        bash -c 'cd /src && "$@"' bash "$@"
}

inside() {
    local dir=$1
    shift
    mount --bind "$dir" "$dir" # a root that is a mount, as tests that unshare mounts need it
    mount --rbind /dev "$dir/dev"
    mount -t tmpfs -o mode=1777 tmpfs "$dir/dev/shm"
    mount -t proc proc "$dir/proc"
    mount -t sysfs -o ro sysfs "$dir/sys"
    if [ $# -gt 0 ]; then
        in_debian "$dir" "$@"
    else
        in_debian "$dir" ./scripts/demo.sh
        in_debian "$dir" ./scripts/test.sh
    fi
}

if [ "${1:-}" = --inside ]; then
    shift
    inside "$@"
    exit
fi

dir=${1:?usage: clean-debian.sh DIR [COMMAND...]}
shift
if [ ! -e "$dir/etc/debian_version" ]; then
    debootstrap --variant=minbase bookworm "$dir"
fi
mkdir -p "$dir/src"
tar -C "$root" --exclude=./build --exclude=./.git -cf - . | tar -C "$dir/src" -xf -
exec unshare --mount --pid --fork --kill-child "$0" --inside "$(realpath "$dir")" "$@"
