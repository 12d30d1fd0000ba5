#!/usr/bin/env bash
# Runs the regression SQL (tests/regress) with PostgreSQL's pg_regress against a running server, which
# PGHOST, PGPORT and PGUSER name as usual. The database kdvector_regression is made anew.
# usage: [PG_CONFIG=...] scripts/regress.sh [test ...] (default: every file of tests/regress/sql)
#
# Results and regression.diffs go to target/test-logs/regress.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
pg_config=$("$root/scripts/pg_config.sh")
inputs=$root/tests/regress
outputs=${CARGO_TARGET_DIR:-$root/target}/test-logs/regress

tests=("$@")
if ((${#tests[@]} == 0)); then
    for file in "$inputs"/sql/*.sql; do
        tests+=("$(basename "$file" .sql)")
    done
fi

mkdir -p "$outputs"
driver=$("$root/scripts/pgxs_test.sh" regress/pg_regress)
exec "$driver" \
    --bindir="$("$pg_config" --bindir)" --inputdir="$inputs" --outputdir="$outputs" \
    --dbname=kdvector_regression "${tests[@]}"
