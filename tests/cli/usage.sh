#!/bin/sh
# Defects that this would catch: an option that is accepted without effect or refused without a reason, a wrong exit code for bad
# usage, help or version on the wrong stream, options of later versions that look as if they worked, and an info that leaves out or
# repeats what a bundle holds.
HERE=$(cd "$(dirname "$0")" && pwd)
. "$HERE/lib.sh"
printf '%s\n' '{"image":"d","load":"demo.jimg"}' '{"invoke":"d"}' >jobs.ndjson

# refuse TEXT ARGUMENTS... : exit code 2, this first line, nothing on standard output
refuse() {
    text=$1
    shift
    run 2 "$@"
    [ "$(head -n 1 err)" = "javm-batch: $text" ] || fail "javm-batch $*: says: $(head -n 1 err)"
    [ ! -s out ] || fail "javm-batch $*: something on standard output"
}

run 0 --help
check "help goes to standard output" has out 'Usage:'
check "and nothing else is said" [ ! -s err ]
for option in gas timeout engine gas-model post output ordered reproducible stats record resume retry-crashed bisect shard trace metrics keep-going fail-fast workers max-in-flight numa isolation mem-limit cache perf-map progress asm; do
    check "help has --$option" has out "--$option"
done
run 0 --version
check "version" grep -q '^javm-batch [0-9]*\.[0-9]*\.[0-9]*$' out
check "compiler" grep -qE '^compiler  (GNU|Clang) [0-9.]+$' out
check "flags" grep -q '^flags     -' out
check "MPI" grep -qE '^mpi       (yes|no)$' out
check "sources" [ "$(sed -n 's/^sources   //p' out)" = "$(sh "$HERE/../../scripts/source-hash.sh")" ]

refuse 'expected a jobs file'
refuse 'expected a jobs file' run
refuse 'expected a jobs file' check
refuse 'expected a file' info
refuse "expected one file, found 'b', too" a b
refuse "unknown option '--frobnicate'" --frobnicate jobs.ndjson
refuse "unknown option '-x'" -x jobs.ndjson
refuse "--gas: expected a value" jobs.ndjson --gas
refuse "--gas: expected an integer 0..18446744073709551615, found 'much'" --gas much jobs.ndjson
refuse "--gas: expected an integer 0..18446744073709551615, found '-1'" --gas -1 jobs.ndjson
refuse "--gas: expected an integer 0..18446744073709551615, found '18446744073709551616'" --gas 18446744073709551616 jobs.ndjson
refuse "--gas: expected an integer 0..18446744073709551615, found '1e6'" --gas=1e6 jobs.ndjson
refuse "--workers: expected an integer 1..4096, found '0'" --workers 0 jobs.ndjson
refuse "--timeout: expected an integer 1..2147483648, found '0'" --timeout 0 jobs.ndjson
refuse "--max-in-flight: expected an integer 1..16777216, found '0'" --max-in-flight 0 jobs.ndjson
refuse "--engine: expected interp or jit, found 'fast'" --engine fast jobs.ndjson
refuse "--numa: expected auto or off, found 'interleave'" --numa interleave jobs.ndjson
refuse "--progress: expected auto, bar, plain or none, found 'loud'" --progress loud jobs.ndjson
refuse "--gas-model: expected exec or full, found 'x'" --gas-model x jobs.ndjson
refuse "--asm: not an option of this command" --asm jobs.ndjson
refuse "--cache: expected a value" jobs.ndjson --cache
refuse "--trace: not an option of this command" info --trace t demo.jimg
refuse "--cache: not an option of this command" info --cache c demo.jimg
refuse "--gas: not an option of this command" info --gas 5 demo.jimg
refuse "--mem-limit: expected an integer 1048576..9223372036854775807, found '1G'" --mem-limit 1G jobs.ndjson
refuse "--mem-limit: expected an integer 1048576..9223372036854775807, found '1048575'" --isolation process --mem-limit 1048575 jobs.ndjson
refuse "--mem-limit is of the processes of --isolation process, and goes with it" --mem-limit 1048576 jobs.ndjson
for shard in '' 1 1/ /2 2/2 1/0 -1/2 1/-2 ' 1/2' 1/2x 0x1/2 1/1048577 18446744073709551616/2; do
    refuse "--shard: expected I/N with 0 <= I < N <= 1048576, found '$shard'" --shard "$shard" jobs.ndjson
