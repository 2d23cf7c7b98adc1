#!/bin/sh
# Defects that this would catch: a PVM program whose job runs on what another job left, or differs by engine or number of workers; an
# import that is answered by another's value or not at all, or that ends a job without saying which; a job hash that stays when the
# file or the answers change; arguments or results of standard programs that are cut; fields that need an instance and are taken in
# silence; results that --resume or verify do not know again.
HERE=$(cd "$(dirname "$0")" && pwd)
. "$HERE/lib.sh"
cat >jobs.ndjson <<'END'
{"image":"tool","load":"tool.polkavm"}
{"image":"echo","load":"echo.spi"}
{"id":"add","invoke":"tool","endpoint":"add","args":[40,2,3,4,5,6]}
{"id":"ask","invoke":"tool","endpoint":"ask","args":[1]}
{"id":"77","invoke":"tool","endpoint":"ask_77"}
{"id":"fresh","invoke":"tool","endpoint":"store","args":[131072,7],"repeat":3}
{"id":"fault","invoke":"tool","endpoint":"store","args":[200000,7]}
{"id":"spin","invoke":"tool","endpoint":"spin","gas":1000}
{"id":"bytes","invoke":"echo","input":"0x01020300","output":"bytes","expect":{"exit":"halt","output":"0x010203"}}
{"id":"hash","invoke":"echo","input":"hello","output":"hash"}
{"id":"none","invoke":"echo","output":"bytes"}
{"id":"program","program":"tool.polkavm","endpoint":"add","args":[40,3],"expect":{"value":43}}
{"id":"number","invoke":"tool","endpoint":3,"args":[9]}
{"id":"blob","program":"code.gp","gas":100}
END
cut_hash() {
    sed 's/"job":"[0-9a-f]*",//' "$1"
}
cat >expected <<'END'
{"id":"add","exit":"halt","value":42,"gas_used":2}
{"id":"ask","exit":"host_call","import":"now","selector":1,"gas_used":1}
{"id":"77","exit":"host_call","selector":77,"gas_used":1}
{"id":"fresh","rep":0,"exit":"halt","value":42,"gas_used":4}
{"id":"fresh","rep":1,"exit":"halt","value":42,"gas_used":4}
{"id":"fresh","rep":2,"exit":"halt","value":42,"gas_used":4}
{"id":"fault","exit":"page_fault","addr":200000,"gas_used":1}
{"id":"spin","exit":"out_of_gas","gas_used":1000}
{"id":"bytes","exit":"halt","value":4278124544,"gas_used":1,"output":"0x010203"}
{"id":"hash","exit":"halt","value":4278124544,"gas_used":1,"output_hash":"0xed7e3c1700a5c6aa2589687665ea74e15f6a207699076e6c8b032b70b06ab915"}
{"id":"none","exit":"halt","value":4278124544,"gas_used":1,"output":"0x"}
{"id":"program","exit":"halt","value":43,"gas_used":2}
{"id":"number","exit":"halt","value":9,"gas_used":1}
END
for how in '--engine interp --workers 1' '--engine interp --workers 3' '--engine jit --workers 1' '--engine jit --workers 3'; do
    # shellcheck disable=SC2086 # words
    run 0 $how --ordered --reproducible --output - jobs.ndjson
    cp out "results"
    cut_hash out | grep -v '"blob"' >got
    check "$how" diff -u expected got
    [ -f first ] || cp out first
    check "the same bytes: $how" cmp first out
done

for how in interp jit; do
    run 0 verify --bisect --engine $how --workers 2 jobs.ndjson first
    check "on both engines: $how" has err "bisect: $(lines first) jobs on both engines, which part in 0 of them"
    check "all of them: $how" sh -c '! grep -q "not compared" err'
done

# -- answers
run 0 --host-call now=5 --host-call say=0x10 --host-call 77=18446744073709551615 --ordered --reproducible --output - jobs.ndjson
check "by name" has out '"exit":"halt","value":16,"gas_used":3'
check "by number" has out '"exit":"halt","value":18446744073709551615,"gas_used":2'
check "answers are part of a job" [ "$(grep '"ask"' out | cut -d, -f2)" != "$(grep '"ask"' first | cut -d, -f2)" ]
run 0 --host-call now=5 --ordered --reproducible --output - jobs.ndjson
check "the next import is named" has out '"exit":"host_call","import":"say","selector":0'
for text in now now= =5 now=x now=-1 now=18446744073709551616; do
    run 2 --host-call "$text" --output - jobs.ndjson
    check "--host-call $text" has err "--host-call: expected NAME=VALUE"
done

# -- the file is part of a job, its name is not
cp tool.polkavm other.polkavm
echo '{"id":1,"program":"tool.polkavm","endpoint":"add"}' >a.ndjson
echo '{"id":1,"program":"other.polkavm","endpoint":"add"}' >b.ndjson
run 0 --reproducible --output a.out a.ndjson
run 0 --reproducible --output b.out b.ndjson
check "the same file" cmp a.out b.out
printf '\053' | dd of=other.polkavm bs=1 seek=$(($(grep -aobF '*' other.polkavm | head -n 1 | cut -d: -f1))) conv=notrunc 2>dd.err
run 0 --reproducible --output b.out b.ndjson
check "another file" sh -c '! cmp -s a.out b.out'

# -- again
run 0 --ordered --output all.results jobs.ndjson
run 0 verify jobs.ndjson all.results
run 1 verify --host-call now=5 jobs.ndjson all.results
head -n 5 all.results >some.results
run 0 --resume --output some.results jobs.ndjson
check "resumed" [ "$(lines some.results)" -eq 14 ]
run 0 verify jobs.ndjson some.results
run 0 check jobs.ndjson

# refuse 'LINE' TEXT : behind a definition of both programs
refuse() {
    { head -n 2 jobs.ndjson; echo "$1"; } >bad.ndjson
    run 2 --output - bad.ndjson
    check "$1" has err "$2"
    run 2 check bad.ndjson
}
refuse '{"invoke":"tool","endpoint":"add","chain":"c"}' 'bad.ndjson:3:35: chain: not with a PVM program, which leaves no instance behind'
refuse '{"invoke":"tool","endpoint":"add","post":true}' 'post: not with a PVM program'
refuse '{"invoke":"tool","endpoint":"add","on_pause":"report"}' 'on_pause: not with a PVM program'
refuse '{"invoke":"tool"}' 'endpoint: expected the name of an export; it has "add", "ask", "ask_77", "store", "spin"'
refuse '{"invoke":"tool","endpoint":"sub"}' 'endpoint: the program has no such export; it has "add"'
refuse '{"invoke":"tool","endpoint":1}' 'endpoint: no instruction begins at 1 of the program'
refuse '{"invoke":"tool","endpoint":"add","args":[1,2,3,4,5,6,7]}' 'args: more than 6 of them'
refuse '{"invoke":"tool","endpoint":"add","input":"x"}' 'input: a .polkavm file has no place for it'
refuse '{"invoke":"tool","program":"tool.polkavm","endpoint":"add"}' 'program: expected without invoke'
refuse '{"instance":"i","image":"tool"}' 'image: "tool" names a PVM program, which has no instances'
refuse '{"program":"pvm.jimg"}' 'program: an image or bundle'
refuse '{"program":"v1.polkavm"}' 'program: v1.polkavm: version at byte 4: 1 is Latest32'
refuse '{"program":"two.jar"}' 'a JAR v2 blob'
refuse '{"program":"nowhere"}' 'program: cannot open nowhere'
finish
