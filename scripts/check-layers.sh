#!/bin/sh
# The include graph points one way (docs/architecture.md). Prints each include that does not and fails.
set -eu
cd "$(dirname "$0")/.."
bad=0
# allow FOLDER REGEX: quoted includes of FOLDER's sources must match one of these.
allow() {
    found=$(grep -nE '^#include "' "$1"/*.[ch] "$1"/*.cpp 2>/dev/null | grep -vE "#include \"($2)" || true)
    if [ -n "$found" ]; then
        printf '%s\n' "$found"
        bad=1
    fi
}
allow caps 'caps/|javm/(status|hash|cap|image|handle)\.h'
allow cache 'cache/|javm/(status|hash|cap|image|handle|directory)\.h'
allow vm 'vm/|javm/(status|hash|cap|image|handle|directory|engine|pvm|vm|assist|version)\.h'
allow vm/kvm 'vm/|javm/(status|engine)\.h'
# The executor stands on the driver's public face, as any other host would.
allow vm/nub 'vm/nub/|javm/(status|hash|cap|image|directory|engine|vm|version|nub|nub_host)\.h'
allow vm/v2 'vm/|javm/(status|hash|cap|engine|container|v2)\.h'
allow sched 'sched/|javm/(status|sched)\.h'
allow loaders 'loaders/|vm/pvm(2|_encode)\.h|javm/(status|hash|cap|image|handle|directory|engine|load|container|version)\.h'
allow vm/module 'vm/module/|javm/(status|hash|engine|container|module)\.h'
allow vm/v2host 'vm/v2host/|javm/(status|hash|container|engine|v2|v2_world)\.h'
allow rpc 'rpc/|batch/(args|diag)\.h|javm/'
allow batch 'batch/|vm/pvm2\.h|vm/nub/(serve|cell)\.h|javm/'
# Every public header compiles on its own, in C and in C++.
for header in include/javm/*.h; do
    for compiler in "${CC:-cc} -std=gnu17 -x c" "${CXX:-c++} -std=c++17 -x c++"; do
        # shellcheck disable=SC2086 # words
        $compiler -Iinclude -fsyntax-only -Wall -Wextra -Werror "$header" || bad=1
    done
done
[ "$bad" = 0 ] && echo "layers hold"
exit $bad
