#!/bin/sh
# Defect that this would catch: an example in docs/jobs.md or docs/tutorial.md that no longer runs, or whose output is not what the
# program prints.
#
#   jobs_doc.sh JAVM_BATCH MKIMAGE DOCUMENT FOLDER_OF_PREBUILT_IMAGES MKPVM [JAVM_CC]
# With JAVM_CC the document compiles guests; without clang 19 the test is shown as skipped.
# In the document, ```file NAME begins a file's content and ```session a command after "$ " with its output.
DOCUMENT=$3
PREBUILT=$4
MKPVM=$5
CC=${6:-}
if [ -n "$CC" ] && { ! command -v clang-19 || ! command -v ld.lld-19; } >/dev/null; then
    echo "SKIPPED: ${DOCUMENT##*/} needs clang-19 and ld.lld-19 (scripts/install-deps.sh --guests)"
    exit 77
fi
if grep -q '^\$ parallel' "$DOCUMENT" && ! command -v parallel >/dev/null; then
    echo "SKIPPED: ${DOCUMENT##*/} needs GNU parallel (scripts/install-deps.sh --tools)"
    exit 77
fi
HERE=$(cd "$(dirname "$0")" && pwd)
. "$HERE/lib.sh"
"$MKPVM" . || exit 1
mkdir programs
cp -r "$PREBUILT"/. programs

awk '
    /^```file / { to = $2; next }
    /^```session$/ { n++; to = "expected." n; session = 1; next }
    /^```$/ { if (to != "") close(to); to = ""; session = 0; next }
    to != "" && session && /^\$ / { print substr($0, 3) >("command." n); close("command." n); printf "" >to; next }
    to != "" { print >to }
' "$DOCUMENT"

mkdir bin
ln -s "$PROGRAM" bin/javm-batch
printf '#!/bin/sh\nexec sh "%s" "$@"\n' "$CC" >bin/javm-cc
chmod +x bin/javm-cc
PATH=$DIR/bin:$PATH

N=1
while [ -f "command.$N" ]; do
    # shellcheck source=/dev/null
    . "./command.$N" >got 2>err
    check "$(cat "command.$N")" diff -u "expected.$N" got
    N=$((N + 1))
done
check "there are examples" [ "$N" -gt 3 ]
finish
