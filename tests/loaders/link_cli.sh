#!/bin/sh
# javm-link as a user sees it: exit codes, what goes to which stream, files written or left alone.
# Catches: an error with exit code 0, a message without the file's name, output in spite of an error, --check that writes
# or that passes bad code, sizes that are misread, options that do nothing.
#   link_cli.sh JAVM_LINK ELF_FOLDER
set -u
link=$1
elf=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
failed=0

# expect CODE STDOUT-PATTERN STDERR-PATTERN ARGUMENTS...: a pattern is a regular expression that some line matches, "-" for no output
expect() {
    code=$1 out=$2 err=$3
    shift 3
    "$link" "$@" >out.txt 2>err.txt
    got=$?
    if [ $got != "$code" ]; then
        echo "javm-link $*: exit code $got instead of $code"
        cat err.txt
        failed=1
    fi
    check "$out" out.txt "$*"
    check "$err" err.txt "$*"
}
check() {
    if [ "$1" = - ]; then
        [ ! -s "$2" ]
    else
        grep -q -e "$1" "$2"
    fi || { echo "javm-link $3: $2 does not show '$1':"; cat "$2"; failed=1; }
}
fail() {
    echo "$*"
    failed=1
}

expect 0 '^Usage: javm-link' - --help
expect 0 '^javm-link [0-9.]*$' - --version
expect 2 - 'no input file'
expect 2 - '-o FILE is missing' "$elf/samples_O2.elf"
expect 2 - 'one input file at a time, not also b' a b -o c
expect 2 - 'unrecognized option' --wat
expect 2 - "requires an argument" "$elf/samples_O2.elf" -o
for size in x 1x -1 0 '' 99999999999999999999 18446744073709551615K 1KK; do
    expect 2 - '--stack wants a number of bytes' "$elf/layout.elf" -o x.jimg --stack "$size"
done
expect 2 - '--check writes nothing' --check -o x "$elf/layout.elf"

expect 1 - '^javm-link: cannot open none.elf: No such file' none.elf -o x.jimg
expect 1 - "^javm-link: $elf/refuse_gp.elf: _start+0x2 (.text+0x2): \"addi x3, x10, 3\" uses x3 (gp)" "$elf/refuse_gp.elf" -o x.jimg
echo hello >text.txt
expect 1 - '^javm-link: text.txt: not an ELF file' text.txt -o x.jimg
[ ! -e x.jimg ] || fail "an image was written in spite of errors"
expect 1 - 'no/x.jimg' "$elf/layout.elf" -o no/x.jimg

expect 0 - - "$elf/samples_O2.elf" -o a.jimg --map a.map
expect 0 - - "$elf/samples_O2.elf" -o b.jimg
cmp a.jimg b.jimg || fail "two links of one file differ"
grep -q '^function sample_sieve: old [0-9a-f]* new [0-9a-f]* bytes [0-9]* markers [1-9]' a.map || fail "a.map has no sample_sieve"
expect 0 - - "$elf/samples_O2.elf" -o b.jimg --mark-all
[ "$(wc -c <b.jimg)" -gt "$(wc -c <a.jimg)" ] || fail "--mark-all changed nothing"
expect 0 - - "$elf/layout.elf" -o a.jimg --stack 1M --heap 0x10K --map a.map
grep -q '^mapping 0xeff00000..0x0f0000000 slot none' a.map || fail "--stack 1M is not in the map"
grep -q '^mapping 0x10004000..0x010008000 slot 6865' a.map || fail "--heap 0x10K is not in the map"
expect 1 - 'overlaps' "$elf/layout.elf" -o a.jimg --heap 1G

expect 2 - '--isa wants pvm or pvm2, not pvm3' "$elf/layout.elf" -o b.jimg --isa pvm3
expect 2 - 'does not go with --isa pvm' --check "$elf/layout.elf" --isa pvm
expect 0 - - "$elf/samples_O2.elf" -o b.jimg --isa pvm2
expect 0 - - "$elf/samples_O2.elf" -o c.jimg --isa pvm --map c.map
cmp b.jimg c.jimg >/dev/null && fail "--isa pvm changed nothing"
grep -q '^function sample_sieve: old [0-9a-f]* new [0-9a-f]* bytes [0-9]* markers 0' c.map || fail "c.map has no sample_sieve"
expect 0 '^c.jimg: 1 image, 0 problems' - --check c.jimg
expect 0 '^a.jimg: 1 image, 0 problems' - --check a.jimg
expect 0 'every target is a block start' - --check "$elf/samples_O0.elf"
expect 1 - 'is a jump target but not a block start' --check "$elf/samples_O2.elf"
expect 1 - 'a.jimg: is an image or bundle already' a.jimg -o b.jimg
printf X | dd of=a.jimg bs=1 seek=200 conv=notrunc 2>/dev/null
expect 1 - 'a.jimg: the checksum in the last 32 bytes does not match' --check a.jimg
if [ -w /dev/full ]; then
    expect 1 - '/dev/full: No space left' "$elf/layout.elf" -o /dev/full
    "$link" --help >/dev/full 2>err.txt && fail "--help to a full device must fail"
fi
exit $failed
