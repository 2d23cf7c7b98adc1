#!/bin/sh
# The demo: a real jobs file over all guest programs, to its results. run.sh BUILD
set -eu
cd "$(dirname "$0")/../.."
batch=$1/batch/javm-batch
results=$1/demo.results.ndjson
jobs=guest/demo/jobs.ndjson.zst
echo "\$ $batch --output $results $jobs"
"$batch" --output "$results" "$jobs"
echo
echo "The first results:"
head -n 5 "$results"
cat <<TEXT

Every job carried the value that the same C source gives natively, and its exact gas; all agreed.
Try next:
  $batch info guest/prebuilt/sieve.jimg --asm
  echo '{"image":"f","load":"guest/prebuilt/fib.jimg"}
{"id":"hello","invoke":"f","args":[30]}' | $batch -
  $batch --ordered --reproducible --output - $jobs | sha256sum   # the same on any machine
  docs/guests.md shows how to write a guest of your own.
TEXT
