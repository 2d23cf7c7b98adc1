#!/usr/bin/env python3
"""Random programs: the reference model (tests/ref/pvm2ref.py) against the engine, through javm-vectors.

    differential.py [--seed N] [--rounds K | --seconds S] [--modes a,b] [--keep DIR] JAVM_VECTORS

Would catch: any difference in registers, memory, pc, gas, exit or fault between the engine and the model, in code
that nobody wrote down as a vector before. Each round makes a file of cases for one seed in each mode, with what the
model says is right, and hands it to javm-vectors. A mismatch ends the run with exit code 1; the case is left in
--keep as a file that javm-vectors takes. The same seed always makes the same cases.

Modes:
  straight    long blocks of every operation on corner values, x0, x3, x4 and equal registers
  branch      loops, calls, computed jumps and branches, some to places where no block starts
  memory      loads and stores over a mosaic of unmapped, read-only and writable pages, up to 4 GiB, straddling
  compressed  random 16-bit encodings, legal ones mostly
  bytes       arbitrary bytes, and good programs with bits flipped
  oog         one program cut off by gas at every block it enters
  cow         the same with copy-on-write costs and their reserve
  mixed       pvm2gen's own mix
  static      instruction boundaries, block starts, block costs; single words and halfwords
"""
import argparse
import collections
import json
import os
import random
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "ref"))
sys.dont_write_bytecode = True
import pvm2gen as G  # noqa: E402
import pvm2ref as P  # noqa: E402
from pvm2ref import CODE_BASE, DATA_BASE, MASK64, PAGE, encode  # noqa: E402

PLENTY = 1_000_000
TIERS = (0, 2, 2048, 2049, 8192, 8193, 65536, 65537, MASK64)
HALFWORDS = [h for h in range(1 << 16) if h & 3 != 3]


class Recorder(P.Memory):
    """The model's memory, which also notes each byte that is stored: cheaper than comparing whole pages."""

    def __init__(self):
        super().__init__()
        self.stored = {}

    def store(self, addr, n, value):
        super().store(addr, n, value)
        for i in range(n):
            self.stored[(addr + i) & P.MASK32] = value >> 8 * i & 0xFF


def runs(stored):
    """The stored bytes as ascending runs."""
    out, last = [], None
    for addr in sorted(stored):
        if addr - 1 != last:
            out.append([addr, bytearray()])
        out[-1][1].append(stored[addr])
        last = addr
    return [{"addr": a, "hex": bytes(b).hex()} for a, b in out]


