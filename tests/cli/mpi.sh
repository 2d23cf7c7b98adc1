#!/bin/sh
# Defects that this would catch: with --mpi a job that is run twice, by nobody or out of order, a chain that is torn over ranks, other
# bytes than those of one process, a mistake told by every rank, an exit code that is not the batch's; a rank that dies and takes more
# with it than --resume does again; and without MPI, an option that looks as if it worked.
# Needs Open MPI; without it the test is shown as skipped.   mpi.sh JAVM_BATCH MKIMAGE
HERE=$(cd "$(dirname "$0")" && pwd)
if [ ! -x "$1-mpi" ] || ! command -v mpirun >/dev/null; then
    echo "SKIPPED: mpi needs Debian's libopenmpi-dev and openmpi-bin, also when javm-batch was built"
    exit 77
fi
. "$HERE/lib.sh"
ASAN_OPTIONS=detect_leaks=0 # Open MPI leaves memory behind
OMPI_MCA_btl_base_warn_component_unused=0
export ASAN_OPTIONS OMPI_MCA_btl_base_warn_component_unused
D='{"image":"d","load":"demo.jimg"}'
# ranks N ARGUMENTS... : as root too, and more ranks than cores
ranks() {
    n=$1
    shift
    mpirun --allow-run-as-root --oversubscribe --bind-to none -n "$n" "$PROGRAM" --workers 2 "$@" </dev/null
}
# many N CODE ARGUMENTS... : stdout in ./out, stderr in ./err
many() {
    number=$1
    want=$2
    shift 2
    CHECKS=$((CHECKS + 1))
    ranks "$number" "$@" >out 2>err
    code=$?
    [ "$code" -eq "$want" ] || { fail "$number ranks, $*: exit code $code, expected $want"; cat out err; }
}

awk -v d="$D" 'BEGIN {
    print d;
    for (i = 0; i < 4000; i++) {
        printf "{\"id\":%s,\"invoke\":\"d\",\"endpoint\":2,\"args\":[%d]}\n", i % 5 ? i : "\"same\"", i % 5 ? 1 + i * 7919 % 3000 : 7;
        if (i % 7 == 0) printf "{\"id\":\"c%d\",\"chain\":\"%d\",\"invoke\":\"d\",\"endpoint\":1,\"args\":[%d]}\n", i, i % 11, i;
        if (i % 900 == 0) printf "{\"id\":\"r%d\",\"invoke\":\"d\",\"repeat\":%d}\n", i, 1 + i;
        if (i % 1700 == 3) print "{\"id\":\"bad\",\"invoke\":\"nobody\"}";
        if (i == 2000) print "{\"image\":\"later\",\"load\":\"demo.jimg\"}";
    }
    print "{\"id\":\"x\",\"chain\":\"y\",\"invoke\":\"d\",\"repeat\":500}";
}' >jobs.ndjson
ONE='--reproducible --keep-going --output'
# shellcheck disable=SC2086
run 1 --ordered $ONE one jobs.ndjson
sort one >sorted
for n in 1 2 4; do
    # shellcheck disable=SC2086
    many $n 1 --mpi --ordered $ONE more --stats s.json jobs.ndjson
    check "$n ranks, in order: the same bytes" cmp one more
    check "$n ranks: all are counted" grep -q "\"jobs\":$(lines one)," s.json
    # shellcheck disable=SC2086
    many $n 1 --mpi $ONE more jobs.ndjson
    sort more >more.sorted
    check "$n ranks: the same lines" cmp sorted more.sorted
