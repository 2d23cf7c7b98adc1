#!/bin/sh
# Defects that this would catch: a result that changed its fields, their order or their values; results that depend on the number
# of workers, on compression or on how jobs come in; an expect that is not compared or does not set the exit code; a bad
# line under --keep-going that stops the batch or vanishes; jobs after a bad line that run without it; a
# repeat that is expanded wrongly; results mixed with messages on standard output.
HERE=$(cd "$(dirname "$0")" && pwd)
. "$HERE/lib.sh"
cp "$HERE/golden/exits.ndjson" "$HERE/golden/three.bin" .

# -- the golden file: exit 1, because two of the jobs do not meet their expect
for workers in 1 2 7; do
    run 1 --ordered --reproducible --post --workers $workers --output - exits.ndjson
    check "golden results, $workers workers" cmp out "$HERE/golden/exits.results"
done
has err 'job "not as expected": exit: expected "trap", got "halt"' || fail "mismatches are not told"
has err "mismatches    2" || fail "mismatches are not counted"

# -- many jobs, unequal in length: the same bytes for any number of workers, the same set unordered
awk 'BEGIN {
    print "{\"image\":\"d\",\"load\":\"demo.jimg\"}";
    for (i = 0; i < 3000; i++)
        printf "{\"id\":%d,\"invoke\":\"d\",\"endpoint\":2,\"args\":[%d],\"gas\":170000}\n", i, 1 + (i * 7919) % 1000 + (i % 500 == 3 ? 9000 : 0);
    print "{\"id\":\"r\",\"invoke\":\"d\",\"endpoint\":1,\"args\":[3,4],\"repeat\":2500}";
    print "{\"id\":\"end\",\"invoke\":\"d\"}";
}' >many.ndjson
run 0 --ordered --reproducible --workers 1 --output one many.ndjson
check "all results" [ "$(lines one)" -eq 5501 ]
check "the last one is last" sh -c 'tail -n 1 one | grep -q "\"id\":\"end\""'
check "out of gas among them" grep -q '"exit":"out_of_gas"' one
for workers in 2 7; do
    run 0 --ordered --reproducible --workers $workers --output more many.ndjson
    check "$workers workers, ordered" cmp one more
    run 0 --reproducible --workers $workers --output more many.ndjson
    check "$workers workers, unordered" sh -c 'sort one >a; sort more >b; cmp a b'
done
for in_flight in 1 3 100; do
    run 0 --ordered --reproducible --max-in-flight $in_flight --workers 2 --output more many.ndjson
    check "--max-in-flight $in_flight" cmp one more
done
run 0 --ordered --reproducible --numa off --isolation thread --gas-model exec --engine interp --output more many.ndjson
check "other options, same results" cmp one more

# -- repetitions are numbered, each with a hash of its own
check "2500 repetitions" [ "$(grep -c '"id":"r"' one)" -eq 2500 ]
check "numbered from 0 in order" sh -c 'grep "\"id\":\"r\"" one | sed "s/.*\"rep\":\([0-9]*\).*/\1/" >a; seq 0 2499 | cmp - a'
check "hashes differ" [ "$(grep '"id":"r"' one | sed 's/.*"job":"\([0-9a-f]*\)".*/\1/' | sort -u | wc -l)" -eq 2500 ]

# -- compression on both sides, by name and by content, pipes on both sides
gzip -k many.ndjson
zstd -q many.ndjson
run 0 --ordered --reproducible --output r.gz many.ndjson.gz
check "gz to gz" sh -c 'gzip -dc r.gz | cmp - one'
run 0 --ordered --reproducible --output r.zst many.ndjson.zst
check "zst to zst" sh -c 'zstd -qdc r.zst | cmp - one'
for file in many.ndjson many.ndjson.gz many.ndjson.zst; do
    "$PROGRAM" --ordered --reproducible - <$file >out 2>err || fail "from standard input: $?"
    check "$file from standard input to standard output" cmp out one
    cat $file | "$PROGRAM" run --ordered --reproducible --output - - 2>err | cmp - one || fail "$file through pipes"
done

# -- where results go by default, and that they replace older ones
run 0 many.ndjson
check "default output" [ "$(lines many.results.ndjson)" -eq 5501 ]
run 0 many.ndjson.gz
check "default output of compressed jobs" [ "$(lines many.results.ndjson)" -eq 5501 ]
check "us and worker" sh -c 'head -n 1 many.results.ndjson | grep -q ",\"us\":[0-9]*,\"worker\":[0-9]*}$"'

# -- relative paths are relative to the jobs file
mkdir sub
mv demo.jimg three.bin sub
printf '%s\n' '{"image":"d","load":"demo.jimg"}' '{"invoke":"d","input":"@three.bin","output":"bytes"}' >sub/j.ndjson
run 0 --output - sub/j.ndjson
check "paths beside the jobs file" has out '"output":"0x010203"'
mv sub/demo.jimg sub/three.bin .

