#!/bin/sh
# Draws docs/pictures anew from a run of the demo, with chromium: pictures.sh BUILD
set -eu
cd "$(dirname "$0")/.."
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"$1/batch/javm-batch" --progress none --report "$folder/report.html" --trace "$folder/demo.trace" --output "$folder/results" guest/demo/jobs.ndjson.zst
python3 scripts/draw-trace.py "$folder/demo.trace" >"$folder/trace.html"
alone=""
[ "$(id -u)" -ne 0 ] || alone=--no-sandbox
shoot() {
    # shellcheck disable=SC2086 # no argument when empty
    chromium --headless $alone --disable-gpu --hide-scrollbars --user-data-dir="$folder/profile" --window-size="$2" \
        --screenshot="$PWD/docs/pictures/$1.png" "file://$folder/$1.html" 2>/dev/null
}
shoot report 1000,820
shoot trace 1000,158
ls -l docs/pictures
