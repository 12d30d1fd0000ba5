#!/usr/bin/env bash
# Prints the absolute path of the pg_config to build against: $PG_CONFIG where it is set, else the one on
# the PATH, else the one that pgrx.toml names. Fails with a message where there is none.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

if [[ -n ${PG_CONFIG:-} ]]; then
    if ! command -v "$PG_CONFIG"; then
        echo "error: PG_CONFIG=$PG_CONFIG is not an executable" >&2
        exit 1
    fi
    exit
fi
command -v pg_config && exit

while read -r path; do
    if [[ -x $path ]]; then
        echo "$path"
        exit
    fi
done < <(sed -n 's/^pg[0-9][0-9]* *= *"\(.*\)"$/\1/p' "$root/pgrx.toml")
echo "error: no pg_config found; run scripts/bootstrap.sh, or name one: make PG_CONFIG=/path/to/pg_config" >&2
exit 1
