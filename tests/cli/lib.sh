# Common part of the shell tests. Usage of each test: NAME.sh PROGRAM [MKIMAGE]
# Works in a fresh folder that is removed at the end; `fail` tells and counts, `finish` sets the exit code.
# With BACKEND=kvm the test needs virtual machines and is shown as skipped where there are none.
set -u
if [ "${BACKEND:-}" = kvm ] && ! (true <>/dev/kvm) 2>/dev/null; then
    echo "skipped: /dev/kvm is missing or not ours to open"
    exit 77
fi
PROGRAM=$1
MKIMAGE=${2:-true}
DIR=$(mktemp -d "${TMPDIR:-/tmp}/javm-cli-XXXXXX") || exit 1
trap 'rm -rf "$DIR"' EXIT
trap 'exit 1' HUP INT TERM PIPE # so that the line above is done then, too
cd "$DIR" || exit 1
"$MKIMAGE" . || exit 1
FAILURES=0
CHECKS=0

fail() {
    FAILURES=$((FAILURES + 1))
    echo "FAILED: $*"
}

# check "what" CONDITION... : the condition is a command
check() {
    what=$1
    shift
    CHECKS=$((CHECKS + 1))
    "$@" || fail "$what"
}

# run EXPECTED_CODE ARGUMENTS... : stdout in ./out, stderr in ./err
run() {
    want=$1
    shift
    CHECKS=$((CHECKS + 1))
    "$PROGRAM" "$@" >out 2>err
    code=$?
    [ "$code" -eq "$want" ] || { fail "${PROGRAM##*/} $*: exit code $code, expected $want"; cat out err; }
    ! grep -q 'live entries are left' err || { fail "${PROGRAM##*/} $*: $(cat err)"; } # after every batch
}

# has FILE TEXT : the file contains the fixed text
has() {
    grep -qF -- "$2" "$1" || { echo "$1 does not have: $2"; cat "$1"; return 1; }
}

lines() {
    wc -l <"$1" | tr -d ' '
}

# alive PID : a child that ended but was not waited for is not alive
alive() {
    kill -0 "$1" 2>/dev/null && ! grep -q '^State:.*Z' "/proc/$1/status" 2>/dev/null
}

# await PID CONDITION... : until the condition holds; false when the child is gone before. A condition that never holds
# while the child lives is for the child's own end to resolve: there is no clock in here.
await() {
    waiting_for=$1
    shift
    until "$@"; do
        alive "$waiting_for" || { "$@"; return; }
        sleep 0.05
    done
}

# children PID : the processes that it has
children() {
    cat /proc/[0-9]*/stat 2>/dev/null | sed 's/(.*)/x/' | awk -v parent="$1" '$4 == parent { print $1 }'
}

# descendants PID : the processes below it, and theirs
descendants() {
    for child in $(children "$1"); do
        echo "$child"
        descendants "$child"
    done
}

# guests PID : of a batch with --isolation process those that serve jobs, below the one that forks them
guests() {
    for nursery in $(children "$1"); do
        children "$nursery"
    done
}

# ticks PID : the processor time that it has used, in hundredths of a second
ticks() {
    sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | awk '{ t = $12 + $13 } END { print t + 0 }'
}

finish() {
    [ "$CHECKS" -gt 0 ] || fail "nothing was checked"
    echo "$CHECKS checks, $FAILURES failed"
    [ "$FAILURES" -eq 0 ]
    exit
}

# check_native WHAT LISTING : of a listing with native code; what its jumps lead to is in ./targets
check_native() {
    # The gas of a block is what its code takes first.
    awk '/^@/ { gas = $2 == "gas" && $4 != "at" ? $3 + 0 : 0 }
        / \+00  sub r15, / { if (gas > 0 && strtonum_hex($NF) != gas) bad++; seen++ }
        function strtonum_hex(s,  v, i) {
            if (substr(s, 1, 2) != "0x") return s + 0
            for (i = 3; i <= length(s); i++) v = v * 16 + index("0123456789abcdef", substr(s, i, 1)) - 1
            return v
        }
        END { exit seen == 0 || bad }' "$2"
    check "$1: gas in the native code" [ $? -eq 0 ]
    check "$1: no jump out of it" sh -c "! grep -q elsewhere $2"
    # Where native code jumps to is a block of the list.
    sed -n 's/^@\([0-9a-f]*\) .*/\1/p' "$2" | sort -u >blocks
    sed -n 's/.*+[0-9a-f]*  [a-z]* @\([0-9a-f]*\)$/\1/p' "$2" | sort -u >targets
    check "$1: are blocks" [ -z "$(comm -13 blocks targets)" ]
    check "$1: sizes" awk '/^  native code / { gsub(",", ""); want += $3 } /, native [0-9]+ bytes$/ { got += $(NF - 1) }
        END { exit want == 0 || got != want }' "$2"
}
