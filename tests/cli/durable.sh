#!/bin/sh
# Defects that this would catch: a resumed batch that runs a job twice, not at all or merges equal ones; that takes an edited job
# for done; that writes behind a torn line or frame, cuts off more than is torn, or harms a file that holds no results; a chain
# that goes on from another state than the one that its lines stand for; failures of before that are forgotten; a verify that
# calls different results equal or equal ones different; shards that overlap, leave jobs out or tear a chain.
HERE=$(cd "$(dirname "$0")" && pwd)
. "$HERE/lib.sh"
D='{"image":"d","load":"demo.jimg"}
{"image":"p","load":"pause.jimg"}
{"instance":"y","image":"p","slots":{"4":{"sender":"0x0701"}}}'
{
    echo "$D"
    for i in 1 2 3 4 5 6 7 8 9; do
        echo "{\"id\":\"j$i\",\"invoke\":\"d\",\"args\":[$i]}"
        echo "{\"chain\":\"c$((i % 2))\",\"invoke\":\"y\",\"args\":[$i],\"on_pause\":\"resume\"}"
    done
    echo '{"id":"same","invoke":"d","output":"hash"}'
    echo '{"id":"same","invoke":"d","output":"hash"}'
    echo '{"id":"other","invoke":"d","output":"hash"}'
    echo '{"id":"r","invoke":"d","repeat":300}'
    echo '{"id":"rc","chain":"c1","endpoint":1,"repeat":300}'
    echo '{"id":"wrong","invoke":"d","args":[4],"expect":{"value":5}}'
} >jobs.ndjson
run 1 --ordered --reproducible --output all jobs.ndjson
check "622 results" [ "$(lines all)" -eq 622 ]
sort all >all.sorted

# pack FILE TO, unpack FROM : as the name says
pack() {
    case $2 in
    *.gz) gzip -c "$1" >"$2" ;;
    *.zst) zstd -qcf "$1" >"$2" ;;
    *) cat "$1" >"$2" ;;
    esac
}
unpack() {
    case $1 in
    *.gz) gzip -dc "$1" ;;
    *.zst) zstd -qdc "$1" ;;
    *) cat "$1" ;;
    esac
}
# complete FILE : exactly one result for each job
complete() {
    unpack "$1" >now && sort now | cmp - all.sorted
}

