#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Shorthaul authors
#
# Configurations that are refused: with file, line and reason, an exit code, and nothing created.
# shellcheck source=tests/e2e/lib.sh disable=SC2034,SC2015,SC2153
source "$(dirname "$0")/lib.sh"

write_config
FILE=$WORK/bad.yaml

# refused LINE REASON: $FILE, both when it is to be kept and when it is only to be checked.
refused() {
    expect 3 "$SHORTHAULD" --config "$FILE"
    said_one_line "$FILE:$1: $2"
    expect 3 "$SHORTHAULD" --config "$FILE" --check
    said_one_line "$FILE:$1: $2"
}

# edited SED-EXPRESSION LINE REASON: a right file with one mistake.
edited() {
    sed "$1" "$WORK/config.yaml" >"$FILE"
    refused "$2" "$3"
}

edited 's/initial: 4/intial: 4/' 6 "unknown key 'intial'"
edited 's/64KiB/64KB/' 6 "size: '64KB' is not a size"
edited 's/1MiB/99999999TiB/' 7 "size: '99999999TiB' is too large"
edited 's/max: 2}/max: two}/' 7 "max: 'two' is not a count"
edited 's/32MiB/1MiB/' 8 "budget: 1MiB cannot hold the initial buffers, which take 1.2MiB"
edited 's/32MiB/512KiB/' 7 "size: one buffer of 1MiB exceeds the pool's budget of 512KiB"
edited 's/1MiB/64KiB/' 7 "size: '64KiB' does not exceed"
edited 's/16MiB/32KiB/' 11 "quota: 32KiB is less than one buffer of the smallest class, 64KiB"
edited 's/16MiB/plenty/' 11 "quota: 'plenty' is not a size"
edited 's/names: 4/names: 0/' 12 "names: 0 is not in 1..4096"
edited "s/$NAME.two/$NAME.one/" 13 "name: '$NAME.one' is there twice (first on line 4)"
edited "s/$NAME.two/a\/b/" 13 "name: 'a/b' holds more than"
edited "s/$NAME.two/$(printf 'x%.0s' {1..300})/" 13 "name: 'xxx"
edited "s/^socket:.*/socket: localhost:80/" 1 "socket: 'localhost:80'"
edited 's/20ms/20/' 2 "reap_interval: '20' is not a duration"
edited 's/^ *classes:/\t&/' 5 ""
: >"$FILE"
refused 1 "the file holds no configuration"
head -c 2000000 /dev/zero | tr '\0' '#' >"$FILE"
expect 3 "$SHORTHAULD" --config "$FILE"
said_one_line "$FILE: is larger than 1MiB"
expect 3 "$SHORTHAULD" --config "$WORK/nowhere.yaml"
said_one_line "$WORK/nowhere.yaml: cannot be read: No such file or directory"

# Nothing was created by any of them, and a right file passes.
expect 3 "$SHORTHAUL" pool info "$NAME.one"
expect 0 "$SHORTHAULD" --config "$WORK/config.yaml" --check
printed "2 pools on $SOCKET"
expect 3 "$SHORTHAUL" pool info "$NAME.one"
expect 0 "$SHORTHAULD" --config "$PACKAGED_CONFIG" --check --socket "$SOCKET"

# The command line.
expect 0 "$SHORTHAULD" --help
printed "--config"
expect 0 "$SHORTHAULD" --version
printed "shorthauld "
expect 2 "$SHORTHAULD" --colour red
expect 2 "$SHORTHAULD" more
expect 2 "$SHORTHAULD" --socket localhost:80
said "is not the address of a Unix socket"
expect 2 "$SHORTHAULD" --socket "unix:/$(printf 'x%.0s' {1..200})"
said "107 bytes"
