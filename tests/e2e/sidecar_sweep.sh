#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Shorthaul authors
#
# A sidecar on a machine that has no inotify instances left: it says so, and the sweep finds the
# dead. In a user namespace of its own, where that limit is nobody else's.
if [[ -z ${E2E_INSIDE:-} ]]; then
    if unshare --user --map-root-user sh -c 'echo 0 >/proc/sys/user/max_inotify_instances' \
        2>/dev/null; then
        E2E_INSIDE=1 exec unshare --user --map-root-user bash "$0"
    fi
    echo "no user namespace can be made here"
    exit 77
fi
echo 0 >/proc/sys/user/max_inotify_instances || exit 77
# shellcheck source=tests/e2e/lib.sh disable=SC2034,SC2015,SC2153
source "$(dirname "$0")/lib.sh"

write_config
start_sidecar --config "$WORK/config.yaml"
for pool in one two; do
    grep -qF "pool $NAME.$pool: deaths are found on the sweep only: " "$LOG" ||
        fail "$(cat "$LOG")"
done
head -c 5000 /dev/urandom >"$WORK/file"
for _ in 1 2; do
    put "$WORK/file" "$NAME.one"
    stop_put KILL 137
    wait_log "pool $NAME.one: took back 1 buffers and holds"
    expect 0 "$SHORTHAUL" pool audit "$NAME.one"
done
stop_sidecar TERM 0
