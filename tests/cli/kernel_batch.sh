#!/bin/sh
# Defects that this would catch: jobs whose guests call guests, pay from meters, catch yields and keep continuations, and whose
# results depend on how many workers run them, on which engine, or on what ran before on the same worker.
#   kernel_batch.sh JAVM_BATCH MKIMAGE FOLDER_OF_PREBUILT_IMAGES DEPTH
# DEPTH is how deep chains of calls get: each level of each worker has 4 GiB of addresses.
PREBUILT=$3
DEPTH=$4
HERE=$(cd "$(dirname "$0")" && pwd)
. "$HERE/lib.sh"
{
    for guest in orchestrator worker authority client pager walker spawner interposer petitioner stepper keeper; do
        echo "{\"image\":\"$guest\",\"load\":\"$PREBUILT/kernel/$guest.jimg\"}"
    done
    cat <<'JSON'
{"instance":"boss","image":"orchestrator","slots":{"2":{"receiver":["0xce10"]},"3":{"sender":"0xce03"},"4":{"sender":"0xce04"},"5":{"image":"worker"}}}
{"instance":"customer","image":"client","slots":{"3":{"sender":"0x41"},"5":{"image":"worker"}}}
{"instance":"bank","image":"authority","slots":{"2":{"receiver":["0x41"]},"3":{"sender":"0xce03"},"4":{"sender":"0xce04"},"5":{"sender":"0xce05"},"6":{"sender":"0xce06"},"7":{"sender":"0xce01"},"8":{"instance":"customer"}}}
{"instance":"stroller","image":"walker","slots":{"3":{"sender":"0x50"}}}
JSON
    echo "{\"instance\":\"library\",\"image\":\"pager\",\"slots\":{\"2\":{\"receiver\":[\"0x50\"]},\"5\":{\"data\":\"$PREBUILT/signatures.jimg\"},\"8\":{\"instance\":\"stroller\"}}}"
    cat <<'JSON'
{"instance":"chain","image":"spawner","slots":{"3":{"image":"spawner"}}}
{"instance":"asker","image":"petitioner","slots":{"3":{"sender":"0xce03"}}}
{"instance":"censor","image":"interposer","slots":{"2":{"receiver":["0xce03"]},"3":{"sender":"0xce03"},"8":{"instance":"asker"}}}
{"instance":"walk","image":"stepper","slots":{"3":{"sender":"0x53"}}}
{"instance":"patience","image":"keeper","slots":{"2":{"receiver":["0x53"]},"8":{"instance":"walk"}}}
JSON
    awk -v depth="$DEPTH" 'BEGIN { for (i = 0; i < 800; i++) {
        printf "{\"invoke\":\"boss\",\"args\":[%d,%d,%d,%d]}\n", i % 97, i * 37 % 3000, 50 + i % 500, 4000
        if (i % 4 == 0) printf "{\"invoke\":\"bank\",\"args\":[%d,%d,%d,%d]}\n", i * 20, i % 5, i % 3, 1000 + i
        if (i % 4 == 1) printf "{\"invoke\":\"library\",\"args\":[%d,%d]}\n", i % 40, i % 9
        if (i % 4 == 2) printf "{\"invoke\":\"censor\",\"args\":[%d,%d,%d,%d]}\n", i % 50, i % 3, i % 11, i % 17
        if (i % 4 == 3) printf "{\"invoke\":\"patience\",\"args\":[%d,%d,%d]}\n", i % 50, i % 13, i
        if (i % 50 == 0) printf "{\"invoke\":\"chain\",\"args\":[%d]}\n", i % depth
        if (i % 50 == 1) printf "{\"invoke\":\"boss\",\"args\":[90,5000,100,9000],\"gas\":%d}\n", i * 20
    } }'
    echo "{\"invoke\":\"chain\",\"args\":[$DEPTH],\"expect\":{\"value\":$DEPTH}}"
} >jobs.ndjson

run 0 --ordered --reproducible --post --engine interp --workers 1 --output one jobs.ndjson
check "a result for each job" [ "$(lines one)" -eq "$(grep -c '"invoke"' jobs.ndjson)" ]
check "most come to their end" [ "$(grep -c '"exit":"halt"' one)" -gt 1600 ]
check "some do not" grep -q '"exit":"out_of_gas"' one
run 0 --ordered --reproducible --post --engine interp --workers 4 --output four jobs.ndjson
check "the same with four workers" cmp one four
run 0 --ordered --reproducible --post --workers 4 --stats stats --output native jobs.ndjson
check "nothing is live at the end" has stats '"live":0}'
check "the same with the engine of this machine" cmp one native
run 0 --ordered --reproducible --post --workers 1 --output again jobs.ndjson
check "the same again" cmp one again
finish
