#!/bin/sh
# All measurements in one run, or those of some parts: run.sh BUILD [PART...]
#   programs sets fresh cold compile scheduler kernel modules executor   javm-bench, see bench/README.md
#   trivial   trivial jobs from file to file, both engines
#   hashes    jobs of some 10 us: two workers against one, one against a native loop
#   sieve     jobs of 5 ms: two workers against one
#   orchestrators  jobs that spawn two workers, meter them and top one up: two workers against one
#   v2        programs of the JAR v2 kernel that read and write storage: two workers against one
#   isolation  trivial jobs and jobs of some 10 us, in each kind of --isolation that works here, by processor time
#   sink      a gigabyte of results, plain and compressed: what workers feel of that
#   long      1, 2, 5 and 10 million jobs: memory and processor time, and are the results right? BENCH_JOBS=N makes both shorter
# Nothing here passes or fails but wrong results: docs/performance.md says what was expected.
set -eu
cd "$(dirname "$0")/.."
build=$1
shift
parts=${*:-programs sets fresh cold compile scheduler kernel modules executor trivial hashes sieve orchestrators v2 isolation sink long}
batch=$build/batch/javm-batch
images=$PWD/guest/prebuilt
jobs=${BENCH_JOBS:-10000000}
work=$(mktemp -d "${TMPDIR:-/tmp}/javm-bench-XXXXXX")
trap 'rm -rf "$work"' EXIT

# run NAME OPTIONS...: a batch whose results and figures are $work/out and $work/stats
run() {
    "$batch" --progress none --output "$work/out" --stats "$work/stats" "$@" 2>"$work/err" || {
        cat "$work/err"
        exit 1
    }
}
# figure NAME: a number out of the figures of the last run, the last one of that name
figure() {
    sed -n "s/.*\"$1\":\([0-9.]*\).*/\1/p" "$work/stats"
}
# processor: $cpu becomes the processor time, in seconds, of all that this shell has run; other programs hardly change it
processor() {
    times >"$work/times"
    cpu=$(tail -n 1 "$work/times" | tr 'ms' '  ' | awk '{ print $1 * 60 + $2 + $3 * 60 + $4 }')
}
# spread FORMAT: the median, smallest and largest of the numbers on standard input
spread() {
    sort -n | awk -v format="$1" '{ v[NR] = $1 } END { printf format "\n", v[int((NR + 1) / 2)], v[1], v[NR] }'
}
# nops COUNT: that many trivial jobs, a line each
nops() {
    printf '{"image":"nop","load":"%s/nop.jimg"}\n' "$images"
    awk -v n="$1" 'BEGIN { for (i = 0; i < n; i++) printf "{\"id\":%d,\"invoke\":\"nop\",\"args\":[%d]}\n", i, i }'
}

# hash_jobs: 100,000 jobs of some 10 us
hash_jobs() {
    printf '{"image":"blake2b","load":"%s/blake2b.jimg"}\n' "$images"
    awk 'BEGIN { for (i = 0; i < 100000; i++) printf "{\"id\":%d,\"invoke\":\"blake2b\",\"args\":[5000,0,1]}\n", i }'
}

bench=
for part in $parts; do
    case $part in
    programs | sets | fresh | cold | compile | scheduler | kernel | modules | executor) bench="$bench $part" ;;
    trivial | hashes | sieve | orchestrators | v2 | isolation | sink | long) ;;
    *)
        echo "run.sh: no part is called $part" >&2
        exit 2
        ;;
    esac
done
# shellcheck disable=SC2086 # words
[ -z "$bench" ] || "$build/bench/javm-bench" "$images" $bench

