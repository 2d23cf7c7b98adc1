#!/bin/sh
# Defects that this would catch: an executor killed in the middle of a job, again and again, that costs a result, gives a job two, or
# crashes jobs that it was not running; crashed jobs that --retry-crashed does not run again.
#   killed.sh JAVM_BATCH MKIMAGE [JOBS KILLS]
JOBS=${3:-100000}
KILLS=${4:-1000}
HERE=$(cd "$(dirname "$0")" && pwd)
. "$HERE/lib.sh"
cat >lines <<'END'
{"image":"demo","load":"demo.jimg"}
{"id":"NUMBER","invoke":"demo","endpoint":2,"args":[1NUMBER],"gas":4000000000}
END
python3 "$HERE/kill_executors.py" "$PROGRAM" "$JOBS" "$KILLS" lines killed 2>err
code=$?
crashed=$(grep -c '"exit":"crashed"' killed)
grep -v '^  job' err
check "some were crashed" [ "$crashed" -gt 0 ]
check "and the exit code says so" [ $code -eq 1 ]
jobs=$(($(lines lines.fed) - 1))
echo "$jobs jobs, $KILLS kills, $crashed crashed"
check "enough jobs" [ "$jobs" -ge "$JOBS" ]
check "a result for each job" [ "$(lines killed)" -eq "$jobs" ]
check "no job twice" [ "$(cut -d, -f1 killed | sort -u | wc -l)" -eq "$jobs" ]
check "at most the job that each one was running" [ "$crashed" -le "$KILLS" ]

run 0 --workers 2 --reproducible --progress none --output whole lines.fed
sort whole >sorted
grep -v '"exit":"crashed"' killed | sort >others
check "the others are as they should be" [ "$(comm -23 others sorted | wc -l)" -eq 0 ]

run 0 --resume --retry-crashed --reproducible --progress none --isolation process --output killed lines.fed
check "each crashed job once more" [ "$(lines killed)" -eq $((jobs + crashed)) ]
grep -v '"exit":"crashed"' killed | sort >others
check "all results are those of the undisturbed batch" cmp others sorted
finish
