#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Shorthaul authors
#
# Deaths are told to the sidecar and not looked for, and what was published to stay outlives
# everybody. The sweep is an hour away in all of this.
# shellcheck source=tests/e2e/lib.sh disable=SC2034,SC2015,SC2153
source "$(dirname "$0")/lib.sh"

write_config
sed -i 's/20ms/60min/' "$WORK/config.yaml"
POOL=$NAME.one
start_sidecar --config "$WORK/config.yaml"
head -c 50000 /dev/urandom >"$WORK/file"

all_free() {
    expect 0 "$SHORTHAUL" pool info "$1" --json
    json '.pools[0].totals | [.shared, .owned, .count - .free]' '[0,0,0]'
    json '[.pools[0].participants[].name]' '["shorthauld"]'
    expect 0 "$SHORTHAUL" pool audit "$1"
}

# In either pool; the second death comes when the first is over and done with.
for pool in one two one; do
    [[ $pool == one ]] || truncate -s 4000 "$WORK/file"
    put "$WORK/file" "$NAME.$pool" --name frame
    expect 0 "$SHORTHAUL" get --name frame --pool "$NAME.$pool"
    cmp "$OUT" "$WORK/file" || fail "other bytes"
    stop_put KILL 137
    wait_log "pool $NAME.$pool: took back 1 buffers and holds"
    all_free "$NAME.$pool"
    expect 3 "$SHORTHAUL" get --name frame --pool "$NAME.$pool"
done

# Several at the same moment. How many of them one look finds is the kernel's affair.
puts=()
for _ in 1 2 3; do
    put "$WORK/file" "$POOL"
    puts+=("$PUT")
done
kill -KILL "${puts[@]}"
wait "${puts[@]}" 2>/dev/null
end=$((SECONDS + LIMIT))
until expect 0 "$SHORTHAUL" pool info "$POOL" --json &&
    [[ $(jq -c '[.pools[0].participants[].name]' "$OUT") == '["shorthauld"]' ]]; do
    ((SECONDS < end)) || fail "not all were taken back: $(cat "$OUT")"
done
all_free "$POOL"

# With nobody dying its main thread is at rest: between two looks at it, it has not run at all.
runtime() {
    cut -d' ' -f1 "/proc/$SIDECAR/task/$SIDECAR/schedstat"
}
if [[ -r /proc/$SIDECAR/task/$SIDECAR/schedstat ]]; then
    end=$((SECONDS + LIMIT))
    until before=$(runtime) && expect 0 "$SHORTHAUL" health --socket "$SOCKET" &&
        [[ $(runtime) == "$before" ]]; do
        ((SECONDS < end)) || fail "the sidecar never rests"
    done
fi

# Published to stay, it is there when everybody has died and somebody comes back.
head -c 200000 /dev/urandom >"$WORK/state"
put "$WORK/file" "$POOL" --name mortal
expect 0 "$SHORTHAUL" put "$WORK/state" --pool "$POOL" --name state --persistent
key=$(cat "$OUT")
stop_put KILL 137
stop_sidecar KILL 137
start_sidecar --config "$WORK/config.yaml"
grep -qF "pool $POOL: found" "$LOG" || fail "$(cat "$LOG")"
for where in "" "--socket $SOCKET"; do
    # shellcheck disable=SC2086
    expect 0 "$SHORTHAUL" pool info "$POOL" --json $where
    json '.pools[0].names | map([.name, .persistent, .owner, .length])' '[["state",true,0,200000]]'
    json '.pools[0] | [.totals.shared, .quota_bytes]' '[1,16777216]'
done
expect 0 "$SHORTHAUL" get --name state --pool "$POOL"
cmp "$OUT" "$WORK/state" || fail "other bytes by name"
expect 0 "$SHORTHAUL" get "$key"
cmp "$OUT" "$WORK/state" || fail "other bytes by key"
expect 3 "$SHORTHAUL" get --name mortal --pool "$POOL"
expect 0 "$SHORTHAUL" pool audit "$POOL"

# Withdrawn, it is gone, and its buffer is free.
expect 0 "$SHORTHAUL" pool withdraw "$POOL" state
expect 3 "$SHORTHAUL" get --name state --pool "$POOL"
expect 3 "$SHORTHAUL" get "$key"
all_free "$POOL"
stop_sidecar TERM 0
expect 0 "$SHORTHAUL" pool audit "$POOL"