class Case:
    """A program and where it starts from; makes vectors of it."""

    def __init__(self, name, code, regs, memory, gas=PLENTY, entry_pc=0, pages=0, cow=0, program=None):
        self.head = {"name": name, "code": code.hex(), "entry_pc": entry_pc, "regs": G.regs_to_slots(regs),
                     "memory": memory, "gas": gas, "footprint_pages": pages}
        if cow:
            self.head["cow_cost"] = cow
        self.code, self.regs, self.pages, self.cow = code, regs, pages, cow
        self.program = program or P.Program(code, pages)

    def machine(self, gas):
        mem = Recorder()
        for m in self.head["memory"]:
            mem.map(m["addr"], m["len"], m["writable"], bytes.fromhex(m.get("hex", "")))
        machine = P.Machine(self.program, mem, gas, self.head["entry_pc"], self.cow)
        machine.regs = [self.regs.get(x, 0) for x in range(16)]
        return machine

    def vector(self, machine, result):
        expected = dict(result, pc=machine.pc, regs=[machine.regs[x] for x in P.SLOT_TO_X], gas=machine.gas,
                        memory=runs(machine.mem.stored))
        return dict(self.head, expected=expected)

    def run(self, stats, gas=None):
        machine = self.machine(self.head["gas"] if gas is None else gas)
        result = machine.run()
        stats["programs"] += 1
        stats["instructions"] += machine.instret
        stats["exit " + result["exit"]] += 1
        return machine, result

    def cuts(self, rng, stats, most=120):
        """A vector for the whole run, one with exactly the gas that it used, and for each block or ecall it enters two
        that run out of gas right there: with nothing left, and one short of what is needed (sections 9.1, 9.5). What
        must hold then is the state in which the model entered the block. One in ten is run by the model, too."""
        machine = self.machine(self.head["gas"])
        entered, run_block, ecall_block = [], machine.run_block, machine.ecall_block

        def enter(start, spent, need):
            if len(entered) < most:
                entered.append((start, spent, need, list(machine.regs), runs(machine.mem.stored)))

        def spy(start):
            cost = self.program.cost(start)
            reserve = self.program.store_count(start) * P.MAX_PAGES_PER_ACCESS * self.cow
            enter(start, self.head["gas"] - machine.gas - cost, cost + reserve)
            return run_block(start)

        def spy_ecall(start):
            enter(start, self.head["gas"] - machine.gas, P.HOST_CALL_FLOOR)   # the other floor is the same
            return ecall_block(start)

        machine.run_block, machine.ecall_block = spy, spy_ecall
        result = machine.run()
        stats["programs"] += 1
        stats["instructions"] += machine.instret
        stats["exit " + result["exit"]] += 1
        out = [self.vector(machine, result)]
        used = self.head["gas"] - machine.gas
        exact = self.vector(*self.run(stats, used))
        out.append(dict(exact, gas=used, name=self.head["name"] + "/exact"))
        for start, spent, need, regs, memory in entered:
            for left in {0, need - 1}:
                head = dict(self.head, gas=spent + left, name="%s/at%d+%d" % (self.head["name"], spent, left))
                expected = {"exit": "out_of_gas", "exit_arg": 0, "pc": start,
                            "regs": [regs[x] for x in P.SLOT_TO_X], "gas": left, "memory": memory}
                if self.cow and not self.gates_open(spent + left, spent, entered):
                    continue
                if rng.random() < 0.1:
                    again = self.machine(spent + left)
                    ended = again.run()
                    if self.vector(again, ended)["expected"] != expected:
                        raise AssertionError("the model contradicts itself: " + json.dumps(head))
                stats["programs"] += 1
                stats["exit out_of_gas"] += 1
                out.append(dict(head, expected=expected))
        return out

    @staticmethod
    def gates_open(gas, spent, entered):
        """With a reserve, less gas can close an earlier gate than the last that it pays for."""
        return all(gas - s >= need for _, s, need, _, _ in entered if s < spent)


def data(rng, size):
    return bytes(rng.getrandbits(8) for _ in range(size))


def registers(rng, **fixed):
    regs = {x: G.interesting(rng) for x in range(1, 16)}
    regs.update({int(k[1:]): v for k, v in fixed.items()})
    return regs


# ---- modes: each yields vectors ------------------------------------------------------------------

def straight(rng, stats, name):
    ops = G.R_OPS + G.R1_OPS + G.I_OPS + ["lui", "auipc"]
    pool = rng.choice((G.HOT, G.HOT, G.HOT + [3, 4], [5, 6, 7], [0, 3, 5, 8]))
    words = []
    for _ in range(rng.randrange(20, 160)):
        op = rng.choice(ops)
        fmt = P.ISA[op][0]
        imm = P.sext(rng.getrandbits(20) << 12, 32) if fmt == "U" else rng.randrange(64) if fmt[:2] == "SH" \
            else G.imm12(rng)
        words.append(encode(op, rng.choice(pool), rng.choice(pool), rng.choice(pool), imm))
        if rng.random() < 0.08:                   # a fresh corner value, or all results drift towards zero
            words.append(encode("addi", rng.choice(pool), 0, 0, rng.choice((-1, 1, -2048, 2047, 0))))
            words.append(encode("slli", words[-1] >> 7 & 31, words[-1] >> 7 & 31, 0, rng.randrange(64)))
        if rng.random() < 0.01:
            words.append(G.FALLTHROUGH)
    words.append(G.HALT)
    code = b"".join(w.to_bytes(4, "little") for w in words)
    case = Case(name, code, registers(rng), [], pages=rng.choice(TIERS))
    yield case.vector(*case.run(stats))


