#!/bin/sh
# A new user's path on a clean Debian 12 with nothing but make and this tree: `make demo`, the README's own guest, the tutorial,
# `make deb` and what it made, installed and used; then `make test`.   test-new-user.sh [FOLDER [PART...]]
# PART is demo, guest, tutorial, deb or test; all of them unless told. FOLDER keeps the system for another time (default: a
# temporary one). Needs root, debootstrap and a Debian mirror. Takes an hour on two cores; it is no part of .ci/run.
set -eu
here=$(cd "$(dirname "$0")/.." && pwd)
kept=${1:-}
[ $# -eq 0 ] || shift
parts=${*:-demo guest tutorial deb test}
fail() {
    echo "FAILED: $*" >&2
    exit 1
}
[ "$(id -u)" -eq 0 ] || fail "a clean system needs root"
command -v debootstrap >/dev/null || fail "debootstrap is missing (scripts/install-deps.sh --tools)"

if [ -n "$kept" ]; then
    mkdir -p "$kept"
    folder=$(cd "$kept" && pwd)
else
    folder=$(mktemp -d "${TMPDIR:-/tmp}/javm-user-XXXXXX")
fi
root=$folder/root
home=/srv/javm-batch
cleanup() {
    for place in dev/shm proc; do
        ! mountpoint -q "$root/$place" || umount "$root/$place"
    done
    [ -n "$kept" ] || rm -rf "$folder"
}
trap cleanup EXIT
trap 'exit 1' HUP INT TERM

# What a container has: a terminal's devices and /proc; no /sys, no locale, no home of anybody.
[ -e "$folder/made" ] || {
    echo "making a clean Debian 12"
    debootstrap --variant=minbase bookworm "$root" >"$folder/log" 2>&1 || { tail -n 3 "$folder/log" && fail "no clean system; is a Debian mirror in reach?"; }
    : >"$folder/made"
}
[ ! -e /etc/resolv.conf ] || cp -L /etc/resolv.conf "$root/etc/resolv.conf"
mountpoint -q "$root/proc" || mount -t proc proc "$root/proc"
mountpoint -q "$root/dev/shm" || mount -t tmpfs tmpfs "$root/dev/shm"
inside() {
    chroot "$root" env -i HOME=/root PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "$@"
}
# step NAME COMMAND: in the user's tree; what it said is in FOLDER/NAME.log
step() {
    name=$1
    echo "== $name: $2 ($(date +%T))"
    inside sh -ec "cd $home; $2" >"$folder/$name.log" 2>&1 || { tail -n 40 "$folder/$name.log" && fail "$name: $2"; }
    ! grep -iE '(^|[^a-z_-])warning[:s]' "$folder/$name.log" || fail "$name: it warns"
}
# said NAME TEXT
said() {
    grep -qF -- "$2" "$folder/$1.log" || fail "$1 does not say: $2"
}

inside sh -c 'command -v make || { apt-get update -qq && apt-get install -y -qq --no-install-recommends make; }' >"$folder/log" 2>&1 ||
    { tail -n 3 "$folder/log" && fail "make cannot be installed"; }
if [ -d "$root$home" ]; then
    git -C "$root$home" pull --quiet "$here"
else
    git clone --quiet --no-local "$here" "$root$home"
fi

for part in $parts; do
    case $part in
    demo)
        step demo 'make demo'
        said demo 'jobs          24,000'
        said demo 'Try next:'
        step again 'make demo' # nothing is built twice
        ! grep -q Building "$folder/again.log" || fail "the second time it builds again"
        # The commands that the demo and the README show.
        step try 'sh -ec "$(make -s demo 2>/dev/null | sed -n "/^Try next/,\$p" | sed "1d;/docs.guests.md/d")"'
        said try '"value":832040'
        step readme 'build/batch/javm-batch check docs/examples/hello.ndjson; build/batch/javm-batch info --asm guest/prebuilt/fib.jimg
            build/batch/javm-batch --ordered --reproducible --output - docs/examples/hello.ndjson || [ $? -eq 1 ]'
        ;;
    guest)
        awk '/^```c$/ { on = 1; next } /^```$/ { on = 0 } on' "$here/README.md" >"$root$home/mine.c"
        step guest 'scripts/install-deps.sh --guests; build/loaders/javm-cc -O2 mine.c -o mine.jimg
            printf "%s\n" "{\"image\":\"m\",\"load\":\"mine.jimg\"}" "{\"invoke\":\"m\",\"args\":[6,7]}" | build/batch/javm-batch --output - -'
        said guest '"value":42'
        ;;
    tutorial)
        step tutorial 'scripts/install-deps.sh --guests; sh tests/cli/jobs_doc.sh $PWD/build/batch/javm-batch true $PWD/docs/tutorial.md $PWD/guest/prebuilt true $PWD/build/loaders/javm-cc'
        said tutorial ' checks, 0 failed'
        ;;
    deb)
        step deb 'make deb; apt-get install -y -qq --no-install-recommends ./build/*.deb >/dev/null
            cd /; javm-batch --output /demo.ndjson /usr/share/javm/demo/jobs.ndjson.zst; wc -l </demo.ndjson; man -w javm-batch || true'
        said deb 'jobs          24,000'
        ;;
    test)
        step test 'make test'
        said test '100% tests passed'
        ;;
    *) fail "no part is called $part" ;;
    esac
done
echo "a new user's path: $parts: as it should be"
