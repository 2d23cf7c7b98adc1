#!/bin/sh
# Installs what building, testing and rebuilding the guests needs and what is missing, from Debian 12.
#   install-deps.sh           what `make demo` and `make test` need
#   install-deps.sh --tools   besides, clang with its checkers and fuzzing runtime, valgrind, gdb, a browser, debootstrap, Open MPI
#   install-deps.sh --deb     besides, what `make deb` needs
#   install-deps.sh --guests  besides, the cross tools that rebuild guest/prebuilt
#   install-deps.sh --check   installs nothing; fails and names what is missing
set -eu

build="gcc g++ make cmake ninja-build pkg-config git ca-certificates
libck-dev libjemalloc-dev libhwloc-dev libbenchmark-dev libcriterion-dev libsodium-dev libsimdjson-dev
zlib1g-dev libzstd-dev libelf-dev libcapstone-dev zstd python3 qemu-user spin"
tools="clang clang-format clang-tidy libclang-rt-14-dev valgrind gdb
chromium fonts-dejavu-core dpkg-dev file debootstrap libopenmpi-dev openmpi-bin procps parallel
slurm-wlm munge"
deb="dpkg-dev file"
guests="clang-19 lld-19 llvm-19"

packages="$build"
mode=install
for argument in "$@"; do
    case "$argument" in
    --tools) packages="$packages $tools" ;;
    --deb) packages="$packages $deb" ;;
    --guests) packages="$packages $guests" ;;
    --check) mode=check ;;
    *)
        echo "install-deps.sh: unknown argument '$argument'" >&2
        exit 2
        ;;
    esac
done

missing=""
for package in $packages; do
    status=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
    [ "$status" = installed ] || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

if [ "$mode" = check ]; then
    echo "install-deps.sh: not installed:$missing" >&2
    exit 1
fi
echo "installing:$missing" >&2
if [ "$(id -u)" = 0 ]; then
    root=""
elif command -v sudo >/dev/null; then
    root=sudo
else
    echo "install-deps.sh: neither root nor sudo; please install:$missing" >&2
    exit 1
fi
export DEBIAN_FRONTEND=noninteractive
$root apt-get update -qq
# shellcheck disable=SC2086 # a list of packages
$root apt-get install -y -qq --no-install-recommends $missing >/dev/null
