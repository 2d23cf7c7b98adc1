#!/bin/sh
# Defects that this would catch: `info` that shows a container's parts, layout, names or instructions wrongly, leaves some out, takes
# one kind for another, or refuses a bad one without saying where. JAVM_UPDATE_GOLDEN=1 writes what is compared anew, to be read.
HERE=$(cd "$(dirname "$0")" && pwd)
. "$HERE/lib.sh"
FILES='code.jar1 code.gp odd.jar1 plain.spi service.spi v0.polkavm v2.polkavm v3.polkavm two.jar pvm.jimg'
for file in $FILES; do
    run 0 info --asm "$file"
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
