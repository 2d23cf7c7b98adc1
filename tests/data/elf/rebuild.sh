#!/bin/sh
# Makes the .elf files of this folder again. Needs clang and ld.lld of version 19 or later; the tests do not, because
# what this makes is kept here.
set -eu
cd "$(dirname "$0")"
clang=${CLANG:-clang-19}
lld=${LLD:-ld.lld-19}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

base="--target=riscv64-unknown-elf -march=rv64emc_zba_zbb_zbs_zicond_zicclsm -mabi=lp64e -mno-strict-align
      -ffreestanding -fno-exceptions -fno-asynchronous-unwind-tables -fno-stack-protector
      -ffunction-sections -fdata-sections -std=gnu17 -Wall -I include"

# link OUTPUT [lld options] -- [clang options] -- sources
link() {
    out=$1
    shift
    ldopts= ccopts= objects= n=0
    while [ "$1" != -- ]; do ldopts="$ldopts $1"; shift; done
    shift
    while [ "$1" != -- ]; do ccopts="$ccopts $1"; shift; done
    shift
    for source in "$@"; do
        n=$((n + 1))
        $clang $base -fno-pic -mcmodel=medany -mrelax $ccopts -c "$source" -o "$work/$n.o"
        objects="$objects $work/$n.o"
    done
    # -n: no gaps in the file between segments, which would be most of it
    $lld -n -T test.ld --emit-relocs --gc-sections $ldopts $objects -o "$out"
}

samples="samples_start.S samples.c library.c"
for level in 0 1 2 3 s z; do
    link "samples_O$level.elf" -- -O$level -- $samples
done
link samples_norelaxlink.elf --no-relax -- -O2 -- $samples
link samples_medlow.elf -- -O2 -mcmodel=medlow -- $samples
link samples_pic.elf -- -O2 -fpic -fvisibility=hidden -- $samples
link shared_low.elf -- -O2 -- shared_low.S
link layout.elf -- -O2 -- layout.c
link refuse_tls.elf -- -O2 -- refuse_tls.c
link refuse_gp.elf -- -O2 -- refuse_gp.S
link refuse_float.elf -- -O2 -- refuse_float.S
link refuse_norelax.elf -- -O2 -mno-relax -- $samples
