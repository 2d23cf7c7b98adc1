#!/bin/sh
# Defects that this would catch: a report that a real browser cannot draw: errors in its script, plots without content, numbers that are
# none. Needs Debian's chromium; without it the test is shown as skipped.   report_browser.sh JAVM_BATCH MKIMAGE DEMO_JOBS
JOBS=$3
if ! command -v chromium >/dev/null; then
    echo "SKIPPED: report_browser needs chromium (scripts/install-deps.sh --tools)"
    exit 77
fi
HERE=$(cd "$(dirname "$0")" && pwd)
. "$HERE/lib.sh"
alone=""
[ "$(id -u)" -ne 0 ] || alone=--no-sandbox # chromium refuses to be root's in its sandbox

# draw PAGE : the drawn page in ./dom, what its script had to say in ./said
draw() {
    # shellcheck disable=SC2086 # no argument when empty
    chromium --headless $alone --disable-gpu --user-data-dir="$DIR/profile" --enable-logging=stderr --dump-dom "file://$DIR/$1" \
        >dom 2>browser || { cat browser; return 1; }
    grep 'CONSOLE' browser >said
    [ ! -s said ]
}
# drawn ID WHAT : the plot has at least one shape with content
drawn() {
    grep -q "<figure id=\"$1\">.*class=\"content\"" dom || fail "$2: the plot $1 is empty"
}

run 0 --workers 2 --report demo.html --output out.ndjson "$JOBS"
check "the demo's report has nothing to complain of" draw demo.html
check "is drawn to its end" grep -q '<html[^>]* data-drawn="true"' dom
check "has its title" grep -q '<title>.*jobs.ndjson.zst: javm-batch report</title>' dom
for id in jobs gas-rate workers exits latency gas; do
    drawn $id demo
done
check "no number is missing" [ "$(grep -cE 'NaN|undefined|Infinity' dom)" -eq "$(grep -cE 'NaN|undefined|Infinity' demo.html)" ]
check "all figures are there" grep -q 'peak_memory_bytes' dom

D='{"image":"d","load":"demo.jimg"}'
printf '%s\n' "$D" '{"id":"</script><script>document.title=\"taken\"</script>","invoke":"d","expect":{"value":"0x1234"}}' >hostile.ndjson
run 1 --report hostile.html --output out.ndjson hostile.ndjson
check "ids are text" draw hostile.html
check "and nothing else" grep -q 'hostile.ndjson: javm-batch report</title>' dom
check "they are shown" grep -q '&lt;script&gt;document.title' dom
: >empty.ndjson
run 0 --report empty.html --output out.ndjson empty.ndjson
check "no jobs at all" draw empty.html
check "is drawn, too" grep -q 'data-drawn="true"' dom

# This test sees what it looks for.
sed "s/'use strict';/'use strict'; nothing.there();/" demo.html >broken.html
! draw broken.html || fail "a script that fails goes unnoticed"
finish
