#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Shorthaul authors
#
# Published buffers: put under a name, got by it, kept past their process, withdrawn.
# shellcheck source=tests/e2e/lib.sh disable=SC2034,SC2015,SC2153
source "$(dirname "$0")/lib.sh"

POOL=$NAME.pool
expect 0 "$SHORTHAUL" pool create "$POOL" --class 4KiB:2:4 --class 1MiB:1:2 --names 2 \
    --budget 32MiB --measured 2 --quota 6MiB
expect 0 "$SHORTHAUL" pool info "$POOL" --json
json '.pools[0] | [.quota_bytes, .names]' '[6291456,[]]'
expect 0 "$SHORTHAUL" pool info "$POOL"
printed "budget 32MiB, quota 6MiB;"

# Held by its process: found by name and by key, until that lets go.
head -c 3000 /dev/urandom >"$WORK/file"
put "$WORK/file" "$POOL" --name frame
expect 0 "$SHORTHAUL" get --name frame --pool "$POOL"
cmp "$OUT" "$WORK/file" || fail "other bytes by name"
expect 0 "$SHORTHAUL" get "$KEY"
cmp "$OUT" "$WORK/file" || fail "other bytes by key"
expect 0 "$SHORTHAUL" pool info "$POOL" --json
json '.pools[0].names | map([.name, .persistent, .length])' '[["frame",false,3000]]'
json '.pools[0] | .names[0].owner == .participants[0].slot' true
expect 0 "$SHORTHAUL" pool info "$POOL"
printed "PERSISTENT"
printed "frame "
expect 0 "$SHORTHAUL" pool audit "$POOL"
stop_put TERM 0
expect 3 "$SHORTHAUL" get --name frame --pool "$POOL"
said_one_line "$POOL: no buffer is published as 'frame'"
[[ ! -s $OUT ]] || fail "bytes behind a name that is gone"
expect 0 "$SHORTHAUL" pool audit "$POOL"

# Killed, it takes its name along.
put "$WORK/file" "$POOL" --name frame
stop_put KILL 137
expect 0 "$SHORTHAUL" pool reap "$POOL"
expect 3 "$SHORTHAUL" get --name frame --pool "$POOL"
expect 0 "$SHORTHAUL" pool audit "$POOL"

# Left to the pool, of every kind of class, also from a pipe.
for size in 0 5000 3000000; do
    head -c "$size" /dev/urandom >"$WORK/file"
    expect 0 "$SHORTHAUL" put "$WORK/file" --pool "$POOL" --name kept --persistent
    key=$(cat "$OUT")
    expect 0 "$SHORTHAUL" pool info "$POOL" --json
    json '.pools[0].names | map([.name, .persistent, .owner, .length])' \
        "[[\"kept\",true,0,$size]]"
    json '.pools[0].participants' '[]'
    expect 0 "$SHORTHAUL" get --name kept --pool "$POOL"
    cmp "$OUT" "$WORK/file" || fail "other bytes of $size by name"
    expect 0 "$SHORTHAUL" get "$key"
    cmp "$OUT" "$WORK/file" || fail "other bytes of $size by key"
    expect 0 "$SHORTHAUL" pool reap "$POOL"
    printed "took back 0 "
    expect 0 "$SHORTHAUL" pool audit "$POOL"
    expect 0 "$SHORTHAUL" pool withdraw "$POOL" kept
    expect 3 "$SHORTHAUL" get "$key"
    expect 3 "$SHORTHAUL" pool withdraw "$POOL" kept
    said_one_line "$POOL: no buffer is published as 'kept'"
    expect 0 "$SHORTHAUL" pool audit "$POOL"
    expect 0 "$SHORTHAUL" pool info "$POOL" --json
    json '.pools[0] | [.totals.shared, .names]' '[0,[]]'
done
head -c 9000 /dev/urandom >"$WORK/file"
"$SHORTHAUL" put - --pool "$POOL" --name piped --persistent <"$WORK/file" >/dev/null || fail "put -"
expect 0 "$SHORTHAUL" get --name piped --pool "$POOL"
cmp "$OUT" "$WORK/file" || fail "other bytes from a pipe"

# A name is one buffer's, and there are as many as were asked for.
head -c 3000 /dev/urandom >"$WORK/file"
expect 1 "$SHORTHAUL" put "$WORK/file" --pool "$POOL" --name piped
said_one_line "$POOL: a buffer is published as 'piped' already"
long=$(printf 'n%.0s' {1..47})
expect 0 "$SHORTHAUL" put "$WORK/file" --pool "$POOL" --name "$long" --persistent
expect 1 "$SHORTHAUL" put "$WORK/file" --pool "$POOL" --name third --persistent
said_one_line "$POOL: all of the pool's names are in use"
expect 0 "$SHORTHAUL" pool audit "$POOL"
expect 0 "$SHORTHAUL" pool withdraw "$POOL" "$long"

# What could not say its key has not published anything either.
expect 1 sh -c "'$SHORTHAUL' put '$WORK/file' --pool $POOL --name silent -P >/dev/full"
said_one_line "cannot write"
expect 3 "$SHORTHAUL" get --name silent --pool "$POOL"

# Names that are none.
for name in "" "a b" $'a\nb' "${long}n" "$(printf '\xc3\xa9')"; do
    expect 2 "$SHORTHAUL" put "$WORK/file" --pool "$POOL" --name "$name" --persistent
    expect 2 "$SHORTHAUL" get --name "$name" --pool "$POOL"
    expect 2 "$SHORTHAUL" pool withdraw "$POOL" "$name"
    said "cannot be a buffer's name"
done
expect 3 "$SHORTHAUL" get --name piped --pool "$NAME.none"
expect 3 "$SHORTHAUL" pool withdraw "$NAME.none" piped

# More than a participant may own: refused, and nothing is lost.
head -c 7000000 /dev/zero >"$WORK/large"
expect 1 "$SHORTHAUL" put "$WORK/large" --pool "$POOL"
expect 0 "$SHORTHAUL" pool withdraw "$POOL" piped
expect 0 "$SHORTHAUL" pool info "$POOL" --json
json '.pools[0] | [.totals.shared, .totals.owned, .names]' '[0,0,[]]'
expect 0 "$SHORTHAUL" pool audit "$POOL"
