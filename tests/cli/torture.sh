#!/bin/sh
# Defects that this would catch: a batch that is killed at any moment, loses executors or a rank, whose disk fills up at any byte or
# whose folder goes away, that leaves anything but whole lines, or after --resume anything but the results of an undisturbed run, byte
# for byte those in order; a trace or a record that does not survive that; two batches that write to one file at once.
#   torture.sh JAVM_BATCH MKIMAGE [MISHAPS]: at least so many, 40 unless told. Small disks need mounts: root or user namespaces.
KILLS=${3:-40}
# Mounts are this test's own, so that it may have a small disk.
if [ -z "${JAVM_TORTURE_DISK:-}" ]; then
    for own in "unshare --mount" "unshare --map-root-user --mount"; do
        $own mount -t tmpfs -o size=1m none /mnt 2>/dev/null || continue
        # shellcheck disable=SC2086 # words
        JAVM_TORTURE_DISK=yes exec $own sh "$0" "$@"
    done
    JAVM_TORTURE_DISK=no
fi
HERE=$(cd "$(dirname "$0")" && pwd)
. "$HERE/lib.sh"
ASAN_OPTIONS="${ASAN_OPTIONS:-}:detect_leaks=0" # Open MPI leaves memory behind
OMPI_MCA_btl_base_warn_component_unused=0
export ASAN_OPTIONS OMPI_MCA_btl_base_warn_component_unused

# -- jobs with every exit that a guest can have, errors, mismatches, chains and repetitions
awk 'BEGIN {
    print "{\"image\":\"d\",\"load\":\"demo.jimg\"}"
    print "{\"image\":\"p\",\"load\":\"pause.jimg\"}"
    print "{\"instance\":\"y\",\"image\":\"p\",\"slots\":{\"4\":{\"sender\":\"0x0701\"}}}"
    for (i = 0; i < 3000; i++) {
        printf "{\"id\":\"job %d\",\"invoke\":\"d\",\"endpoint\":2,\"args\":[%d],\"output\":\"hash\"}\n", i, 5000 + i
        if (i % 5 == 0)
            printf "{\"chain\":\"c%d\",\"invoke\":\"y\",\"args\":[%d],\"on_pause\":\"resume\"}\n", i % 3, i % 4
        if (i % 7 == 0)
            printf "{\"id\":%d,\"invoke\":\"d\",\"endpoint\":%d,\"gas\":%d,\"post\":true}\n", i, 3 + i / 7 % 5, 1000 + i
        if (i % 13 == 0)
            printf "{\"id\":\"p\",\"invoke\":\"y\",\"args\":[2],\"on_pause\":\"report\"}\n"
        if (i % 100 == 50)
            print "{\"id\":\"bad\",\"invoke\":\"nobody\"}"
        if (i % 100 == 60)
            printf "{\"id\":\"m\",\"invoke\":\"d\",\"endpoint\":8,\"input\":\"0x%04x\",\"output\":\"bytes\",\"expect\":{\"exit\":\"trap\"}}\n", i
        if (i % 50 == 7)
            print "{\"id\":\"v2\",\"program\":\"s.jar\",\"v2\":{}}"
        if (i % 1000 == 500)
            printf "{\"id\":\"r\",\"invoke\":\"d\",\"endpoint\":2,\"args\":[9000],\"repeat\":%d}\n", 2000 + i
    }
}' >jobs.ndjson
grep -v '"program"' jobs.ndjson >images.ndjson # what --isolation process takes
SAME='--keep-going --reproducible --progress none'
for jobs in jobs images; do
    # shellcheck disable=SC2086
    run 1 $SAME --ordered --stats s.json --output $jobs.all $jobs.ndjson
    sort $jobs.all >$jobs.sorted
done
for exit in halt trap panic page_fault out_of_gas paused host_call error; do
    check "jobs that end as $exit" has jobs.all "\"exit\":\"$exit\""
done
TOTAL=$(awk '/"repeat"/ { sub(/.*"repeat":/, ""); n += $0 - 1 } { n++ } END { print n - 3 }' jobs.ndjson)
check "all jobs: $TOTAL" [ "$(lines jobs.all)" -eq "$TOTAL" ]
# For the parts below that know no errors.
grep -ve '"nobody"' -e '"expect"' jobs.ndjson >good.ndjson
run 0 --ordered --reproducible --output all good.ndjson
sort all >all.sorted

