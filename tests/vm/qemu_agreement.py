#!/usr/bin/env python3
"""Random programs: qemu-riscv64 against the engine, through javm-vectors.

    qemu_agreement.py [--seed N] [--rounds K | --seconds S] [--keep DIR] JAVM_VECTORS

Would catch: an operation that the engine computes otherwise than an independent RISC-V implementation does, also
where the reference model makes the same mistake. Each round puts many programs into one static ELF file, at the
addresses they have as a guest, and runs it in one qemu process; what qemu leaves in x1..x15 and in each program's two
pages of memory is what javm-vectors has to find. Half of the programs are straight lines: their gas and final pc are
known without running them. The others have loops, calls, computed jumps and branches; qemu knows nothing of gas, so
there the model says how much is used, and is compared with qemu on the way.

What only guests have is replaced for qemu, at equal length: fallthrough by a nop, ecalli 0 by a jump to the code that
saves the registers. qemu 7.2 lacks Zicond and gets ctzw of a zero word wrong, so ctzw, czero.eqz and czero.nez become
jumps to sequences of other instructions with a register that guests do not have (pvm2xval.substitute).
"""
import argparse
import collections
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "ref"))
sys.dont_write_bytecode = True
import pvm2elf  # noqa: E402
import pvm2gen as G  # noqa: E402
import pvm2ref as P  # noqa: E402
import pvm2xval as X  # noqa: E402
from pvm2ref import CODE_BASE, DATA_BASE, PAGE, encode  # noqa: E402

QEMU = "qemu-riscv64"
WINDOW = 2 * PAGE
SAVED = 256                                       # bytes of X.STATE a program: registers in, registers out
PROGRAMS = 64                                     # in one process


class Program:
    def __init__(self, rng, number):
        self.straight = number % 2 == 0
        if self.straight:
            p = G.RandomProgram(rng, spill_regs=0.5)
            p.body(20, 160)
            p.asm.raw(G.HALT, 4, "ecalli")
            self.code = p.asm.assemble()
        else:
            self.code, p = G.random_program(rng, spill_regs=0.5)
        self.window = DATA_BASE + number * WINDOW
        self.initial = rng.randbytes(WINDOW)
        self.regs = {x: G.interesting(rng) for x in range(1, 16)}
        self.regs[p.base] = self.window + PAGE + rng.choice((0, 0, 1, 3, 8, 5))
        self.entry = None                         # offset in the code of the batch


def layout(programs):
    code = b""
    for p in programs:
        p.entry = len(code)
        code += p.code
    return P.Program(code)


def for_qemu(program, programs, stats):
    """(segments, state): the patched code, the driver that enters one program after the other, data."""
    code = bytearray(program.code)
    leave = len(code) + (-len(code) % 4)
    stubs, stubs_at = b"", leave + 128
    for pc, inst in program.insts:
        stats[inst.cname or inst.op] += 1
        if inst.op == "fallthrough":
            code[pc:pc + 4] = X.word(0x13)
        elif inst.op == "ecalli":
            code[pc:pc + 4] = X.word(encode("jal", 0, imm=leave - pc))
        elif inst.op in ("ctzw", "czero.eqz", "czero.nez"):
            here = stubs_at + len(stubs)
            code[pc:pc + 4] = X.word(encode("jal", 0, imm=here - pc))
            sequence = X.substitute(inst)
            stubs += sequence + X.word(encode("jal", 0, imm=pc + 4 - here - len(sequence)))
    code += bytes(leave - len(code))
    for x in range(1, 16):
        code += X.raw_sd(31, x, 128 + 8 * (x - 1))
    code += X.raw_i(0x67, 0, 0, 29, 0)
    code += bytes(stubs_at - len(code)) + stubs
    driver, state, memory = b"", b"", b""
    for i, p in enumerate(programs):
        driver += X.li32(31, X.STATE + SAVED * i)
        for x in range(1, 16):
            driver += X.raw_i(0x03, 3, x, 31, 8 * (x - 1))
        driver += X.li32(30, CODE_BASE + p.entry) + X.raw_i(0x67, 0, 29, 30, 0)
        state += b"".join(p.regs[x].to_bytes(8, "little") for x in range(1, 16)).ljust(SAVED, b"\0")
        memory += p.initial
    for addr, size in ((X.STATE, len(state)), (DATA_BASE, len(memory))):       # write(1, addr, size)
        driver += X.raw_i(0x13, 0, 10, 0, 1) + X.li32(11, addr) + X.li32(12, size) + X.raw_i(0x13, 0, 17, 0, 64) + \
            X.word(0x73)
    driver += X.raw_i(0x13, 0, 10, 0, 0) + X.raw_i(0x13, 0, 17, 0, 93) + X.word(0x73)          # exit(0)
    return [(CODE_BASE, bytes(code), 0, 5), (X.DRIVER, driver, 0, 5), (DATA_BASE, memory, 0, 6),
            (X.STATE, state, 0, 6)]


