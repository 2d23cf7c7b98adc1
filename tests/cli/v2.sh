#!/bin/sh
# Jobs for programs of the JAR v2 kernel, through the kernel, on both engines.
#
# Defects that this would catch: a service that hands the guest something else than the job says, or leaves something else than the
# result says; a fault that takes back too much or too little; a bad buffer that is no panic; results that depend on the engine, the
# number of workers or the order of an object's members; an expectation that is not compared; a job hash that misses a difference.
#
#   v2.sh JAVM_BATCH FOLDER_OF_PROGRAMS (guest/prebuilt/v2)
PROGRAMS=$2
HERE=$(cd "$(dirname "$0")" && pwd)
set -- "$1"
. "$HERE/lib.sh"
cp "$PROGRAMS"/*.jar .

# le NUMBER : eight bytes in hex
le() {
    printf '%016x' "$1" | sed 's/\(..\)\(..\)\(..\)\(..\)\(..\)\(..\)\(..\)\(..\)/\8\7\6\5\4\3\2\1/'
}
# calls ID φ7.. -- ID φ7.. : records for caller.jar, the last of which (service 0) is added
calls() {
    printf 0x
    n=0
    for word in "$@" -- 0; do
        if [ "$word" = -- ]; then
            while [ "$n" -lt 7 ]; do
                le 0
                n=$((n + 1))
            done
            n=0
            continue
        fi
        le "$word"
        n=$((n + 1))
    done
    printf '%096d' 0
}
ZEROS=131072   # 0x20000: two writable pages
COUNT=196608   # 0x30000: "count", read only
SELF=-1        # 2^64-1
WHAT=18446744073709551614
NONE=18446744073709551615
HUH=18446744073709551607

# job ID MEMBERS_OF_V2 CALLS... : a line of jobs.ndjson
job() {
    printf '{"id":"%s","program":"caller.jar","v2":{"args":"%s"%s}}\n' "$1" "$(shift 2; calls "$@")" "$2" >>jobs.ndjson
}
# result ID TEXT : the job's line has the text
result() {
    grep -F "\"id\":\"$1\"" out | grep -qF -- "$2" || { echo "$1 lacks $2"; grep -F "\"id\":\"$1\"" out; return 1; }
}
expect_result() {
    check "$1" result "$1" "$2"
}

# ---- every service ----------------------------------------------------------------------------------------
HASH=$(printf 'the preimage' | b2sum -l 256 | cut -d' ' -f1)
CODE=$(b2sum -l 256 caller.jar | cut -d' ' -f1)
job gas '' 1
job fetch ',"fetch":{"configuration":"conf","entropy":"0x6579","items":["first","2"]}' \
    2 $ZEROS 0 9 0 -- 5 $COUNT 1 $ZEROS 4 -- 2 $ZEROS 0 9 1 -- 5 $COUNT 2 $ZEROS 2 -- \
    2 $ZEROS 0 9 14 -- 5 $COUNT 3 $ZEROS 7 -- 2 $ZEROS 3 1 15 0 -- 5 $COUNT 4 $ZEROS 1 -- 2 $ZEROS 0 9 15 2
job storage ',"storage":{"count":"abcdef"},"services":{"8":{"storage":{"count":"eight"}}}' \
    4 $SELF $COUNT 5 $ZEROS 2 3 -- 5 $COUNT 1 $ZEROS 3 -- 4 8 $COUNT 5 $ZEROS 0 9 -- 5 $COUNT 2 $ZEROS 5 -- 5 $COUNT 5 0 0
job preimage ',"preimages":["the preimage","another"],"storage":{"c":"0x'"$HASH"'"}' \
    4 $SELF $COUNT 1 $ZEROS 0 32 -- 3 $SELF $ZEROS 135168 4 100 -- 5 $COUNT 1 135168 9
job info ',"service":9,"balance":77' 6 9 $ZEROS 0 200 -- 5 $COUNT 1 $ZEROS 40
job unknown '' 6 5 0 0 0
for id in 7 8 9 10 11 12 13 14; do
    job "what$id" '' $id
done
job quota ',"service":3,"quota_service":3' 28 3 0 1000 -- 5 $COUNT 1 $COUNT 1
job unprivileged ',"service":3' 28 3 0 1000
job full ',"quota":{"bytes":36}' 5 $COUNT 1 $COUNT 1 -- 5 $COUNT 1 $COUNT 2
job output '' 26 $COUNT
job halt_output '' 26 $COUNT -- 255 $ZEROS 32
job faulted ',"storage":{"x":"1"}' 5 $COUNT 1 $COUNT 1 -- 26 $COUNT -- 20 $COUNT 1 2 -- 18 -- 5 $COUNT 2 $COUNT 1 -- 26 $ZEROS -- \
    20 $COUNT 3 4 -- 254 4096
job trapped ',"storage":{"x":"1"}' 5 $COUNT 1 $COUNT 1 -- 253
job transfer '' 21 8 100 50 $COUNT
job too_dear '' 21 8 100 2000000000 $COUNT
job designated '' 17 $ZEROS 2
job bad_buffer '' 26 4096
job bad_key '' 5 4096 1 $COUNT 1
job read_only ',"fetch":{"entropy":"e"}' 2 $COUNT 0 9 1
job refined ',"context":"refine","fetch":{"entropy":"e"}' 5 $COUNT 1 $COUNT 1 -- 2 $ZEROS 0 9 1 -- 255 $((ZEROS << 32 | 2))
job unreadable ',"context":"refine"' 255 $((4096 << 32 | 2))
# five bytes, none, one, and one segment too many; lost in a fault, and kept by a checkpoint
job exported ',"context":"refine","exports":3' 8 $COUNT 5 -- 8 4096 0 -- 8 $COUNT 1 -- 8 $COUNT 1
job exports_lost ',"context":"refine","exports":3' 8 $COUNT 5 -- 253
job exports_kept ',"context":"refine","exports":3' 8 $COUNT 5 -- 18 -- 8 $COUNT 1 -- 253
job export_unreadable ',"context":"refine","exports":3' 8 4096 1
job no_exports ',"context":"refine"' 8 $COUNT 5
# a key that is read from the storage of the job before would be a mistake: each job has its own
job alone '' 4 $SELF $COUNT 1 0 0 0

for engine in interp jit; do
    for workers in 1 4; do
        run 0 --engine $engine --workers $workers --ordered --reproducible --output - jobs.ndjson
        cp out "out.$engine.$workers"
        check "$engine, $workers workers" cmp out.interp.1 "out.$engine.$workers"
    done
done
for engine in interp jit; do
    run 0 verify --bisect --engine $engine --workers 2 jobs.ndjson out.interp.1
    check "on both engines: $engine" has err "bisect: $(lines jobs.ndjson) jobs on both engines, which part in 0 of them"
done
cp out.interp.1 out
check "all jobs" [ "$(lines out)" -eq "$(lines jobs.ndjson)" ]
check "GAS is about what is left" sh -c 'sed -n "/\"gas\"/s/.*\"value\":\([0-9]*\).*/\1/p" out | awk "\$1 > 999980000 && \$1 < 999990000 { good = 1 } END { exit !good }"'
expect_result fetch "\"value\":$NONE,"
expect_result fetch '"storage":{"0x63":"0x636f6e66","0x636f":"0x6579","0x636f75":"0x02666972737432","0x636f756e":"0x73"}'
expect_result storage '"value":6,'
expect_result storage '"storage":{"0x63":"0x636465","0x636f":"0x6569676874"}'
expect_result preimage '"storage":{"0x63":"0x707265696d61676500"'
expect_result info "\"storage\":{\"0x63\":\"0x${CODE}4d00000000000000\"}"
expect_result unknown "\"value\":$NONE,"
for id in 7 8 9 10 11 12 13 14; do
    expect_result "what$id" "\"value\":$WHAT,"
