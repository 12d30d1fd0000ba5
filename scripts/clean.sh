#!/usr/bin/env bash
# Removes what builds and runs left behind: the target directory, and the servers' directory where that is
# kept elsewhere (scripts/serveruser.py says when).
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
target=${CARGO_TARGET_DIR:-$root/target}

if [[ -L $target/pg/elsewhere ]]; then
    rm -rf "$(readlink "$target/pg/elsewhere")"
fi
rm -rf "$target"
