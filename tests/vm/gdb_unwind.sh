#!/bin/sh
# gdb in a guest. Would catch: an unwind table or a list of code that gdb does not read, or reads and finds no way back to
# main with; symbols that are missing or lie elsewhere; code that gdb cannot disassemble.
# Usage: gdb_unwind.sh JIT_DEBUG_GUEST. Exits 77 (skipped) without gdb, or where it may not trace.
GUEST=$1
command -v gdb >/dev/null || {
    echo "skipped: gdb is missing (package gdb)"
    exit 77
}
WORK=$(mktemp -d) || exit 1
trap 'rm -rf "$WORK"' EXIT
cd "$WORK" || exit 1

FAILED=0
# has FILE PATTERN : some line of the file matches
has() {
    grep -qE -- "$2" "$1" || {
        echo "$1 does not have: $2"
        FAILED=1
    }
}

# look NAME : stop in guest code at some time and say what gdb sees
look() {
    # A guest's faults are its own business; the timer is for us.
    cat >"$1.gdb" <<GDB
set pagination off
set confirm off
set width 0
handle SIGSEGV nostop noprint pass
handle SIGVTALRM stop print nopass
run $1 >/dev/null
while \$pc < (unsigned long)&javm_guest_code || \$pc >= *(unsigned long *)&guest_code_end || $2
continue
end
echo --- frames\n
bt
echo --- code\n
x/3i \$pc
echo --- calls\n
p (0x10000 - ((unsigned long)\$rsp & 0xffff)) / 8
x/2a \$rsp
echo --- symbols\n
info symbol (unsigned long)&javm_enter + 1
info symbol &javm_exits
info symbol &javm_return
kill
GDB
    gdb -nx -batch -x "$1.gdb" "$GUEST" >"$1" 2>&1 </dev/null
    if grep -qE "ptrace: Operation not permitted|Could not trace the inferior" "$1"; then
        echo "skipped: gdb may not trace here"
        exit 77
    fi
    # The frames one after the other: a way that is lost is a way to somewhere else.
    sed -n '/^--- frames/,/^--- code/p' "$1" >"$1.frames"
    has "$1.frames" '^#0 +0x[0-9a-f]+ in javm_guest_code \(\)'
    has "$1.frames" '^#1 .* jit_enter '
    has "$1.frames" '^#2 .* jit_run '
    has "$1.frames" '^#[3-5] .* javm_exec_run '
    has "$1.frames" '^#[4-6] .* main '
    grep -qiE 'corrupt|previous frame|\?\?' "$1.frames" && {
        echo "$1: a frame that is none"
        FAILED=1
    }
    has "$1" '^=> 0x[0-9a-f]+ <javm_guest_code\+[0-9]+>:'
    has "$1" '^javm_enter \+ 1 in section \.text'
    has "$1" '^javm_exits in section \.text'
    has "$1" '^javm_return in section \.text'
    [ "$FAILED" -eq 0 ] || cat "$1"
}

look loop 0
has loop '^\$[0-9]+ = 1$' # the bottom only
has loop '<javm_return>'
look deep '(0x10000 - ((unsigned long)$rsp & 0xffff)) / 8 != 3001'
has deep '<javm_guest_code\+[0-9]+>.+<javm_guest_code\+[0-9]+>'
exit "$FAILED"
