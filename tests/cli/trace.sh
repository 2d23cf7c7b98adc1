#!/bin/sh
# Defects that this would catch: a trace that is no JSON, also when the batch is interrupted or the disk is full; jobs, steals or
# compiled code that are missing in it or there twice; slices that overlap in their lane; a file that grows with the number of jobs
# for ever; events that are left out without a word; a trace written over jobs or results.
HERE=$(cd "$(dirname "$0")" && pwd)
. "$HERE/lib.sh"
D='{"image":"d","load":"demo.jimg"}'
trace() {
    python3 "$HERE/trace_check.py" "$@" >told || { cat told; return 1; }
}

awk -v d="$D" 'BEGIN {
    print d;
    for (i = 0; i < 1500; i++)
        printf "{\"id\":%s,\"invoke\":\"d\",\"endpoint\":2,\"args\":[%d],\"gas\":170000}\n", i % 3 ? i : "\"a \\\"quoted\\\" \\u00fc-id \\u0001 that is longer than what is kept " i "\"", 1 + (i * 7919) % 1000 + (i % 500 == 3 ? 9000 : 0);
    print "{\"id\":-9223372036854775808,\"invoke\":\"d\",\"endpoint\":1,\"args\":[3,4],\"repeat\":1200}";
    print "{\"chain\":\"c\",\"invoke\":\"d\"}";
    print "{\"chain\":\"c\",\"repeat\":3}";
}' >jobs.ndjson
for options in '--workers 1' '--workers 3 --isolation process --engine interp' '--workers 3' '--workers 3 --engine interp' '--workers 2 --ordered --max-in-flight 5'; do
    # shellcheck disable=SC2086
    run 0 $options --reproducible --trace t.json --stats s.json --output more jobs.ndjson
    check "$options: the trace" trace t.json s.json
    has told ' 2704 jobs, 0 left out' || fail "$options: every job is there: $(cat told)"
    sort more >sorted
    [ -f first ] || cp sorted first
    check "$options: the same results" cmp sorted first
done
check "an id that is a number" has t.json '{"name":"-9223372036854775808","cat":"job"'
check "repetitions" has t.json '"rep":1199}'
check "an id that is cut" has t.json '"name":"a \"quoted\" '
run 0 --output without jobs.ndjson
check "no trace unless asked for" [ ! -e trace ]

# -- more jobs than are kept: the file says so, and how many
printf '%s\n' "$D" '{"id":"r","invoke":"d","repeat":600000}' >many.ndjson
run 0 --workers 2 --trace t.json --stats s.json --output more many.ndjson
check "a sampled trace" trace t.json s.json
check "what was left out on purpose" has t.json '"name":"events left out on purpose"'
check "from where on" has t.json '"name":"from here on fewer events are kept"'
# 600,000 is less than 8 times the 100,000 of a level, so no more than four levels and what was in the rings are there.
check "bounded" [ "$(grep -c '"cat":"job"' t.json)" -le 420000 ]
if has t.json '"name":"events lost"' >lost; then
    check "lost events are told" has err 'events came too fast to be written'
fi

# -- interrupted, once and twice
printf '%s\n' "$D" '{"id":"r","invoke":"d","endpoint":2,"args":[3000],"repeat":1000000000}' >endless.ndjson
printf '%s\n' "$D" '{"id":"r","invoke":"d","endpoint":2,"args":[1],"repeat":3000}' '{"id":"long","invoke":"d","endpoint":2,"args":[18446744073709551615],"gas":18446744073709551615}' >stuck.ndjson
long_enough() {
    [ -s "$1" ] && [ "$(lines "$1")" -ge "$2" ]
}
rm t.json
"$PROGRAM" --progress none --workers 2 --trace t.json --stats s.json --output cut endless.ndjson 2>err &
child=$!
await $child long_enough t.json 100
kill -TERM $child
wait $child
check "the code is 130" [ $? -eq 130 ]
check "an interrupted trace" trace t.json s.json
rm t.json
"$PROGRAM" --progress none --workers 2 --trace t.json --output cut stuck.ndjson 2>err &
child=$!
await $child long_enough t.json 2000
kill -TERM $child
await $child grep -q terminated err
kill -TERM $child
wait $child
check "the code is 130" [ $? -eq 130 ]
check "a trace that was given up" trace t.json

# -- the disk is full: the results are all there, the trace is whole up to some event
(
    ulimit -f 100
    trap '' XFSZ
    "$PROGRAM" --trace t.json --output /dev/null jobs.ndjson 2>err
    echo $? >code
)
check "a limit on the file's size" [ "$(cat code)" -eq 3 ]
check "is told" has err '--trace: t.json: File too large'
check "and the trace is whole" trace t.json
check "with what there was room for" long_enough t.json 2

# -- what it cannot be written to
refuse() {
    text=$1
    shift
    run 2 "$@"
    [ "$(head -n 1 err)" = "javm-batch: $text" ] || fail "javm-batch $*: says: $(head -n 1 err)"
}
refuse 'no/such/place: No such file or directory' --trace no/such/place jobs.ndjson
refuse '/dev/full: a trace needs a regular file; it is completed in place' --trace /dev/full jobs.ndjson
refuse 'jobs.ndjson: this is the jobs file; figures cannot go there' --trace jobs.ndjson jobs.ndjson
refuse 'same: something else of this batch goes there; figures need a file of their own' --trace same --output same jobs.ndjson
refuse 'same: something else of this batch goes there; figures need a file of their own' --trace same --stats same jobs.ndjson
check "the jobs file is as it was" has jobs.ndjson "$D"
finish