def branch(rng, stats, name):
    while True:
        try:
            program = G.RandomProgram(rng, mem_ops=False, blocks=rng.randrange(3, 14), spill_regs=0.3)
            code = bytearray(program.build(rng.choice((G.HALT, G.HALT, G.TRAP, None))))
            break
        except ValueError:
            continue
    if rng.random() < 0.3:                        # send some jumps elsewhere
        jumps = [(pc, i) for pc, i in P.Program(bytes(code)).insts if i.size == 4 and (i.op in P.BRANCH or i.op == "jal")]
        for pc, inst in rng.sample(jumps, min(2, len(jumps))):
            imm = max(-4096, min(4094, inst.imm + rng.choice((-4, -2, 2, 4, 4000, -4000))))
            code[pc:pc + 4] = encode(inst.op, inst.rd, inst.rs1, inst.rs2, imm).to_bytes(4, "little")
    code = bytes(code)
    case = Case(name, code, registers(rng), [], gas=rng.choice((4000, 20000)), pages=rng.choice(TIERS))
    if rng.random() < 0.1:
        case.head["entry_pc"] = rng.choice(sorted(case.program.starts) + [2, len(code), len(code) + 2, MASK64])
    yield case.vector(*case.run(stats))


def mosaic(rng):
    """Five adjacent pages, of every kind or all but one writable, and an address near one of their edges: at one where
    the permissions change, often."""
    holes = rng.choice((0, 0.6))
    first = rng.choice((DATA_BASE, 0x1234_5000, 0x7FFF_E000, 0x8000_0000, 0xFFFF_B000, 0xFFFF_B000))
    memory, kinds = [], []
    for i in range(5):
        kind = rng.random() if rng.random() < holes or i == 4 else 0
        if kind < 0.4:
            memory.append(G.rw(first + i * PAGE, PAGE, data(rng, rng.choice((0, 16, 300)))))
        elif kind < 0.7:
            memory.append(G.rw(first + i * PAGE, PAGE, data(rng, rng.choice((16, 300))), False))
        kinds.append("w" if kind < 0.4 else "r" if kind < 0.7 else "-")
    edge = first + PAGE * (rng.randrange(0, 6) if rng.random() < 0.4 else rng.randrange(1, 4)) + rng.choice((0, 0, -1, -4, -7, -8, 8, 100, 2048))
    borders = [i for i in range(1, 5) if kinds[i] != kinds[i - 1]]
    if borders and rng.random() < 0.4:
        edge = first + PAGE * rng.choice(borders)
    high = rng.choice((0, 0, 0, 1 << 32, 0xDEAD << 32, 0xFFFFFFFF << 32))
    return memory, (edge & P.MASK32) | high


def memory_mode(rng, stats, name, **kw):
    tiles, base = mosaic(rng)
    regs = registers(rng)
    style = rng.random()
    if style < 0.5:                               # accesses around an edge in a straight line, small offsets
        words, base_reg, other = [], rng.choice((2, 8, 10, 15, 3)), rng.choice((9, 11, 1))
        regs[base_reg] = base
        regs[other] = rng.choice((CODE_BASE, CODE_BASE + PAGE, 0, DATA_BASE - 8, 0xFFFFFFF8, base ^ 1 << 40))
        for _ in range(rng.randrange(3, 40)):
            op = rng.choice(list(P.LOAD) + list(P.STORE) * 2)
            at = base_reg if rng.random() < 0.96 else other
            imm = rng.choice((rng.randrange(-9, 2), rng.randrange(-64, 64), rng.randrange(-2048, 2048)))
            rd = rng.choice([x for x in range(16) if x != base_reg and x != other])
            words.append(encode(op, rd, at, rng.randrange(0, 16), imm))
            if rng.random() < 0.1:
                words.append(encode("addi", base_reg, base_reg, 0, rng.choice((8, -8, 1, 2047))))
        code = b"".join(w.to_bytes(4, "little") for w in words + [G.HALT])
    else:
        code, program = G.random_program(rng, spill_regs=0.2, blocks=rng.randrange(2, 7))
        regs[program.base] = base
    case = Case(name, code, regs, tiles, gas=20000, pages=rng.choice(TIERS), **kw)
    yield case.vector(*case.run(stats))


