#!/bin/sh
# 16 hex digits of a hash over what the programs are built from, names and contents; --version prints it, so that two builds can be
# told apart. The same for a clone and for an unpacked archive. With FILE: as a C string into it.   source-hash.sh [FILE]
set -eu
cd "$(dirname "$0")/.."
export LC_ALL=C
hash=$(find CMakeLists.txt cmake include caps cache vm sched loaders batch rpc -type f \( -name '*.[ch]' -o -name '*.cpp' -o -name '*.in' \
    -o -name '*.html' -o -name '*.map' -o -name '*.cmake' -o -name CMakeLists.txt \) | sort | xargs sha256sum | sha256sum | cut -c 1-16)
if [ $# -gt 0 ]; then
    echo "\"$hash\"" >"$1"
else
    echo "$hash"
fi