trivial() {
    echo "batch, 1,000,000 trivial jobs, file to file, jobs/s, medians of 5"
    nops 200000 >"$work/nops.ndjson"
    for _ in 1 2 3 4 5; do
        for workers in 1 2; do
            for engine in interp jit; do
                run --engine "$engine" --workers "$workers" "$work/nops.ndjson"
                figure seconds | awk '{ printf "%d\n", 1e6 / $1 }' >>"$work/nops-$engine-$workers"
            done
        done
    done
    for engine in interp jit; do
        for workers in 1 2; do
            spread "  $engine, $workers worker(s) %12d  (%d to %d)" <"$work/nops-$engine-$workers"
        done
    done
}

hashes() {
    echo "batch, 100,000 jobs of blake2b over 5,000 bytes, recompiler, 11 rounds"
    printf '{"image":"blake2b","load":"%s/blake2b.jimg"}\n{"invoke":"blake2b","args":[5000,0,1],"repeat":100000}\n' "$images" \
        >"$work/repeat.ndjson"
    hash_jobs >"$work/hashes.ndjson"
    for _ in 1 2 3 4 5 6 7 8 9 10 11; do
        "$build/bench/javm-bench" "$images" loop blake2b 100000 5000 0 1 0
        for jobs_of in repeat hashes; do
            for workers in 1 2; do
                run --engine jit --workers $workers "$work/$jobs_of.ndjson"
                figure seconds
            done
        done
    done | paste -d ' ' - - - - - >"$work/hashes"
    awk '{ print $1 * 10 }' "$work/hashes" | spread "  a job natively, in a loop     %6.2f us  (%.2f to %.2f)"
    for form in 2 4; do
        [ $form = 2 ] && echo "one line for all" || echo "a line each, which one more thread reads"
        awk -v n=$form '{ print $n * 10 }' "$work/hashes" | spread "  a job of one worker           %6.2f us  (%.2f to %.2f)"
        awk -v n=$form '{ print $n / $1 }' "$work/hashes" | spread "  one worker / native loop      %6.2f     (%.2f to %.2f)"
        awk -v n=$form '{ print $n / $(n + 1) }' "$work/hashes" | spread "  speed-up of two workers       %6.2f     (%.2f to %.2f)"
    done
}

sieve() {
    echo "batch, 200 jobs of 5 ms (sieve), interpreter, 7 pairs"
    {
        printf '{"image":"sieve","load":"%s/sieve.jimg"}\n' "$images"
        echo '{"invoke":"sieve","args":[600000],"repeat":200}'
    } >"$work/sieve.ndjson"
    for _ in 1 2 3 4 5 6 7; do
        run --engine interp --workers 1 "$work/sieve.ndjson"
        one=$(figure seconds)
        run --engine interp --workers 2 "$work/sieve.ndjson"
        echo "$one $(figure seconds)" | awk '{ print $1 / $2 }'
    done | spread "  speed-up of two workers       %6.2f     (%.2f to %.2f)"
}

# pairs NAME: the 100,000 jobs of $work/NAME.ndjson by one worker and by two, on each engine
pairs() {
    for engine in interp jit; do
        for _ in 1 2 3 4 5; do
            for workers in 1 2; do
                processor
                before=$cpu
                run --engine "$engine" --workers $workers "$work/$1.ndjson"
                processor
                echo "$(figure seconds) $before $cpu"
            done | paste - -
        done >"$work/$1"
        awk '{ print $1 * 10 }' "$work/$1" | spread "  $engine, a job of one worker         %6.2f us  (%.2f to %.2f)"
        awk '{ print ($3 - $2) * 10 }' "$work/$1" | spread "  $engine, its processor time          %6.2f us  (%.2f to %.2f)"
        awk '{ print $1 / $4 }' "$work/$1" | spread "  $engine, speed-up of two workers     %6.2f     (%.2f to %.2f)"
        awk '{ print 2 * ($3 - $2) / ($6 - $5) }' "$work/$1" |
            spread "  $engine, the same by processor time  %6.2f     (%.2f to %.2f)"
    done
}