def run_qemu(segments, work):
    """(registers x1..x15, memory window) of each program."""
    path = os.path.join(work, "batch.elf")
    with open(path, "wb") as f:
        f.write(pvm2elf.make_elf(segments, X.DRIVER))
    os.chmod(path, 0o755)
    done = subprocess.run([QEMU, "-cpu", "rv64", path], capture_output=True)
    state, memory = len(segments[3][1]), len(segments[2][1])
    if done.returncode or len(done.stdout) != state + memory:
        raise RuntimeError("%s: exit code %d, %d bytes instead of %d: %s" % (
            QEMU, done.returncode, len(done.stdout), state + memory, done.stderr[:400]))
    out = done.stdout
    return [([int.from_bytes(out[SAVED * i + 128 + 8 * k:][:8], "little") for k in range(15)],
             out[state + WINDOW * i:state + WINDOW * (i + 1)]) for i in range(state // SAVED)]


def gas_used(program, p, regs, memory):
    """(gas, instructions, does the model agree with qemu?)"""
    if p.straight:
        block = program.block(p.entry)
        return program.cost(p.entry) + P.HOST_CALL_FLOOR, len(block) + 1, True
    space = P.Memory()
    space.map(p.window, WINDOW, True, p.initial)
    machine = P.Machine(program, space, 1 << 40, p.entry)
    machine.regs = [p.regs.get(x, 0) for x in range(16)]
    result = machine.run()
    agrees = result == {"exit": "host_call", "exit_arg": 0} and machine.regs[1:] == regs and \
        b"".join(bytes(space.pages[p.window // PAGE + i]) for i in range(2)) == memory
    return (1 << 40) - machine.gas, machine.instret, agrees


def final_pc(program, p):
    """Behind the ecalli that every program ends with (functions come after it)."""
    return next(pc + 4 for pc, inst in program.insts if pc >= p.entry and inst.op == "ecalli")


def changes(p, memory):
    return [{"addr": p.window + at, "hex": memory[at:at + 64].hex()} for at in range(0, WINDOW, 64)
            if memory[at:at + 64] != p.initial[at:at + 64]]


def make_round(seed, work, stats):
    """The vectors of a round, and how many programs the model sees otherwise than qemu."""
    rng = random.Random("qemu-agreement-%d" % seed)
    programs = [Program(rng, i) for i in range(PROGRAMS)]
    program = layout(programs)
    vectors, disagree = [], 0
    for i, (p, (regs, memory)) in enumerate(zip(programs, run_qemu(for_qemu(program, programs, stats["static"]), work))):
        gas, instructions, agrees = gas_used(program, p, regs, memory)
        if not agrees:
            disagree += 1
            print("seed %d: qemu and the reference model differ in program %d" % (seed, i))
        stats["programs"] += 1
        stats["instructions"] += instructions
        spare = rng.choice((0, 1, 1000))
        vectors.append({
            "name": "qemu/%d/%d" % (seed, i), "code": program.code.hex(), "entry_pc": p.entry,
            "regs": G.regs_to_slots(p.regs), "gas": gas + spare, "footprint_pages": 0,
            "memory": [{"addr": p.window, "len": WINDOW, "writable": True, "hex": p.initial.hex()}],
            "expected": {"exit": "host_call", "exit_arg": 0, "pc": final_pc(program, p), "gas": spare,
                         "regs": [regs[x - 1] for x in P.SLOT_TO_X], "memory": changes(p, memory)}})
    return vectors, disagree


def check(args, vectors):
    """None when the engine agrees with all of them, else its output."""
    done = subprocess.run([args.vectors, "--engine", args.engine, "-"], input=json.dumps(vectors).encode(),
                          capture_output=True)
    if done.returncode == 0 and done.stdout.endswith(b"%d passed, 0 failed\n" % len(vectors)):
        return None
    return "exit code %d\n%s%s" % (done.returncode, done.stdout.decode(), done.stderr.decode())


def keep(args, seed, vectors, output):
    alone = next(([v] for v in vectors if check(args, [v]) is not None), vectors)
    os.makedirs(args.keep, exist_ok=True)
    path = os.path.join(args.keep, "qemu-%d.json" % seed)
    with open(path, "w") as f:
        json.dump(alone, f)
    print(output[:4000])
    print("seed %d: the engine and qemu differ in %s" % (seed, alone[0]["name"]))
    print("the failing case is in %s; to repeat: %s --engine %s %s" % (path, args.vectors, args.engine, path))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("vectors", metavar="JAVM_VECTORS", help="the program")
    parser.add_argument("--engine", default="interp")
    parser.add_argument("--seed", type=int, default=1, help="of the first round; each round adds one")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--seconds", type=float, help="go on until this time is up, instead of --rounds")
    parser.add_argument("--keep", default=".", help="folder for failing cases")
    args = parser.parse_args()
    if shutil.which(QEMU) is None:
        print("%s is not installed: it comes with the Debian package qemu-user (sh scripts/install-deps.sh)" % QEMU)
        return 1
    stats = {"programs": 0, "instructions": 0, "static": collections.Counter()}
    failed, seed, begin = 0, args.seed, time.monotonic()
    with tempfile.TemporaryDirectory() as work:
        while not failed and (time.monotonic() - begin < args.seconds if args.seconds is not None
                              else seed < args.seed + args.rounds):
            vectors, failed = make_round(seed, work, stats)
            output = check(args, vectors)
            if output is not None:
                keep(args, seed, vectors, output)
                failed += 1
            seed += 1
    wanted = set(P.BINARY) | set(P.UNARY) | set(P.IMMEDIATE) | set(P.BRANCH) | set(P.LOAD) | set(P.STORE) | \
        {"jal", "jalr", "lui", "auipc"}
    never = sorted(wanted - set(stats["static"]))
    print("operations never generated: %s" % (", ".join(never) or "none"))
    print("seeds %d..%d: %d programs, %d instructions, %d forms of instruction, %d mismatches" % (
        args.seed, seed - 1, stats["programs"], stats["instructions"], len(stats["static"]), failed))
    # In so many programs each operation comes up; one that does not has dropped out of the generator.
    return 1 if failed or not stats["programs"] or (never and stats["programs"] >= 1000) else 0


if __name__ == "__main__":
    sys.exit(main())
