#!/bin/sh
# javm-cc from C to an image. Catches: flags that no longer suit the linker, options that reach the wrong program, paths with
# blanks or quotes, errors with exit code 0, files left behind, and an example in docs/linking.md that is not what happens.
# Exit code 77 (skipped) without clang 19.
#   cc_cli.sh JAVM_CC JAVM_LINK DOCS
set -u
cc=$1
link=$2
docs=$3
if ! command -v clang-19 >/dev/null || ! command -v ld.lld-19 >/dev/null; then
    echo "clang-19 and ld.lld-19 are needed"
    exit 77
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/tmp" "$work/a 'b'"
TMPDIR=$work/tmp
export TMPDIR
cd "$work/a 'b'" || exit 1
failed=0
fail() {
    echo "$*"
    cat err.txt
    failed=1
}
expect() {
    code=$1 text=$2
    shift 2
    "$cc" "$@" >out.txt 2>err.txt
    got=$?
    [ $got = "$code" ] || fail "javm-cc $*: exit code $got instead of $code"
    [ -z "$text" ] || cat out.txt err.txt | grep -q -e "$text" || fail "javm-cc $*: no '$text'"
}

cat >main.c <<'C'
#include <javm_guest.h>
#include "value.h"
uint64_t twice(uint64_t);
uint64_t guest_main(uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
    (void)b, (void)c, (void)d;
    return twice(a) + VALUE;
}
C
echo '#include <stdint.h>
uint64_t twice(uint64_t x); uint64_t twice(uint64_t x) { return x + x; }' >'two ce.c'
mkdir 'in clude'
echo '#define VALUE (SEVEN * 10)' >'in clude/value.h'
echo 'int broken(' >broken.c

expect 0 '^Usage: javm-cc' --help
expect 0 '^javm-cc [0-9.]*$' --version
expect 2 'no input files'
expect 2 'none.c: no such file' none.c
expect 2 '-o wants an argument' main.c -o
expect 1 'error' broken.c -o x.jimg
expect 1 'undefined symbol: twice' main.c -DSEVEN=7 '-Iin clude' -o x.jimg
[ ! -e x.jimg ] || fail "an image in spite of errors"

expect 0 '' -O2 -DSEVEN=7 -I 'in clude' main.c 'two ce.c' -o 'out put.jimg' --map out.map --elf out.elf --heap 64K --stack 16K
"$link" --check 'out put.jimg' >out.txt 2>err.txt || fail "the image does not pass --check"
grep -q '^function guest_main' out.map || fail "no guest_main in the map"
[ -s out.elf ] || fail "--elf wrote nothing"
expect 0 '' -c -O1 'two ce.c' -o two.o
expect 0 '' -DSEVEN=7 '-Iin clude' main.c two.o -Wl,--no-relax
"$link" --check a.jimg >out.txt 2>err.txt || fail "a.jimg does not pass --check"
expect 0 'clang.*two ce.c' -v -c 'two ce.c'
[ -s 'two ce.o' ] || fail "-c without -o made no object"

# The document's example; of its numbers only those that do not depend on the compiler's version.
sed -n '/linking example/,/^```$/p' "$docs/linking.md" | sed '/^```/d; /^<!--/d' >counter.c
grep -q JAVM_ENDPOINT counter.c || fail "no example in $docs/linking.md"
expect 0 '' -O2 -Wall -Werror counter.c -o counter.jimg --map counter.map
"$link" --check counter.jimg >out.txt 2>err.txt || fail "the example does not pass --check"
sed -n 's/^    \(data pages: .*\|mapping .*\)/\1/p' "$docs/linking.md" >want.txt
[ "$(wc -l <want.txt)" = 5 ] || fail "$docs/linking.md does not show the example's memory"
while read -r line; do
    grep -q -x -F -e "$line" counter.map || fail "the example's map has no line '$line'"
done <want.txt
for endpoint in 'endpoint 0: .*, javm_enter_add+0x0' 'endpoint 7: .*, javm_enter_first_byte+0x0'; do
    grep -q "^$endpoint" counter.map || fail "the example's map has no '$endpoint'"
done
[ -z "$(ls "$TMPDIR")" ] || fail "left behind: $(ls "$TMPDIR")"
exit $failed