def compressed(rng, stats, name):
    code = b""
    for _ in range(rng.randrange(5, 80)):
        half = rng.choice(HALFWORDS)
        inst = P.decode16(half)
        if inst.op == "reserved" and rng.random() < 0.97:
            continue
        if inst.op in ("jal", "beq", "bne", "jalr") and rng.random() < 0.8:
            continue
        if (inst.op in P.LOAD or inst.op in P.STORE) and rng.random() < 0.95:  # bring its base back
            code += encode("lui", inst.rs1, 0, 0, DATA_BASE).to_bytes(4, "little")
        code += half.to_bytes(2, "little")
    code += G.HALT.to_bytes(4, "little")
    regs = registers(rng, x2=DATA_BASE, x8=DATA_BASE + 8, x9=DATA_BASE + PAGE - 60, x10=CODE_BASE)
    case = Case(name, code, regs, [G.rw(DATA_BASE, 2 * PAGE, data(rng, 200))], gas=4000, pages=rng.choice(TIERS))
    yield case.vector(*case.run(stats))


def any_bytes(rng, stats, name):
    if rng.random() < 0.4:
        code = data(rng, rng.randrange(0, 120))
    else:
        code, _ = G.random_program(rng, spill_regs=0.3, blocks=rng.randrange(1, 5))
        code = bytearray(code)
        for _ in range(rng.choice((1, 1, 2, 5))):
            code[rng.randrange(len(code))] ^= 1 << rng.randrange(8)
        if rng.random() < 0.2:
            del code[rng.randrange(len(code)):]
        if rng.random() < 0.1:
            code.insert(rng.randrange(len(code) + 1), rng.getrandbits(8))
        code = bytes(code)
    program = P.Program(code, rng.choice(TIERS))
    regs = {x: rng.choice((G.interesting(rng), DATA_BASE + rng.randrange(PAGE), CODE_BASE + rng.choice(
        sorted(program.starts) or [0]))) for x in range(1, 16)}
    memory = [G.rw(DATA_BASE, PAGE, data(rng, 64)), G.rw(DATA_BASE + PAGE, PAGE, data(rng, 64), False)]
    entry = rng.choice(sorted(program.starts) + [0]) if rng.random() < 0.5 else 0
    case = Case(name, code, regs, memory, rng.choice((300, 3000)), entry, 0)
    yield case.vector(*case.run(stats))


def out_of_gas(rng, stats, name, cow=0):
    code, program = G.random_program(rng, blocks=rng.randrange(2, 6), spill_regs=0.2)
    regs = registers(rng)
    regs[program.base] = DATA_BASE + PAGE + rng.choice((0, 0, -4, 2040))
    memory = [G.rw(DATA_BASE, 2 * PAGE, data(rng, 64)), G.rw(DATA_BASE + 2 * PAGE, PAGE, b"", rng.random() < 0.7)]
    case = Case(name, code, regs, memory, gas=30000 * max(cow, 1), pages=rng.choice(TIERS), cow=cow)
    yield from case.cuts(rng, stats)


def cow(rng, stats, name):
    cost = rng.choice((1, 7, 64, 256, 1000))
    if rng.random() < 0.5:
        yield from memory_mode(rng, stats, name, cow=cost)
    else:
        yield from out_of_gas(rng, stats, name, cost)


def mixed(rng, stats, name):
    vector = G.random_vector(rng, name)
    stats["programs"] += 1
    stats["exit " + vector["expected"]["exit"]] += 1
    yield vector


