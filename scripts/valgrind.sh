#!/bin/sh
# The engines under valgrind's memcheck: valgrind.sh BUILD [SECONDS of lockstep, 15 unless told].
# Generated code needs exact options there: valgrind drops loads whose result nobody reads, and keeps
# registers where a fault cannot see them, unless it is told not to optimise; and it looks for
# changed code in files only if asked; and of an instruction that faults right behind a jump that it
# followed on its own it gives the address of the jump. What a guest does with bytes that it never wrote is its own
# affair, so that lockstep checks addresses only.
set -eu
cd "$(dirname "$0")/.."
build=$1
seconds=${2:-15}
command -v valgrind >/dev/null || {
    echo "valgrind.sh: valgrind is not installed (package valgrind; install-deps.sh --tools)" >&2
    exit 1
}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

printf '{"image":"guest","load":"%s"}\n{"invoke":"guest"}\n' "$PWD/guest/prebuilt/secp256k1.jimg" >"$work/jobs.ndjson"
for engine in interp jit; do
    valgrind -q --error-exitcode=9 --leak-check=full --smc-check=all \
        "$build/batch/javm-batch" --engine "$engine" --workers 1 --progress none \
        --output "$work/$engine.ndjson" "$work/jobs.ndjson" 2>"$work/said" || {
        cat "$work/said" >&2
        exit 1
    }
    sed 's/,"us":.*//' "$work/$engine.ndjson" >"$work/$engine" # without time and worker
done
cmp "$work/interp" "$work/jit"
valgrind -q --error-exitcode=9 --smc-check=all --undef-value-errors=no --vex-iropt-level=0 \
    --vex-iropt-register-updates=allregs-at-each-insn --vex-guest-chase=no \
    "$build/tests/vm/lockstep" --engines interp,jit --seconds "$seconds" --source .
