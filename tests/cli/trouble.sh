#!/bin/sh
# Defects that this would catch: a full disk, a closed pipe or a signal that ends in a crash, a hang, torn lines, a wrong exit code
# or a storm of messages; lost results when interrupted; a batch that makes a slow writer of jobs wait; damaged compressed
# input taken for its end; memory that grows with the number of jobs.
HERE=$(cd "$(dirname "$0")" && pwd)
. "$HERE/lib.sh"
D='{"image":"d","load":"demo.jimg"}'
printf '%s\n' "$D" '{"id":"r","invoke":"d","endpoint":2,"args":[200],"repeat":300000}' >many.ndjson
printf '%s\n' "$D" '{"id":"r","invoke":"d","endpoint":2,"args":[3000],"repeat":1000000000}' >endless.ndjson

# whole FILE : every line is a whole result
whole() {
    ! grep -qv '^{"id":.*}$' "$1" && [ "$(tail -c 1 "$1" | od -An -c | tr -d ' ')" = '\n' ]
}

# -- a full disk
run 3 --output /dev/full many.ndjson
check "said once" [ "$(grep -c 'No space left on device; 0 results were written' err)" -eq 1 ]
"$PROGRAM" --output - many.ndjson >/dev/full 2>err
check "standard output on a full disk" [ $? -eq 3 ]
(
    ulimit -f 200
    trap '' XFSZ
    "$PROGRAM" --progress none --output limited many.ndjson 2>err
    echo $? >code
)
check "a limit on the file's size" [ "$(cat code)" -eq 3 ]
check "the message" grep -q 'limited: File too large; [0-9]* results were written' err
check "whole lines" whole limited
check "as many as it says" [ "$(lines limited)" -eq "$(sed -n 's/.*large; \([0-9]*\) results.*/\1/p' err)" ]

# -- a reader that goes away: one line, no signal death
{
    "$PROGRAM" --output - endless.ndjson 2>err
    echo $? >code
} | head -n 1 >out
check "code of a closed pipe" [ "$(cat code)" -eq 3 ]
check "one line" [ "$(lines err)" -eq 1 ]
check "that says so" has err 'the reader went away'
check "the reader got its line" whole out

# -- signals: those running finish, the file is whole and as long as the table says
# at_least LINES FILE
at_least() {
    [ -f "$2" ] && [ "$(lines "$2")" -ge "$1" ]
}
for signal in INT TERM; do
    for options in '' '--ordered'; do
        # A shell without job control starts what is in the background with SIGINT ignored.
        rm -f cut
        # shellcheck disable=SC2086
        env --default-signal=INT "$PROGRAM" --progress none $options --workers 2 --output cut endless.ndjson 2>err &
        child=$!
        await $child at_least 11 cut
        kill -$signal $child
        wait $child
        check "SIG$signal $options: code" [ $? -eq 130 ]
        check "SIG$signal $options: whole lines" whole cut
        check "SIG$signal $options: some" at_least 11 cut
        check "SIG$signal $options: counted" has err "results       $(lines cut | sed -e ':a' -e 's/\([0-9]\)\([0-9]\{3\}\)\($\|,\)/\1,\2\3/;ta') lines"
        check "SIG$signal $options: what did not run" has err 'jobs that were read did not run'
    done
done
"$PROGRAM" --progress none --output cut.zst endless.ndjson 2>err &
child=$!
await $child [ -s cut.zst ]
kill -INT $child # ignored since the start, as nohup does it, so that it stays so
kill -TERM $child
wait $child
check "the code is 130" [ $? -eq 130 ]
check "SIGTERM was heard" has err 'javm-batch: terminated'
check "a SIGINT that was ignored still is" sh -c '! grep -q "javm-batch: interrupted" err'
check "a compressed file is closed" sh -c 'zstd -qdc cut.zst >cut'
check "and whole" whole cut

# A second signal while a job that never ends is running: what stands before it is in the file.
# used TICKS PID : it has used that much processor time
used() {
    [ "$(ticks "$2")" -ge "$1" ]
}
FOREVER='{"id":"b","invoke":"d","endpoint":3,"gas":18446744073709551615}'
printf '%s\n' "$D" '{"id":"a","invoke":"d","args":[7]}' "$FOREVER" '{"id":"c","invoke":"d"}' >stuck.ndjson
for options in '' '--ordered'; do
    rm -f stuck
    # shellcheck disable=SC2086
    "$PROGRAM" --progress none --workers 1 $options --output stuck stuck.ndjson 2>err &
    child=$!
    await $child [ -s stuck ]
    # The result can be written a moment before the endless job begins, which then is all that takes time.
    await $child used $(($(ticks $child) + 20)) $child
    kill -TERM $child
    await $child grep -q terminated err
    check "one signal waits for the job" alive $child
    kill -TERM $child
    wait $child
    check "the second one does not" [ $? -eq 130 ]
    check "and says what is there" has err 'stopped at once; 1 results are written'
    check "the job before it is in the file" has stuck '"id":"a"'
    check "whole" whole stuck
