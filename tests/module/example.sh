#!/bin/sh
# Defect that this would catch: a documented host whose game draws something else, on one engine or on both, or that goes wrong
# without a message.
#
#   example.sh ENGINE MKGAME
ENGINE=$1
DIR=$(mktemp -d "${TMPDIR:-/tmp}/javm-engine-XXXXXX") || exit 1
trap 'rm -rf "$DIR"' EXIT
"$2" "$DIR/game.polkavm" || exit 1
printf '%s\n' 'engine is ready' \
    "tick 300: 300 frames shown, checksum d4c74338ccbe8000, 240000 bytes of sound, gas 154144509" >"$DIR/expected"
"$ENGINE" "$DIR/game.polkavm" 300 >"$DIR/native" || exit 1
JAVM_INTERP=1 "$ENGINE" "$DIR/game.polkavm" 300 >"$DIR/interpreted" || exit 1
diff -u "$DIR/expected" "$DIR/native" && diff -u "$DIR/expected" "$DIR/interpreted" || exit 1
head -c 1000 "$DIR/game.polkavm" >"$DIR/cut"
"$ENGINE" "$DIR/cut" 2>"$DIR/err" && exit 1
grep -q 'engine: file length at byte 5' "$DIR/err" || { cat "$DIR/err"; exit 1; }