done
expect_result quota '"value":18446744073709551611,'
expect_result quota '"calls":[{"call":"quota","args":[3,0,1000],"data":[]}]'
expect_result unprivileged "\"value\":$HUH,"
expect_result full '"storage":{"0x63":"0x63"}'
expect_result output "\"output_hash\":\"0x636f756e74$(printf '%054d' 0)\""
expect_result halt_output "\"output_hash\":\"0x$(printf '%064d' 0)\""
expect_result faulted '"exit":"page_fault","addr":4096,'
expect_result faulted '"storage":{"0x63":"0x63","0x78":"0x31"}'
expect_result faulted "\"output_hash\":\"0x636f756e74"
expect_result faulted "\"data\":[\"0x636f756e74$(printf '%054d' 0)\"]},{"
expect_result faulted "\"args\":[196608,3,4],\"data\":[\"0x636f756e74$(printf '%054d' 0)\"],\"undone\":true}]"
expect_result trapped '"exit":"panic"'
expect_result trapped '"storage":{"0x78":"0x31"}'
expect_result transfer "\"value\":0,"
expect_result transfer "{\"call\":\"transfer\",\"args\":[8,100,50,196608],\"data\":[\"0x636f756e74$(printf '%0246d' 0)\"]}"
expect_result too_dear '"exit":"panic"'
check "no call of what was too dear" sh -c '! grep too_dear out | grep -q calls'
expect_result designated "\"args\":[131072,2],\"data\":[\"0x$(printf '%01344d' 0)\"]"
for id in bad_buffer bad_key read_only; do
    expect_result $id '"exit":"panic"'
