#!/bin/sh
# Rebuilds guest/prebuilt/*.jimg from guest/programs with clang-19 and lld-19, bit for bit; those in pvm/ are the
# same programs as PVM.
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
top=$here/prebuilt
if [ "$check" = 1 ]; then
    top=$(mktemp -d)
fi
objects=$(mktemp -d)
trap 'rm -rf "$objects"; [ "$check" = 0 ] || rm -rf "$top"' EXIT
javm_cc() {
    JAVM_GUEST=$here JAVM_LINK=$build/loaders/javm-link sh "$build/loaders/javm-cc" -std=c17 "$@"
}

# link_all FOLDER OPTIONS: every guest into it, for an instruction set
link_all() {
    out=$1
    shift
    mkdir -p "$out/kernel"
    cd "$here/programs" # paths must not get into the objects
    for source in *.c; do
        javm_cc "$@" -O2 "$source" -o "$out/${source%.c}.jimg"
    done

    # Those that use the kernel; they have no native twins.
    cd "$here/kernel"
    javm_cc "$@" -O2 --heap 64K store.c -o "$out/kernel/store.jimg"
    javm_cc "$@" -O2 --gas-slot 20 worker.c -o "$out/kernel/worker.jimg"
    javm_cc "$@" -O2 --receiver 2 orchestrator.c -o "$out/kernel/orchestrator.jimg"
    for source in client walker spawner petitioner; do
        javm_cc "$@" -O2 "$source.c" -o "$out/kernel/$source.jimg"
    done
    for source in authority pager interposer keeper; do
        javm_cc "$@" -O2 --receiver 2 "$source.c" -o "$out/kernel/$source.jimg"
    done
    javm_cc "$@" -O2 --heap 16K stepper.c -o "$out/kernel/stepper.jimg"
    javm_cc "$@" -O2 --gas-slot 20 journal.c -o "$out/kernel/journal.jimg"

    # One more for benchmarks, of several; unrolling makes its code 100 KB.
    cd "$here/signatures"
    for member in ed25519 secp256k1 sha256 keccak blake2b poseidon2 lz4 sort matmul goldilocks polyeval; do
        javm_cc -O3 -mllvm -unroll-count=3 -I../programs -DMEMBER="\"$member.c\"" -DMEMBER_MAIN=${member}_main \
            -c member.c -o "$objects/$member.o"
    done
    javm_cc "$@" -O2 main.c "$objects"/*.o -o "$out/signatures.jimg"
}

link_all "$top"
link_all "$top/pvm" --isa pvm
if [ "$check" = 1 ]; then
    (cd "$top" && find . -name '*.jimg') | while read -r image; do
        cmp "$top/$image" "$here/prebuilt/$image"
    done
    echo "guest/prebuilt is what the sources give"
fi
