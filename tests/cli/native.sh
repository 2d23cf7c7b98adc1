#!/bin/sh
# Defects that this would catch: a default engine that is not the fast one; engines whose results differ; a cache that is not used,
# that is used though it is damaged, or whose trouble stops a batch or passes unsaid; a machine without native code on which
# nothing runs; a listing that lacks instructions, has the wrong gas, or changes from run to run.
#   native.sh JAVM_BATCH MKIMAGE GUEST_FOLDER MKPVM
GUEST=$3
MKPVM=$4
HERE=$(cd "$(dirname "$0")" && pwd)
. "$HERE/lib.sh"
printf '%s\n' '{"image":"d","load":"demo.jimg"}' '{"invoke":"d","args":[7]}' >one.ndjson

"$PROGRAM" --engine jit --output - one.ndjson >out 2>err
case $? in
0) JIT=yes ;;
2) JIT=build ;;
*) JIT=machine ;;
esac
if [ $JIT = build ]; then
    check "not in this build" has err '--engine jit: not in this build'
    check "which is right" [ "$(uname -m)" != x86_64 ]
elif [ $JIT = machine ]; then
    check "not on this machine" has err 'does not have fsgsbase'
fi

# figure NAME : a number or word of stats.json
figure() {
    sed -n "s/.*\"$1\":\"\{0,1\}\([a-z0-9.]*\).*/\1/p" stats.json
}

# -- without native code: by a limit on the size of files, which that of compiled code is held to
limited() {
    (
        ulimit -f 100
        "$PROGRAM" "$@" >out 2>err
    )
}
limited --stats stats.json --output - one.ndjson
check "interpreted instead" [ $? -eq 0 ]
check "the result" has out '"value":7'
check "the figures name the engine" [ "$(figure engine)" = interp ]
limited info --asm demo.jimg
check "info without native code" [ $? -eq 0 ]
check "guest code is shown" cmp out "$HERE/golden/info.txt"
if [ $JIT = yes ]; then
    limited --output - one.ndjson
    check "said once" [ "$(grep -c 'engine interp is used instead' err)" -eq 1 ]
    limited info --asm demo.jimg
    check "said by info" has err 'guest code only'
    limited --engine jit --output new one.ndjson
    check "asked for by name" [ $? -eq 3 ]
    check "told why" has err 'javm-batch: --engine jit: '
    check "nothing was begun" [ ! -e new ]
    limited info --asm --engine jit demo.jimg
    check "asked for in info" [ $? -eq 3 ]
fi
if [ $JIT != yes ]; then
    finish
fi

# -- both engines, all there is to see of a job
cp "$HERE/golden/exits.ndjson" "$HERE/golden/three.bin" .
for engine in interp jit; do
    run 1 --engine $engine --ordered --reproducible --post --output - exits.ndjson
    check "golden results, $engine" cmp out "$HERE/golden/exits.results"
done
mkdir demo
cp -r "$GUEST/prebuilt" .
zstd -qdc "$GUEST/demo/jobs.ndjson.zst" >demo/jobs.ndjson
if grep -q -e __asan_init -e __tsan_init "$PROGRAM"; then # ten times slower
    head -n 2400 demo/jobs.ndjson >few
    mv few demo/jobs.ndjson
else
    check "all of the demo" [ "$(grep -c '"invoke"' demo/jobs.ndjson)" -ge 24000 ]
fi
IMAGES=$(grep -c '^{"image"' demo/jobs.ndjson)
run 0 --engine interp --ordered --reproducible --post --output interp demo/jobs.ndjson
run 0 --ordered --reproducible --post --stats stats.json --output jit demo/jobs.ndjson
check "the default engine" [ "$(figure engine)" = jit ]
check "same results of the demo" cmp interp jit
check "as many as jobs" [ "$(lines jit)" -eq "$(grep -c '"invoke"' demo/jobs.ndjson)" ]
check "code was compiled" [ "$(figure compiled_bytes)" -gt 1000 ]
check "the table tells" grep -q '^  compiled  *[0-9.]* KiB of code in [0-9.]* ms$' err
check "no cache, nothing of it" sh -c '! grep -q "^  cache" err'
run 0 --engine interp --cache unused --stats stats.json --output - one.ndjson
check "nothing compiled by the interpreter" [ "$(figure compiled_bytes)" -eq 0 ]
check "nor a cache made" [ ! -e unused ]

