#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Shorthaul authors
#
# A sidecar without a configuration, and memory that runs out. In a mount namespace of its own, with
# a /dev/shm and a /run that nobody else sees.
if [[ -z ${E2E_INSIDE:-} ]]; then
    for how in "--mount" "--mount --map-root-user"; do
        # shellcheck disable=SC2086
        if unshare $how sh -c 'mount -t tmpfs -o size=1g none /dev/shm' 2>/dev/null; then
            # shellcheck disable=SC2086
            E2E_INSIDE=1 exec unshare $how bash "$0"
        fi
    done
    echo "no mount namespace can be made here"
    exit 77
fi
mount -t tmpfs none /run || exit 77
shm() {
    mountpoint -q /dev/shm && umount /dev/shm 2>/dev/null
    mount -t tmpfs -o "size=$1" none /dev/shm || fail "no tmpfs of $1"
}
# shellcheck source=tests/e2e/lib.sh disable=SC2034,SC2015,SC2153
source "$(dirname "$0")/lib.sh"
NAME=default # whatever is left of it fails the test

# Started with nothing it serves one pool where everybody looks for it.
shm 1g
start_sidecar
[[ $(stat -c %a /run/shorthaul/shorthauld.sock) == 660 ]] || fail "the socket's mode"
expect 0 "$SHORTHAUL" health
printed SERVING
expect 0 "$SHORTHAUL" pool info --json --socket unix:/run/shorthaul/shorthauld.sock
json '[.pools[] | .name, .mode, .budget_bytes]' '["default","0600",536870912]'
json '[.pools[0].classes[] | [.size_bytes, .initial_count, .max_count]]' \
    '[[1048576,8,64],[16777216,2,16],[67108864,2,8],[268435456,0,2],[0,0,4]]'
head -c 100000 /dev/urandom >"$WORK/file"
put "$WORK/file" default
expect 0 "$SHORTHAUL" get "$KEY"
cmp "$OUT" "$WORK/file" || fail "other bytes"
stop_put TERM 0
stop_sidecar TERM 0

# Started again it keeps what is there, though the machine has another size by now.
mount -o remount,size=2g /dev/shm
start_sidecar
grep -qF "pool default: found" "$LOG" || fail "$(cat "$LOG")"
stop_sidecar TERM 0
expect 0 "$SHORTHAUL" pool rm default

# Small machines get what fits.
shm 64m
start_sidecar --remove-on-exit
expect 0 "$SHORTHAUL" pool info default --json
json '.pools[0].budget_bytes' 33554432
json '[.pools[0].classes[].size_bytes]' '[1048576,16777216,0]'
expect 0 "$SHORTHAUL" pool audit default
stop_sidecar TERM 0
[[ -z $(ls /dev/shm) ]] || fail "left: $(ls /dev/shm)"
shm 1m
expect 3 "$SHORTHAULD"
said_one_line "/dev/shm is too small"
[[ -z $(ls /dev/shm) ]] || fail "left: $(ls /dev/shm)"

# Buffers that do not fit are an error with figures, and nothing is left behind.
shm 16m
expect 1 "$SHORTHAUL" pool create full --class 1MiB:20:20
said_one_line "full: "
[[ -z $(ls /dev/shm) ]] || fail "left: $(ls /dev/shm)"
cat >"$WORK/config.yaml" <<EOF
socket: $SOCKET
pools:
  - name: fits
    classes: [{size: 1MiB, initial: 4, max: 4}]
  - name: not
    classes: [{size: 1MiB, initial: 20, max: 20}]
EOF
expect 1 "$SHORTHAULD" --config "$WORK/config.yaml"
said "pool not: "
[[ -z $(ls /dev/shm) ]] || fail "left: $(ls /dev/shm)"

# A pool may promise more than there is; who asks for it is told.
head -c 60 /dev/zero >"$WORK/small"
truncate -s 30m "$WORK/large"
expect 0 "$SHORTHAUL" pool create default --class 1KiB:1:1 --budget 64MiB --measured 2
expect 1 "$SHORTHAUL" put "$WORK/large"
said_one_line "no buffer is free"
put "$WORK/small" default
expect 0 "$SHORTHAUL" get "$KEY"
cmp "$OUT" "$WORK/small" || fail "other bytes"
stop_put TERM 0
expect 0 "$SHORTHAUL" pool audit default
expect 0 "$SHORTHAUL" pool rm default
[[ -z $(ls /dev/shm) ]] || fail "left: $(ls /dev/shm)"
