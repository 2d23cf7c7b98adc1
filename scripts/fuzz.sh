#!/bin/sh
# Runs every fuzz target for a while on a copy of its corpus, as many at once as there are cores:
#   fuzz.sh BUILD SECONDS [TARGET]
set -eu
build=$1
seconds=$2
if [ $# -lt 3 ]; then
    for fuzzer in "$build"/tests/fuzz/fuzz_*; do
        if [ -x "$fuzzer" ] && [ -f "$fuzzer" ]; then
            basename "$fuzzer" | sed 's/^fuzz_//'
        fi
    done | xargs -P "$(nproc)" -n 1 sh "$0" "$build" "$seconds"
    exit
fi

name=$3
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export TMPDIR="$work"
mkdir "$work/corpus"
cp "tests/fuzz/corpus/$name/"* "$work/corpus/"
failed=0
"$build/tests/fuzz/fuzz_$name" -max_total_time="$seconds" -rss_limit_mb=4096 -timeout=20 -close_fd_mask=3 \
    -artifact_prefix="$build/crash-$name-" "$work/corpus" >"$work/log" 2>&1 || failed=1
{
    echo "fuzz $name for $seconds s"
    if [ $failed != 0 ]; then
        tail -40 "$work/log"
        # The log of a machine that is gone is all that is left: it holds the input.
        for input in "$build/crash-$name-"*; do
            echo "$input, base64:"
            base64 "$input" | head -c 20000
        done
    fi
    grep -E 'DONE|Done' "$work/log" | tail -1
} >"$work/said" || true
cat "$work/said"
exit $failed
