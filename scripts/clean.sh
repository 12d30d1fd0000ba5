#!/usr/bin/env bash
# Removes what builds and runs left behind: the target directory, and the servers' directory where that is
# kept elsewhere (scripts/serveruser.py says when). Not while a server runs there.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
target=${CARGO_TARGET_DIR:-$root/target}
elsewhere=
if [[ -L $target/pg/elsewhere ]]; then
    elsewhere=$(readlink "$target/pg/elsewhere")
fi

# A server's working directory is its data directory: a pid file left by a crash may name another process.
in_use=0
for pid_file in "${elsewhere:-$target/pg}"/*/clusters/*/data/postmaster.pid; do
    [[ -r $pid_file ]] || continue
    data=$(dirname "$pid_file")
    pid=$(head -n 1 "$pid_file")
    if [[ /proc/$pid/cwd -ef $data ]]; then
        echo "error: a server is running in $data (process $pid)" >&2
        in_use=1
    fi
done
if ((in_use)); then
    echo "    end the program that started it first (make demo-psql, make test, ...)" >&2
    exit 1
fi

if [[ -n $elsewhere ]]; then
    rm -rf "$elsewhere"
fi
rm -rf "$target"
