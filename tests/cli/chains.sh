#!/bin/sh
# Defects that this would catch: a job of a chain that runs on something else than what the one before it left, or
# out of turn; a failed job that leaves something; results of chains or of jobs that pause that depend on the number
# of workers, the engine, the order or the room in flight; a chain that stands still when it has more jobs than there is room; a pause
# that is answered otherwise than asked, or for ever; an invocation that comes to another value or gas after it was
# saved and went on in another process on the other engine; states that pile up.
HERE=$(cd "$(dirname "$0")" && pwd)
. "$HERE/lib.sh"
Y='{"image":"p","load":"pause.jimg"}
{"instance":"y","image":"p","slots":{"4":{"sender":"0x0701"}}}'
# field NAME FILE : its value in the last line
field() {
    tail -n 1 "$2" | sed -n "s/.*\"$1\":\"\{0,1\}\([0-9a-zx_]*\).*/\1/p"
}

# -- each way to answer a pause, and what a chain makes of it; the last job knows that all went well before
cat >pauses.ndjson <<END
$Y
{"id":1,"invoke":"y","args":[3],"expect":{"exit":"trap","gas_used":141,"yield_key":null}}
{"id":2,"invoke":"y","args":[3],"on_pause":"report","expect":{"exit":"paused","yield_key":"0x0701","output":"0x03","gas_used":141,"value":null}}
{"id":3,"invoke":"y","args":[3],"on_pause":"resume","expect":{"exit":"halt","value":6,"gas_used":656,"yield_key":null}}
{"id":4,"invoke":"y","args":[100],"on_pause":"resume","gas":500,"expect":{"exit":"out_of_gas","gas_used":490}}
{"id":5,"invoke":"y","args":[3],"on_pause":"report","gas":500,"chain":"c","expect":{"exit":"paused","gas_used":141}}
{"id":6,"chain":"c","on_pause":"report","input":"0x64","expect":{"exit":"paused","output":"0x02","gas_used":304}}
{"id":7,"chain":"c","args":[1],"expect":{"exit":"error","error":"the instance is paused: it is resumed, without endpoint and args"}}
{"id":8,"chain":"c","on_pause":"resume","expect":{"exit":"out_of_gas","gas_used":490}}
{"id":9,"chain":"c","on_pause":"resume","gas":200,"expect":{"exit":"halt","value":103,"gas_used":656}}
{"id":10,"chain":"c","endpoint":1,"expect":{"value":103}}
{"id":11,"chain":"c","args":[2],"expect":{"exit":"trap"}}
{"id":12,"chain":"c","args":[2],"on_pause":"resume","repeat":4,"post":false,"expect":{"exit":"halt"}}
{"id":13,"chain":"c","endpoint":9,"expect":{"exit":"error","error":"endpoint 9: the image has none there"}}
{"id":14,"chain":"c","endpoint":1,"expect":{"value":115}}
{"id":15,"invoke":"p","args":[1],"on_pause":"report","expect":{"exit":"trap"}}
{"id":16,"invoke":"y","endpoint":2,"gas":100000,"on_pause":"resume","expect":{"exit":"out_of_gas"}}
{"id":17,"invoke":"y","args":[5],"gas":500,"on_pause":{"set_gas":500},"expect":{"exit":"paused","yield_key":"0x0701"}}
{"id":18,"invoke":"y","endpoint":1,"gas":3,"on_pause":{"set_gas":3,"times":2},"expect":{"exit":"out_of_gas","gas_used":0}}
{"id":19,"invoke":"y","endpoint":1,"gas":3,"on_pause":{"set_gas":200},"expect":{"exit":"halt","value":0,"gas_used":123}}
{"id":20,"invoke":"y","endpoint":1,"gas":3,"on_pause":{"set_gas":200,"times":0},"expect":{"exit":"out_of_gas"}}
{"id":21,"invoke":"y","endpoint":1,"gas":3,"on_pause":"report","expect":{"exit":"paused","yield_key":"0xce10"}}
END
# Two of them are errors, as expected: exit code 1.
run 1 --ordered --reproducible --workers 1 --engine interp --output one pauses.ndjson
check "24 results" [ "$(lines one)" -eq 24 ]
check "as expected" sh -c '! grep -q mismatch one'
check "a failed job leaves the instance" [ "$(sed -n 10p one | grep -o '"post".*')" = "$(sed -n 11p one | grep -o '"post".*')" ]
check "no post where it is not wanted" [ "$(grep -c '"id":12,.*post' one)" -eq 0 ]
ENGINES=interp
"$PROGRAM" --engine jit --output - /dev/null >out 2>&1 && ENGINES="interp jit"
for engine in $ENGINES; do
    for workers in 1 2 7; do
        run 1 --ordered --reproducible --workers $workers --engine "$engine" --output more pauses.ndjson
        check "$engine, $workers workers" cmp one more
    done
