# shellcheck shell=bash
# What pgrx needs to generate its bindings. Read by bootstrap.sh, which installs what is missing, and by
# cargo.sh, which does not start without it: the generator itself would end in a backtrace.

# The C headers of the server that a pg_config belongs to.
server_headers_missing() {
    [[ ! -e $("$1" --includedir-server 2>/dev/null)/postgres.h ]]
}

libclang_missing() {
    [[ -z ${LIBCLANG_PATH:-} ]] || return 1
    _libclang_library_missing || _libclang_headers_missing
}

# Looks where the generator does. libclang-cpp, which lies beside it, is another library.
_libclang_library_missing() {
    local directory name
    for directory in "$(llvm-config --libdir 2>/dev/null)" /usr/lib*/*/* /usr/lib*/* /usr/lib* \
        /usr/local/llvm*/lib* /usr/local/lib*/* /usr/local/lib*; do
        for name in 'libclang.so*' 'libclang-[0-9]*.so*'; do
            ! compgen -G "$directory/$name" >/dev/null || return 1
        done
    done
    return 0
}

# The library reads C headers of its own (stddef.h). On Debian they come with libclang-dev, but not with
# libclang1, which other programs bring along.
_libclang_headers_missing() {
    compgen -G '/usr/lib/llvm-*/lib/libclang-[0-9]*.so*' >/dev/null &&
        ! compgen -G '/usr/lib/llvm-*/lib/clang/*/include/stddef.h' >/dev/null
}
