#!/bin/sh
# Defects that this would catch: results that depend on --isolation; a process that dies and takes the batch, another job or a
# finished result with it; a job with two results or none; crashed jobs that cannot be run again; a batch that ends and leaves
# processes behind.
#   isolation.sh JAVM_BATCH MKIMAGE [kvm]
BACKEND=${3:-process}
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

# descendants PID : the processes below it, and theirs
descendants() {
    for child in $(cat /proc/[0-9]*/stat 2>/dev/null | sed 's/(.*)/x/' | awk -v parent="$1" '$4 == parent { print $1 }'); do
        echo "$child"
        descendants "$child"
    done
}
guests() { # those that serve jobs: below the one that forks them
    for nursery in $(cat /proc/[0-9]*/stat 2>/dev/null | sed 's/(.*)/x/' | awk -v parent="$1" '$4 == parent { print $1 }'); do
        descendants "$nursery"
    done
}

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

# What does not go together.
run 2 --isolation $BACKEND --cache here jobs.ndjson
check "--cache is refused" has err "--cache needs files"
run 2 --isolation $BACKEND --perf-map jobs.ndjson
check "--perf-map is refused" has err "--perf-map needs files"
run 2 --retry-crashed jobs.ndjson
check "--retry-crashed alone is refused" has err "--retry-crashed goes with --resume"
finish
