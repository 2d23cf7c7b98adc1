#!/bin/sh
# Defects that this would catch: a recorded run that needs a file from elsewhere, takes one that has changed since, or forgets an
# option that results depend on; results that are not as recorded and pass; a damaged recording that is run; a recording in place of
# the jobs or the results; one of a batch that did not end.
HERE=$(cd "$(dirname "$0")" && pwd)
. "$HERE/lib.sh"

mkdir -p day/programs away
mv demo.jimg day/programs/demo.jimg
mv pause.jimg day/programs/pause.jimg
printf 'some input' >day/input.bin
: >day/empty.bin
cat >day/jobs.ndjson <<'END'
{"image":"d","load":"programs/demo.jimg"}
{"image":"p","load":"programs/pause.jimg"}
{"instance":"i","image":"d","slots":{"5":{"data":"input.bin"}}}
{"instance":"y","image":"p","slots":{"4":{"sender":"0x0701"}}}
{"id":"a","invoke":"d","endpoint":1,"args":[3,4]}
{"id":"b","invoke":"d","endpoint":8,"input":"@input.bin","output":"bytes","repeat":3}
{"id":"c","invoke":"i","endpoint":9}
{"id":"e","invoke":"d","endpoint":8,"input":"@empty.bin","output":"hash"}
{"id":"bad","invoke":"nobody"}
{"chain":"k","id":1,"invoke":"y","args":[3],"on_pause":"resume"}
{"chain":"k","id":2,"on_pause":"resume"}
{"id":"f","invoke":"d","endpoint":3}
END
OPTIONS="--gas 5000 --post --keep-going --gas-model full"

# shellcheck disable=SC2086
run 1 $OPTIONS --workers 2 --record run.jbundle --output day/results day/jobs.ndjson
check "recorded" [ -s run.jbundle ]
cp day/results first

# Nothing of it is needed any more.
mv run.jbundle away
rm -r day
cd away || exit 1
run 0 verify run.jbundle
check "the results as they were" has err 'run.jbundle:results: 10 equal, 0 different, 0 missing, 0 extra'
check "and nothing else" [ ! -s out ]
run 0 verify --engine interp --workers 1 run.jbundle
run 1 --ordered --reproducible run.jbundle
check "run again" has err 'run.jbundle -> run.jbundle.results.ndjson'
sed 's/,"us":.*/}/' ../first | sort >want
sort run.jbundle.results.ndjson >got
check "the same results" cmp want got
check "info tells that it is one" sh -c '"$0" info run.jbundle | grep -q recording' "$PROGRAM"

# Other results than the recorded ones.
sed 's/"value":7/"value":8/' ../first >other
run 1 verify run.jbundle other
check "differences are those from the file that is named" grep -qx 'job "a": value: recorded 8, got 7' out

# What determines results is in the recording.
for option in "--gas 6" "--post" "--gas-model full" "--timeout 5" "--shard 0/2" "--keep-going" "--host-call a=1"; do
    # shellcheck disable=SC2086
    run 2 verify $option run.jbundle
    check "$option" has err 'run.jbundle: a recorded run has its own --gas,'
done

# Jobs from standard input, compressed, sharded; results compressed.
cd ..
mkdir all
printf '{"image":"d","load":"demo.jimg"}\n{"invoke":"d","args":[1]}\n{"invoke":"d","args":[2]}\n{"invoke":"d","args":[3]}\n' >all/j.ndjson
"$MKIMAGE" all
zstd -q all/j.ndjson
run 0 --shard 1/2 --record s.jbundle --output s.gz all/j.ndjson.zst
rm all/j.ndjson all/j.ndjson.zst
run 0 verify s.jbundle
check "a shard" has err ': 1 equal, 0 different'
"$MKIMAGE" .
printf '{"image":"d","load":"demo.jimg"}\n{"invoke":"d","args":[1]}\n' | "$PROGRAM" --record p.jbundle --output p.out - 2>err
check "from a pipe" [ $? -eq 0 ]
rm demo.jimg
run 0 verify p.jbundle
check "one job" has err ': 1 equal, 0 different'

# Refused.
"$MKIMAGE" .
printf '{"image":"d","load":"demo.jimg"}\n{"invoke":"d","args":[1]}\n' >j.ndjson
run 2 --record r --output - j.ndjson
check "results on standard output" has err '--record needs results that are in a file'
run 2 --record r --output j.ndjson j.ndjson
run 2 --record j.ndjson --output r j.ndjson
check "in place of the jobs" has err 'j.ndjson: this is the jobs file; nothing else can go there'
run 2 --record both --output both j.ndjson
check "the jobs are whole" [ "$(lines j.ndjson)" -eq 2 ]
run 2 --record r2 p.jbundle
check "a recording of a recording" has err 'p.jbundle is a recorded run'
run 2 verify j.ndjson
check "no results" has err 'expected a jobs file and its results, or a recorded run'
run 2 --record none/r --output o j.ndjson
printf '{"invoke":"nobody"}\n' >>j.ndjson
run 2 --record late --output o j.ndjson
check "not of a batch that did not end" [ ! -e late ]
check "which is said" has err 'nothing is recorded of a batch that did not end'

# Damage, and bundles that are something else.
run 2 verify all/demo.jimg
check "no recording" has err 'not a recorded run: it has no root recording'
size=$(wc -c <p.jbundle)
for at in 20 100 $((size / 2)) $((size - 40)); do
    cp p.jbundle damaged
    printf '\377' | dd of=damaged bs=1 seek=$at conv=notrunc 2>/dev/null
    run 2 verify damaged
done
finish