def static(rng, stats, name):
    if rng.random() < 0.5:
        code = data(rng, rng.randrange(0, 400))
    else:
        code, _ = G.random_program(rng, spill_regs=0.4)
    pages = rng.choice(TIERS)
    program = P.Program(code, pages)
    starts = sorted(program.starts)
    stats["programs"] += 1
    yield {"name": name, "code": code.hex(), "footprint_pages": pages, "instructions": [pc for pc, _ in program.insts],
           "end": program.end, "starts": starts, "costs": [program.cost(s) for s in starts],
           "stores": [program.store_count(s) for s in starts]}
    for _ in range(40):
        word = rng.getrandbits(32) | 3
        if rng.random() < 0.7:
            fmt, match = rng.choice(list(P.ISA.values()))
            word = (match | (rng.getrandbits(32) & ~P.FORMAT_MASK[fmt])) ^ rng.choice((0, 0, 1 << rng.randrange(2, 32)))
        inst = P.decode32(word)
        stats["words"] += 1
        yield ["%08x" % word, inst.op, inst.rd, inst.rs1, inst.rs2, inst.imm]


# mode -> (function, cases in a round)
MODES = {"straight": (straight, 20), "branch": (branch, 40), "memory": (memory_mode, 40),
         "compressed": (compressed, 40), "bytes": (any_bytes, 40), "oog": (out_of_gas, 5), "cow": (cow, 8),
         "mixed": (mixed, 4), "static": (static, 20)}


# ---- running -------------------------------------------------------------------------------------

def label(vector):
    return vector["name"] if isinstance(vector, dict) else vector[0]


def check(args, vectors):
    """None when the engine agrees with all of them, else its output."""
    text = "[" + ",\n".join(json.dumps(v, separators=(",", ":")) for v in vectors) + "]\n"
    done = subprocess.run([args.vectors, "--engine", args.engine, "-"], input=text.encode(), capture_output=True)
    if done.returncode == 0 and done.stdout.endswith(b"%d passed, 0 failed\n" % len(vectors)):
        return None
    return "exit code %d\n%s%s" % (done.returncode, done.stdout.decode(), done.stderr.decode())


def keep(args, mode, seed, vectors, output):
    """Leave the first case that fails alone; when none does, all of them, in the order in which they failed."""
    alone = next(([v] for v in vectors if check(args, [v]) is not None), vectors)
    os.makedirs(args.keep, exist_ok=True)
    path = os.path.join(args.keep, "differential-%s-%d.json" % (mode, seed))
    with open(path, "w") as f:
        json.dump(alone, f)
    print(output[:4000])
    print("%s, seed %d: the engine and the model differ in %s" % (mode, seed, label(alone[0])))
    print("the failing case is in %s; to repeat: %s --engine %s %s" % (path, args.vectors, args.engine, path))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("vectors", metavar="JAVM_VECTORS", help="the program")
    parser.add_argument("--engine", default="interp")
    parser.add_argument("--seed", type=int, default=1, help="of the first round; each round adds one")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--seconds", type=float, help="go on until this time is up, instead of --rounds")
    parser.add_argument("--modes", default=",".join(MODES), help="comma-separated")
    parser.add_argument("--keep", default=".", help="folder for failing cases")
    args = parser.parse_args()
    modes = args.modes.split(",")
    for mode in modes:
        if mode not in MODES:
            parser.error("there is no mode %r; known: %s" % (mode, ", ".join(MODES)))
    stats, checked, failed, begin = collections.Counter(), collections.Counter(), 0, time.monotonic()
    seed = args.seed
    while not failed and (time.monotonic() - begin < args.seconds if args.seconds is not None
                          else seed < args.seed + args.rounds):
        for mode in modes:
            rng = random.Random("%s-%d" % (mode, seed))
            function, count = MODES[mode]
            vectors = [v for i in range(count) for v in function(rng, stats, "%s/%d/%d" % (mode, seed, i))]
            output = check(args, vectors)
            if output is not None:
                keep(args, mode, seed, vectors, output)
                failed += 1
                break
            checked[mode] += len(vectors)
        seed += 1
    print("cases: " + ", ".join("%s %d" % item for item in checked.items()))
    print("exits: " + ", ".join("%s %d" % (k[5:], v) for k, v in sorted(stats.items()) if k.startswith("exit ")))
    print("seeds %d..%d: %d cases (%d runs, %d single words), %d instructions run by the model, %d mismatches" %
          (args.seed, seed - 1, sum(checked.values()), stats["programs"], stats["words"], stats["instructions"], failed))
    return 1 if failed or not checked else 0


if __name__ == "__main__":
    sys.exit(main())