orchestrators() {
    echo "batch, 100,000 orchestrators (2 callees each, on meters, 9 yields), 5 pairs of each engine"
    {
        for image in worker orchestrator; do
            printf '{"image":"%s","load":"%s/kernel/%s.jimg"}\n' "$image" "$images" "$image"
        done
        echo '{"instance":"boss","image":"orchestrator","slots":{"2":{"receiver":["0xce10"]},"3":{"sender":"0xce03"},"4":{"sender":"0xce04"},"5":{"image":"worker"}}}'
        awk 'BEGIN { for (i = 0; i < 100000; i++) printf "{\"id\":%d,\"invoke\":\"boss\",\"args\":[100,1000000,500,1000000]}\n", i }'
    } >"$work/orchestrators.ndjson"
    pairs orchestrators
}

v2() {
    echo "batch, 100,000 jobs of a JAR v2 program (reads and writes an item of storage), 5 pairs of each engine"
    awk -v program="$images/v2/counter.jar" 'BEGIN { for (i = 0; i < 100000; i++)
        printf "{\"id\":%d,\"program\":\"%s\",\"v2\":{\"args\":\"0x%02x\",\"storage\":{\"count\":\"0x0100000000000000\"}}}\n", i, program, i % 256 }' \
        >"$work/v2.ndjson"
    pairs v2
    echo "the same, one line for all of them"
    sed -n '1s/"id":0,/"repeat":100000,/p' "$work/v2.ndjson" >"$work/v2-repeat.ndjson"
    pairs v2-repeat
}

# kinds NAME COUNT WHAT: $work/NAME.ndjson, COUNT jobs, in each kind of isolation, by turns
kinds() {
    echo "batch, $2 $3, recompiler, one worker, processor time, 7 rounds"
    for _ in 1 2 3 4 5 6 7; do
        for kind in $isolations; do
            processor
            before=$cpu
            run --engine jit --workers 1 --isolation "$kind" "$work/$1.ndjson"
            processor
            echo "$before $cpu $(figure seconds)"
        done | awk '{ printf "%s %s ", $2 - $1, $3 } END { print "" }'
    done >"$work/$1"
    n=0
    for kind in $isolations; do
        n=$((n + 2))
        awk -v n=$n -v jobs="$2" '{ print $(n - 1) / jobs * 1e6 }' "$work/$1" | spread "  $kind, a job                %10.2f us  (%.2f to %.2f)"
        awk -v n=$n -v jobs="$2" '{ print jobs / $(n - 1) }' "$work/$1" | spread "  $kind, jobs a second a core %10.0f     (%.0f to %.0f)"
        [ "$kind" != thread ] || continue
        awk -v n=$n '{ print $(n - 1) / $1 }' "$work/$1" | spread "  $kind / thread              %10.2f     (%.2f to %.2f)"
        awk -v n=$n '{ print $n / $2 }' "$work/$1" | spread "  the same by the clock         %10.2f     (%.2f to %.2f)"
    done
}

isolation() {
    isolations=thread
    nops 1 >"$work/one.ndjson"
    for kind in process kvm; do
        if "$batch" --isolation "$kind" --progress none --output "$work/out" "$work/one.ndjson" 2>"$work/err"; then
            isolations="$isolations $kind"
        else
            echo "isolation: $kind is left out: $(head -n 1 "$work/err")"
        fi
    done
    nops 200000 >"$work/nops.ndjson"
    hash_jobs >"$work/hashes.ndjson"
    kinds nops 200000 "trivial jobs"
    kinds hashes 100000 "jobs of blake2b over 5,000 bytes"
}