done

# Waiting for what may never come: one signal is enough, for a pipe of jobs, of results and of a job's input.
# (Jobs that are read together with the one that waits wait with it; one with repetitions is handed out at once.)
mkfifo never
printf '%s\n' "$D" '{"id":"a","invoke":"d","repeat":5}' '{"id":"b","invoke":"d","endpoint":8,"input":"@never"}' '{"id":"c","invoke":"d"}' >waits.ndjson
# handles PID : it has a handler for SIGTERM
handles() {
    [ "$(readlink "/proc/$1/exe")" = "$(readlink -f "$PROGRAM")" ] || return 1 # the shell that becomes it has one, too
    caught=$(sed -n 's/^SigCgt:[^0-9a-f]*//p' "/proc/$1/status" 2>/dev/null)
    [ $((0x${caught:-0} >> 14 & 1)) -eq 1 ]
}
for arguments in 'never' '--output never waits.ndjson'; do
    # shellcheck disable=SC2086
    "$PROGRAM" --progress none $arguments >out 2>err &
    child=$!
    await $child handles $child
    kill -TERM $child
    wait $child
    check "$arguments: the code is 130" [ $? -eq 130 ]
    check "$arguments: why" has err 'interrupted before the first job'
done
"$PROGRAM" --progress none --workers 1 --output waited waits.ndjson 2>err &
child=$!
await $child [ -s waited ]
kill -TERM $child
wait $child
check "an input that never comes: the code is 130" [ $? -eq 130 ]
check "an input that never comes: what was before it" [ "$(lines waited)" -eq 5 ]
check "an input that never comes: no other message" sh -c '! grep -q never: err'
check "an input that never comes: how to go on" has err 'to go on: javm-batch run --resume --progress none --workers 1 --output waited waits.ndjson'
head -c 4000 endless.ndjson >input
cat input >never &
run 0 --resume --reproducible --output waited waits.ndjson
check "one that comes is read" [ "$(lines waited)" -eq 7 ]
wait
sed 's/never/input/' waits.ndjson >regular.ndjson
run 0 --ordered --reproducible --output regular regular.ndjson
tail -n 2 regular | sort >tail
check "and is the same as from a file" sh -c 'tail -n 2 waited | sort | cmp - tail'

# The jobs behind one that never ends are run by others.
{
    echo "$D"
    echo "$FOREVER"
    for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
        echo "{\"id\":$i,\"invoke\":\"d\",\"endpoint\":2,\"args\":[200000]}"
    done
} >behind.ndjson
mkfifo answers
"$PROGRAM" --progress none --workers 2 --output - behind.ndjson >answers 2>err &
child=$!
exec 8<answers
for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
    read -r line <&8
    echo "$line"
done >out
check "all twenty while the first still runs" [ "$(sed 's/.*"id":\([0-9]*\),.*/\1/' out | sort -nu | wc -l)" -eq 20 ]
kill -TERM $child
await $child grep -q terminated err # two signals at once would count as one
kill -TERM $child
wait $child
check "stopped" [ $? -eq 130 ]
exec 8<&-

# -- jobs that come slowly are answered at once
mkfifo jobs results
"$PROGRAM" --ordered --reproducible - <jobs >results 2>err &
batch=$!
exec 7>jobs 8<results
# send FORMAT TEXT... : a batch that is gone fails the checks below, it does not end this shell by SIGPIPE
send() {
    (
        trap '' PIPE
        # shellcheck disable=SC2059
        printf "$@" >&7
    )
}
send '%s\n' "$D" '{"id":1,"invoke":"d","args":[1]}'
read -r line <&8
check "the first answer while the pipe is open" [ "${line##*\"exit\"}" = ':"halt","value":1,"gas_used":100}' ]
send '%s' '{"id":2,"invoke":"d",'
sleep 0.1
send '%s\n' '"args":[2]}'
read -r line <&8
check "the second, sent in halves" [ "${line##*\"exit\"}" = ':"halt","value":2,"gas_used":100}' ]
exec 7>&-
wait $batch
check "a good end" [ $? -eq 0 ]
exec 8<&-

# -- damaged compressed jobs
gzip -c many.ndjson >good.gz
head -c 60 good.gz >cut.gz
run 2 --output - cut.gz
check "cut gzip" has err 'cut.gz: damaged compressed data near byte 60: the file ends inside it'
zstd -qc many.ndjson >good.zst
head -c 30 good.zst >cut.zst
run 2 --output - cut.zst
check "cut zstd" has err 'the file ends inside it'
run 2 check cut.zst
cp many.ndjson plain.gz
run 2 --output - plain.gz
check "not gzip" has err 'plain.gz: not a gzip file, as its name says'