done
grep -v '"exit":"error"' pauses.ndjson >fine.ndjson
run 0 --ordered --reproducible --output more fine.ndjson

# -- many chains and jobs that are alone, against a model: endpoint 0 adds to what the chain has
awk -v header="$Y" 'BEGIN {
    print header
    for (i = 0; i < 3000; i++) {
        c = (i * 7919) % 23
        n = i % 4
        if (i % 5 == 0) {
            printf "{\"id\":%d,\"invoke\":\"y\",\"args\":[%d],\"on_pause\":\"resume\",\"expect\":{\"value\":%d}}\n", i, n, n * (n + 1) / 2
            continue
        }
        head = "\"chain\":\"c" c "\"" (begun[c]++ ? "" : ",\"invoke\":\"y\"")
        if (i % 11 == 0) {
            printf "{\"id\":%d,%s,\"args\":[1],\"expect\":{\"exit\":\"trap\"}}\n", i, head
        } else {
            times = i % 13 == 0 ? 150 : 1
            total[c] += times * n * (n + 1) / 2
            printf "{\"id\":%d,%s,\"args\":[%d],\"on_pause\":\"resume\",\"expect\":{\"exit\":\"halt\"", i, head, n
            if (times == 1)
                printf ",\"value\":%d}}\n", total[c]
            else
                printf "},\"repeat\":%d}\n", times
        }
    }
}' >many.ndjson
run 0 --ordered --reproducible --workers 1 --output one many.ndjson
for in_flight in 1 3 100 65536; do
    for workers in 1 2 7; do
        run 0 --ordered --reproducible --max-in-flight $in_flight --workers $workers --output more many.ndjson
        check "$in_flight in flight, $workers workers, ordered" cmp one more
    done
done
run 0 --reproducible --engine interp --workers 7 --output more many.ndjson
check "unordered" sh -c 'sort one >a; sort more >b; cmp a b'
grep -h '"chain":"c3"' many.ndjson >only
{ echo "$Y" && cat only; } >only.ndjson
run 0 --ordered --reproducible --max-in-flight 2 --output more only.ndjson
check "one chain, more jobs than room" [ "$(lines more)" -gt 100 ]
check "the name alone counts" sh -c 'sed "s/\"c3\"/\"other\"/" only.ndjson >renamed.ndjson'
run 0 --ordered --reproducible --output other renamed.ndjson
check "a chain of another name" cmp more other

# -- bad lines are no jobs of their chain
cat >bad.ndjson <<END
$Y
{"id":1,"chain":"c","argz":[1],"invoke":"y"}
{"id":2,"chain":"c","invoke":"y","args":[2],"on_pause":"resume"}
{"id":3,"chain":"c","invoke":"p"}
{"id":4,"chain":"c","endpoint":1,"expect":{"value":3}}
END
run 1 --keep-going --ordered --reproducible --output - bad.ndjson
check "two of them" [ "$(grep -c '"exit":"error"' out)" -eq 2 ]
check "said what" has out 'the chain began with another instance'
check "and the chain went on" sh -c 'tail -n 1 out | grep -q "\"value\":3,"'
sed 3d bad.ndjson >bad2.ndjson
run 2 --ordered --reproducible --output - bad2.ndjson
check "jobs before a bad line run, those behind it do not" [ "$(lines out)" -eq 1 ]
check "where it is" has err 'bad2.ndjson:4:30: invoke: the chain began with another instance; leave it out, or name that'

# -- the first failure ends the batch, a chain in the middle
awk -v header="$Y" 'BEGIN {
    print header
    print "{\"chain\":\"c\",\"invoke\":\"y\",\"endpoint\":1}"
    print "{\"chain\":\"c\",\"endpoint\":1,\"expect\":{\"value\":9}}"
    for (i = 0; i < 5000; i++)
        print "{\"chain\":\"c\",\"args\":[1],\"on_pause\":\"resume\"}"
}' >failing.ndjson
run 1 --fail-fast --ordered --output - failing.ndjson
check "nothing behind the failure" [ "$(lines out)" -eq 2 ]