done
expect_result refined '"output":"0x6500"}'
expect_result unreadable '"output":null}'
expect_result exported '"value":18446744073709551611,'
expect_result exported '"exports":["0x636f756e74","0x","0x63"]}'
expect_result exports_kept '"exit":"panic"'
expect_result exports_kept '"exports":["0x636f756e74"]}'
expect_result export_unreadable '"exit":"panic"'
expect_result no_exports "\"value\":$WHAT,"
check "no exports" sh -c '! grep -E "exports_lost|export_unreadable|no_exports" out | grep -q "\"exports\":"'
expect_result alone "\"value\":$NONE,"

# ---- expectations ------------------------------------------------------------------------------------------
TRANSFER=$(calls 21 8 100 50 $COUNT)
MEMO=0x636f756e74$(printf '%0246d' 0)
EXPORTS=$(calls 8 $COUNT 5 -- 8 $COUNT 1)
SEGMENT=0x$({ printf count; head -c 4099 /dev/zero; } | b2sum -l 256 | cut -d' ' -f1)
cat >good.ndjson <<END
{"program":"counter.jar","v2":{"args":"0x05","storage":{"count":"0x03","z":"Z"},"expect_storage":{"0x7a":"0x5a","count":"0x0800000000000000"}},"expect":{"value":8,"output_hash":null}}
{"program":"counter.jar","v2":{"context":"refine","args":"0x0500"},"expect":{"output":"0x0500"}}
{"program":"counter.jar","output":"none","v2":{"args":"0x05","expect_storage":{"count":"0x0500000000000000"}}}
{"program":"caller.jar","v2":{"args":"$TRANSFER"},"expect":{"calls":[{"call":"transfer", "args":[ 8,100,50,196608],"data":["$MEMO"]}]}}
{"program":"counter.jar","v2":{},"expect":{"calls":null},"gas":4000}
{"program":"caller.jar","v2":{"args":"$EXPORTS","context":"refine","exports":2},"expect":{"exports":["0x636f756e74","0x63"]}}
{"program":"caller.jar","output":"hash","v2":{"args":"$EXPORTS","context":"refine","exports":1},"expect":{"exports":["$SEGMENT"]}}
{"program":"caller.jar","output":"none","v2":{"args":"$EXPORTS","context":"refine","exports":1},"expect":{"exports":["$SEGMENT"]}}
{"program":"caller.jar","v2":{"args":"$EXPORTS","context":"refine"},"expect":{"exports":null}}
END
run 0 --ordered --reproducible --output - good.ndjson
check "none of the storage" sh -c '! sed -n 3p out | grep -q storage'
cat >bad.ndjson <<END
{"id":1,"program":"counter.jar","v2":{"args":"0x05","storage":{"z":"Z","q":"Q"},"expect_storage":{"z":"Z","y":"Y"}}}
{"id":2,"program":"counter.jar","output":"none","v2":{"args":"0x05","expect_storage":{}}}
{"id":3,"program":"counter.jar","v2":{"context":"refine","args":"0x05"},"expect":{"output":"0x0500"}}
{"id":4,"program":"caller.jar","v2":{"args":"$TRANSFER"},"expect":{"calls":null}}
{"id":5,"program":"caller.jar","v2":{"args":"$TRANSFER"},"expect":{"calls":[]}}
{"id":7,"program":"caller.jar","output":"none","v2":{"args":"$EXPORTS","context":"refine","exports":1},"expect":{"exports":null}}
{"id":8,"program":"caller.jar","v2":{"args":"$EXPORTS","context":"refine","exports":1},"expect":{"exports":["0x63"]}}
{"id":6,"program":"counter.jar","gas":10,"v2":{"expect_storage":{"a":"b"}}}
END
run 1 --ordered --reproducible --output - bad.ndjson
check "storage that differs" has out '"mismatch":{"storage":{"expected":{"0x79":"0x59"},"got":{"0x636f756e74":"0x0500000000000000","0x71":"0x51"}}}'
check "storage that is not reported" has out '"gas_used":3341,"mismatch":{"storage":{"expected":{},"got":{"0x636f756e74":"0x0500000000000000"}}}'
check "bytes of an output" has out '"mismatch":{"output":{"expected":"0x0500","got":"0x05"}}'
check "calls that should not be" has out '"mismatch":{"calls":{"expected":null,"got":[{"call":"transfer"'
check "other calls" has out '"mismatch":{"calls":{"expected":[],"got":[{"call":"transfer"'
check "exports that should not be" has out "\"mismatch\":{\"exports\":{\"expected\":null,\"got\":[\"$SEGMENT\"]}}"
check "other exports" has out '"mismatch":{"exports":{"expected":["0x63"],"got":["0x636f756e74"]}}'
check "storage of what was rejected" has out '"error":"rejected: 3000 gas for 2 DATA pages at the start, the job has 10","mismatch":{"storage":{"expected":{"0x61":"0x62"},"got":null}}'
check "in the summary" has err 'storage: expected {"0x79":"0x59"}, got {"0x636f756e74":"0x0500000000000000","0x71":"0x51"}'