# -- invoking by hash: of an image, of an instance, of one that only a bundle brought along
IMAGE=$("$PROGRAM" info demo.jimg | sed -n 's/^Image \(0x[0-9a-f]*\).*/\1/p')
printf '%s\n' '{"image":"d","load":"demo.jimg"}' '{"id":"name","invoke":"d","args":[5]}' "{\"id\":\"hash\",\"invoke\":\"$IMAGE\",\"args\":[5]}" >hash.ndjson
run 0 --ordered --reproducible --output - hash.ndjson
check "a hash is as good as a name" [ "$(sed 's/"id":"[a-z]*"//' out | sort -u | wc -l)" -eq 1 ]
PINNED=$("$PROGRAM" info demo.jimg | sed -n 's/^Data \(0x[0-9a-f]*\).*/\1/p')
printf '%s\n' '{"image":"d","load":"demo.jimg"}' "{\"invoke\":\"$PINNED\"}" >hash.ndjson
run 2 --output - hash.ndjson
check "a hash of something else" has err 'expected an Instance or an Image, found a Data'
printf '%s\n' '{"image":"d","load":"named.jbundle"}' '{"invoke":"d","args":[6]}' >named.ndjson
run 0 --output - named.ndjson
check "a bundle with one root of any name" has out '"value":6'

# -- bad lines
printf '%s\n' '{"image":"d","load":"demo.jimg"}' '{"id":"a","invoke":"d"}' '{"id":"b","invoke":"d","argz":1}' '{"id":"c","invoke":"d"}' '{"image":"e","load":"none"}' '{"id":"d","invoke":"e"}' 'rubbish' '{"id":"f","invoke":"d"}' >bad.ndjson
run 2 --output - bad.ndjson
check "what stands before a bad line has run" [ "$(lines out)" -eq 1 ]
check "and only that" has out '"id":"a"'
run 1 --keep-going --ordered --reproducible --output - bad.ndjson
check "--keep-going goes on" [ "$(lines out)" -eq 7 ]
check "the bad job" has out '{"id":"b","job":"'
check "its message" has out '"exit":"error","error":"line 3, column 24: unknown field \"argz\"'
check "a bad definition" has out '{"id":5,"job":"'
check "a job that needs it" has out 'column 20: invoke: the name \"e\" is not defined before this line'
check "not even JSON" has out '"error":"line 7, column 1: expected a JSON value'
check "the end" has out '{"id":"f","job":"'
run 2 check bad.ndjson
check "check finds all four" [ "$(grep -c '^bad.ndjson:[0-9]*:[0-9]*: ' err)" -eq 4 ]
check "and counts" has err 'bad.ndjson: 1 definitions, 3 jobs (3 runs), 4 problems'
check "check prints nothing on standard output" [ ! -s out ]
run 0 check many.ndjson
check "a good file" has err 'many.ndjson: 1 definitions, 3,002 jobs (5,501 runs), 0 problems'

# -- --fail-fast, --timeout, --gas
awk 'BEGIN { print "{\"image\":\"d\",\"load\":\"demo.jimg\"}"; print "{\"invoke\":\"d\",\"expect\":{\"value\":1}}";
    print "{\"invoke\":\"d\",\"endpoint\":2,\"args\":[3000],\"repeat\":1000000}" }' >fast.ndjson
run 1 --fail-fast --output fast fast.ndjson
check "--fail-fast leaves most out" [ "$(lines fast)" -lt 900000 ]
check "and says so" has err '--fail-fast'
printf '%s\n' '{"image":"d","load":"demo.jimg"}' '{"id":"long","invoke":"d","endpoint":3,"gas":18446744073709551615}' '{"id":"short","invoke":"d","args":[1]}' >time.ndjson
run 1 --timeout 50 --workers 1 --ordered --reproducible --output - time.ndjson
check "a timeout is an error" has out '"exit":"error","error":"timeout after 50 ms"}'
check "others run" has out '"value":1'
printf '%s\n' '{"image":"d","load":"demo.jimg"}' '{"invoke":"d","endpoint":3,"gas":18446744073709551615,"expect":{"exit":"halt","x-why":"never"}}' >both.ndjson
run 1 --timeout 50 --output - both.ndjson
check "an error that was not expected is told" has out '"mismatch":{"exit":{"expected":"halt","got":"error"}}'
check "and counts as one failure" has err '1 failure:'
printf '%s\n' '{"image":"d","load":"demo.jimg"}' '{"id":"long","invoke":"d","endpoint":3}' >gas.ndjson
run 0 --gas 0x64 --output - gas.ndjson
check "--gas" has out '"exit":"out_of_gas","gas_used":96'

# -- empty batches
: >empty.ndjson
run 0 --output - empty.ndjson
check "no jobs, no results" [ ! -s out ]
printf '\n\n// nothing\n  \t\n' >blank.ndjson
run 0 --output - blank.ndjson
check "only blanks" [ ! -s out ]
finish
