#!/usr/bin/env bash
# Type-checks the extension for a major version of PostgreSQL of which there are no headers here, against the bindings that
# pgrx ships for its documentation. What cannot be seen so: whether the library links and loads, and inline functions of
# the headers.
# usage: scripts/typecheck.sh MAJOR
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
target=${CARGO_TARGET_DIR:-$root/target}/typecheck

if ! grep -q "^pg$1 *=" "$root/pgrx.toml"; then
    echo "error: kdvector is not built for PostgreSQL $1 (pgrx.toml)" >&2
    exit 1
fi

# The bindings are chosen by `--cfg docsrs`. As one of RUSTFLAGS it would reach crates too that then ask for features of
# a nightly compiler; so it goes by way of a wrapper to the one that is meant.
mkdir -p "$target"
cat >"$target/rustc" <<'END'
#!/usr/bin/env bash
[[ " $* " != *" --crate-name pgrx_pg_sys "* ]] || set -- "$@" --cfg docsrs
exec "$@"
END
chmod +x "$target/rustc"

cd "$root"
DOCS_RS=1 RUSTC_WRAPPER=$target/rustc CARGO_TARGET_DIR=$target \
    exec cargo check --locked --package kdvector --no-default-features --features "pg$1"
