#!/bin/sh
# Defects that this would catch: results that depend on --isolation; a process that dies and takes the batch, another job or a
# finished result with it; a job with two results or none; crashed jobs that cannot be run again; a batch that ends and leaves
# processes behind.
#   isolation.sh JAVM_BATCH MKIMAGE FOLDER_OF_IMAGES (guest/prebuilt) limited|unlimited [kvm]
IMAGES=$3
LIMITS=$4
BACKEND=${5:-process}
. "$(dirname "$0")/lib.sh"
{
    echo '{"image":"demo","load":"demo.jimg"}'
    awk 'BEGIN { for (i = 0; i < 3000; i++) printf "{\"invoke\":\"demo\",\"endpoint\":%d,\"args\":[%d,5],\"gas\":50000,\"output\":\"hash\"}\n", i % 10, i * 7 % 1000
        for (i = 0; i < 400; i++) printf "{\"invoke\":\"demo\",\"endpoint\":8,\"input\":\"0x%04x\",\"output\":\"bytes\",\"post\":true}\n", i }'
    awk 'BEGIN { for (i = 0; i < 300; i++) printf "{\"invoke\":\"demo\",\"endpoint\":8,\"chain\":\"c%d\",\"post\":true}\n", i % 7 }'
} >jobs.ndjson
for engine in jit interp; do
    for workers in 1 3; do
        run 0 --engine $engine --workers $workers --ordered --reproducible --output thread jobs.ndjson
        run 0 --engine $engine --workers $workers --ordered --reproducible --isolation $BACKEND --output process jobs.ndjson
        check "the same results, $engine, $workers workers" cmp thread process
    done
done

# Killed again and again, in the middle of jobs.
echo '{"image":"demo","load":"demo.jimg"}' >long.ndjson
awk 'BEGIN { for (i = 0; i < 1500; i++) printf "{\"id\":%d,\"invoke\":\"demo\",\"endpoint\":2,\"args\":[%d],\"gas\":4000000000}\n", i, 1000000 + i }' >>long.ndjson
run 0 --workers 2 --ordered --reproducible --output whole long.ndjson
# The last job comes when enough were killed, so that there is somebody to kill until then.
mkfifo jobs.pipe
"$PROGRAM" --isolation $BACKEND --workers 2 --reproducible --output killed - <jobs.pipe >out 2>err &
batch=$!
exec 3>jobs.pipe
head -n 1500 long.ndjson >&3
kills=0
while alive $batch && [ $kills -lt 12 ]; do
    for guest in $(guests $batch | head -1); do
        kill -9 "$guest" 2>/dev/null && kills=$((kills + 1))
    done
    sleep 0.1
done
tail -n 1 long.ndjson >&3
exec 3>&-
wait $batch
code=$?
crashed=$(grep -c '"exit":"crashed"' killed)
check "the processes were killed" [ $kills -eq 12 ]
check "a kill is told by the exit code" [ $code -eq "$([ "$crashed" -gt 0 ] && echo 1 || echo 0)" ]
check "a result for each job" [ "$(lines killed)" -eq 1500 ]
check "no job twice" [ "$(sed 's/,"job".*//' killed | sort -u | wc -l)" -eq 1500 ]
check "of each dead process one job at most" [ "$crashed" -le $kills ]
grep -v '"exit":"crashed"' killed | sort >others
sort whole >sorted
check "the others are as they should be" [ "$(comm -23 others sorted | wc -l)" -eq 0 ]

run "$([ "$crashed" -gt 0 ] && echo 1 || echo 0)" --resume --reproducible --isolation $BACKEND --output killed long.ndjson
check "resumed: nothing is left to do" [ "$(lines killed)" -eq 1500 ]
run 0 --resume --retry-crashed --reproducible --isolation $BACKEND --output killed long.ndjson
check "resumed with --retry-crashed: each crashed job once more" [ "$(lines killed)" -eq $((1500 + crashed)) ]
grep -v '"exit":"crashed"' killed | sort >others
check "and all of them are there" cmp others sorted

# A chain whose job crashes: nobody knows what that would have left, so those behind it crash, too, and all run again.
# Its second job ends with a timeout or not at all.
cat >chain.ndjson <<'END'
{"image":"p","load":"pause.jimg"}
{"instance":"y","image":"p","slots":{"4":{"sender":"0x0701"}}}
{"id":1,"chain":"c","invoke":"y","args":[3],"gas":100000000000,"on_pause":"resume"}
{"id":2,"chain":"c","endpoint":2,"gas":18446744073709551615,"on_pause":"resume"}
{"id":3,"chain":"c","args":[1],"on_pause":"resume"}
{"id":4,"chain":"c","endpoint":1}
END
run 1 --timeout 500 --ordered --reproducible --output whole chain.ndjson
"$PROGRAM" --isolation $BACKEND --workers 1 --reproducible --output chained chain.ndjson >out 2>err &
batch=$!
await $batch [ -s chained ]
for guest in $(guests $batch); do kill -KILL "$guest"; done
wait $batch
check "a crash in a chain: the code" [ $? -eq 1 ]
check "what was before it stays" [ "$(head -n 1 chained)" = "$(head -n 1 whole)" ]
check "it and what is behind it crashed" [ "$(grep -c '"exit":"crashed"' chained)" -eq 3 ]
run 1 --timeout 500 --resume --retry-crashed --reproducible --isolation $BACKEND --output chained chain.ndjson
grep -v '"exit":"crashed"' chained >others
check "and run again they are as they should be" cmp others whole