# -- a line that is too long
{
    echo "$D"
    echo '{"id":"a","invoke":"d"}'
    printf '{"id":"b","x-pad":"'
    head -c 17000000 /dev/zero | tr '\0' x
    echo '","invoke":"d"}'
    echo '{"id":"c","invoke":"d"}'
} >long.ndjson
run 2 --output - long.ndjson
check "told without showing it" has err 'long.ndjson:3:1: this line is longer than 16777216 bytes; give large inputs as "@file"'
run 1 --keep-going --ordered --output - long.ndjson
check "skipped as a whole" [ "$(lines out)" -eq 3 ]
check "its result" has out '{"id":3,"job":"'
run 2 check long.ndjson

# -- a long output line, and one that does not fit
head -c 8000 /dev/zero | tr '\0' y >input.bin
printf '%s\n' "$D" '{"invoke":"d","input":"@input.bin","output":"bytes"}' >output.ndjson
run 0 --output - output.ndjson
check "8000 bytes of output" [ "$(tr -dc 9 <out | wc -c)" -ge 8000 ]

# -- streams that are closed, and files that are to be two things
printf '%s\n' "$D" '{"invoke":"d","args":[5]}' >one.ndjson
"$PROGRAM" - <&- >out 2>err
check "closed standard input" [ $? -eq 3 ]
check "is said" has err '<stdin>: Bad file descriptor'
"$PROGRAM" --output closed one.ndjson <&- >&- 2>&-
check "everything closed" [ $? -eq 0 ]
check "only results in the results" sh -c '[ "$(grep -c . closed)" -eq 1 ] && grep -q "^{\"id\"" closed'
cp demo.jimg kept.jimg
cp one.ndjson kept.ndjson
run 2 --stats one.ndjson --output - one.ndjson
check "figures into the jobs file" has err 'one.ndjson: this is the jobs file; figures cannot go there'
run 2 --stats same --output ./same one.ndjson
check "figures into the results" has err 'same: something else of this batch goes there; figures need a file of their own'
run 2 --stats demo.jimg --output - one.ndjson
run 2 --output demo.jimg one.ndjson
check "results into an image" has err 'one.ndjson:1:21: load: demo.jimg: this batch writes to it, so it cannot be an input'
echo abc >note.txt
printf '%s\n' "$D" '{"invoke":"d","input":"@note.txt"}' >noted.ndjson
run 2 --output note.txt noted.ndjson
check "results into an input" has err 'note.txt: this batch writes to it'
check "nothing was harmed" sh -c 'cmp demo.jimg kept.jimg && cmp one.ndjson kept.ndjson && [ "$(cat note.txt)" = abc ]'
printf 'old\n' >older
run 2 --output older noted.ndjson.none
check "a missing jobs file harms nothing" has older old
run 0 --output older one.ndjson
check "an older file is replaced" [ "$(grep -c old older)" -eq 0 ]
run 2 --output - - </dev/zero
printf '%s\n' '{"image":"z","load":"/dev/zero"}' >zero.ndjson
run 2 --output - zero.ndjson
check "a device that never ends" has err '/dev/zero is larger than the limit of 268435456 bytes'
(
    ulimit -f 200
    "$PROGRAM" --progress none --output limited many.ndjson 2>err
    echo $? >code
)
check "a limit on the file's size is no death" [ "$(cat code)" -eq 3 ]
check "whole lines then, too" whole limited

# -- figures
run 0 --stats stats.json --output - many.ndjson
check "stats: jobs" has stats.json '{"jobs":300000,"exits":{"halt":300000,'
for field in mismatches not_run gas seconds latency_us p50 p99 workers engine steals_l3 programs caps peak_memory_bytes exit_code; do
    check "stats: $field" has stats.json "\"$field\":"
done
run 2 --stats stats.json --output - cut.gz
check "stats of a failure" has stats.json '"exit_code":2'
check "stats: why it ended" has stats.json '"input_complete":false,"stopped_by":"input"'
run 0 --progress plain --output - output.ndjson
check "no progress line for a short batch" [ "$(grep -c gas/s err)" -eq 0 ]
run 0 --progress none --output - output.ndjson

# -- memory: eight times as many jobs, about the same peak (a sanitizer's allocator keeps what was freed)
peak() {
    sed -n 's/.*"peak_memory_bytes":\([0-9]*\).*/\1/p' stats.json
}
printf '%s\n' "$D" '{"invoke":"d","repeat":100000}' >few.ndjson
printf '%s\n' "$D" '{"invoke":"d","repeat":800000}' >more.ndjson
run 0 --stats stats.json --output few --max-in-flight 1000 few.ndjson
FEW=$(peak)
run 0 --stats stats.json --output more --max-in-flight 1000 --ordered more.ndjson
check "all there" [ "$(lines more)" -eq 800000 ]
if ! grep -q -e __asan_init -e __tsan_init "$PROGRAM"; then
    check "constant memory: $FEW, $(peak)" [ "$(peak)" -lt $((FEW + 70000000)) ]
fi
finish