done
# shellcheck disable=SC2086
many 4 1 --mpi $ONE folder/ --ordered jobs.ndjson
cat folder/*.ndjson | sort >more.sorted
check "a file for each rank: the same lines" cmp sorted more.sorted
check "four files" [ "$(ls folder | tr '\n' ' ')" = "0.ndjson 1.ndjson 2.ndjson 3.ndjson " ]
for file in folder/*; do
    [ -s "$file" ] || continue # a rank that others were faster than
    # In the order of the jobs: its lines, looked for in the whole one from the top, are met one after the other.
    awk 'BEGIN { at = 0 } NR == FNR { mine[n++] = $0; next } $0 == mine[at] { at++ } END { exit at != n }' "$file" one || fail "$file is not in order"
done

# -- what is there is not run again: nothing, a torn part, results of later jobs only; equal jobs are counted
# shellcheck disable=SC2086
many 3 1 --mpi --resume --ordered $ONE one.again jobs.ndjson
check "nothing was there" cmp one one.again
head -c 150000 one >torn
cp torn resumed
# shellcheck disable=SC2086
many 3 1 --mpi --resume --ordered $ONE resumed jobs.ndjson
check "in order behind what is there" cmp one resumed
tail -n 3000 one >later
# shellcheck disable=SC2086
many 3 1 --mpi --resume $ONE later jobs.ndjson
sort later >more.sorted
check "the same lines, whatever was there" cmp sorted more.sorted
check "they are told" grep -q 'resumed  *3,000' err
rm folder/2.ndjson
head -c 5000 folder/1.ndjson >torn && mv torn folder/1.ndjson
# shellcheck disable=SC2086
many 2 1 --mpi --resume $ONE folder/ jobs.ndjson
cat folder/*.ndjson | sort >more.sorted
diff sorted more.sorted >told || { fail "by fewer ranks, from the files of all"; head -n 5 told; cat err; wc -l folder/*; }

# -- mistakes are told once, with the code of one process
printf '%s\n' "$D" '{"id":1,"invoke":"d"}' '{"id":2,"invoke":"nobody"}' '{"id":3,"invoke":"d"}' >bad.ndjson
many 3 2 --mpi --reproducible --output out.ndjson bad.ndjson
check "a bad line" [ "$(grep -c 'bad.ndjson:3:18: ' err)" -eq 1 ]
check "what is before it is run" [ "$(lines out.ndjson)" -eq 1 ]
many 3 2 --mpi --output out.ndjson missing.ndjson
check "no jobs file" [ "$(grep -c 'missing.ndjson: No such file' err)" -eq 1 ]
many 3 2 --mpi --output no/such/place jobs.ndjson
check "no place for results" [ "$(grep -c 'no/such/place: No such file' err)" -eq 1 ]
many 3 3 --mpi --output /dev/full jobs.ndjson
check "a full disk" [ "$(grep -c 'No space left' err)" -eq 1 ]
printf '%s\n' "$D" '{"id":"f","invoke":"d","expect":{"exit":"panic"},"repeat":3}' '{"id":"r","invoke":"d","endpoint":2,"args":[2000],"repeat":1000000000}' >failing.ndjson
many 3 1 --mpi --fail-fast --output out.ndjson failing.ndjson
check "one rank's failure ends all" grep -q 'stopped .*--fail-fast' err
printf '%s\n' "$D" >none.ndjson
many 4 0 --mpi --output out.ndjson none.ndjson
check "no jobs" [ ! -s out.ndjson ]

# -- a rank is killed: what was written counts, the rest is done again
# The last job's input is a pipe that nobody writes to, so that the batch cannot end before.
printf '%s\n' "$D" '{"id":"r","invoke":"d","endpoint":2,"args":[1000],"repeat":3000}' '{"id":"last","invoke":"d","input":"@gate"}' >long.ndjson
echo open >gate
run 0 --ordered --reproducible --output all long.ndjson
long_enough() {
    [ "$(cat "$@" 2>/dev/null | wc -l)" -ge 200 ]
}
for kind in gathered folder; do
    to=killed.ndjson
    files=killed.ndjson
    if [ $kind = folder ]; then
        to=killed/
        files='killed/0.ndjson killed/1.ndjson killed/2.ndjson killed/3.ndjson'
    fi
    rm gate
    mkfifo gate
    ranks 4 --mpi --ordered --reproducible --output $to long.ndjson 2>err &
    child=$!
    # shellcheck disable=SC2086
    await $child long_enough $files
    victim=$(pgrep -P "$(pgrep -P $child mpirun)" javm-batch-mpi | tail -n 1)
    check "$kind: there is a rank to kill" [ -n "$victim" ]
    kill -KILL "$victim"
    wait $child
    check "$kind: the code is not 0" [ $? -ne 0 ]
    # shellcheck disable=SC2086
    check "$kind: what was written is there" long_enough $files
    # shellcheck disable=SC2086
    check "$kind: it was not all" [ "$(cat $files | wc -l)" -lt 3001 ]
    rm gate
    echo open >gate
    many 4 0 --mpi --resume --ordered --reproducible --output $to long.ndjson
    # shellcheck disable=SC2086
    sort $files >more.sorted
    sort all | cmp - more.sorted || fail "$kind: not every job is there once"
done

# -- what cannot be had, and a build without MPI
for option in '--trace t' '--report r' '--metrics 127.0.0.1:0' '--save-chains c' '--shard 0/2'; do
    # shellcheck disable=SC2086
    run 2 --mpi $option jobs.ndjson
    check "$option" has err "--mpi: ${option%% *} cannot be had with it"
done
run 2 --mpi -
check "standard input" has err '--mpi: jobs from standard input cannot be had with it'
cp "$PROGRAM" alone
./alone --mpi jobs.ndjson 2>err
check "no MPI: the code" [ $? -eq 2 ]
check "no MPI" has err 'javm-batch-mpi is not beside this program: it was built without MPI (Debian: libopenmpi-dev)'
finish
