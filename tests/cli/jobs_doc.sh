#!/bin/sh
# Defect that this would catch: an example in docs/jobs.md that no longer runs, or whose output is not what the program
# prints.
#
#   jobs_doc.sh JAVM_BATCH MKIMAGE DOCUMENT FOLDER_OF_PREBUILT_IMAGES MKPVM
# In the document, ```file NAME begins a file's content and ```session a command after "$ " with its output.
DOCUMENT=$3
PREBUILT=$4
HERE=$(cd "$(dirname "$0")" && pwd)
MKPVM=$5
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

javm_batch() {
    "$PROGRAM" "$@"
}

N=1
while [ -f "command.$N" ]; do
    sed -i 's/^javm-batch/javm_batch/' "command.$N"
    # shellcheck source=/dev/null
    . "./command.$N" >got 2>err
    check "$(cat "command.$N")" diff -u "expected.$N" got
    N=$((N + 1))
done
check "there are examples" [ "$N" -gt 6 ]
finish
