#!/bin/sh
# The Debian packages install on a clean Debian 12, run the demo there and go away again.   test-package.sh BUILD
# Needs root, debootstrap and a Debian mirror; what cannot be done without them is said to be skipped.
set -eu
build=$(cd "$1" && pwd)
here=$(cd "$(dirname "$0")/.." && pwd)
folder=$(mktemp -d "${TMPDIR:-/tmp}/javm-package-XXXXXX")
root=$folder/root
cleanup() {
    ! mountpoint -q "$root/proc" || umount "$root/proc"
    rm -rf "$folder"
}
trap cleanup EXIT
trap 'exit 1' HUP INT TERM
fail() {
    echo "FAILED: $*" >&2
    exit 1
}

(cd "$build" && cpack -G DEB -B "$folder/debs" >"$folder/log" 2>&1) || { cat "$folder/log"; fail "cpack"; }
for package in javm-batch libjavm0 libjavm-dev; do
    file=$(find "$folder/debs" -maxdepth 1 -name "${package}_*.deb")
    [ -f "$file" ] || fail "no package $package"
    dpkg-deb -f "$file" Depends >"$folder/depends"
    for library in libck libsodium libhwloc; do
        grep -q "$library" "$folder/depends" || fail "$package does not depend on $library: $(cat "$folder/depends")"
    done
done
"$build/batch/javm-batch" --version >"$folder/version"
"$build/batch/javm-batch" --progress none --ordered --reproducible --output "$folder/here" "$here/guest/demo/jobs.ndjson.zst" 2>/dev/null
echo "three packages, made"

skip() {
    echo "SKIPPED: test-package: $*"
    exit 0
}
[ "$(id -u)" -eq 0 ] || skip "installing on a clean system needs root"
command -v debootstrap >/dev/null || skip "installing on a clean system needs debootstrap (scripts/install-deps.sh --tools)"
if ! debootstrap --variant=minbase bookworm "$root" >"$folder/log" 2>&1; then
    tail -n 3 "$folder/log"
    skip "no clean system could be made; is a Debian mirror in reach?"
fi

mkdir "$root/debs"
for package in javm-batch libjavm0 libjavm-dev; do # javm-batch-mpi would bring all of Open MPI
    cp "$folder/debs/${package}"_*.deb "$root/debs/"
done
mount -t proc proc "$root/proc"
inside() {
    chroot "$root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive LC_ALL=C "$@"
}
[ ! -e /etc/resolv.conf ] || cp -L /etc/resolv.conf "$root/etc/resolv.conf"
inside sh -c 'apt-get update -qq && apt-get install -y -qq --no-install-recommends /debs/*.deb' >"$folder/log" 2>&1 || {
    tail -n 20 "$folder/log"
    fail "the packages do not install"
}
inside javm-batch --version | diff "$folder/version" - || fail "another version is installed"
jobs=/usr/share/javm/demo/jobs.ndjson.zst
inside javm-batch --progress none --ordered --reproducible --output /demo.ndjson --report /demo.html $jobs
cmp "$root/demo.ndjson" "$folder/here" || fail "the demo gives other results there"
inside ldconfig -p | grep -q 'libjavm\.so\.0' || fail "the loader does not know libjavm.so.0"
for program in javm-batch javm-vectors javm-link javm-cc javm-nubd javm-nub; do
    inside $program --help >/dev/null || fail "$program --help"
done
inside javm-nub --isolation process invoke /usr/share/javm/prebuilt/fib.jimg --arg 10 | grep -q '^value  *55$' ||
    fail "javm-nub runs no guest"
inside apt-get purge -y -qq javm-batch libjavm0 libjavm-dev >/dev/null 2>&1 || fail "the packages do not go away"
left=$(find "$root/usr" -name '*javm*')
[ -z "$left" ] || fail "left behind: $left"
echo "installed on a clean Debian 12, ran the demo, removed"
