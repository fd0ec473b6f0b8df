#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Shorthaul authors
#
# The commands on pools, without a sidecar.
# shellcheck source=tests/e2e/lib.sh disable=SC2034,SC2015,SC2153
source "$(dirname "$0")/lib.sh"

POOL=$NAME.pool

# Created, it is there, with what was asked for.
expect 0 "$SHORTHAUL" pool create "$POOL" --class 4KiB:2:4 --class 1MiB:1:3 --budget 8MiB \
    --measured 1 --participants 5 --mode 0600
expect 1 "$SHORTHAUL" pool create "$POOL" --class 4KiB:2:4
said_one_line "$POOL: "
expect 0 "$SHORTHAUL" pool list
printed "$POOL"
expect 0 "$SHORTHAUL" pool list --json
json ".pools[] | select(.name == \"$POOL\") |
      [.state, .buffers, .total_bytes, .budget_bytes, .mode]" \
    '["ok",3,1056768,8388608,"0600"]'
expect 0 "$SHORTHAUL" pool info "$POOL"
printed "to measure"
expect 0 "$SHORTHAUL" pool info "$POOL" --json
json '.pools[0] | [.name, .total_bytes, .slots]' "[\"$POOL\",1056768,5]"
json '.pools[0].classes | map([.size_bytes, .initial_count, .max_count, .count, .free, .absent])' \
    '[[4096,2,4,2,2,2],[1048576,1,3,1,1,2],[0,0,1,0,0,1]]'
json '.pools[0].totals | [.count, .free, .absent, .bytes]' '[3,3,5,1056768]'
json '.pools[0].participants' '[]'
json '.pools[0] | (.uuid | length), (.pool_id | length)' "$(printf '36\n18')"
expect 0 "$SHORTHAUL" pool info --json
json "[.pools[].name] | index(\"$POOL\") != null" true
expect 0 "$SHORTHAUL" pool audit "$POOL"
printed "$POOL: clean"
expect 0 "$SHORTHAUL" pool reap "$POOL"
printed "took back 0 "

# While somebody lives in it, it is not removed.
head -c 3000 /dev/urandom >"$WORK/file"
put "$WORK/file" "$POOL"
expect 0 "$SHORTHAUL" pool info "$POOL" --json
json '.pools[0].participants | map([.name, .alive, .owned, .bytes_owned])' \
    '[["shorthaul put",true,1,4096]]'
json '.pools[0].participants[0].pid' "$PUT"
json '.pools[0].classes[0] | [.shared, .allocations, .requested[12]]' '[1,1,1]'
expect 1 "$SHORTHAUL" pool rm "$POOL"
said_one_line "--force"
expect 0 "$SHORTHAUL" get "$KEY"
cmp "$OUT" "$WORK/file" || fail "other bytes"

# Dead, it is found by the audit, and reaped.
stop_put KILL 137
expect 4 "$SHORTHAUL" pool audit "$POOL"
expect 4 "$SHORTHAUL" pool audit "$POOL" --json
json '.name, (.findings | length > 0), (.findings[0].finding | type)' \
    "$(printf '"%s"\ntrue\n"string"' "$POOL")"
expect 0 "$SHORTHAUL" pool info "$POOL" --json
json '.pools[0].participants[0].alive' false
expect 0 "$SHORTHAUL" pool reap "$POOL"
printed "$POOL: took back 1 "
expect 0 "$SHORTHAUL" pool audit "$POOL" --json
json '.findings' '[]'

# Removed by force, it is gone for newcomers, and those inside are not harmed.
put "$WORK/file" "$POOL"
expect 0 "$SHORTHAUL" pool rm "$POOL" --force
expect 3 "$SHORTHAUL" pool info "$POOL"
expect 3 "$SHORTHAUL" get "$KEY"
stop_put TERM 0
expect 0 "$SHORTHAUL" pool create "$POOL" --class 4KiB:2:4
expect 3 "$SHORTHAUL" get "$KEY" # the same name, and another pool
expect 0 "$SHORTHAUL" pool rm "$POOL"

# Every command says what it did not find.
for command in info audit reap rm; do
    expect 3 "$SHORTHAUL" pool "$command" "$POOL"
    said_one_line "$POOL: "
done

