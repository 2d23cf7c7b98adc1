#!/bin/sh
# Would catch: an engine that differs from the published vectors in any field; a vector file that went missing; a file
# that javm-vectors passes over without running anything in it.
# Usage: vectors.sh JAVM_VECTORS FOLDER ENGINE NAME...
set -u
vectors=$1
folder=$2
engine=$3
shift 3
failures=0
for name; do
    file=$folder/$name.json.zst
    output=$("$vectors" --engine "$engine" "$file")
    last=$(printf '%s\n' "$output" | tail -n 1)
    case $last in
    "0 passed, 0 failed") echo "$name: nothing was run" ;;
    *" passed, 0 failed") continue ;;
    *) printf '%s\n' "$name:" "$output" ;;
    esac
    failures=$((failures + 1))
done
# All of them in one process: what one vector leaves behind must not reach the next. This is the last line.
"$vectors" --engine "$engine" --quiet "$folder"/*.json.zst || failures=$((failures + 1))
[ "$failures" -eq 0 ] || echo "$failures runs failed"
[ "$failures" -eq 0 ]
