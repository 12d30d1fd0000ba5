#!/usr/bin/env bash
# Runs the isolation specs (tests/isolation) with PostgreSQL's pg_isolation_regress against a running server, which
# PGHOST, PGPORT and PGUSER name as usual. The database kdvector_isolation is made anew.
# usage: [PG_CONFIG=...] scripts/isolation.sh [spec ...] (default: every file of tests/isolation/specs)
#
# Results and regression.diffs go to target/test-logs/isolation.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
pg_config=$("$root/scripts/pg_config.sh")
inputs=$root/tests/isolation
outputs=${CARGO_TARGET_DIR:-$root/target}/test-logs/isolation

specs=("$@")
if ((${#specs[@]} == 0)); then
    for file in "$inputs"/specs/*.spec; do
        specs+=("$(basename "$file" .spec)")
    done
fi

mkdir -p "$outputs"
driver=$("$root/scripts/pgxs_test.sh" isolation/pg_isolation_regress)
exec "$driver" \
    --bindir="$("$pg_config" --bindir)" --inputdir="$inputs" --outputdir="$outputs" \
    --dbname=kdvector_isolation --load-extension=vector --load-extension=kdtree "${specs[@]}"
