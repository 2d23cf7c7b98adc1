#!/bin/sh
# Defects that this would catch: a header, library or page that is not installed, a pkg-config file that does not work where it
# was installed to, a shared library that lacks a function that users need, an example in docs/examples that does not do what it
# says.   install.sh BUILD EXAMPLES CC [FLAGS...]
set -eu
BUILD=$1
EXAMPLES=$2
shift 2
DIR=$(mktemp -d "${TMPDIR:-/tmp}/javm-install-XXXXXX")
trap 'rm -rf "$DIR"' EXIT
cmake --install "$BUILD" --prefix "$DIR/first" >/dev/null
mv "$DIR/first" "$DIR/moved"
cd "$DIR/moved"
for file in bin/javm-batch bin/javm-link bin/javm-cc bin/javm-vectors bin/javm-nub bin/javm-nubd share/man/man1/javm-batch.1 share/man/man1/javm-cc.1 \
    share/man/man1/javm-link.1 share/man/man1/javm-vectors.1 share/javm/guest/guest.ld \
    share/javm/demo/jobs.ndjson.zst \
    share/javm/guest/include/javm_guest.h share/javm/prebuilt/fib.jimg; do
    [ -s "$file" ] || { echo "not installed: $file"; exit 1; }
done
for program in bin/*; do
    name=${program##*/}
    [ "$name" != javm-batch-mpi ] || continue # javm-batch --mpi starts it
    for file in share/man/man1/$name.1 share/bash-completion/completions/$name share/zsh/vendor-completions/_$name \
        share/fish/vendor_completions.d/$name.fish; do
        [ -s "$file" ] || { echo "not installed: $file"; exit 1; }
    done
    bash -n "share/bash-completion/completions/$name"
done
for library in $(find . -name 'libjavm.so.*.*'); do
    nm -D --defined-only "$library" | awk '{ print $NF }' >exported
    grep -q '^javm_vm_invoke@@JAVM_0$' exported || { echo "$library does not export javm_vm_invoke with its version"; exit 1; }
    ! grep -vE '^((javm|JAVM)_[A-Za-z0-9_]+@@)?JAVM_0$' exported || { echo "$library exports more than its own"; exit 1; }
done
[ -s exported ] || { echo "no shared library"; exit 1; }

PKG_CONFIG_PATH=$(dirname "$(find "$PWD" -name javm.pc)")
export PKG_CONFIG_PATH
LIB=$(pkg-config --variable=libdir javm)
cat >host.expected <<'END'
4 entries are in file 1
8 entries are in file 2
10 entries are in file 3
value 295, gas 18191, 9 top-ups, 3 moves, 1809 gas and 94 pages left
END
# compile EXAMPLE CC [FLAGS...]: with the shared library and with the static one
compile() {
    source=$EXAMPLES/$1.c
    name=$1
    shift
    # shellcheck disable=SC2046 # lists of flags
    "$@" "$source" $(pkg-config --cflags --libs javm) -o "$name-shared"
    # shellcheck disable=SC2046
    "$@" "$source" $(pkg-config --cflags javm) "$LIB/libjavm.a" \
        $(pkg-config --libs --static javm | sed 's/-ljavm\>//') -o "$name-static"
}
compile embed "$@"
compile host "$@"
compile engine "$@"
compile isolated "$@"
"$BUILD/tests/module/mkgame" game.polkavm
for kind in shared static; do
    answer=$(LD_LIBRARY_PATH=$LIB "./embed-$kind" share/javm/prebuilt/fib.jimg 20)
    echo "$kind: $answer"
    case $answer in "value 6765, gas "*) ;; *) exit 1 ;; esac
    answer=$(LD_LIBRARY_PATH=$LIB "./isolated-$kind" share/javm/prebuilt/fib.jimg 20)
    echo "$kind, in a process: $answer"
    case $answer in "value 6765, gas left "*) ;; *) exit 1 ;; esac
    LD_LIBRARY_PATH=$LIB "./host-$kind" share/javm/prebuilt/kernel/journal.jimg 10 >host.got
    diff host.expected host.got
    LD_LIBRARY_PATH=$LIB "./engine-$kind" game.polkavm 10 >engine.got
    grep -q '^tick 10: 10 frames shown, checksum [0-9a-f]*, 8000 bytes of sound, gas 5138159$' engine.got
done
