#!/bin/sh
# Defects that this would catch: `info` that shows a container's parts, layout, names or instructions wrongly, leaves some out, takes
# one kind for another, or refuses a bad one without saying where; that shows native code beside other instructions than its own. JAVM_UPDATE_GOLDEN=1 writes what is compared anew, to be read.
HERE=$(cd "$(dirname "$0")" && pwd)
. "$HERE/lib.sh"
PREBUILT=$3
FILES='code.jar1 code.gp odd.jar1 plain.spi service.spi v0.polkavm v2.polkavm v3.polkavm two.jar pvm.jimg'
for file in $FILES; do
    run 0 info --asm --engine interp "$file"
    { cat out; echo; } >>all
    run 0 info "$file"
    check "no listing unless asked for: $file" sh -c '! grep -q "starts a block" out'
    # names say nothing
    cp "$file" renamed.txt
    "$PROGRAM" info "$file" | sed 1d >named
    "$PROGRAM" info renamed.txt | sed 1d >unnamed
    check "the content decides: $file" cmp named unnamed
done
if [ -n "${JAVM_UPDATE_GOLDEN:-}" ]; then
    cp all "$HERE/golden/pvm.txt"
fi
check "info of all kinds" cmp all "$HERE/golden/pvm.txt"

# -- with native code
# instructions LISTING : "pc instruction" of each, of a listing of either kind
instructions() {
    sed -n 's/^[* ] \([0-9a-f]\{6\}  \)\([0-9a-f]\{2,20\}[+ ] *  \)\{0,1\}\([a-z][a-z].*\)$/\1\3/p' "$1" |
        sed 's/  *+[0-9a-f]*  .*//; s/ *$//'
}
for file in $FILES tool.polkavm echo.spi "$PREBUILT"/v2/*.jar "$PREBUILT"/pvm/*.jimg; do
    run 0 info --asm --engine interp "$file"
    instructions out >want
    check "instructions: $file" [ -s want ]
    run 0 info --asm --engine jit "$file"
    mv out native
    run 0 info --asm "$file"
    check "the same every time: $file" cmp native out
    instructions native >got
    case $file in
    odd.jar1 | v0.polkavm) # behind what ends a block, code that is never reached
        sort want >all_of_it
        sort got >some
        check "only what is there: $file" [ -z "$(comm -13 all_of_it some)" ]
        check "and what is reached: $file" [ -s got ]
        ;;
    *) check "each instruction once, in order: $file" diff want got ;;
    esac
    check_native "$file" native
done
run 0 info --asm --engine jit pvm.jimg
check "a jump into the middle of a block" grep -q '^@000003  a way in, native [0-9]* bytes$' out
check "where that is" grep -q 'jmp @000000+[0-9a-f]*$' out
run 0 info --asm --engine jit v2.polkavm
check "an export" grep -qxF 'export "main":' out
check "an import" grep -qF 'ecalli 1 ; "wri\"te\x0a"' out
run 0 info --asm --engine jit "$PREBUILT/pvm/fib.jimg"
check "an endpoint" grep -qxF 'endpoint 0:' out

# refused FILE TEXT
refused() {
    run 2 info "$1"
    check "nothing on standard output: $1" [ ! -s out ]
    check "why: $1" has err "$2"
}
refused v1.polkavm 'version at byte 4: 1 is Latest32, a 32-bit instruction set'
refused cut.spi 'length of c at byte 29: 34 bytes announced, 33 follow to the end of the file'
refused bad.jar 'invoke_cap at byte 9: slot 66 holds a DATA cap, a CODE cap is expected'
: >empty
refused empty 'empty: neither a bundle nor an ELF file; read as a standard program'
finish
