#!/bin/sh
# Defects that this would catch: a header, library or page that is not installed, a pkg-config file that does not work where it
# was installed to, a shared library that lacks a function that users need.   install.sh BUILD EMBED.C CC [FLAGS...]
set -eu
BUILD=$1
SOURCE=$2
shift 2
DIR=$(mktemp -d "${TMPDIR:-/tmp}/javm-install-XXXXXX")
trap 'rm -rf "$DIR"' EXIT
cmake --install "$BUILD" --prefix "$DIR/first" >/dev/null
mv "$DIR/first" "$DIR/moved"
cd "$DIR/moved"
for file in bin/javm-batch bin/javm-link bin/javm-cc bin/javm-vectors share/man/man1/javm-batch.1 share/man/man1/javm-cc.1 \
    share/man/man1/javm-link.1 share/man/man1/javm-vectors.1 share/bash-completion/completions/javm-batch \
    share/zsh/site-functions/_javm-batch share/fish/vendor_completions.d/javm-batch.fish share/javm/guest/guest.ld \
    share/javm/guest/include/javm_guest.h share/javm/prebuilt/fib.jimg; do
    [ -s "$file" ] || { echo "not installed: $file"; exit 1; }
done

PKG_CONFIG_PATH=$(dirname "$(find "$PWD" -name javm.pc)")
export PKG_CONFIG_PATH
LIB=$(pkg-config --variable=libdir javm)
# shellcheck disable=SC2046 # lists of flags
"$@" "$SOURCE" $(pkg-config --cflags --libs javm) -o shared
# shellcheck disable=SC2046
"$@" "$SOURCE" $(pkg-config --cflags javm) "$LIB/libjavm.a" $(pkg-config --libs --static javm | sed 's/-ljavm\>//') -o static
for program in shared static; do
    answer=$(LD_LIBRARY_PATH=$LIB "./$program" share/javm/prebuilt/fib.jimg 20)
    echo "$program: $answer"
    case $answer in "value 6765, gas "*) ;; *) exit 1 ;; esac
done
