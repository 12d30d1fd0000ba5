#!/usr/bin/env bash
# Builds the release library.
# usage: scripts/build.sh [--if-outdated]
#
# `make install` builds only where the library is missing or older than its sources: root, who often has no
# cargo, or another one, can install what `make` has built. A stamp beside the library names the major
# version of PostgreSQL that it was built for, and is as old as the start of that build.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
release=${CARGO_TARGET_DIR:-$root/target}/release
stamp=$release/.built-for
sources=("$root"/Cargo.{toml,lock} "$root"/{bkd,vector-format}/Cargo.toml "$root"/{,bkd/,vector-format/}src)

pg_config=$("$root/scripts/pg_config.sh")
major=$("$pg_config" --version | sed 's/^PostgreSQL \([0-9]*\).*/\1/')

outdated() {
    [[ ! -e $release/libkdvector.so || ! -e $stamp || $(<"$stamp") != "$major" ]] ||
        [[ -n $(find "${sources[@]}" -newer "$stamp" -print -quit) ]]
}

if [[ ${1:-} == --if-outdated ]]; then
    outdated || exit 0
    echo "$release/libkdvector.so is not there or not up to date: building it"
fi

mkdir -p "$release"
# The library's name tells no major, so cargo would take what it built for another one for up to date.
if [[ ! -e $stamp || $(<"$stamp") != "$major" ]]; then
    rm -f "$stamp" "$release"/{,deps/}libkdvector.so
fi

begun=$(mktemp "$release/.built-for.XXXXXX")
trap 'rm -f "$begun"' EXIT
echo "$major" >"$begun"
"$root/scripts/cargo.sh" build --release --package kdvector
chmod a+r "$begun"
mv "$begun" "$stamp"