# -- the cache: one store, so that the numbers are those of images
cached() {
    run 0 --cache kept --numa off --ordered --reproducible --post --stats stats.json --output cached demo/jobs.ndjson
    check "same results, $1" cmp interp cached
    [ "$(figure files_loaded) $(figure files_saved) $(figure files_refused) $(figure files_failed)" = "$2" ] ||
        fail "$1: $(cat err stats.json)"
}
cached "an empty cache" "0 $IMAGES 0 0"
check "a file each, nothing else" [ "$(ls -A kept | wc -l)" -eq "$IMAGES" ]
check "for nobody else" [ "$(stat -c %a kept)" = 700 ]
check "the table has it" has err "cache         0 loaded, $IMAGES saved"
cached "a full cache" "$IMAGES 0 0 0"
check "nothing is compiled" [ "$(figure compiled_bytes)" -eq 0 ]
set -- kept/*
SIZE=$(stat -c %s "$1")
printf 'x' | dd of="$1" bs=1 seek=$((SIZE / 2)) conv=notrunc 2>dd || cat dd
truncate -s 50 "$2"
: >"$3"
cp "$4" "$5"
chmod g+w "$6"
cached "damaged, cut, empty, another image's, not ours alone" "$((IMAGES - 5)) 5 5 0"
check "the table has them" has err "cache         $((IMAGES - 5)) loaded, 5 saved, refused 5"
cached "all is repaired" "$IMAGES 0 0 0"

# -- a cache that cannot be: told before anything is done
touch file
mkdir -m 777 shared
echo old >new
for cache in file shared none/such; do
    for engine in '' '--engine jit'; do
        # shellcheck disable=SC2086
        run 2 $engine --cache $cache --output new one.ndjson
        check "--cache $cache: told" grep -q "^javm-batch: --cache: $cache: " err
        check "--cache $cache: once" [ "$(lines err)" -eq 1 ]
        check "--cache $cache: before results are replaced" has new old
    done
done
# Nobody can write there, not even root; and it belongs to the process.
run 0 --cache /proc/self --numa off --ordered --reproducible --post --stats stats.json --output cached demo/jobs.ndjson
check "the results of a cache that takes nothing" cmp interp cached
check "a warning" [ "$(grep -c "^javm-batch: warning: cache file .*; $IMAGES programs will be compiled again$" err)" -eq 1 ]
check "counted" [ "$(figure files_failed)" -eq "$IMAGES" ]
check "in the table" has err "0 loaded, 0 saved, not written $IMAGES"

# -- programs of the JAR v2 kernel and other PVM programs: compiled once for all workers, and kept
echo '{"program":"prebuilt/v2/counter.jar","repeat":3000,"v2":{"args":"0x01"}}' >v2.ndjson
"$MKPVM" . || exit 1
echo '{"program":"echo.spi","repeat":3000,"input":"0x010203"}' >pvm.ndjson
for jobs in v2 pvm; do
    run 0 --workers 1 --numa off --stats stats.json --output results $jobs.ndjson
    ONCE=$(figure compiled_bytes)
    check "$jobs: compiled" [ "$ONCE" -gt 0 ]
    for files in "0 1" "1 0"; do
        run 0 --workers 4 --cache $jobs.kept --numa off --stats stats.json --output results $jobs.ndjson
        check "$jobs, $files: the cache" [ "$(figure files_loaded) $(figure files_saved)" = "$files" ]
        check "$jobs, $files: once, or not at all" [ "$(figure compiled_bytes)" -eq $((ONCE * ${files#* })) ]
    done
done

# -- a batch that is interrupted keeps what it compiled
printf '%s\n' '{"image":"d","load":"demo.jimg"}' '{"invoke":"d","endpoint":2,"args":[3000],"repeat":1000000000}' >endless.ndjson
some() {
    [ -s endless ]
}
"$PROGRAM" --cache interrupted --progress none --output endless endless.ndjson 2>err &
child=$!
await $child some
kill -TERM $child
wait $child
check "interrupted" [ $? -eq 130 ]
check "what was compiled is kept" [ "$(ls -A interrupted | wc -l)" -eq 1 ]

# -- perf's map; one of an older process with that number may be there
touch begun
"$PROGRAM" --perf-map --output - one.ndjson >out 2>err &
child=$!
wait $child
MAP=/tmp/perf-$child.map
check "a map" [ ! begun -nt "$MAP" ]
check "perf's map" grep -qE '^(0x)?[0-9a-f]+ (0x)?[0-9a-f]+ [^ ]' "$MAP"
check "and only lines like that" sh -c "! grep -qvE '^(0x)?[0-9a-f]+ (0x)?[0-9a-f]+ [^ ]' $MAP"
rm -f "$MAP"
"$PROGRAM" --output - one.ndjson >out 2>err &
child=$!
wait $child
check "no map unless asked for" [ ! "/tmp/perf-$child.map" -nt begun ]

# -- the listing
# guest FILE : "pc instruction" of each line of a listing of either kind
guest() {
    sed -n 's/^[* ] \([0-9a-f]\{6\}  .*\)/\1/p' "$1" | cut -c 1-40 | sed 's/ @[0-9a-f]*//; s/ ;.*//; s/ *$//'
}
for file in demo.jimg two.jbundle prebuilt/fib.jimg prebuilt/sha256.jimg prebuilt/bytecode.jimg prebuilt/secp256k1.jimg; do
    run 0 info --asm --engine interp "$file"
    guest out >instructions
    sed -n 's/^\* \([0-9a-f]*\)  .* ; \(gas .*\)$/@\1  \2/p' out >gas
    check "$file: the interpreter's listing" [ "$(lines gas)" -gt 5 ]
    run 0 info --asm "$file"
    mv out native
    run 0 info --asm --engine jit "$file"
    check "$file: the same every time" cmp native out
    guest native >got
    check "$file: each instruction once, in order" diff instructions got
    sed -n 's/^\(@.*\), native [0-9]* bytes$/\1/p' native >got
    check "$file: each block and its gas" diff gas got
    check_native "$file" native
    check "$file: targets" [ -s targets ]
done
finish
