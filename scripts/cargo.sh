#!/usr/bin/env bash
# cargo with what pgrx needs: which PostgreSQL to build against, and the feature of that major.
# usage: scripts/cargo.sh build|test|clippy ... (the arguments of cargo)
#
# Every cargo call of the project comes through here, so that all of them share one set of artefacts:
# another pg_config path or other features would generate the bindings of pgrx anew, which takes minutes.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
pg_config=$("$root/scripts/pg_config.sh")
major=$("$pg_config" --version | sed 's/^PostgreSQL \([0-9]*\).*/\1/')

if ! grep -q "^pg$major *=" "$root/pgrx.toml"; then
    supported=$(sed -n 's/^pg\([0-9][0-9]*\) *=.*/\1/p' "$root/pgrx.toml" | paste -sd ' ')
    echo "error: $pg_config is of PostgreSQL $major; kdvector is built for: $supported (pgrx.toml)" >&2
    exit 1
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
