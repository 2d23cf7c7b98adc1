#!/bin/sh
# All measurements in one run: run.sh BUILD
#   programs: native against interpreter; a fresh invocation; the scheduler   (javm-bench)
#   batch: trivial jobs from file to file; one worker against all; peak memory of ten million jobs
# BENCH_JOBS=N makes the long batch shorter. Nothing here passes or fails: docs/performance.md says what was expected.
set -eu
cd "$(dirname "$0")/.."
build=$1
batch=$build/batch/javm-batch
images=$PWD/guest/prebuilt
jobs=${BENCH_JOBS:-10000000}
work=$(mktemp -d "${TMPDIR:-/tmp}/javm-bench-XXXXXX")
trap 'rm -rf "$work"' EXIT

[ "${BENCH_BATCH_ONLY:-0}" = 1 ] || "$build/bench/javm-bench" "$images"

# run NAME OPTIONS...: a batch whose results and figures are $work/out and $work/stats
run() {
    "$batch" --progress none --output "$work/out" --stats "$work/stats" "$@" 2>"$work/err" || {
        cat "$work/err"
        exit 1
    }
}
# figure NAME: a number out of the figures of the last run
figure() {
    sed -n "s/.*\"$1\":\([0-9.]*\).*/\1/p" "$work/stats"
}
median() {
    sort -n | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'
}
# nops COUNT: that many trivial jobs, a line each
nops() {
    printf '{"image":"nop","load":"%s/nop.jimg"}\n' "$images"
    awk -v n="$1" 'BEGIN { for (i = 0; i < n; i++) printf "{\"id\":%d,\"invoke\":\"nop\",\"args\":[%d]}\n", i, i }'
}

echo
echo "batch, trivial jobs, file to file, median of 5"
nops 1000000 >"$work/nops.ndjson"
for workers in 1 "$(nproc)"; do
    for round in 1 2 3 4 5; do
        run --workers "$workers" "$work/nops.ndjson"
        figure seconds
    done | median | awk -v w="$workers" '{ printf "  %2d worker%s %12d jobs/s  %9d jobs/s a worker\n", w, (w > 1 ? "s" : " "), 1e6 / $1, 1e6 / $1 / w }'
done

echo
echo "batch, compute-bound jobs (sieve, 5 ms each), one worker against $(nproc), 7 pairs"
{
    printf '{"image":"sieve","load":"%s/sieve.jimg"}\n' "$images"
    echo '{"invoke":"sieve","args":[600000],"repeat":200}'
} >"$work/sieve.ndjson"
for round in 1 2 3 4 5 6 7; do
    run --workers 1 "$work/sieve.ndjson"
    one=$(figure seconds)
    run --workers "$(nproc)" "$work/sieve.ndjson"
    echo "$one $(figure seconds)" | awk '{ print $1 / $2 }'
done >"$work/pairs"
sort -n "$work/pairs" | awk '{ v[NR] = $1 } END { printf "  speed-up %.2f (median; %.2f to %.2f)\n", v[int((NR + 1) / 2)], v[1], v[NR] }'

echo
echo "batch, $jobs jobs, a line each"
nops "$jobs" | zstd -q -1 -o "$work/long.ndjson.zst"
for order in "" --ordered; do
    # shellcheck disable=SC2086 # an option or nothing
    "$batch" --progress none $order --output "$work/out.zst" --stats "$work/stats" "$work/long.ndjson.zst" 2>/dev/null
    printf '  %-10s peak memory %6.1f MiB, %8d jobs/s, .zst to .zst\n' "${order:-unordered}" \
        "$(figure peak_memory_bytes | awk '{ print $1 / 1048576 }')" "$(figure seconds | awk -v n="$jobs" '{ printf "%d", n / $1 }')"
done
