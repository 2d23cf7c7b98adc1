#!/bin/sh
# Defects that this would catch: a report whose figures are not those of --stats, or whose plots have no jobs in them; one that grows
# with the number of jobs or loads something from elsewhere; ids that end the script they stand in; a report written over jobs or
# results, or missing when the batch was interrupted.
HERE=$(cd "$(dirname "$0")" && pwd)
. "$HERE/lib.sh"
D='{"image":"d","load":"demo.jimg"}'
page() {
    python3 "$HERE/report_check.py" "$@" >told || { cat told; return 1; }
}

awk -v d="$D" 'BEGIN {
    print d;
    for (i = 0; i < 1500; i++)
        printf "{\"id\":%d,\"invoke\":\"d\",\"endpoint\":2,\"args\":[%d],\"gas\":170000}\n", i, 1 + (i * 7919) % 1000 + (i % 500 == 3 ? 9000 : 0);
    print "{\"id\":\"</script><script>throw 1</script>\\\"\\\\\",\"invoke\":\"d\",\"expect\":{\"value\":\"0x1234\"}}";
}' >'jobs <b>&".ndjson'
for workers in 1 3 70; do
    run 1 --workers $workers --report r.html --stats s.json --output out.ndjson 'jobs <b>&".ndjson'
    check "$workers workers" page r.html s.json $workers
done
check "no more markup than the page's own" [ "$(grep -c '<script' r.html)" -eq 2 ]
check "a name is not markup" has r.html 'jobs \u003cb>&\".ndjson'

printf '%s\n' "$D" '{"id":"r","invoke":"d","repeat":200000}' >many.ndjson
run 0 --workers 2 --report r.html --stats s.json --output /dev/null many.ndjson
check "many jobs" page r.html s.json 2
check "are no larger page" [ "$(wc -c <r.html)" -lt 100000 ]
: >empty.ndjson
run 0 --workers 2 --report r.html --stats s.json --output none empty.ndjson
check "no jobs" page r.html s.json 2
run 0 verify --workers 2 --report r.html --stats s.json empty.ndjson none
check "verify" page r.html s.json 2
run 2 --workers 2 --report r.html --stats s.json --output none 'bad.ndjson'
printf '%s\n' "$D" '{"id":1,"invoke":"d"}' 'bad' >bad.ndjson
run 2 --workers 2 --report r.html --stats s.json --output none bad.ndjson
check "a batch that ended early" page r.html s.json 2

# -- interrupted
printf '%s\n' "$D" '{"id":"r","invoke":"d","endpoint":2,"args":[3000],"repeat":1000000000}' >endless.ndjson
rm r.html
"$PROGRAM" --progress none --workers 2 --report r.html --stats s.json --output cut endless.ndjson 2>err &
child=$!
await $child [ -s cut ]
kill -TERM $child
wait $child
check "the code is 130" [ $? -eq 130 ]
check "an interrupted batch" page r.html s.json 2

refuse() {
    text=$1
    shift
    run 2 "$@"
    [ "$(head -n 1 err)" = "javm-batch: $text" ] || fail "javm-batch $*: says: $(head -n 1 err)"
}
refuse 'no/such/place: No such file or directory' --report no/such/place many.ndjson
refuse 'many.ndjson: this is the jobs file; figures cannot go there' --report many.ndjson many.ndjson
refuse 'same: something else of this batch goes there; figures need a file of their own' --report same --output same many.ndjson
refuse 'same: something else of this batch goes there; figures need a file of their own' --report same --stats same many.ndjson
refuse '--report: expected a value' many.ndjson --report
run 3 --report /dev/full --output none empty.ndjson
check "a full disk is told" has err '--report: cannot write /dev/full: No space left on device'
finish
