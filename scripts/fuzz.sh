#!/usr/bin/env bash
# Fuzzes what reads bytes from elsewhere, one target after the other.
# usage: scripts/fuzz.sh SECONDS [TARGET ...]
#
# Needs a nightly compiler and cargo-fuzz. Each target starts from the inputs that earlier runs found interesting
# (fuzz/corpus). What fails is kept in fuzz/artifacts; "cargo +nightly fuzz fmt TARGET FILE" shows it.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
target_dir=${CARGO_TARGET_DIR:-$root/target}
logs=$target_dir/test-logs/fuzz
seconds=${1:?usage: scripts/fuzz.sh SECONDS [TARGET ...]}
shift

# The contract of the targets: no input takes long, or memory out of proportion.
limits=(-timeout=10 -malloc_limit_mb=16 -rss_limit_mb=2048)

if ! cargo +nightly fuzz --version >/dev/null 2>&1; then
    echo "error: fuzzing needs cargo-fuzz and a nightly compiler" >&2
    echo "    rustup toolchain install nightly; cargo install cargo-fuzz" >&2
    exit 1
fi

cd "$root"
fuzz() {
    cargo +nightly fuzz "$1" --target-dir "$target_dir/fuzz" "${@:2}"
}
fuzz build
targets=("$@")
if ((${#targets[@]} == 0)); then
    mapfile -t targets < <(cargo +nightly fuzz list)
fi

mkdir -p "$logs"
failed=0
for target in "${targets[@]}"; do
    log=$logs/$target.log
    if fuzz run "$target" -- -max_total_time="$seconds" "${limits[@]}" >"$log" 2>&1; then
        result=$(sed -n 's/^#\([0-9]*\)\s*DONE\s*cov: \([0-9]*\).*corp: \([0-9]*\).*/\1 runs, \2 edges, \3 inputs/p' "$log")
        echo "$target: ${result:-nothing was run, see $log}"
    else
        echo "$target: FAILED, see $log"
        failed=1
    fi
done
exit "$failed"
