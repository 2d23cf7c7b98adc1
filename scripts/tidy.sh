#!/bin/sh
# clang-format and clang-tidy must have nothing to say: tidy.sh BUILD
set -eu
build=$1
git ls-files '*.c' '*.h' '*.cpp' ':!vm/interp_groups.h' ':!tests/data' | xargs clang-format --dry-run --Werror
git ls-files 'caps/*.c' 'cache/*.c' 'vm/*.c' 'sched/*.c' 'loaders/*.c' 'batch/*.c' 'rpc/*.c' |
    grep -v '^vm/interp.c$' | xargs -P "$(nproc)" -n 4 clang-tidy -quiet -p "$build"