unpack() {
    for one in "$@"; do
        case $one in
        *.gz) gzip -dc "$one" ;;
        *.zst) zstd -qdc "$one" ;;
        *) cat "$one" ;;
        esac
    done
}
# size FILE... : of those that are there
size() {
    cat "$@" 2>/dev/null | wc -c
}
# random BELOW
random() {
    echo $(($(od -An -N4 -tu4 /dev/urandom) % $1))
}
pick() {
    shift "$(random $#)"
    echo "$1"
}

# -- mishaps, each after the results have grown by some random part of what is missing. A series sets FILES, where they are,
# LAUNCH, OPTIONS, JOBS and which MISHAPS there are.
mkdir disk
trap 'umount disk 2>/dev/null; rm -rf "$DIR"' EXIT
DEALT=0
KILLED=0
SMALL=no
[ $JAVM_TORTURE_DISK = no ] || { mount -t tmpfs -o size=1g none disk && SMALL=yes; }
[ $SMALL = yes ] || echo "SKIPPED part: disks of a random size need mounts of their own (root, or user namespaces)"
batch() {
    # shellcheck disable=SC2086
    $LAUNCH $SAME $OPTIONS "$@" $JOBS.ndjson </dev/null
}
# grown BYTES : more than so many are there, or the batch is over
grown() {
    # shellcheck disable=SC2086
    [ "$(size $FILES)" -ge "$1" ]
}
# Whole at any moment but that of a write, which takes away what is torn in the last line.
trace_whole() {
    python3 "$HERE/trace_check.py" disk/trace >out 2>&1 && return
    { sed '$d' disk/trace | sed '$s/,$//' && echo ']'; } >trace.cut
    python3 "$HERE/trace_check.py" trace.cut
}
# One batch that goes on and ends badly, or well before that could be. True: badly.
mishap() {
    # shellcheck disable=SC2086
    have=$(size $FILES)
    target=$((have + $(random $((WHOLE / 6 + 1)))))
    if [ "$1" = full ]; then
        used=$(df --output=used -B 1 disk | tail -n 1)
        mount -o "remount,size=$((used + (target - have) / 4096 * 4096 + 4096))" disk
        batch --workers $((1 + $(random 3))) --resume $RETRY >out 2>err
        code=$?
        mount -o remount,size=1g disk
        [ $code -ne 1 ] || return 1
        check "$NAME: a full disk: code $code" [ $code -eq 3 ]
        check "$NAME: a full disk is told" has err 'No space left on device'
        # shellcheck disable=SC2086
        unpack $FILES >now 2>bad || ! grown 1 || fail "$NAME: after a full disk: $(cat bad)"
        check "$NAME: whole lines on a full disk" sh -c '! grep -qv "^{\"id\":.*}$" now'
        return 0
    fi
    # shellcheck disable=SC2086 # not `batch`: the child is to be the program
    $LAUNCH $SAME $OPTIONS --workers $((1 + $(random 3))) --resume $RETRY $JOBS.ndjson </dev/null >out 2>err &
    child=$!
    while ! grown $target && alive $child; do :; done
    case $1 in
    kill) kill -KILL $child 2>/dev/null ;;
    rank)
        # shellcheck disable=SC2046
        victim=$(pick $(children $child) none)
        [ "$victim" = none ] || kill -KILL "$victim" 2>/dev/null
        ;;
    guests) # those that run jobs, now and again, and then the batch
        more=$((target + WHOLE / 6))
        while :; do # it stands still while somebody is chosen
            kill -STOP $child 2>/dev/null
            # shellcheck disable=SC2046
            victim=$(pick $(guests $child) none)
            [ "$victim" = none ] || { kill -KILL "$victim" 2>/dev/null && DEATHS=$((DEATHS + 1)); }
            kill -CONT $child 2>/dev/null
            alive $child && { [ "$victim" = none ] || ! grown $more; } || break
        done
        kill -KILL $child 2>/dev/null
        ;;
    esac
    wait $child 2>/dev/null
    case $? in
    1) return 1 ;;
    2) fail "$NAME: $1: $(cat err)" ;;
    0) fail "$NAME: $1: the code does not tell the errors" ;;
    esac
    [ ! -s disk/trace ] || check "$NAME: the trace" trace_whole
}
# series NAME SHARE RETRY MISHAPS : that part of the KILLS
series() {
    NAME=$1
    RETRY=$3
    mishaps=$4
    [ $SMALL = yes ] || mishaps=$(echo "$mishaps" | sed 's/full/kill/')
    DEATHS=0
    rm -rf disk/*
    batch >out 2>err
    check "$NAME: undisturbed: $(cat err)" [ $? -eq 1 ]
    # shellcheck disable=SC2086
    WHOLE=$(size $FILES)
    rm -rf disk/*
    dealt=0
    tries=0
    wanted=$(((KILLS + $2 - 1) / $2))
    # shellcheck disable=SC2086
    while [ $dealt -lt $wanted ] && [ $tries -lt $((KILLS * 5)) ]; do
        tries=$((tries + 1))
        if mishap "$(pick $mishaps)"; then
            dealt=$((dealt + 1))
        else # the end came before it: from the beginning
            rm -rf disk/*
        fi
    done
    DEALT=$((DEALT + dealt))
    KILLED=$((KILLED + DEATHS))
    # An executor that was killed last of all, or none: what crashed runs again.
    batch --resume $RETRY $LAST >out 2>err
    check "$NAME: to the end: $(cat err)" [ $? -eq 1 ]
    # shellcheck disable=SC2086
    unpack $FILES | grep -v '"exit":"crashed"' >now
    case " $OPTIONS " in
    *" --ordered "*) [ -n "$RETRY$BEHIND" ] || check "$NAME: byte for byte, after $dealt mishaps" cmp now $JOBS.all ;;
    esac
    sort now >now.sorted
    check "$NAME: one result for each job after $dealt mishaps" cmp now.sorted $JOBS.sorted
    echo "$NAME: $dealt mishaps$([ $DEATHS -eq 0 ] || echo ", $DEATHS executors killed")"
}
SEEN='--trace disk/trace --stats disk/stats --report disk/report --metrics 127.0.0.1:0'
LAUNCH=$PROGRAM
JOBS=jobs
LAST=
BEHIND=
for kind in r r.gz r.zst; do
    FILES=disk/$kind
    OPTIONS="--output $FILES --engine $([ $kind = r.gz ] && echo interp || echo jit)"
    "$PROGRAM" --engine jit --output /dev/null good.ndjson 2>err || OPTIONS="--output $FILES" # no recompiler here
    series "$kind" 10 "" "kill full"
done
LAST="--record disk/record.jbundle"
for kind in all all.zst; do
    FILES=disk/$kind
    OPTIONS="--ordered $SEEN --output $FILES"
    series "$kind, in order, everything on" 5 "" "kill full"
    run 0 verify --progress none disk/record.jbundle
    check "the record is of all" [ "$(sed -n 's/.*: \(.*\) equal, 0 different, 0 missing, 0 extra$/\1/p' err | tr -d ,)" = "$TOTAL" ]
done
LAST=
check "enough: $DEALT" [ $DEALT -ge $(((KILLS * 7 + 9) / 10)) ]

# Two shards, each a batch of its own.
for shard in 0 1; do
    OPTIONS="--shard $shard/2 --ordered --output disk/$shard.zst"
    LAUNCH=$PROGRAM
    FILES=disk/$shard.zst
    rm -rf disk/*
    batch --workers 1 >out 2>err
    unpack $FILES >shard$shard.all
    sort shard$shard.all >shard$shard.sorted
    ln jobs.ndjson shard$shard.ndjson
done
check "the shards are the whole" sh -c 'sort shard0.all shard1.all | cmp - jobs.sorted'
for shard in 0 1; do
    JOBS=shard$shard
    FILES=disk/$shard.zst
    OPTIONS="--shard $shard/2 --ordered --output $FILES"
    series "shard $shard, in order" 20 "" "kill full"
done

LAUNCH=$PROGRAM
JOBS=images
FILES=disk/process
OPTIONS="--isolation process --output $FILES $SEEN"
series "processes" 10 --retry-crashed "kill guests guests"
FILES=disk/process.zst
OPTIONS="--isolation process --ordered --output $FILES"
series "processes, in order" 20 "" "kill full"

if [ "${JAVM_TORTURE_RANKS:-yes}" = yes ] && [ -x "$PROGRAM-mpi" ] && command -v mpirun >/dev/null; then
    LAUNCH="mpirun --allow-run-as-root --oversubscribe --bind-to none -n 3 $PROGRAM --mpi"
    JOBS=jobs
    FILES=disk/ranks
    OPTIONS="--ordered --output $FILES"
    series "ranks, in order" 20 "" "rank rank full"
    FILES='disk/folder/0.ndjson disk/folder/1.ndjson disk/folder/2.ndjson'
    OPTIONS='--output disk/folder/'
    series "ranks, a file for each" 20 "" "rank"
else
    echo "SKIPPED part: ranks need Open MPI, also when javm-batch was built, and no sanitizer"
fi
check "executors died" [ $KILLED -ge $((KILLS / 20)) ]
check "all that was asked for, and more: $DEALT" [ $DEALT -ge $(((KILLS * 9 + 9) / 10)) ]
rm -rf disk/*

# -- a disk that is full, again and again, with more room each time
for file in f f.gz f.zst; do
    rm -f $file
    before=-1
    for blocks in 1 2 20 50 51 90 200 201 900; do
        (
            ulimit -f $blocks
            "$PROGRAM" --resume --reproducible --progress none --output $file good.ndjson 2>&1
            echo $? >code
        ) | cat >err
        check "$file, $blocks blocks: code $(cat code)" grep -qx '[03]' code
        unpack $file >now 2>bad || [ ! -s $file ] || fail "$file, $blocks blocks: $(cat bad)"
        check "$file, $blocks blocks: whole lines" sh -c '! grep -qv "^{\"id\":.*}$" now'
        check "$file, $blocks blocks: nothing lost" [ "$(lines now)" -ge "$before" ]
        before=$(lines now)
        [ "$(cat code)" -eq 0 ] && continue
        check "$file, $blocks blocks: said" grep -q "$file: File too large; [0-9]* results were written" err
        check "$file, $blocks blocks: how to go on" has err "to go on: javm-batch run --resume --reproducible --progress none --output $file good.ndjson"
    done
    run 0 --resume --reproducible --output $file good.ndjson
    unpack $file >now
    check "$file: one result for each job" sh -c 'sort now | cmp - all.sorted'
done

# -- a signal shows the command that goes on, and that command does
"$PROGRAM" --ordered --reproducible --progress none --workers 2 --output "it's" good.ndjson 2>err &
child=$!
while [ "$(size "it's")" -lt 1000 ] && alive $child; do :; done
kill -TERM $child
wait $child
if [ $? -eq 130 ]; then
    sed -n 's/^javm-batch: to go on: javm-batch //p' err >command
    check "a command" [ -s command ]
    eval "set -- $(cat command)"
    run 0 "$@"
fi
check "what it gives" sh -c "sort \"it's\" | cmp - all.sorted"

# -- a folder that goes away, and two batches at once
D='{"image":"d","load":"demo.jimg"}'
printf '%s\n' "$D" '{"id":"r","invoke":"d","endpoint":2,"args":[3000],"repeat":1000000000}' >endless.ndjson
mkdir folder
"$PROGRAM" --progress none --output folder/out endless.ndjson 2>err &
child=$!
await $child [ -s folder/out ]
run 2 --output folder/out endless.ndjson
check "one at a time" has err 'folder/out: another batch writes to it'
run 2 --resume --output folder/out endless.ndjson
check "nor to resume" has err 'folder/out: another batch writes to it'
check "the first one goes on" alive $child
rm -r folder
kill -TERM $child
wait $child
check "results that nobody can read are none" [ $? -eq 3 ]
check "which is said" has err 'folder/out: the file was removed while it was written'
finish
