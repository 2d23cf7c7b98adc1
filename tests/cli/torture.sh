#!/bin/sh
# Defects that this would catch: a batch killed at any moment, on a disk that fills up, or whose folder goes away, that leaves
# anything but whole lines, or after --resume anything but one result for each job; two batches that write to one file at once.
# torture.sh JAVM_BATCH MKIMAGE [KILLS]: so many kills, 40 unless told.
KILLS=${3:-40}
HERE=$(cd "$(dirname "$0")" && pwd)
. "$HERE/lib.sh"
awk 'BEGIN {
    print "{\"image\":\"d\",\"load\":\"demo.jimg\"}"
    print "{\"image\":\"p\",\"load\":\"pause.jimg\"}"
    print "{\"instance\":\"y\",\"image\":\"p\",\"slots\":{\"4\":{\"sender\":\"0x0701\"}}}"
    for (i = 0; i < 3000; i++) {
        printf "{\"id\":\"job %d\",\"invoke\":\"d\",\"endpoint\":2,\"args\":[%d],\"output\":\"hash\"}\n", i, 5000 + i
        if (i % 5 == 0)
            printf "{\"chain\":\"c%d\",\"invoke\":\"y\",\"args\":[%d],\"on_pause\":\"resume\"}\n", i % 3, i % 4
        if (i % 1000 == 500)
            printf "{\"id\":\"r\",\"invoke\":\"d\",\"endpoint\":2,\"args\":[9000],\"repeat\":%d}\n", 2000 + i
    }
}' >jobs.ndjson
run 0 --ordered --reproducible --progress none --output all jobs.ndjson
TOTAL=$(lines all)
check "all jobs" [ "$TOTAL" -eq 14100 ]
sort all >all.sorted

unpack() {
    case $1 in
    *.gz) gzip -dc "$1" ;;
    *.zst) zstd -qdc "$1" ;;
    *) cat "$1" ;;
    esac
}
size() {
    wc -c 2>/dev/null <"$1" || echo 0
}
# random BELOW
random() {
    echo $(($(od -An -N4 -tu4 /dev/urandom) % $1))
}

# -- SIGKILL, when the file has grown by some random part of what is missing
DEALT=0
# series FILE OPTIONS... : a quarter of the kills
series() {
    file=$1
    shift
    rm -f "$file"
    run 0 --reproducible --progress none --output "$file" "$@" jobs.ndjson
    whole=$(size "$file")
    rm -f "$file"
    killed=0
    tries=0
    # The end may come before the kill; then it is begun again.
    while [ $killed -lt $(((KILLS + 3) / 4)) ] && [ $tries -lt $((KILLS * 5)) ]; do
        tries=$((tries + 1))
        target=$(($(size "$file") + $(random $((whole / 6 + 1)))))
        "$PROGRAM" --resume --reproducible --progress none --workers $((1 + $(random 3))) --output "$file" "$@" jobs.ndjson 2>err &
        child=$!
        while [ "$(size "$file")" -lt $target ] && alive $child; do :; done
        kill -KILL $child 2>/dev/null
        wait $child 2>/dev/null
        case $? in
        137) killed=$((killed + 1)) ;;
        0) rm -f "$file" ;;
        *) fail "$file: $(cat err)" && return ;;
        esac
    done
    DEALT=$((DEALT + killed))
    run 0 --resume --reproducible --progress none --output "$file" "$@" jobs.ndjson
    unpack "$file" >now
    check "$file: one result for each job after $killed kills" sh -c 'sort now | cmp - all.sorted' 
}
series r
series r.gz
series r.zst
series ordered --ordered
check "in order, without a gap" cmp all ordered
check "enough kills: $DEALT" [ $DEALT -ge "$KILLS" ]

# -- a disk that is full, again and again, with more room each time
for file in f f.gz f.zst; do
    rm -f $file
    before=-1
    for blocks in 1 2 20 50 51 90 200 201 900; do
        (
            ulimit -f $blocks
            "$PROGRAM" --resume --reproducible --progress none --output $file jobs.ndjson 2>&1
            echo $? >code
        ) | cat >err
        check "$file, $blocks blocks: code $(cat code)" grep -qx '[03]' code
        unpack $file >now 2>bad || [ ! -s $file ] || fail "$file, $blocks blocks: $(cat bad)"
        check "$file, $blocks blocks: whole lines" sh -c '! grep -qv "^{\"id\":.*}$" now'
        check "$file, $blocks blocks: nothing lost" [ "$(lines now)" -ge "$before" ]
        before=$(lines now)
        [ "$(cat code)" -eq 0 ] && continue
        check "$file, $blocks blocks: said" grep -q "$file: File too large; [0-9]* results were written" err
        check "$file, $blocks blocks: how to go on" has err "to go on: javm-batch run --resume --reproducible --progress none --output $file jobs.ndjson"
    done
    run 0 --resume --reproducible --output $file jobs.ndjson
    unpack $file >now
    check "$file: one result for each job" sh -c 'sort now | cmp - all.sorted'
done

# -- a signal shows the command that goes on, and that command does
"$PROGRAM" --ordered --reproducible --progress none --workers 2 --output "it's" jobs.ndjson 2>err &
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
