#!/bin/sh
# Defects that this would catch: a bad jobs file that is accepted, that ends with another exit code than 2, that
# gives a message without file, line and column or at the wrong place, or that prints anything on standard output; and a
# table in docs/ that no longer says what the program says.
#
#   bad_input.sh JAVM_BATCH MKIMAGE            run all cases
#   bad_input.sh --doc                         print docs/bad-input-jobs.md
#   bad_input.sh --compare FILE                fail when FILE differs from that
HERE=$(cd "$(dirname "$0")" && pwd)
. "$HERE/bad_cases.sh"

print_doc() {
    cat <<'END'
# Bad jobs files and what javm-batch says

Made by `tests/cli/bad_input.sh --doc` from the cases that the tests run; do not edit it by hand.

Each row is a jobs file that is refused: exit code 2, the message as `file:line:column: text` with the line and a caret
below it. `<d>` stands for the line `{"image":"d","load":"demo.jimg"}`, which defines an image with ten endpoints; `⏎`
ends a line, `<tab>` and `<ff>` are a tab and a byte in hex.
END
    section() {
        printf '\n## %s\n\n| what is wrong | the file | the message |\n| --- | --- | --- |\n' "$1"
    }
    bad() {
        content=$(printf '%s' "$2" | sed -e 's/@D/<d>⏎/g' -e 's/\\n/⏎/g' -e 's/|/\\|/g' \
            -e 's/\\t/<tab>/g' -e 's/\\0000/<00>/g' -e 's/\\0377/<ff>/g' -e 's/\\0300/<c0>/g' \
            -e 's/\\0200/<80>/g' -e 's/\\0357/<ef>/g' -e 's/\\0273/<bb>/g' -e 's/\\0303/<c3>/g' -e 's/\\0277/<bf>/g' \
            -e 's/\\\\/\\/g')
        message=$(printf '%s' "$3" | sed -e 's/|/\\|/g' -e 's/@CUT/(what is cut off)/' \
            -e 's/@FLIPPED/(the checksum differs)/')
        printf '| %s | `%s` | `%s` |\n' "$1" "$content" "$message"
    }
    bad_cases
}

case $1 in
--doc)
    print_doc
    exit
    ;;
--compare)
    print_doc | diff -u "$2" - && exit 0
    echo "$2 is out of date: run tests/cli/bad_input.sh --doc >$2"
    exit 1
    ;;
esac

. "$HERE/lib.sh"
head -c 10000 /dev/zero | tr '\0' x >big.bin
: >empty.bin
echo '{"image":"p","load":"pause.jimg"}
{"instance":"y","image":"p","slots":{"4":{"sender":"0x0701"}}}
{"chain":"c","invoke":"y","args":[1],"on_pause":"report"}' >jobs.ndjson
run 0 --output out --save-chains paused.jbundle jobs.ndjson
COUNT=0

section() { :; }

bad() {
    COUNT=$((COUNT + 1))
    printf '%b' "$(printf '%s' "$2" | sed -e 's/@D/{"image":"d","load":"demo.jimg"}\\n/g')" >jobs.ndjson
    rm -f results
    run 2 --output results jobs.ndjson
    message=$(head -n 1 err)
    case $3 in
    *@CUT | *@FLIPPED) # the loader's own words
        prefix=jobs.ndjson:${3%@*}
        case $message in "$prefix"?*) ;; *) fail "$1: $message" ;; esac
        ;;
    *) [ "$message" = "jobs.ndjson:$3" ] || fail "$1: says: $message" ;;
    esac
    [ "$(sed -n 3p err | tr -d ' \t')" = '^' ] || fail "$1: no caret under the line"
    [ -s out ] && fail "$1: something on standard output"
    [ -s results ] && fail "$1: there are results"
    # `check` says the same and runs nothing.
    run 2 check jobs.ndjson
    [ "$(head -n 1 err)" = "$message" ] || fail "$1: check says: $(head -n 1 err)"
    [ -s out ] && fail "$1: check wrote to standard output"
}

bad_cases
check "at least 40 cases" [ "$COUNT" -ge 40 ]
finish
