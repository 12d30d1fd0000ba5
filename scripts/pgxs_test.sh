#!/usr/bin/env bash
# Prints the path of one of PostgreSQL's own test drivers: that of the installation we build against or, where it does not
# run, that of another version. (They only start psql and compare texts. Python packages bring them along damaged.)
# usage: scripts/pgxs_test.sh regress/pg_regress|isolation/pg_isolation_regress
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

while read -r pg_config; do
    driver=$("$pg_config" --pkglibdir 2>/dev/null)/pgxs/src/test/$1 || continue
    # In a shell of its own, which says nothing of crashes.
    if bash -c '"$1" --version' - "$driver" &>/dev/null; then
        echo "$driver"
        exit
    fi
done < <("$root/scripts/pg_config.sh" && sed -n 's/^pg[0-9][0-9]* *= *"\(.*\)"$/\1/p' "$root/pgrx.toml")
echo "error: there is no $(basename "$1") that runs; install the Debian package postgresql-server-dev-15" >&2
exit 1