# Who ends a batch may tell all its processes (Slurm and systemd do): those that run jobs leave it to the batch.
"$PROGRAM" --isolation $BACKEND --timeout 500 --workers 1 --ordered --reproducible --output told chain.ndjson >out 2>err &
batch=$!
await $batch [ -s told ]
for process in $(guests $batch) $(children $batch); do
    kill -TERM "$process"
    kill -INT "$process"
    kill -HUP "$process"
done
wait $batch
check "signals to executors change nothing" cmp told whole

# The batch is killed: nobody stays behind.
echo '{"image":"demo","load":"demo.jimg"}' >forever.ndjson
echo '{"invoke":"demo","endpoint":3,"gas":18446744073709551615}' >>forever.ndjson
"$PROGRAM" --isolation $BACKEND --workers 1 --output never forever.ndjson >out 2>err &
batch=$!
some() { [ -n "$(guests $batch)" ]; }
await $batch some
left=$(descendants $batch)
kill -9 $batch
wait $batch 2>/dev/null
gone() { for one in $left; do ! alive "$one" || return 1; done; }
until gone; do sleep 0.05; done
check "its processes are gone, too" gone

run 1 --isolation $BACKEND --timeout 50 --reproducible --output timeout forever.ndjson
check "a timeout as with threads" has timeout '"exit":"error","error":"timeout after 50 ms"'

# Half a megabyte of guest memory, which takes some more, in processes that may have much or hardly any. A sanitizer has a shadow
# that no limit allows, so that there is none.
{
    printf '{"image":"memsweep","load":"%s/memsweep.jimg"}\n{"image":"demo","load":"demo.jimg"}\n' "$IMAGES"
    for i in 1 2 3 4; do
        printf '{"id":"large%d","invoke":"memsweep","args":[1,%d]}\n{"id":"small%d","invoke":"demo","endpoint":1,"args":[1,%d]}\n' $i $i $i $i
    done
} >memory.ndjson
run 0 --workers 1 --ordered --reproducible --output whole memory.ndjson
cp whole whole4
run 0 --workers 1 --ordered --reproducible --isolation $BACKEND --mem-limit 67108864 --output enough memory.ndjson
check "enough memory: the same results" cmp whole enough
if [ "$LIMITS" = limited ]; then
    run 1 --workers 1 --ordered --reproducible --isolation $BACKEND --mem-limit 2097152 --output little memory.ndjson
    check "a job beyond the limit is an error that names it" [ "$(grep -c '"id":"large.*"exit":"error","error":".*; --mem-limit is 2097152 bytes"' little)" -eq 4 ]
    grep small whole >small
    grep small little >others
    check "the others are not touched" cmp small others
    # Each job brings a megabyte that stays. Together they are beyond the limit, and none of them is.
    echo '{"image":"demo","load":"demo.jimg"}' >many.ndjson
    for i in $(seq 1 60); do
        yes "part $i" | head -c 1048576 >part$i
        printf '{"instance":"d%d","image":"demo","slots":{"10":{"data":"part%d"}}}\n' $i $i
        printf '{"invoke":"d%d","endpoint":1,"args":[1,%d],"post":true}\n' $i $i
    done >>many.ndjson
    run 0 --workers 1 --ordered --reproducible --output whole many.ndjson
    run 0 --workers 1 --ordered --reproducible --isolation $BACKEND --mem-limit 50331648 --output many many.ndjson
    check "what other jobs left in the process does not count" cmp whole many
    # What a process has at its beginning is more than a megabyte, which the host sees when it looks at one that does not answer.
    echo '{"image":"demo","load":"demo.jimg"}' >grown.ndjson
    echo '{"invoke":"demo","endpoint":3,"gas":18446744073709551615}' >>grown.ndjson
    tail -n 1 memory.ndjson >>grown.ndjson
    run 1 --workers 1 --ordered --reproducible --isolation $BACKEND --mem-limit 1048576 --output grown grown.ndjson
    check "a job that grows beyond the limit is crashed" has grown '"exit":"crashed"'
    check "and the limit is named" has err "the process that ran it used more than the 1048576 bytes of --mem-limit"
    check "the next one is not touched" [ "$(tail -n 1 grown)" = "$(grep small4 whole4)" ]
fi

# What does not go together.
run 2 --isolation $BACKEND --cache here jobs.ndjson
check "--cache is refused" has err "--cache needs files"
run 2 --isolation $BACKEND --perf-map jobs.ndjson
check "--perf-map is refused" has err "--perf-map needs files"
run 2 --retry-crashed jobs.ndjson
check "--retry-crashed alone is refused" has err "--retry-crashed goes with --resume"
finish
