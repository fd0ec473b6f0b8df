#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Shorthaul authors
#
# The example programs and the sidecar together, as a user would run them.
#
# Waits for nothing but what the programs say: readiness is a line of theirs, death is waited for.
set -euo pipefail
bin=${1:?usage: test_digest.sh FOLDER-OF-PROGRAMS}
pool=test-digest-$$
dir=$(mktemp -d /tmp/shorthaul-test.XXXXXX)
pids=()

clean_up() {
    local pid
    for pid in "${pids[@]}"; do
        kill -KILL "$pid" 2>/dev/null || true
        wait "$pid" 2>/dev/null || true
    done
    "$bin/shorthaul" pool rm --force "$pool" >/dev/null 2>&1 || true
    rm -rf "$dir"
}
trap clean_up EXIT
trap 'exit 130' INT TERM HUP

fail() {
    echo "FAILED: $*" >&2
    exit 1
}

# Start a program and wait for its line that says it is ready. Sets $started.
start() {
    local log=$1 line
    shift
    mkfifo "$log"
    "$@" >"$log" 2>&1 &
    started=$!
    pids+=("$started")
    exec {fd}<"$log"
    while IFS= read -r -u "$fd" line; do
        echo "$line"
        if [[ $line == *": ready on "* ]]; then
            cat <&"$fd" &
            exec {fd}<&-
            rm "$log"
            return 0
        fi
    done
    fail "$* did not become ready"
}

start_sidecar() {
    start "$dir/sidecar.log" "$bin/shorthauld" --config "$dir/shorthauld.yaml"
    sidecar=$started
}

start_server() {
    start "$dir/server.log" "$bin/digest_server" --listen "unix:$dir/digest.sock" "$@"
    server=$started
}

# finish PID SIGNAL CODE: it ends, with that code.
finish() {
    local code=0
    kill -"$2" "$1"
    wait "$1" || code=$?
    [ "$code" -eq "$3" ] || fail "ended with $code, not $3, on SIG$2"
}

client() {
    "$bin/digest_client" --connect "unix:$dir/digest.sock" "$@"
}

# expect FILE PATH OPTION...: the digest is right and the payload went by PATH.
expect() {
    local file=$1 path=$2 answer
    shift 2
    answer=$(client --json "$@" "$file")
    [ "$(jq -r .sha256 <<<"$answer")" = "$(sha256sum <"$file" | cut -d ' ' -f 1)" ] ||
        fail "wrong digest: $answer"
    [ "$(jq -r .size <<<"$answer")" = "$(stat -c %s "$file")" ] || fail "wrong size: $answer"
    [ "$(jq -r .path <<<"$answer")" = "$path" ] || fail "not by $path: $answer"
    message_bytes=$(jq -r .message_bytes <<<"$answer")
}

# All buffers of the pool are free and the audit finds nothing.
expect_quiet() {
    "$bin/shorthaul" pool reap "$pool" >/dev/null
    "$bin/shorthaul" pool audit "$pool" || fail "the audit found something"
    "$bin/shorthaul" pool info "$pool" --json |
        jq -e '[.. | objects | select(has("owned") and has("free"))] |
               length > 0 and all(.owned + .shared + .given + .retired == 0)' >/dev/null ||
        fail "buffers are not free: $("$bin/shorthaul" pool info "$pool" --json)"
}

cat >"$dir/shorthauld.yaml" <<END
socket: unix:$dir/shorthauld.sock
pools:
  - name: $pool
    remove_on_exit: true
    classes:
      - {size: 1MiB, initial: 2, max: 4}
      - {size: 24MiB, initial: 1, max: 2}
END
head -c 20000000 /dev/urandom >"$dir/large"
head -c 1000 "$dir/large" >"$dir/small"
head -c 30000000 /dev/urandom >"$dir/larger-than-any-class"
: >"$dir/empty"

# By key, inline, many calls, what fits no buffer, nothing at all.
start_sidecar
start_server --pool "$pool"
expect "$dir/large" shm --pool "$pool"
[ "$message_bytes" -le 100 ] || fail "a request of $message_bytes bytes carried a key"
expect "$dir/large" inline --pool "$pool" --inline
[ "$message_bytes" -gt 20000000 ] || fail "$message_bytes bytes inline"
expect "$dir/large" inline
expect "$dir/small" shm --pool "$pool" --repeat 200
expect "$dir/larger-than-any-class" inline --pool "$pool"
client --json --pool "$pool" "$dir/empty" | grep -q "$(sha256sum </dev/null | cut -d ' ' -f 1)" ||
    fail "wrong digest of nothing"
"$bin/digest_compare" --connect "unix:$dir/digest.sock" --pool "$pool" \
    "$dir/small" "$(sha256sum <"$dir/small" | cut -d ' ' -f 1)" >/dev/null
if "$bin/digest_compare" --connect "unix:$dir/digest.sock" --pool "$pool" \
    "$dir/small" "$(sha256sum <"$dir/large" | cut -d ' ' -f 1)" >/dev/null 2>&1; then
    fail "a wrong digest was accepted"
fi
expect_quiet

# The sidecar is killed: calls go on, and a new one takes the pool over.
finish "$sidecar" KILL 137
expect "$dir/large" shm --pool "$pool"
start_sidecar
expect "$dir/large" shm --pool "$pool"

# A server without the pool is sent the bytes.
finish "$server" TERM 0
start_server
expect "$dir/large" inline --pool "$pool"

# No server: an error and not a hang. Then one that is killed under load.
finish "$server" TERM 0
client --pool "$pool" "$dir/small" 2>/dev/null && fail "a call without a server succeeded"
start_server --pool "$pool"
client --pool "$pool" --repeat 1000000 "$dir/large" >/dev/null 2>"$dir/client.err" &
loaded=$!
pids+=("$loaded")
until "$bin/shorthaul" pool info "$pool" --json |
    jq -e '[.. | objects | .allocations? // 0 | numbers] | add > 5' >/dev/null; do
    kill -0 "$loaded" || fail "the loaded client has ended"
done
finish "$server" KILL 137
wait "$loaded" && fail "the client did not see its server die"
grep -q 'gRPC status 14' "$dir/client.err" || fail "not UNAVAILABLE: $(cat "$dir/client.err")"
expect_quiet

# Misuse is told apart from failure.
client 2>/dev/null && fail "no file"
[ "$(client --repeat 0 "$dir/small" >/dev/null 2>&1 || echo $?)" = 2 ] || fail "--repeat 0"
[ "$(client --pool no-such-pool "$dir/small" >/dev/null 2>&1 || echo $?)" = 1 ] || fail "no pool"
[ "$(client "$dir/no-such-file" >/dev/null 2>&1 || echo $?)" = 1 ] || fail "no such file"
[ "$(client "$dir" >/dev/null 2>&1 || echo $?)" = 1 ] || fail "a folder is no file"

# The end: the sidecar takes its pool with it.
finish "$sidecar" TERM 0
"$bin/shorthaul" pool list | grep -qw "$pool" && fail "the pool is still there"
echo "passed"