# ---- errors ------------------------------------------------------------------------------------------------
head -c 4097 /dev/zero >long
cat >errors.ndjson <<END
{"id":1,"program":"counter.jar","v2":{"args":"@long"}}
{"id":2,"program":"caller.jar","v2":{"args":"$(calls 252)"},"gas":18446744073709551615}
END
for engine in interp jit; do
    run 1 --engine $engine --timeout 50 --ordered --reproducible --output - errors.ndjson
    check "args too long" has out '"error":"rejected: 4097 bytes of args, the DATA in slot 0 has room for 4096"'
    check "a timeout" has out '"error":"timeout after 50 ms"'
done

# ---- job hashes --------------------------------------------------------------------------------------------
# One way to say it differs from another: no difference. The same line with anything else changed is another job.
cp counter.jar again.jar
printf 'a' >a.bin
cat >same.ndjson <<'END'
{"program":"counter.jar","v2":{"args":"a","op":1,"storage":{"a":"1","b":"2"}}}
{"program":"again.jar","id":"x","v2":{"storage":{"b":"0x32","0x61":"1"},"args":"@a.bin","context":"accumulate"},"output":"bytes","x-note":1}
END
cat >other.ndjson <<'END'
{"program":"counter.jar","v2":{}}
{"program":"caller.jar","v2":{}}
{"program":"counter.jar","gas":5000,"v2":{}}
{"program":"counter.jar","output":"none","v2":{}}
{"program":"counter.jar","v2":{},"expect":{"value":0}}
{"program":"counter.jar","v2":{"args":"0x00"}}
{"program":"counter.jar","v2":{"op":2}}
{"program":"counter.jar","v2":{"op":1,"context":"refine"}}
{"program":"counter.jar","v2":{"service":1}}
{"program":"counter.jar","v2":{"storage":{"a":"bc"}}}
{"program":"counter.jar","v2":{"storage":{"ab":"c"}}}
{"program":"counter.jar","v2":{"storage":{"a":"bd"}}}
{"program":"counter.jar","v2":{"preimages":["a"]}}
{"program":"counter.jar","v2":{"fetch":{"entropy":"a"}}}
{"program":"counter.jar","v2":{"fetch":{"2":"a"}}}
{"program":"counter.jar","v2":{"fetch":{"2":["a"]}}}
{"program":"counter.jar","v2":{"fetch":{"2":["a","b"]}}}
{"program":"counter.jar","v2":{"quota":{"items":7}}}
{"program":"counter.jar","v2":{"quota":{"bytes":700}}}
{"program":"counter.jar","v2":{"quota_service":0}}
{"program":"counter.jar","v2":{"balance":1}}
{"program":"counter.jar","v2":{"min_accumulate_gas":1}}
{"program":"counter.jar","v2":{"min_transfer_gas":1}}
{"program":"counter.jar","v2":{"created":1}}
{"program":"counter.jar","v2":{"last_used":1}}
{"program":"counter.jar","v2":{"parent":1}}
{"program":"counter.jar","v2":{"code_hash":"0x0000000000000000000000000000000000000000000000000000000000000001"}}
{"program":"counter.jar","v2":{"services":{"1":{}}}}
{"program":"counter.jar","v2":{"services":{"1":{"storage":{"a":"b"}}}}}
{"program":"counter.jar","v2":{"cores":1}}
{"program":"counter.jar","v2":{"queue":1}}
{"program":"counter.jar","v2":{"expect_storage":{"count":"0x0000000000000000"}}}
{"program":"counter.jar","v2":{},"expect":{"calls":null}}
{"program":"counter.jar","v2":{"context":"refine","exports":1}}
{"program":"counter.jar","v2":{"context":"refine","exports":2}}
{"program":"counter.jar","v2":{"context":"refine","exports":2},"expect":{"exports":null}}
END
run 0 --ordered --reproducible --output - same.ndjson
check "one hash for two ways to say it" [ "$(grep -o '"job":"[0-9a-f]*"' out | sort -u | wc -l)" -eq 1 ]
run 0 --ordered --reproducible --output - other.ndjson
check "one hash each" [ "$(grep -o '"job":"[0-9a-f]*"' out | sort -u | wc -l)" -eq "$(lines other.ndjson)" ]