# Each job returns its number. What is counted and summed here knows nothing of the program.
long() {
    echo "batch, up to $jobs trivial jobs, a line each, .zst to .zst, recompiler"
    for part in 10 5 2 1; do
        count=$((jobs / part))
        nops $count | zstd -q -1 -o "$work/long.ndjson.zst" -f
        for order in --reproducible --ordered; do
            "$batch" --engine jit --progress none $order --output "$work/out.zst" --stats "$work/stats" \
                "$work/long.ndjson.zst" 2>"$work/err" || { cat "$work/err" && exit 1; }
            zstd -qdc "$work/out.zst" | awk -v n=$count -v ordered=$order '
                { split($0, f, /[:,}]/); id = f[2]; sum += id; lines++
                  if (index($0, "\"exit\":\"halt\",\"value\":" id ",\"gas_used\":") == 0) bad++
                  if (ordered == "--ordered" && id != NR - 1) bad++ }
                END { if (lines != n || sum != n * (n - 1) / 2 || bad > 0) {
                    print "wrong results:", lines + 0, "lines, sum", sum, bad + 0, "bad"; exit 1 } }'
            for figure in jobs halt lines; do
                [ "$(figure $figure)" -eq $count ] || { echo "wrong summary: $figure: $(cat "$work/stats")" && exit 1; }
            done
            printf '  %9d jobs %-10s peak memory %6.1f MiB, %.2f us processor time a job, %8d jobs/s\n' $count \
                "$([ $order = --ordered ] && echo "in order")" \
                "$(figure peak_memory_bytes | awk '{ print $1 / 1048576 }')" \
                "$(figure all | awk -v n=$count '{ print $1 * 1e6 / n }')" \
                "$(figure seconds | awk -v n=$count '{ printf "%d", n / $1 }')"
        done
    done
}

# A gigabyte of hashes, which compress to less than half: what the writer does must not be felt by workers. Their own processor time
# tells whether it slows them; the time of the whole also has what the writer takes where no core is free for it.
sink() {
    count=$((jobs * 6 / 10))
    cores=$(nproc)
    echo "batch, $count jobs of blake2b with 190 bytes of results each, $cores cores, plain and compressed, 3 rounds"
    {
        printf '{"image":"blake2b","load":"%s/blake2b.jimg"}\n' "$images"
        awk -v n=$count 'BEGIN { for (i = 0; i < n; i++)
            printf "{\"id\":%d,\"invoke\":\"blake2b\",\"args\":[0,8,10],\"input\":\"%08d\",\"output\":\"bytes\"}\n", i, i }'
    } >"$work/sink.ndjson"
    for _ in 1 2 3; do
        for workers in 1 "$cores"; do
            for kind in plain zst gz; do
                "$batch" --engine jit --progress none --reproducible --workers "$workers" --output "$work/out.$kind" \
                    --stats "$work/stats" "$work/sink.ndjson" 2>/dev/null
                echo "$(figure workers) $(figure seconds) $(figure writer) $(wc -c <"$work/out.$kind")" >>"$work/sink-$workers-$kind"
                rm "$work/out.$kind"
            done
        done
    done
    for workers in 1 "$cores"; do
        for kind in plain zst gz; do
            paste -d ' ' "$work/sink-$workers-$kind" "$work/sink-$workers-plain" >"$work/sink"
            echo "  $workers worker(s), $kind: $(awk '{ print int($4 / 1e6); exit }' "$work/sink") MB"
            awk -v n=$count '{ print $1 * 1e6 / n }' "$work/sink" | spread "    processor time of workers, a job  %6.2f us  (%.2f to %.2f)"
            awk '{ print $3 / $2 }' "$work/sink" | spread "    the writer's part of a core      %6.2f     (%.2f to %.2f)"
            [ $kind = plain ] && continue
            awk '{ print ($1 / $5 - 1) * 100 }' "$work/sink" | spread "    workers slower than plain by     %6.1f %%   (%.1f to %.1f)"
            awk '{ print ($2 / $6 - 1) * 100 }' "$work/sink" | spread "    the whole slower than plain by   %6.1f %%   (%.1f to %.1f)"
        done
        [ "$workers" != "$cores" ] || break
    done
}

for part in $parts; do
    case $part in
    trivial | hashes | sieve | orchestrators | v2 | isolation | sink | long)
        echo
        $part
        ;;
    esac
done