done
refuse 'expected a jobs file and its results' verify
refuse "expected two files, found 'c', too" verify a b c
refuse '--resume: not an option of this command' verify --resume jobs.ndjson results.ndjson
refuse '--output: not an option of this command' verify --output o jobs.ndjson results.ndjson
refuse 'nowhere: No such file or directory' verify jobs.ndjson nowhere
refuse 'nowhere.ndjson: No such file or directory' nowhere.ndjson
refuse '.: Is a directory' .
refuse 'nowhere.ndjson: No such file or directory' check nowhere.ndjson
refuse 'no/such/place: No such file or directory' --output no/such/place jobs.ndjson
refuse 'jobs.ndjson: this is the jobs file; results cannot go there' --output jobs.ndjson jobs.ndjson
check "the jobs file is as it was" [ "$(lines jobs.ndjson)" -eq 2 ]
ln jobs.ndjson other-name
refuse 'other-name: this is the jobs file; results cannot go there' --output other-name jobs.ndjson

# Options may stand behind the file, and -- ends them.
run 0 jobs.ndjson --output - --reproducible
check "options behind the file" [ "$(lines out)" -eq 1 ]
cp jobs.ndjson ./--jobs
run 0 --output - -- --jobs
check "a file that looks like an option" [ "$(lines out)" -eq 1 ]
cp jobs.ndjson run
run 0 --output - ./run
run 0 run --output - run
check "a file named like a command" [ "$(lines out)" -eq 1 ]

# -- info
run 0 info --asm --engine interp demo.jimg
check "info of an image" cmp out "$HERE/golden/info.txt"
run 0 info two.jbundle
check "all roots" sh -c 'grep -q "root \"a\"" out && grep -q "root \"b\"" out'
check "no disassembly unless asked for" sh -c '! grep -q ecalli out'
# Instances: handles with their keys, tables, what is paused; each cap once, references by the beginning of a hash.
awk 'BEGIN {
    print "{\"image\":\"p\",\"load\":\"pause.jimg\"}"
    print "{\"instance\":\"in\",\"image\":\"p\"}"
    printf "{\"instance\":\"y\",\"image\":\"p\",\"slots\":{\"4\":{\"sender\":\"0x0701\"},\"5\":{\"gas\":\"0x0a\"},\"6\":{\"quota\":\"0x0b0c\"},"
    printf "\"7\":{\"receiver\":[\"0xce10\",\"0x01\"]},\"8\":{\"instance\":\"in\"},\"9\":{\"image\":\"p\"},\"11\":{\"receiver\":[]}"
    for (i = 0; i < 200; i++)
        printf ",\"%d\":{\"data\":\"0x%02x\"}", 256 + i, i + 1
    print "}}"
    print "{\"chain\":\"paused\",\"invoke\":\"y\",\"args\":[2],\"gas\":500,\"on_pause\":\"report\"}"
    print "{\"chain\":\"idle\",\"invoke\":\"y\",\"endpoint\":1}"
}' >caps.ndjson
run 0 --output - --save-chains caps.jbundle caps.ndjson
run 0 info caps.jbundle
check "a root" grep -q '^Instance 0x[0-9a-f]*  root "paused"$' out
check "paused" has out '  status        paused, yielded 0x0701'
check "with what gas" has out '  gas left      359'
for handle in 'slot 4        YieldSender 0x0701' 'slot 5        Gas 0x0a' 'slot 6        Quota 0x0b0c' \
    'slot 7        YieldReceiver 0x01 0xce10' 'slot 11       YieldReceiver of nothing'; do
    check "$handle" has out "  $handle"
done
check "an instance in a slot" grep -q '^  slot 8        Instance 0x[0-9a-f]\{12\}  idle$' out
check "data in a slot" grep -q '^  slot 0x100    Data 0x[0-9a-f]\{12\}  1 pages$' out
check "a long table is cut" grep -q '^  \.\.\.           [0-9]* more slots$' out
check "so is what it would have told" grep -q '^\.\.\. and [0-9]* more Data$' out
check "no more rows than that" [ "$(lines out)" -lt 400 ]
check "no cap twice" [ "$(grep -c '^[A-Z][A-Za-z]* 0x' out)" -eq "$(grep '^[A-Z][A-Za-z]* 0x' out | sort -u | wc -l)" ]
run 2 info jobs.ndjson
check "not an image" has err 'jobs.ndjson: neither a bundle nor an ELF file; read as a '
run 2 info cut.jimg
run 2 info flipped.jimg
run 2 info nowhere.jimg
finish
