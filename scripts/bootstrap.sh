#!/usr/bin/env bash
# Makes a fresh Debian 12 ready: Debian packages, a check of the Rust toolchain, Python packages.
# usage: scripts/bootstrap.sh [tests|clients|images|bench|hnsw|recall ...]
#
# Every step first looks whether anything is missing, so a second run costs next to nothing. Debian packages
# are installed where we are root or sudo works without a password; else the command to type is printed.
# The arguments name the requirements files (scripts/requirements) that go into the virtual environment.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
venv=${CARGO_TARGET_DIR:-$root/target}/venv
# shellcheck source=scripts/build_needs.sh
. "$root/scripts/build_needs.sh"

say() { echo "bootstrap: $*" >&2; }

# What is missing, as names of Debian packages ------------------------------------------------------------

server_files_missing() {
    local pg_config
    pg_config=$("$root/scripts/pg_config.sh" 2>/dev/null) || return 0
    [[ ! -x $("$pg_config" --bindir)/postgres ]]
}

server_dev_files_missing() {
    local pg_config
    pg_config=$("$root/scripts/pg_config.sh" 2>/dev/null) || return 0
    server_headers_missing "$pg_config" ||
        [[ ! -x $("$pg_config" --pkglibdir)/pgxs/src/test/regress/pg_regress ]]
}

packages=()
server_files_missing && packages+=(postgresql-15)
server_dev_files_missing && packages+=(postgresql-server-dev-15)
libclang_missing && packages+=(libclang-dev) # the bindings of pgrx are generated with it
command -v cc >/dev/null || packages+=(build-essential)
command -v python3 >/dev/null || packages+=(python3)
python3 -c 'import ensurepip, venv' 2>/dev/null || packages+=(python3-venv)
# Word vectors come as a package of npm's, and so do Node's drivers.
[[ " $* " != *" "@(recall|tests|clients)" "* ]] || command -v npm >/dev/null || packages+=(npm)
# Some of Rust's drivers are linked with libpq and OpenSSL.
if [[ " $* " == *" "@(tests|clients)" "* ]]; then
    command -v pkg-config >/dev/null || packages+=(pkg-config)
    [[ -e /usr/include/postgresql/libpq-fe.h ]] || packages+=(libpq-dev)
fi

install_packages() {
    local as_root=()
    if [[ $EUID -ne 0 ]]; then
        if ! command -v apt-get >/dev/null || ! sudo -n true 2>/dev/null; then
            say "these Debian packages are missing; please type"
            say "    sudo apt-get install --no-install-recommends ${packages[*]}"
            exit 1
        fi
        as_root=(sudo)
    fi
    say "installing Debian packages: ${packages[*]}"
    "${as_root[@]}" apt-get update -q >&2 || say "apt-get update failed; trying with the lists there are"
    if ! "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
        apt-get install -q -y --no-install-recommends "${packages[@]}" >&2; then
        say "apt-get could not install ${packages[*]} (its messages stand above)"
        exit 1
    fi
}

((${#packages[@]} == 0)) || install_packages

# Rust: Debian 12's own is too old, so it is for the user to choose where it comes from -------------------

check_rust() {
    local wanted found
    wanted=$(sed -n 's/^rust-version *= *"\(.*\)"$/\1/p' "$root/Cargo.toml" | head -n 1)
    if ! command -v cargo >/dev/null || ! command -v rustc >/dev/null; then
        say "cargo and rustc are not on the PATH; kdvector needs Rust $wanted or later"
        say "    install it with rustup, the installer of the Rust project: https://rustup.rs"
        exit 1
    fi
    found=$(rustc --version | sed 's/^rustc \([0-9.]*\).*/\1/')
    if [[ $(printf '%s\n' "$wanted" "$found" | sort -V | head -n 1) != "$wanted" ]]; then
        say "rustc $found is too old; kdvector needs Rust $wanted or later (rustup update stable)"
        exit 1
    fi
}

check_rust

# Python packages, pinned, in one virtual environment ------------------------------------------------------

install_requirements() {
    local name=$1 file=$root/scripts/requirements/$1.txt stamp=$venv/.installed-$1
    if [[ ! -e $file ]]; then
        say "there is no requirements file $file"
        exit 2
    fi
    # Every file includes base.txt.
    if cat "$root/scripts/requirements/base.txt" "$file" | cmp -s - "$stamp"; then
        return
    fi
    say "installing the Python packages of scripts/requirements/$name.txt"
    if ! "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --requirement "$file" >&2; then
        say "pip could not install them (its messages stand above); is the network reachable?"
        exit 1
    fi
    cat "$root/scripts/requirements/base.txt" "$file" >"$stamp"
}

if (($# > 0)); then
    if ! "$venv/bin/python" -c '' 2>/dev/null; then
        if ! python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
            say "Python 3.11 or later is needed, $(python3 --version) is there"
            exit 1
        fi
        say "making a virtual environment for Python packages in $venv"
        mkdir -p "$(dirname "$venv")"
        python3 -m venv --clear "$venv"
    fi
    for name in "$@"; do
        install_requirements "$name"
    done
fi