# -- a time limit bounds what resumes for ever; the chain goes on from before
cat >slow.ndjson <<END
$Y
{"chain":"c","invoke":"y","args":[4],"on_pause":"resume"}
{"chain":"c","endpoint":2,"gas":18446744073709551615,"on_pause":"resume","expect":{"exit":"error","error":"timeout after 60 ms"}}
{"chain":"c","endpoint":1,"expect":{"value":10}}
END
run 1 --timeout 60 --ordered --reproducible --output - slow.ndjson
check "timeout" sh -c '! grep -q mismatch out'

# -- saved in one process, resumed in the next, on the other engine: the value and the gas of the run that was not
#    interrupted; three times, with a guest's slot[0] filled by the host
cat >whole.ndjson <<END
$Y
{"chain":"w","invoke":"y","args":[6],"on_pause":"resume"}
END
run 0 --reproducible --save-chains whole.jbundle --output whole whole.ndjson
check "uninterrupted" [ "$(field value whole)" = 21 ]
for start in $ENGINES; do
    engine=$start
    cat >part.ndjson <<END
$Y
{"chain":"w","invoke":"y","args":[6],"gas":1500,"on_pause":"report"}
END
    run 0 --engine "$engine" --reproducible --save-chains part.jbundle --output part part.ndjson
    echo '{"instance":"left","load":"part.jbundle","root":"w"}
{"chain":"w","invoke":"left","on_pause":"report"}' >next.ndjson
    rounds=0
    while [ "$(field exit part)" = paused ] && [ $rounds -lt 10 ]; do
        rounds=$((rounds + 1))
        for other in $ENGINES; do [ "$other" = "$engine" ] || { engine=$other && break; }; done
        run 0 --engine "$engine" --reproducible --save-chains part.jbundle --output part next.ndjson
    done
    check "$start first: six resumes" [ $rounds -eq 6 ]
    check "$start first: the value" [ "$(field value part)" = 21 ]
    check "$start first: the gas" [ "$(field gas_used part)" = "$(field gas_used whole)" ]
    check "$start first: the instance" [ "$(field post part)" = "$(field post whole)" ]
    check "$start first: the file" cmp part.jbundle whole.jbundle
done
# A meter inside, which the host tops up after the move. It is the bundle that is resumed, so without a chain, twice.
run 0 --reproducible --save-chains part.jbundle --output part part.ndjson
echo '{"instance":"left","load":"part.jbundle"}
{"invoke":"left","on_pause":"resume","expect":{"value":21}}
{"invoke":"left","on_pause":"resume","input":"0x10","post":true,"expect":{"value":31}}
{"invoke":"left","gas":1,"expect":{"exit":"trap","gas_used":304}}' >twice.ndjson
run 0 --reproducible --ordered --output - twice.ndjson
run 0 check twice.ndjson

# -- where chains cannot be saved
run 2 --save-chains nowhere/x.jbundle --output - whole.ndjson
check "no folder" has err 'nowhere/x.jbundle: No such file or directory'
run 2 --save-chains whole.ndjson --output - whole.ndjson
check "the jobs file" has err 'whole.ndjson: this is the jobs file; chains cannot go there'
run 2 --save-chains same --output same whole.ndjson
check "the results" has err 'same: something else of this batch goes there; chains need a file of their own'
run 2 --save-chains . --output - whole.ndjson
check "a folder" has err '.: it is a directory'
run 2 check --save-chains
check "without a name" has err 'expected a value'
run 0 --save-chains none.jbundle --output - --reproducible twice.ndjson
run 0 info none.jbundle
check "no chains, an empty bundle" has out ' 0 caps'

# -- memory: states of a chain come and go (a sanitizer's allocator keeps what was freed)
peak() {
    sed -n 's/.*"peak_memory_bytes":\([0-9]*\).*/\1/p' stats.json
}
for n in 1000 30000; do
    printf '%s\n' "$Y" '{"chain":"c","invoke":"y","args":[1],"on_pause":"resume","post":false,"repeat":'$n'}' >long.ndjson
    run 0 --max-in-flight 1000 --stats stats.json --output long long.ndjson
    [ $n -eq 1000 ] && FEW=$(peak)
done
check "all of them" [ "$(lines long)" -eq 30000 ]
if ! grep -q -e __asan_init -e __tsan_init "$PROGRAM"; then
    check "constant memory: $FEW, $(peak)" [ "$(peak)" -lt $((FEW + 40000000)) ]
fi
finish
