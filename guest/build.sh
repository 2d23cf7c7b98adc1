#!/bin/sh
# Rebuilds guest/prebuilt/*.jimg from guest/programs with clang-19 and lld-19, bit for bit.
#   build.sh [BUILD]          into the tree
#   build.sh --check [BUILD]  into a temporary folder, then compares
set -eu
check=0
if [ "${1:-}" = --check ]; then
    check=1
    shift
fi
here=$(cd "$(dirname "$0")" && pwd)
build=$(cd "${1:-$here/../build}" && pwd)
out=$here/prebuilt
if [ "$check" = 1 ]; then
    out=$(mktemp -d)
    trap 'rm -rf "$out"' EXIT
fi
cd "$here/programs" # paths must not get into the objects
for source in *.c; do
    name=${source%.c}
    JAVM_GUEST=$here JAVM_LINK=$build/loaders/javm-link sh "$build/loaders/javm-cc" -O2 -std=c17 \
        "$source" -o "$out/$name.jimg"
done
if [ "$check" = 1 ]; then
    for image in "$out"/*.jimg; do
        cmp "$image" "$here/prebuilt/$(basename "$image")"
    done
    echo "guest/prebuilt is what the sources give"
fi
