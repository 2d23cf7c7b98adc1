#!/bin/sh
# javm-vectors as a user meets it. Would catch: a mismatch in one of the compared fields that goes unreported or is
# reported under another name; a wrong exit code; a file that cannot be used and is counted as passed; options that do
# nothing; compressed or piped input that is read differently from a plain file.
# Usage: vectors_cli.sh JAVM_VECTORS
HERE=$(cd "$(dirname "$0")" && pwd)
. "$HERE/../cli/lib.sh"

# says FILE TEXT : one line of the file is the text
says() {
    CHECKS=$((CHECKS + 1))
    grep -qxF -- "$2" "$1" || { fail "$1 does not say: $2"; cat "$1"; }
}

# has FILE TEXT : the text stands somewhere in the file
has() {
    CHECKS=$((CHECKS + 1))
    grep -qF -- "$2" "$1" || { fail "$1 does not have: $2"; cat "$1"; }
}

empty() {
    CHECKS=$((CHECKS + 1))
    [ ! -s "$1" ] || { fail "$1 should be empty"; cat "$1"; }
}

lines() {
    CHECKS=$((CHECKS + 1))
    got=$(wc -l <"$1")
    [ "$got" -eq "$2" ] || { fail "$1 has $got lines, expected $2"; cat "$1"; }
}

last() {
    CHECKS=$((CHECKS + 1))
    [ "$(tail -n 1 out)" = "$1" ] || { fail "the last line is not: $1"; cat out; }
}

# addi x5, x0, 7; sd x5, 8(x10); ecalli 5
CODE=93027000233455000b205000
MEMORY='[{"addr":268435456,"len":4096,"writable":true,"hex":"01"}]'
ZEROS='0,0,0,0,0,0,0,268435456,0,0,0,0,0,0,0'
# The expected object, good unless a field is given: EXIT ARG PC X5 X4 GAS HEX
store() {
    printf '{"name":"t/store","code":"%s","entry_pc":0,"regs":[%s],"memory":%s,"gas":1000,"footprint_pages":0,' \
        "$CODE" "$ZEROS" "$MEMORY"
    printf '"expected":{"exit":"%s","exit_arg":%s,"pc":%s,"regs":[0,0,%s,0,0,0,0,268435456,0,0,0,0,0,0,%s],' \
        "$1" "$2" "$3" "$4" "$5"
    printf '"gas":%s,"memory":[{"addr":268435464,"hex":"%s"}]}}\n' "$6" "$7"
}
good() {
    store host_call 5 12 7 0 877 07
}
# lw x0, 16(x0), which faults: ADDRESS WRITE
fault() {
    printf '{"name":"t/fault","code":"03200001","entry_pc":0,"regs":[%s],"memory":[],"gas":1000,"footprint_pages":0,' \
        "$ZEROS"
    printf '"expected":{"exit":"page_fault","exit_arg":0,"pc":0,"regs":[%s],"gas":978,"memory":[],' "$ZEROS"
    printf '"fault_addr":%s,"fault_write":%s}}\n' "$1" "$2"
}

# ---- what passes, and in which shapes of input
good >good.json
printf '[%s,\n%s]\n' "$(good)" "$(fault 16 false)" >two.json
printf '{"about":"two of them","vectors":[%s,%s]}\n' "$(good)" "$(fault 16 false)" >wrapped.json
zstd -q two.json -o two.json.zst
cat two.json.zst >misnamed.json
run 0 good.json
says out "1 passed, 0 failed"
lines out 1
empty err
for file in two.json wrapped.json two.json.zst misnamed.json; do
    run 0 --engine interp "$file"
    says out "2 passed, 0 failed"
    empty err
done
CHECKS=$((CHECKS + 1))
[ "$("$PROGRAM" - <two.json)" = "2 passed, 0 failed" ] || fail "plain vectors on standard input"
CHECKS=$((CHECKS + 1))
[ "$("$PROGRAM" - <two.json.zst)" = "2 passed, 0 failed" ] || fail "compressed vectors on standard input"
run 0 good.json two.json.zst
says out "3 passed, 0 failed"
# Two frames one after the other are one text.
{ printf '[%s' "$(good)" | zstd -q; printf ',%s]' "$(good)" | zstd -q; } >frames.zst
run 0 frames.zst
says out "2 passed, 0 failed"

# ---- the options
run 0 --verbose two.json
says out 'ok   two.json "t/store"'
says out 'ok   two.json "t/fault"'
lines out 3
run 0 --name fau --verbose two.json
says out 'ok   two.json "t/fault"'
last "1 passed, 0 failed"
lines out 2
run 2 --name elsewhere two.json
has err "no vector was run"
run 0 --help
has out "usage: javm-vectors"
has out "--engine NAME"
run 0 --version
has out "javm-vectors 0."
run 2
has err "no file named"
run 2 --bogus two.json
has err "unrecognized option '--bogus'"
run 2 --engine two.json
run 2 --engine nonsense two.json
says err 'javm-vectors: --engine: there is no engine "nonsense"; expected interp or jit'
empty out

