#!/usr/bin/env bash
# cargo with what pgrx needs: which PostgreSQL to build against, and the feature of that major.
# usage: scripts/cargo.sh build|test|clippy ... (the arguments of cargo)
#
# Every cargo call of the project comes through here, so that all of them share one set of artefacts:
# another pg_config path or other features would generate the bindings of pgrx anew, which takes minutes.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=scripts/build_needs.sh
. "$root/scripts/build_needs.sh"

fail() {
    echo "error: $1" >&2
    (($# == 1)) || echo "    $2" >&2
    exit 1
}

pg_config=$("$root/scripts/pg_config.sh")
major=$("$pg_config" --version | sed 's/^PostgreSQL \([0-9]*\).*/\1/')

if ! grep -q "^pg$major *=" "$root/pgrx.toml"; then
    supported=$(sed -n 's/^pg\([0-9][0-9]*\) *=.*/\1/p' "$root/pgrx.toml" | paste -sd ' ')
    fail "$pg_config is of PostgreSQL $major; kdvector is built for: $supported (pgrx.toml)"
fi
if server_headers_missing "$pg_config"; then
    fail "the PostgreSQL of $pg_config has no headers for server extensions (postgres.h)" \
        "install the Debian package postgresql-server-dev-$major, or name another: make PG_CONFIG=..."
fi
if libclang_missing; then
    fail "libclang, which generates the bindings to PostgreSQL, is missing or lacks its headers" \
        "install the Debian package libclang-dev, or set LIBCLANG_PATH to where libclang.so is"
fi
if ! command -v cargo >/dev/null; then
    fail "cargo is not on the PATH of the user $(id -un)" \
        "install Rust with rustup, or type make as the user who has it"
fi

# pg15 is the default feature of Cargo.toml.
features=()
if [[ $major != 15 ]]; then
    features=(--no-default-features --features "kdvector/pg$major")
fi

command=$1
shift
cd "$root"
PGRX_PG_CONFIG_PATH=$pg_config exec cargo "$command" --locked "${features[@]}" "$@"
