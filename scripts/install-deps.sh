#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Shorthaul authors
#
# Install what is missing, and only that: Debian packages, with apt-get, through sudo if need be.
#
#   scripts/install-deps.sh build   what building and the demo need
#   scripts/install-deps.sh test    the same, and what the tests need
#   scripts/install-deps.sh ci      the same, and what the checks of .ci/run need
#
# Says nothing and touches nothing if everything is there. Else build/packages is new, and what was
# configured before is configured again: there may be more to build then.
set -euo pipefail

build=(
    gcc g++ cmake ninja-build pkg-config
    libgrpc-dev libgrpc++-dev libprotobuf-dev protobuf-compiler protobuf-compiler-grpc
    libprotobuf-c-dev protobuf-c-compiler grpc-proto
    libcyaml-dev libyaml-dev libsmartcols-dev libcmocka-dev libsystemd-dev libssl-dev
    libjansson-dev libboost-dev
)
tests=(
    clang libclang-rt-14-dev llvm jq spin strace procps
    python3 python3-grpcio python3-protobuf libatomic1
)
checks=(clang-format-14 clang-tidy)

case "${1:-}" in
    build) wanted=("${build[@]}") ;;
    test) wanted=("${build[@]}" "${tests[@]}") ;;
    ci) wanted=("${build[@]}" "${tests[@]}" "${checks[@]}") ;;
    *)
        echo "usage: install-deps.sh build|test|ci" >&2
        exit 2
        ;;
esac
# A nodejs from elsewhere brings its own npm and does not get on with Debian's.
if [ "$1" = ci ] && ! command -v npm >/dev/null; then
    wanted+=(npm)
fi

if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
    echo "install-deps.sh: no Debian here; install what corresponds to: ${wanted[*]}" >&2
    exit 1
fi

installed=$(dpkg-query -W -f '${Package} ${db:Status-Status}\n' "${wanted[@]}" 2>/dev/null |
    sed -n 's/ installed$//p') || true
missing=()
for package in "${wanted[@]}"; do
    grep -qxF -- "$package" <<<"$installed" || missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || exit 0

echo "installing: ${missing[*]}" >&2
as_root=()
if [ "$(id -u)" -ne 0 ]; then
    if ! command -v sudo >/dev/null; then
        echo "install-deps.sh: neither root nor sudo; ask somebody to install the above" >&2
        exit 1
    fi
    as_root=(sudo)
fi
{
    "${as_root[@]}" apt-get update -q
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
        apt-get install -q -y --no-install-recommends "${missing[@]}"
} >&2
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
mkdir -p "$root/build"
touch "$root/build/packages"
