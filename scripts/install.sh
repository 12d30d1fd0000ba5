#!/usr/bin/env bash
# Puts the extensions into a PostgreSQL installation, or takes them out again.
# usage: [PG_CONFIG=...] [DESTDIR=...] [LIBRARY=...] scripts/install.sh install|uninstall
#
# One library, two extensions: `vector` (types and operators) and `kdtree` (the index). Where another
# `vector` is installed already, that one is used and not touched. Ours is the one whose control file
# points to the library kdvector. Versions are read from the control files.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
pg_config=$("$root/scripts/pg_config.sh")
destdir=${DESTDIR:-}
library_dir=$destdir$("$pg_config" --pkglibdir)
extension_dir=$destdir$("$pg_config" --sharedir)/extension
library=${LIBRARY:-${CARGO_TARGET_DIR:-$root/target}/release/libkdvector.so}

# A `vector` that is not ours is installed there.
foreign_vector() {
    [[ -e $extension_dir/vector.control ]] &&
        ! grep -q '^module_pathname.*kdvector' "$extension_dir/vector.control"
}

install_extension() {
    local name=$1 version
    version=$(sed -n "s/^default_version *= *'\(.*\)'.*/\1/p" "$root/$name.control")
    if [[ -z $version ]]; then
        echo "error: $name.control has no default_version" >&2
        exit 1
    fi
    install -m 644 "$root/$name.control" "$extension_dir/"
    # The script of one version and those that lead on from it: CREATE EXTENSION finds the way.
    install -m 644 "$root/sql/$name"--*.sql "$extension_dir/"
    echo "installed extension $name $version in $extension_dir"
}

install_all() {
    if [[ ! -f $library ]]; then
        echo "error: $library is not there; type make first" >&2
        exit 1
    fi
    install -d "$library_dir" "$extension_dir"
    # install(1) makes a new file, so servers that have the old library mapped go on undisturbed.
    install -m 755 "$library" "$library_dir/kdvector.so"
    if foreign_vector; then
        echo "note: another vector extension (pgvector?) is installed in $extension_dir:"
        echo "      its files stay untouched, and kdtree uses its types"
    else
        install_extension vector
    fi
    install_extension kdtree
}

uninstall_extension() {
    rm -f "$extension_dir/$1.control" "$extension_dir/$1"--*.sql
    echo "removed extension $1 from $extension_dir"
}

uninstall_all() {
    uninstall_extension kdtree
    if foreign_vector; then
        echo "note: the vector extension in $extension_dir is not ours and stays"
    else
        uninstall_extension vector
    fi
    rm -f "$library_dir/kdvector.so"
}

case ${1:-} in
install) install_all ;;
uninstall) uninstall_all ;;
*)
    echo "usage: scripts/install.sh install|uninstall" >&2
    exit 2
    ;;
esac