for file in r r.gz r.zst; do
    # nothing there, nothing missing
    rm -f $file
    run 1 --resume --reproducible --output $file jobs.ndjson
    check "$file: no file is no results" complete $file
    cp $file before
    run 1 --resume --reproducible --output $file jobs.ndjson
    check "$file: nothing to do" cmp $file before
    check "$file: is said" has err 'resumed       622 results were there'
    # every third, every third not
    for keep in 'NR % 3 == 1' 'NR % 3 != 1' 'NR < 200' 'NR > 200' 'NR == 622' 'NR == 20'; do
        awk "$keep" all >some
        pack some $file
        run 1 --resume --reproducible --workers 3 --output $file jobs.ndjson
        check "$file, $keep" complete $file
        check "$file, $keep: what was there stays" sh -c "head -n $(lines some) now | cmp - some"
        check "$file, $keep: no more was run" has err "resumed       $(lines some) results were there"
    done
    # torn anywhere; of two frames the first stays
    awk 'NR <= 310' all >some
    pack some first.${file##*.}
    awk 'NR > 310' all >some
    pack some second.${file##*.}
    SIZE=$(wc -c <second.${file##*.})
    for torn in 0 1 2 3 4 9 17 $((SIZE / 2)) $((SIZE - 20)) $((SIZE - 1)); do
        { cat first.${file##*.} && head -c $torn second.${file##*.}; } >$file
        run 1 --resume --reproducible --output $file jobs.ndjson
        check "$file, $torn bytes of the second half" complete $file
        check "$file, $torn: the first half is kept" [ "$(sed -n 's/.*resumed *\([0-9]*\) results.*/\1/p' err)" -ge 310 ]
        head -c $torn first.${file##*.} >$file
        run 1 --resume --reproducible --output $file jobs.ndjson
        check "$file, $torn bytes of all" complete $file
    done
done
printf '{"id":"j1","jo' >r
head -c 5000 /dev/zero >>r
run 1 --resume --reproducible --output r jobs.ndjson
check "torn, then zeros" complete r
for file in r.gz r.zst; do # what a power cut may leave
    rm -f $file
    pack all whole.${file#r.}
    for keep in 0 5 1000; do
        head -c $keep whole.${file#r.} >$file
        head -c 5000 /dev/zero >>$file
        run 1 --resume --reproducible --output $file jobs.ndjson
        case $file in *.gz) gzip -dc $file ;; *) zstd -qdc $file ;; esac >r
        check "$file: $keep bytes, then zeros" complete r
    done
done

# -- an order that was kept stays, a gap is said
head -n 100 all >r
run 1 --resume --ordered --reproducible --output r jobs.ndjson
check "the rest in order" cmp r all
check "no word about it" sh -c '! grep -q "not in order" err'
tail -n 100 all >r
run 1 --resume --ordered --reproducible --output r jobs.ndjson
check "missing ones come behind" complete r
check "which is said" has err 'the results are not in order: r had some of later jobs already'

# -- edited jobs run again, their old lines stay and are counted; equal jobs are told apart by their ids
cp all r
sed 's/"id":"j3","invoke":"d","args":\[3\]/"id":"j3","invoke":"d","args":[33]/' jobs.ndjson >edited.ndjson
run 1 --resume --reproducible --output r edited.ndjson
check "one job" [ "$(lines r)" -eq 623 ]
check "the edited one" sh -c 'tail -n 1 r | grep -q "\"id\":\"j3\".*\"value\":33"'
check "the old line is told" has err '621 results were there, and 1 of jobs that are not in the file'
run 1 verify edited.ndjson r
check "verify tells it, too" grep -q '^job "j3": extra: line [0-9]*, no job of the file$' out
grep -v '"id":"same"' all >r
grep -m 1 '"id":"same"' all >>r
run 1 --resume --reproducible --output r jobs.ndjson
check "one of two equal jobs" complete r
grep -v '"id":"other"' all >r
run 1 --resume --reproducible --output r jobs.ndjson
check "the one with the other id" complete r

# -- failures: that a line is there is enough, and they still count; without their line they run again
grep -v '"id":"j1"' all >r
run 1 --resume --fail-fast --output r jobs.ndjson
check "an old failure ends nothing" [ "$(lines r)" -eq 622 ]
printf '%s\n' "$D" '{"id":"e","invoke":"d","endpoint":3,"gas":18446744073709551615}' >slow.ndjson
run 1 --timeout 20 --output r2 --reproducible slow.ndjson
run 1 --resume --timeout 20 --output r2 slow.ndjson
check "an error is a result" [ "$(lines r2)" -eq 1 ]
check "and its job was not run" has err 'jobs          0'
printf '%s\n' "$D" '{"id":"a","invoke":"d"}' '{"invoke":5}' '{"id":"b","invoke":"d"}' >bad.ndjson
run 1 --keep-going --ordered --reproducible --output bad.all bad.ndjson
head -n 2 bad.all >bad.some
run 1 --resume --keep-going --reproducible --output bad.some bad.ndjson
check "bad lines have their results, too" cmp bad.all bad.some
run 2 --output stopped bad.ndjson
check "the command that goes on" grep -q '^javm-batch: to go on: javm-batch run --resume --output stopped bad.ndjson$' err
run 2 --resume --output "it's" bad.ndjson
check "as a shell reads it" has err "to go on: javm-batch run --resume --output 'it'\\''s' bad.ndjson"

# -- what holds no results is left alone
for text in 'just a note' '{"id":1}' '{"id":1,"job":"0123456789abcdef","exit":"halt"' '{"id":1,"job":"0123456789ABCDEF","exit":"halt"}'; do
    { head -n 3 all && echo "$text" && tail -n 3 all; } >r
    cp r before
    run 2 --resume --output r jobs.ndjson
    check "$text: where" grep -q '^javm-batch: r:4:[0-9]*: ' err
    check "$text: nothing was touched" cmp r before
done
printf 'no newline' >r
run 2 --resume --output r jobs.ndjson
check "the tail of something else" has err 'r:1:1: expected a result, which begins with {"id":'
check "is left" [ "$(cat r)" = 'no newline' ]
gzip -c all >r
cp r before
run 2 --resume --output r jobs.ndjson
check "compressed under another name" has err 'r: compressed, but its name does not end in .gz'
check "and left" cmp r before
cp all r.gz
run 2 --resume --output r.gz jobs.ndjson
check "not compressed, but named so" has err 'r.gz: not a gzip file, as its name says'
gzip -c all | head -c 3000 >r.gz
printf 'xxxxxxxxxxxxxxxx' | dd of=r.gz bs=1 seek=1500 conv=notrunc 2>/dev/null
gzip -c all >>r.gz
cp r.gz before
run 2 --resume --output r.gz jobs.ndjson
check "damaged in the middle" has err 'r.gz: damaged compressed data near byte'
check "and left, too" cmp r.gz before
run 2 --resume --output - jobs.ndjson
check "standard output" has err '<stdout>: --resume needs results that are in a file'
run 2 --resume --output /dev/null jobs.ndjson
check "a device" has err '/dev/null: --resume needs results that are in a file'
run 2 --resume --output no/such/place jobs.ndjson
mkdir folder
run 2 --resume --output folder jobs.ndjson

# -- verify
for file in v v.gz v.zst; do
    pack all $file
    run 0 verify jobs.ndjson $file
    check "$file: nothing on standard output" [ ! -s out ]
    check "$file: the sum" grep -q ': 622 equal, 0 different, 0 missing, 0 extra$' err
done
run 1 --output v jobs.ndjson
run 0 verify --workers 2 jobs.ndjson v
check "in any order, with us and worker" has err 'v: 622 equal, 0 different, 0 missing, 0 extra'
sed -e '/"id":"j1",/d' -e '/"id":"j2",/s/"value":2,/"value":7,"more":1,/' -e '/"rep":7,/s/"exit":"halt"/"exit":"trap"/' \
    -e '/"id":"j4",/s/"gas_used":100/"gas_used": 100/' all >v
sed -n '5s/"job":"./"job":"x/;5s/x/0/p' all | sed 's/"id":[^,]*/"id":"ghost"/' >>v
run 1 verify jobs.ndjson v
check "a value" grep -qx 'job "j2": value: recorded 7, got 2; more: recorded 1, got nothing' out
check "an exit, with its repetition" grep -q '^job "r", rep 7: exit: recorded "trap", got "halt"$' out
check "missing" grep -qx 'job "j1": missing: no such line was recorded' out
check "extra" grep -q '^job "ghost": extra: line 622, no job of the file$' out
check "nothing else" [ "$(lines out)" -eq 5 ]
check "blanks make no difference" has err '618 equal, 3 different, 1 missing, 1 extra'
if "$PROGRAM" --engine jit --output e jobs.ndjson 2>err; [ $? -le 1 ]; then
    run 0 verify --bisect --workers 2 jobs.ndjson all
    check "both engines, and chains go on as without" has err ': 622 equal, 0 different'
    check "how many" has err 'jobs on both engines, which part in 0 of them'
else
    echo "bisect: skipped, this build has one engine"
fi
run 2 --bisect jobs.ndjson
head -c 4000 all >v
run 1 verify jobs.ndjson v
check "torn" has err 'warning: v is torn behind byte'
run 2 verify jobs.ndjson none
run 2 verify jobs.ndjson /dev/null
check "read twice" has err '/dev/null: results are read twice, so they have to be in a file'
run 2 verify jobs.ndjson jobs.ndjson
check "no results" has err 'jobs.ndjson:1:1: expected a result'
run 2 verify bad.ndjson bad.all
check "a bad line" has err 'the run is not complete'
run 0 verify --keep-going bad.ndjson bad.all

# -- shards: all together are one run
for shards in 1 2 3 7; do
    : >together
    i=0
    while [ $i -lt $shards ]; do
        rm -f part
        "$PROGRAM" --shard $i/$shards --reproducible --output part jobs.ndjson 2>err
        check "shard $i of $shards" [ $? -le 1 ]
        check "shard $i of $shards has some" [ -s part ]
        run 0 verify --shard $i/$shards jobs.ndjson part
        check "shard $i of $shards, verified" has err " 0 different, 0 missing, 0 extra"
        head -n 5 part >part5
        mv part5 rest
        "$PROGRAM" --resume --shard $i/$shards --reproducible --output rest jobs.ndjson 2>err
        check "shard $i of $shards, resumed" sh -c 'sort rest >a; sort part >b; cmp a b'
        cat part >>together
        i=$((i + 1))
    done
    check "$shards shards are the whole" sh -c 'sort together | cmp - all.sorted'
done
printf '%s\n' "$D" '{"id":"r","invoke":"d","repeat":100}' >even.ndjson
run 0 --shard 1/3 even.ndjson
check "a name of its own, a third of the repetitions" [ "$(lines even.1-of-3.results.ndjson)" -eq 33 ]
finish
