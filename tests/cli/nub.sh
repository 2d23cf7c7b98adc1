#!/bin/sh
# Defects that this would catch: javm-nub with a wrong exit code, message or output; caps of a file that do not get there or not in an
# order that works; results that differ between a server and an executor of its own; a server that does not end, or leaves its
# socket or processes; the example client of docs/ that does not do what it says.
#   nub.sh JAVM_NUB MKIMAGE JAVM_NUBD PREBUILT EXAMPLES
PREBUILT=$4
EXAMPLES=$5
NUBD=$3
unset XDG_RUNTIME_DIR
. "$(dirname "$0")/lib.sh"

# refuse CODE TEXT ARGUMENTS... : this exit code, this first line, nothing on standard output
refuse() {
    code=$1
    text=$2
    shift 2
    run "$code" "$@"
    [ "$(head -n 1 err)" = "javm-nub: $text" ] || fail "javm-nub $*: says: $(head -n 1 err)"
    [ ! -s out ] || fail "javm-nub $*: something on standard output"
}

# -- the command line
run 0 --help
for option in socket isolation engine put json endpoint gas arg root version; do
    check "help has --$option" has out "--$option"
done
run 0 --version
check "version" grep -q '^javm-nub [0-9.]*$' out
refuse 2 'expected a command'
refuse 2 "there is no command 'frob'" frob
refuse 2 "unknown option '--frob'" --frob smoke
refuse 2 '--gas: expected a value' invoke x --gas
refuse 2 "--gas: expected an integer 0..18446744073709551615, found '-1'" invoke x --gas -1
refuse 2 "--endpoint: expected an integer 0..4294967295, found '4294967296'" invoke x --endpoint 4294967296
refuse 2 '--arg: expected at most four' invoke x --arg 1 --arg 2 --arg 3 --arg 4 --arg 5
refuse 2 "--isolation: expected thread, process or kvm, found 'x'" --isolation x smoke
refuse 2 '--isolation is for an executor without a server: expected no --socket' --isolation thread --socket s smoke
refuse 2 'expected --socket PATH or --isolation: XDG_RUNTIME_DIR is not set' smoke
refuse 2 'smoke: expected nothing behind it, found 1 words' --socket s smoke x
refuse 2 'put-cap: expected a FILE behind it, found 0 words' --socket s put-cap
refuse 2 'smoke: --endpoint, --gas, --arg and --root are of invoke' --socket s smoke --gas 1
refuse 3 's: cannot connect: No such file or directory' --socket s smoke
long=$(head -c 200 /dev/zero | tr '\0' x)
run 3 --socket "$long" smoke
check "a path that is too long" has err 'a path of 200 bytes, expected 1 to 107'
"$PROGRAM" --isolation thread smoke >/dev/full 2>err
check "a full disk" [ $? -eq 3 ]
check "is told" has err 'standard output: No space left on device'
"$PROGRAM" --isolation thread smoke >&- 2>err
check "a closed standard output" [ $? -eq 3 ]

for option in --workers --lanes --max-connections --max-in-flight; do
    "$NUBD" --socket s $option 0 >out 2>err
    check "$option 0" [ $? -eq 2 ]
    check "$option 0 says so" has err "$option: expected an integer 1.."
done
"$NUBD" --socket s --heap 1M --max-request 2M 2>err
check "a request that no heap takes" [ $? -eq 2 ]
check "is told" has err '--max-request: expected at most the bytes of --heap, 1048576, found 2097152'
"$NUBD" --socket s --allow-uid me 2>err
check "a user that is no number" [ $? -eq 2 ]
"$NUBD" 2>err
check "no socket" [ $? -eq 2 ]
check "is told" has err 'expected --socket PATH'
"$NUBD" --socket nowhere/s --isolation thread --workers 1 2>err
check "a folder that is not there" [ $? -eq 3 ]
check "is told" has err 'nowhere/s.lock: cannot be opened: No such file or directory'

