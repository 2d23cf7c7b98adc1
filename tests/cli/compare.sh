#!/bin/sh
# Defects that this would catch: a compare that shows a figure of the wrong batch or row, rounds integers, divides by nothing, calls
# different work the same, or crashes on a file that is no --stats file instead of saying why.
HERE=$(cd "$(dirname "$0")" && pwd)
. "$HERE/lib.sh"
printf '%s\n' '{"image":"d","load":"demo.jimg"}' '{"invoke":"d","endpoint":1,"args":[3,4],"repeat":50}' '{"invoke":"d","endpoint":2,"args":[100],"gas":50}' >jobs.ndjson
printf '%s\n' '{"image":"d","load":"demo.jimg"}' '{"invoke":"d","endpoint":1,"args":[3,4],"repeat":100}' >more.ndjson

# -- two real files: the same work whatever the workers, other work is told
run 0 --workers 1 --stats a.stats --output o jobs.ndjson
run 0 --workers 3 --engine interp --stats b.stats --output o jobs.ndjson
run 0 --stats c.stats --output o more.ndjson
run 0 compare a.stats b.stats
check "nothing on standard error" [ ! -s err ]
check "the names" grep -q '^ *a\.stats *b\.stats *ratio$' out
check "jobs" grep -q '^jobs  *51  *51  *1\.000$' out
check "workers" grep -q '^workers  *1  *3  *3\.000$' out
check "exits that nobody had are left out" sh -c '! grep -q panic out'
for label in jobs/s gas/s '  halt' '  out_of_gas' gas seconds 'latency p50' 'latency p99.9' 'latency max' 'compile seconds' 'peak memory'; do
    check "has $label" grep -q "^$label " out
done
run 1 compare a.stats c.stats
check "other work" [ "$(tail -n 1 out)" = "not the same work: jobs, halt, out_of_gas, gas" ]
check "no ratio of nothing" grep -q '^  out_of_gas  *1  *0  *0$' out
run 1 compare c.stats a.stats
check "nor to nothing" grep -q '^  out_of_gas  *0  *1$' out

# -- exact figures, in the right places; what an older or newer version does not have is left out
stats() {
    printf '{"jobs":%s,"exits":{"halt":1,"trap":0,"panic":0,"page_fault":0,"out_of_gas":0,"paused":0,"host_call":0,"crashed":0,"error":0},"mismatches":0,"not_run":0,"gas":%s,"seconds":%s%s}\n' "$1" "$2" "$3" "$4"
}
stats 10 18446744073709551615 2 ',"latency_us":{"p50":1.5,"p99":3},"x":[1]' >a
stats 10 18446744073709551614 0.5 ',"latency_us":{"p50":3}' >b
run 1 compare a b
cat >wanted <<'END'
                               a               b     ratio
jobs/s                         5              20     4.000
gas/s                      9.22E           36.9E     4.000
jobs                          10              10     1.000
  halt                         1               1     1.000
mismatches                     0               0
not run                        0               0
gas             18,446,744,073,709,551,61518,446,744,073,709,551,614     1.000
seconds                      2 s           0.5 s     0.250
latency p50               1.5 us            3 us     2.000
latency p99                 3 us               -
not the same work: gas
END
sed 's/615 *18/61518/' out >narrow
check "the whole table" diff narrow wanted
stats 0 0 0 '' >nothing
run 0 compare nothing nothing
check "no jobs in no time" grep -q '^jobs/s  *0  *0$' out
stats 5 5 1e18 '' >long
run 0 compare long long
cp a "$(printf 'a-long-name-of-a-file.stats')"
run 0 compare a a-long-name-of-a-file.stats
check "a long name is cut" grep -q ' \.\.of-a-file.stats  *ratio$\| \.\..*file.stats  *ratio$' out

# -- files that are none: code 2, a reason, nothing on standard output
refuse() {
    text=$1
    shift
    run 2 compare "$@"
    [ "$(head -n 1 err)" = "javm-batch: $text" ] || fail "compare $*: says: $(head -n 1 err)"
    [ ! -s out ] || fail "compare $*: something on standard output"
}
bad() {
    printf '%s' "$1" >bad
    refuse "bad: no figures of --stats: $2" a bad
    refuse "bad: no figures of --stats: $2" bad a
}
bad '' 'byte 0: expected a JSON value, found the end of the text'
bad '[1]' 'expected an object'
bad '{}' '"jobs" is missing'
bad '{"jobs":1}' '"exits.halt" is missing'
bad '{"jobs":-1}' 'byte 8: "jobs": expected an integer, 0 to 2^64-1'
bad '{"jobs":1.5}' 'byte 8: "jobs": expected an integer, 0 to 2^64-1'
bad '{"jobs":"1"}' 'byte 8: "jobs": expected an integer, 0 to 2^64-1'
bad '{"jobs":1,"exits":[]}' 'byte 18: "exits": expected an object'
stats 1 1 -0.5 '' >bad
run 2 compare a bad
check "negative time" has err '"seconds": expected a number, not negative'
stats 1 1 1e300 '' >bad
run 2 compare a bad
check "more time than there is" has err '"seconds": too large'
stats 1 1 1 ',"latency_us":{"p50":"x"}' >bad
run 2 compare a bad
check "optional, but not anything" has err '"latency_us.p50": expected a number, not negative'
head -c 100 a >bad
run 2 compare a bad
check "cut" has err 'bad: no figures of --stats: byte '
head -c 2000000 /dev/zero >bad
run 2 compare a bad
check "too large" [ "$(lines err)" -eq 1 ]
run 2 compare a jobs.ndjson
refuse 'cannot open nowhere: No such file or directory' a nowhere
refuse 'expected two files that --stats wrote'
refuse 'expected two files that --stats wrote' a
refuse "expected two files, found 'c', too" a b c
refuse '--gas: not an option of this command' --gas 5 a b
"$PROGRAM" compare a b >/dev/full 2>err
check "a full disk" [ $? -eq 3 ]
check "is told" has err 'standard output: No space left on device'
finish