# ---- each field that does not match, by name
differs() {
    run 1 bad.json
    says out 'FAIL bad.json "'"$2"'"'
    says out "  $1"
    last "0 passed, 1 failed"
    empty err
    lines out 3
    run 1 --quiet bad.json
    lines out 1
    says out "0 passed, 1 failed"
}
store trap 5 12 7 0 877 07 >bad.json
differs "exit: got host_call, want trap" t/store
store host_call -5 12 7 0 877 07 >bad.json
differs "exit_arg: got 5, want -5" t/store
store host_call 5 8 7 0 877 07 >bad.json
differs "pc: got 12 (0xc), want 8 (0x8)" t/store
store host_call 5 12 18446744073709551615 0 877 07 >bad.json
differs "regs[2] (x5): got 0x7, want 0xffffffffffffffff" t/store
store host_call 5 12 7 1 877 07 >bad.json
differs "regs[14] (x4): got 0x0, want 0x1" t/store
store host_call 5 12 7 0 876 07 >bad.json
differs "gas: got 877 (0x36d), want 876 (0x36c)" t/store
store host_call 5 12 7 0 877 0700000009 >bad.json
differs "memory at 0x1000000c: got 00, want 09" t/store
good | sed 's/{"addr":268435464,"hex":"07"}//' >bad.json
differs "memory at 0x10000008: got 07, want 00" t/store
fault 20 false >bad.json
differs "fault_addr: got 16 (0x10), want 20 (0x14)" t/fault
fault 16 true >bad.json
differs "fault_write: got false, want true" t/fault
# Several at once, and what passes beside them is still counted.
{ printf '['; store trap 6 12 7 0 877 07; printf ','; good; printf ']'; } >bad.json
run 1 bad.json good.json
says out "  exit: got host_call, want trap"
says out "  exit_arg: got 5, want 6"
last "2 passed, 1 failed"

# ---- static vectors
BLOCKS='"code":"930270000b200000","footprint_pages":0'
printf '[{"name":"b",%s,"instructions":[0,4],"end":8,"starts":[0,4],"costs":[1,0],"stores":[0,0]}]' "$BLOCKS" >static.json
run 0 static.json
says out "1 passed, 0 failed"
sed 's/"costs":\[1/"costs":[2/' static.json >bad.json
differs "block at 0: got cost 1, 0 stores, want cost 2, 0 stores" b
sed 's/"end":8/"end":9/' static.json >bad.json
differs "end: got 8 (0x8), want 9 (0x9)" b
printf '[["00c58533","add",10,11,12,0],["00000073","reserved",0,0,0,0]]' >words.json
run 0 words.json
says out "2 passed, 0 failed"
printf '[["00c58533","sub",10,11,12,0]]' >bad.json
differs "got add rd=10 rs1=11 rs2=12 imm=0 len=4, want sub rd=10 rs1=11 rs2=12 imm=0 len=4" 00c58533
printf '{"852e":"00b00533","0000":""}' >halves.json
run 0 halves.json
says out "2 passed, 0 failed"
printf '{"852e":""}' >bad.json
run 1 bad.json
last "0 passed, 1 failed"

# ---- what cannot be used: exit code 2, a message, and nothing counted as passed
refused() {
    run 2 "$2"
    has err "$1"
    has out "0 passed, 0 failed"
}
refused "javm-vectors: absent.json: No such file or directory" absent.json
refused "javm-vectors: .: Is a directory" .
printf 'plain text' >text
refused "text:1:1: expected a JSON value, found 'p'" text
: >nothing
refused "nothing:1:1: expected a JSON value, found the end of the text" nothing
head -c 100 good.json >cut.json
refused "cut.json:1:" cut.json
head -c 60 two.json.zst >cut.zst
refused "javm-vectors: cut.zst: compressed data ends too early" cut.zst
{ cat two.json.zst; printf 'tail'; } >tail.zst
refused "javm-vectors: tail.zst: Unknown frame descriptor" tail.zst
printf '[{"name":"op","code":"be220000","bitmask":"0901","jump_table":[],"regs":[0,0,0,0,0,0,0,0,0,0,0,0,0],"pc":0,"gas":1,"memory":[],"init":[],"expected":{}}]' >pvm.json
refused "pvm.json:1:43: bitmask: 2 bytes, expected 1 for 4 bytes of code" pvm.json
printf '[{"name":"reply","blob":"4a415202","args":"","gas":100,"op":12,"expected":{"result":"halt"}}]' >jar.json
refused 'jar.json:1:75: expected an object with the member "host_calls"' jar.json
printf '17' >number
refused 'number:1:1: expected an array of vectors' number
printf '[17]' >list
refused 'list:1:2: expected a vector' list
printf '[{"name":"x"}]' >other
refused 'expected a vector, with a member "expected" or "starts"' other
good | sed 's/"gas":1000,//' >lacks
refused 'expected an object with the member "gas"' lacks
good | sed 's/93027000/9302700/' >odd
refused 'code: odd number of hex digits' odd
good | sed 's/93027000/9302700g/' >letter
refused 'code: expected hex digits only' letter
good | sed 's/"regs":\[0,0,0/"regs":[0,0/' >short
refused 'regs: 14 values, expected 15' short
good | sed 's/"host_call"/"exploded"/' >exits
refused 'exit: there is no exit "exploded"' exits
good | sed 's/"len":4096/"len":4095/' >unaligned
refused 'memory: addr and len have to be multiples of 4096 below 4 GiB' unaligned
good | sed 's/"hex":"01"},*/"hex":"01"},{"addr":268435456,"len":4096,"writable":true}/' >overlap
refused 'memory: ranges overlap at 0x10000000' overlap
good | sed 's/{"addr":268435464/{"addr":4194304/' >outside
refused 'expected.memory: 0x400000 is not in writable memory' outside
# A file that is no good does not hide the others, nor do they hide it.
run 2 good.json pvm.json good.json
last "2 passed, 0 failed"
has err "pvm.json:1:43:"
# Nowhere to write to is not success.
if [ -c /dev/full ]; then
    CHECKS=$((CHECKS + 1))
    "$PROGRAM" good.json >/dev/full 2>err
    [ $? -eq 2 ] || fail "a full device: exit code"
fi

finish