# -- what is asked, of an executor of its own and of a server
nobody='0x0000000000000000000000000000000000000000000000000000000000000000'
zeros=$(head -c 128 /dev/zero | od -An -v -tx1 | tr -d ' \n')
ask_everything() { # OPTIONS... : how to reach an executor
    run 0 "$@" smoke
    check "smoke" [ "$(cat out)" = 42 ]
    run 0 "$@" --json smoke
    check "smoke as JSON" [ "$(cat out)" = '{"smoke":42}' ]
    run 0 "$@" put-cap demo.jimg
    cut -d ' ' -f 1 out >kinds
    check "what put-cap prints" [ "$(tr '\n' ' ' <kinds)" = 'Image Instance ' ]
    instance=$(awk '/^Instance/ { print $2 }' out)
    run 0 "$@" --json put-cap two.jbundle
    check "as JSON" grep -q '^{"roots":\[{"name":"a","kind":"Data","hash":"0x[0-9a-f]*"},{"name":"b","kind":"Image","hash":"0x[0-9a-f]*","instance":"'"$instance"'"}\]}$' out
    run 2 "$@" put-cap "$PREBUILT/fib.jimg" "$PREBUILT/kernel/journal.jimg"
    check "what the wire has no place for" has err 'journal.jimg: the wire has no place for an image'
    check "what came before it is there" [ "$(lines out)" -eq 2 ]
    run 0 "$@" invoke "$PREBUILT/fib.jimg" --arg 20
    check "a real guest" [ "$(cat out)" = 'exit           halt
value          6765
gas_remaining  998938143' ]
    run 0 "$@" --put demo.jimg invoke "$instance" --endpoint 1 --arg 40 --arg 2 --json
    check "a hash" [ "$(cat out)" = '{"exit":"halt","value":42,"gas_remaining":999999899,"scratchpad":"0x'"$zeros"'"}' ]
    run 0 "$@" invoke demo.jimg --endpoint 1 --arg 0xffffffffffffffff --arg 43
    check "large arguments" has out 'value          42'
    run 0 "$@" invoke demo.jimg --endpoint 8
    check "the scratchpad without its zeros" has out 'scratchpad     0x000000000000000001'
    run 1 "$@" invoke demo.jimg --endpoint 2 --arg 1000000 --gas 1000
    check "out of gas" has out 'exit           out_of_gas'
    run 1 "$@" invoke demo.jimg --endpoint 4
    check "a trap, with its text" has out 'exit           trap 1: the guest trapped'
    run 1 "$@" --json invoke demo.jimg --endpoint 4
    check "a trap as JSON" has out '{"exit":"trap","error":1,"text":"the guest trapped","gas_remaining":999999999,'
    run 1 "$@" invoke demo.jimg --endpoint 5
    check "a panic" has out 'exit           panic'
    run 1 "$@" invoke demo.jimg --endpoint 6
    check "a page fault" has out 'exit           page_fault at 0x20000010'
    run 1 "$@" --json invoke demo.jimg --endpoint 6
    check "a page fault as JSON" has out '{"exit":"page_fault","address":536870928,'
    run 1 "$@" invoke demo.jimg --endpoint 7
    check "a host call" has out 'exit           host_call 77'
    run 1 "$@" invoke demo.jimg --endpoint 99
    check "no such endpoint: refused, no result" [ ! -s out ]
    check "with its number" has err 'javm-nub: error 68:'
    run 1 "$@" invoke $nobody
    check "no such instance" has err 'javm-nub: error 70:'
    run 0 "$@" invoke two.jbundle --root b
    run 2 "$@" invoke two.jbundle --root a
    check "a root that does not run" has err 'two.jbundle: expected one root called a that can be invoked, found 0'
    run 0 "$@" --put demo.jimg heap-stats
    check "caps" sh -c '[ "$(awk "/^allocations/ { print \$2 }" out)" -gt 0 ]'
    run 0 "$@" --json heap-stats
    check "as JSON" grep -q '^{"allocated_bytes":[0-9]*,"allocations":[0-9]*,"fragments":[0-9]*,"available_bytes":[0-9]*}$' out
    run 0 "$@" --json boot-info
    check "boot info" has out '"magic":"0x4a41525f424f4f54"'
    run 0 "$@" evict
    check "evict says nothing" [ ! -s out ]
    run 2 "$@" put-cap nowhere
    check "a file that is not there" has err 'nowhere: No such file or directory'
    run 2 "$@" put-cap flipped.jimg
    check "a file that is damaged" has err 'javm-nub: flipped.jimg:'
    printf abc >junk
    run 1 "$@" put-cap junk
    check "no archive" has err 'javm-nub: error 67: junk: byte 3: a cap of 3 bytes, expected at least 232 and a multiple of 8'
    # A Data as docs/nub.md shows it.
    { printf 'abc\0\0\0\0\0\002\0\0\0\364\377\377\377\003\0\0\0'; head -c 220 /dev/zero; } >abc.cap
    run 0 "$@" --json put-cap abc.cap
    check "an archived cap" [ "$(cat out)" = '{"roots":[{"hash":"0x8a4b0b09837ca73f07cfc278f9c619627b203834e7187ccb45809cdae67ebfc9"}]}' ]
}
ask_everything --isolation thread
ask_everything --isolation process --engine interp

"$NUBD" --socket s --workers 2 >line 2>said &
server=$!
await $server grep -q '^javm-nubd: listening at s$' line
check "the socket is the user's alone" [ "$(stat -c %a s)" = 600 ]
ask_everything --socket s
XDG_RUNTIME_DIR=$DIR
export XDG_RUNTIME_DIR
ln -s s javm-nub.sock
run 0 smoke
unset XDG_RUNTIME_DIR

"$NUBD" --socket t --workers 1 --isolation thread <&- >&- 2>&- &
other=$!
listens() { [ -S t ] && "$PROGRAM" --socket t smoke >out 2>err; }
await $other listens
check "standard streams that are closed" [ "$(cat out)" = 42 ]
kill -TERM $other
wait $other
check "its end" [ $? -eq 0 ]

# -- tools in other languages
instance=$("$PROGRAM" --socket s put-cap "$PREBUILT/fib.jimg" | awk '/^Instance/ { print $2 }')
CHECKS=$((CHECKS + 1))
python3 "$EXAMPLES/nub_client.py" s "$instance" 0 10 20 30 >got || fail "the example client"
cat >wanted <<'END'
smoke: 42
data: 0xHASH
caps: True
error 67: a cap of 3 bytes, expected at least 232 and a multiple of 8 (at 3)
10: halt, value 55, gas left 999991272
20: halt, value 6765, gas left 998938143
30: halt, value 832040, gas left 869411812
END
sed -i 's/^data: 0x[0-9a-f]\{64\}$/data: 0xHASH/' got
check "the example client" diff wanted got

# -- two servers, and the end
"$NUBD" --socket s --isolation thread --workers 1 2>err
check "a second server" [ $? -eq 3 ]
check "is told why" has err 's: a server is running there already'
run 0 --socket s smoke
descendants() {
    for child in $(cat /proc/[0-9]*/stat 2>/dev/null | sed 's/(.*)/x/' | awk -v parent="$1" '$4 == parent { print $1 }'); do
        echo "$child"
        descendants "$child"
    done
}
left=$(descendants $server)
check "there are executors" [ -n "$left" ]
kill -TERM $server
wait $server
check "SIGTERM: code 0" [ $? -eq 0 ]
check "what it did" grep -q '^javm-nubd: [0-9]* requests on [0-9]* connections, 0 connections refused, 0 executors replaced$' said
check "the socket is gone" [ ! -e s ]
gone() { for one in $left; do ! alive "$one" || return 1; done; }
until gone; do sleep 0.05; done
refuse 3 's: cannot connect: No such file or directory' --socket s smoke
finish
