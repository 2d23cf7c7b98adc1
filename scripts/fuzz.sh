#!/bin/sh
# Runs every fuzz target for a while on a copy of its corpus: fuzz.sh BUILD SECONDS
set -eu
build=$1
seconds=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export TMPDIR="$work"
failed=0
for fuzzer in "$build"/tests/fuzz/fuzz_*; do
    [ -x "$fuzzer" ] && [ -f "$fuzzer" ] || continue
    name=$(basename "$fuzzer" | sed 's/^fuzz_//')
    mkdir "$work/$name"
    cp "tests/fuzz/corpus/$name/"* "$work/$name/"
    echo "fuzz $name for $seconds s"
    if ! "$fuzzer" -max_total_time="$seconds" -rss_limit_mb=4096 -timeout=20 -close_fd_mask=3 \
        -artifact_prefix="$build/crash-$name-" "$work/$name" >"$work/$name.log" 2>&1; then
        tail -40 "$work/$name.log"
        # The log of a machine that is gone is all that is left: it holds the input.
        for input in "$build/crash-$name-"*; do
            echo "$input, base64:"
            base64 "$input" | head -c 20000
        done
        failed=1
    fi
    grep -E 'DONE|Done' "$work/$name.log" | tail -1
done
exit $failed