# ---- stopping, going on, comparing ------------------------------------------------------------------------
{
    i=0
    while [ "$i" -lt 300 ]; do
        printf '{"id":%d,"program":"counter.jar","v2":{"args":"0x%s","storage":{"count":"0x%s"}}}\n' "$i" "$(le $i)" "$(le 5)"
        i=$((i + 1))
    done
    echo '{"id":"r","program":"counter.jar","repeat":700,"v2":{"args":"0x01"}}'
} >many.ndjson
run 0 --ordered --reproducible --output all many.ndjson
check "a thousand results" [ "$(lines all)" -eq 1000 ]
check "the sums" [ "$(sed -n 250p all | sed 's/.*"value":\([0-9]*\).*/\1/')" -eq 254 ]
head -c 30000 all >part
run 0 --resume --ordered --reproducible --output part many.ndjson
check "resumed" cmp all part
run 0 verify --engine interp many.ndjson all
sed 's/"count"/"counts"/' many.ndjson >edited.ndjson
run 1 verify edited.ndjson all
run 0 check many.ndjson
check "checked" has err 'many.ndjson: 0 definitions, 301 jobs (1,000 runs), 0 problems'
for shard in 0 1 2; do
    run 0 --shard $shard/3 --reproducible --output "shard.$shard" many.ndjson
done
sort all >all.sorted
sort shard.0 shard.1 shard.2 >shards.sorted
check "shards" cmp all.sorted shards.sorted
run 0 info counter.jar
check "info tells how to run it" has out '{"program":"...","v2":{}}'
finish