# Objects that only look like a pool: listed, refused, not lost; removed by force alone.
for object in short random version; do
    case $object in
    short) printf 'x' ;;
    random) head -c 100000 /dev/urandom ;;
    version) # a pool's, but for the number that follows the magic
        expect 0 "$SHORTHAUL" pool create "$POOL" --class 4KiB:0:2
        head -c 8 "/dev/shm/haul.$POOL" && printf '\xff\xff' && tail -c +11 "/dev/shm/haul.$POOL"
        ;;
    esac >"$WORK/object"
    cat "$WORK/object" >"/dev/shm/haul.$POOL"
    chmod 600 "/dev/shm/haul.$POOL"
    expect 0 "$SHORTHAUL" pool list --json
    json "[.pools[] | select(.name == \"$POOL\") | .state != \"ok\", .uuid]" '[true,null]'
    expect 0 "$SHORTHAUL" pool list
    for command in info reap rm; do
        expect 1 "$SHORTHAUL" pool "$command" "$POOL"
        said_one_line "$POOL: "
    done
    timeout "$LIMIT" "$SHORTHAUL" pool audit "$POOL" >"$OUT" 2>"$ERR"
    case $? in 1 | 4) ;; *) fail "audit of a $object object" ;; esac
    expect 1 "$SHORTHAUL" pool create "$POOL" --class 4KiB:1:1
    [[ -e /dev/shm/haul.$POOL ]] || fail "the object is gone"
    expect 0 "$SHORTHAUL" pool rm "$POOL" --force
    [[ ! -e /dev/shm/haul.$POOL ]] || fail "the object is still there"
done

# What a creator leaves that died before it had begun is no pool, and in nobody's way.
: >"/dev/shm/haul.$POOL"
chmod 600 "/dev/shm/haul.$POOL"
expect 3 "$SHORTHAUL" pool info "$POOL"
expect 0 "$SHORTHAUL" pool create "$POOL" --class 4KiB:1:1
expect 0 "$SHORTHAUL" pool audit "$POOL"
expect 0 "$SHORTHAUL" pool rm "$POOL"

# Objects belong to the group that was asked for, and to nobody else.
expect 0 "$SHORTHAUL" pool create "$POOL" --class 4KiB:1:1 --group "$(id -gn)"
for object in /dev/shm/haul."$POOL"*; do
    [[ $(stat -c '%a %g' "$object") == "660 $(id -g)" ]] || fail "$(stat "$object")"
done
expect 0 "$SHORTHAUL" pool rm "$POOL"
expect 0 "$SHORTHAUL" pool create "$POOL" --class 4KiB:1:1
for object in /dev/shm/haul."$POOL"*; do
    [[ $(stat -c %a "$object") == 600 ]] || fail "$(stat "$object")"
done
expect 0 "$SHORTHAUL" pool rm "$POOL"

# Whoever may not open a pool is told so. Needs root, to be somebody else.
other=(setpriv --reuid 65534 --regid 65534 --clear-groups)
if "${other[@]}" "$SHORTHAUL" --version >/dev/null 2>&1; then
    expect 0 "$SHORTHAUL" pool create "$POOL" --class 4KiB:1:1
    put "$WORK/file" "$POOL"
    expect 0 "${other[@]}" "$SHORTHAUL" pool list --json
    json ".pools[] | select(.name == \"$POOL\") | .state" '"denied"'
    for command in info audit reap rm "rm --force"; do
        # shellcheck disable=SC2086
        expect 1 "${other[@]}" "$SHORTHAUL" pool $command "$POOL"
        said_one_line "$POOL: "
    done
    expect 3 "${other[@]}" "$SHORTHAUL" get "$KEY"
    [[ ! -s $OUT ]] || fail "bytes for somebody else"
    stop_put TERM 0
    expect 0 "$SHORTHAUL" pool audit "$POOL"
    expect 0 "$SHORTHAUL" pool rm "$POOL"
fi

# Names that are none, and numbers that cannot be.
long=$(printf 'x%.0s' {1..300})
for name in "" a/b ../etc .hidden "$long" $'a\nb'; do
    for command in info audit reap rm; do
        expect 2 "$SHORTHAUL" pool "$command" "$name"
    done
    expect 2 "$SHORTHAUL" pool create "$name" --class 4KiB:1:1
    expect 2 "$SHORTHAUL" put "$WORK/file" --pool "$name"
done
expect 2 "$SHORTHAUL" pool create "$POOL" --class 4KiB:5:4
expect 2 "$SHORTHAUL" pool create "$POOL" --class 2MiB:1:1 --class 1MiB:1:1
expect 2 "$SHORTHAUL" pool create "$POOL" --class 1MiB:4:4 --budget 3MiB
expect 2 "$SHORTHAUL" pool create "$POOL" --class 4MiB:0:4 --budget 3MiB
expect 2 "$SHORTHAUL" pool create "$POOL" --class 4KiB:1:1 --measured 2
expect 3 "$SHORTHAUL" pool info "$POOL"
