#!/bin/sh
# Defects that this would catch: figures that are wrong, torn or not in Prometheus' format, also when several ask at once; a client that
# makes the batch wait, fail or hold memory; a port that others than this machine can reach; an address that is not refused.
HERE=$(cd "$(dirname "$0")" && pwd)
. "$HERE/lib.sh"
printf '%s\n' '{"image":"d","load":"demo.jimg"}' '{"invoke":"d"}' >jobs.ndjson
for address in 0.0.0.0:9400 192.168.1.1:9400 '[::]:9400' 9400 :9400 127.0.0.1 127.0.0.1: 127.0.0.1:65536 127.0.0.1:-1 \
    127.0.0.1:99999999999 127.1:9400 128.0.0.1:9400 localhost:http '[::1]' example.org:1 127.0.0.1:1:2; do
    run 2 --metrics "$address" jobs.ndjson
    has err "javm-batch: --metrics: expected 127.0.0.1:PORT, localhost:PORT or [::1]:PORT (figures are for this machine only), found '$address'" || fail "$address"
done
run 2 jobs.ndjson --metrics
check "metrics" python3 "$HERE/metrics.py" "$PROGRAM"
finish
