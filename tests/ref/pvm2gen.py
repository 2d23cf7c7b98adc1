#!/usr/bin/env python3
"""Test-vector generator for PVM2.

    pvm2gen.py suite  --seed N --out DIR     write every suite (one JSON file each)
    pvm2gen.py random --seed N --count K     print K random multi-block program vectors

The expected results are computed with pvm2ref.py.  The same seed always gives
the same output.  See docs/vectors.md for the JSON format.
"""
import argparse
import json
import os
import random

import pvm2ref as P
from pvm2ref import CODE_BASE, DATA_BASE, MASK64, PAGE, encode

HOT = [1, 2, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]
FALLTHROUGH, TRAP, ECALLJAR, HALT = 0x400B, 0x000B, 0x100B, 0x200B
CORNERS = [0, 1, 2, 3, 31, 32, 33, 63, 64, 65, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF,
           0x7FFFFFFF, 0x80000000, 0x80000001, 0xFFFFFFFF, 0x100000000, 0x100000001,
           0x7FFFFFFFFFFFFFFF, 0x8000000000000000, 0x8000000000000001,
           0xFFFFFFFF00000000, 0xFFFFFFFF7FFFFFFF, 0xFFFFFFFF80000000,
           MASK64 - 1, MASK64, 0x0123456789ABCDEF, 0xFEDCBA9876543210,
           0x5555555555555555, 0xAAAAAAAAAAAAAAAA, 0x00FF00FF00FF00FF, 0x8000000080000000]

# (op, rd, rs1, rs2, imm) -> halfwords with that expansion
COMPRESSED = {}
for _h in range(1 << 16):
    if _h & 3 != 3:
        _i = P.decode16(_h)
        if _i.op != "reserved":
            COMPRESSED.setdefault((_i.op, _i.rd, _i.rs1, _i.rs2, _i.imm), []).append(_h)

R_OPS = [n for n, (f, _) in P.ISA.items() if f == "R"]
R1_OPS = [n for n, (f, _) in P.ISA.items() if f == "R1"]
I_OPS = [n for n, (f, _) in P.ISA.items() if f in ("I", "SH6", "SH5") and n != "jalr"]


def interesting(rng):
    k = rng.random()
    if k < 0.45:
        return rng.choice(CORNERS)
    if k < 0.55:
        return (rng.choice(CORNERS) + rng.randrange(-3, 4)) & MASK64
    if k < 0.7:
        return rng.getrandbits(32)
    if k < 0.8:
        return P.u64(P.s32(rng.getrandbits(32)))
    return rng.getrandbits(64)


def imm12(rng):
    k = rng.random()
    if k < 0.4:
        return rng.randrange(-32, 32)
    if k < 0.6:
        return rng.choice((-2048, -2047, -1, 0, 1, 2047, 1024, -1024))
    return rng.randrange(-2048, 2048)


class Asm:
    """Two-pass assembler: instructions, labels and automatic fallthrough markers."""

    def __init__(self):
        self.items = []          # (kind, payload, size)
        self.labels = {}
        self.last_op = "fallthrough"     # offset 0 is a block start by definition

    def raw(self, value, size, op="raw"):
        self.items.append(("raw", value, size))
        self.last_op = op

    def ins(self, op, rd=0, rs1=0, rs2=0, imm=0, compress=False):
        key = (op, rd, rs1, rs2, imm)
        if compress and key in COMPRESSED:
            forms = COMPRESSED[key]
            pick = compress.choice(forms) if hasattr(compress, "choice") else forms[0]
            self.raw(pick, 2, op)
        else:
            self.raw(encode(op, rd, rs1, rs2, imm), 4, op)

    def jump(self, op, label, rd=0, rs1=0, rs2=0, compress=False):
        """jal / branch to a label; compress asks for the 16-bit form."""
        self.items.append(("jump", (op, rd, rs1, rs2, label), 2 if compress else 4))
        self.last_op = op

    def la_code(self, rd, label):
        """auipc rd, 0; addi rd, rd, label - here (label within 2 KiB)."""
        self.items.append(("la", (rd, label), 8))
        self.last_op = "addi"

    def mark(self, label):
        self.labels[label] = len(self.items)

    def block_label(self, label):
        """A label that must be a block start."""
        if self.last_op not in P.TERMINATORS:
            self.raw(FALLTHROUGH, 4, "fallthrough")
        self.mark(label)

    def assemble(self):
        pos, offs = 0, []
        for _, _, size in self.items:
            offs.append(pos)
            pos += size
        offs.append(pos)
        self.addr = {name: offs[i] for name, i in self.labels.items()}
        out = b""
        for (kind, payload, size), here in zip(self.items, offs):
            if kind == "raw":
                out += payload.to_bytes(size, "little")
            elif kind == "la":
                rd, label = payload
                delta = self.addr[label] - here
                if not -2048 <= delta < 2048:
                    raise ValueError("la range")
                out += encode("auipc", rd).to_bytes(4, "little")
                out += encode("addi", rd, rd, 0, delta).to_bytes(4, "little")
            else:
                op, rd, rs1, rs2, label = payload
                delta = self.addr[label] - here
                if size == 2:
                    forms = COMPRESSED.get((op, rd, rs1, rs2, delta))
                    if not forms:
                        raise ValueError("compressed range")
                    out += forms[0].to_bytes(2, "little")
                else:
                    out += encode(op, rd, rs1, rs2, delta).to_bytes(4, "little")
        return out


class RandomProgram:
    """A terminating multi-block program with loops, calls, loads and stores."""

    def __init__(self, rng, zicond=True, base_addr=DATA_BASE + 0x800, blocks=None, mem_ops=True,
                 spill_regs=0.1, custom=True):
        self.rng, self.zicond, self.mem_ops, self.custom = rng, zicond, mem_ops, custom
        self.regs_pool = list(HOT)
        if rng.random() < spill_regs:
            self.regs_pool += [3, 4]
        self.base = rng.choice([2, 8, 9, 10, 15] + self.regs_pool)
        self.base_addr = base_addr
        self.locked = {self.base}
        self.asm = Asm()
        self.label_no = 0
        self.funcs = []
        self.nblocks = blocks or rng.randrange(2, 9)

    def label(self):
        self.label_no += 1
        return "L%d" % self.label_no

    def dst(self):
        if self.rng.random() < 0.03:
            return 0
        return self.rng.choice([r for r in self.regs_pool if r not in self.locked])

    def src(self):
        return 0 if self.rng.random() < 0.06 else self.rng.choice(self.regs_pool)

    def body_ins(self):
        rng, a = self.rng, self.asm
        comp = rng if rng.random() < 0.6 else False
        k = rng.random()
        if k < 0.30:
            op = rng.choice(R_OPS)
            if not self.zicond and op.startswith("czero"):
                op = "add"
            rd, r1, r2 = self.dst(), self.src(), self.src()
            if comp and rng.random() < 0.7:
                op = rng.choice(("add", "sub", "xor", "or", "and", "addw", "subw"))
                r1 = rd if rng.random() < 0.8 else 0
            elif rng.random() < 0.3:
                r1 = rd
            a.ins(op, rd, r1, r2, 0, comp)
        elif k < 0.58:
            op, rd = rng.choice(I_OPS), self.dst()
            r1, imm = self.src(), imm12(rng)
            if comp:
                op = rng.choice(("addi", "addiw", "addi", "slli", "srli", "srai", "andi"))
                r1, imm = rd, rng.randrange(-32, 32)
                if op == "addi" and rng.random() < 0.4:
                    r1, imm = (0, imm) if rng.random() < 0.6 else (2, 4 * rng.randrange(1, 256))
            elif rng.random() < 0.4:
                r1 = rd
            if P.ISA[op][0] == "SH6":
                imm &= 63
            elif P.ISA[op][0] == "SH5":
                imm &= 31
            a.ins(op, rd, r1, 0, imm, comp)
        elif k < 0.66:
            a.ins(rng.choice(R1_OPS), self.dst(), self.src())
        elif k < 0.71:
            rd = self.dst()
            imm = P.sext(rng.choice((rng.randrange(-32, 32), rng.getrandbits(20))) << 12, 32)
            a.ins(rng.choice(("lui", "lui", "auipc")), rd, 0, 0, imm, comp)
        elif k < 0.72:
            a.raw(rng.choice((0x0FF0000F, 0x0000100F, 0x8330000F, 0x0100000F)), 4, "fence")
        elif self.mem_ops:
            load = rng.random() < 0.5
            op = rng.choice(list(P.LOAD) if load else list(P.STORE))
            if comp:
                op = rng.choice(("lw", "ld") if load else ("sw", "sd"))
                off = rng.randrange(0, 32) * (8 if op in ("ld", "sd") else 4)
            else:
                off = rng.choice((rng.randrange(-2048, 2048), 8 * rng.randrange(-32, 32)))
            if load:
                a.ins(op, self.dst(), self.base, 0, off, comp)
            else:
                a.ins(op, 0, self.base, self.src(), off, comp)
        else:
            a.ins("addi", self.dst(), self.src(), 0, imm12(rng))

    def body(self, lo=0, hi=10):
        for _ in range(self.rng.randrange(lo, hi)):
            self.body_ins()

    def cond_jump(self, label, forward):
        rng = self.rng
        if rng.random() < 0.3:
            r = rng.choice([x for x in self.regs_pool if 8 <= x <= 15])
            self.asm.jump(rng.choice(("beq", "bne")), label, 0, r, 0, compress=not forward)
        else:
            self.asm.jump(rng.choice(list(P.BRANCH)), label, 0, self.src(), self.src())

    def segment(self, depth=0):
        rng, a = self.rng, self.asm
        kind = rng.random()
        self.body()
        if kind < 0.25:                                   # forward skip
            lab = self.label()
            self.cond_jump(lab, True)
            self.body(1, 6)
            if rng.random() < 0.5:
                lab2 = self.label()
                a.jump("jal", lab2, rng.choice((0, 0, self.dst())), compress=False)
                a.block_label(lab)
                self.body(0, 5)
                a.block_label(lab2)
            else:
                a.block_label(lab)
        elif kind < 0.50 and depth < 2:                   # counted loop
            free = [r for r in self.regs_pool if r not in self.locked]
            if len(free) > 5:
                cnt = rng.choice(free)
                self.locked.add(cnt)
                a.ins("addi", cnt, 0, 0, rng.randrange(1, 7), rng)
                lab = self.label()
                a.block_label(lab)
                self.body(1, 9)
                if rng.random() < 0.3:
                    self.segment(depth + 1)
                a.ins("addi", cnt, cnt, 0, -1, rng)
                a.jump("bne", lab, 0, cnt, 0)
                self.locked.discard(cnt)
        elif kind < 0.65 and depth == 0:                  # call and return
            free = [r for r in self.regs_pool if r not in self.locked]
            if len(free) > 6:
                link = rng.choice(free)
                self.locked.add(link)
                f = self.label()
                self.funcs.append((f, link))
                if rng.random() < 0.6:
                    a.jump("jal", f, link)
                else:
                    tmp = rng.choice([r for r in free if r != link])
                    a.la_code(tmp, f)
                    a.ins("jalr", link, tmp, 0, 0, rng)
                self.locked.discard(link)
        elif kind < 0.75:                                 # computed jump forward
            lab = self.label()
            tmp = self.dst() or 1
            if tmp not in self.locked:
                a.la_code(tmp, lab)
                delta = rng.choice((0, 0, 4, -8, 100))
                if delta:
                    a.ins("addi", tmp, tmp, 0, -delta)
                a.ins("jalr", rng.choice((0, self.dst())), tmp, 0, delta, rng)
                for _ in range(rng.randrange(0, 3)):
                    a.raw(rng.choice((0x00000000, 0xFFFFFFFF, 0x00000073)), 4, "reserved")
                a.block_label(lab)
        elif kind < 0.85:
            a.raw(FALLTHROUGH, 4, "fallthrough")

    def build(self, ending=HALT):
        rng, a = self.rng, self.asm
        for _ in range(self.nblocks):
            self.segment()
        self.body(0, 4)
        if ending is not None:
            a.raw(ending, 4, "ecalli")
        # filler after the end may hold garbage; labels get their own marker if needed
        funcs, i = self.funcs, 0
        while i < len(funcs):
            f, link = funcs[i]
            i += 1
            a.block_label(f)
            self.locked.add(link)
            self.body(1, 8)
            if rng.random() < 0.3:
                lab = self.label()
                self.cond_jump(lab, True)
                self.body(1, 3)
                a.block_label(lab)
            a.ins("jalr", 0, link, 0, 0, rng)
            self.locked.discard(link)
        return a.assemble()


def random_program(rng, **kw):
    """(code, RandomProgram) retrying the rare out-of-range layouts."""
    ending = kw.pop("ending", HALT)
    while True:
        try:
            p = RandomProgram(rng, **kw)
            return p.build(ending), p
        except ValueError:
            continue


# --------------------------------------------------------------------------
# Vector helpers
# --------------------------------------------------------------------------
def regs_to_slots(regs):
    return [regs.get(x, 0) for x in P.SLOT_TO_X]


def vector(name, code, regs=None, memory=None, gas=1_000_000, entry_pc=0, pages=0, cow=0):
    """Build a vector and compute its expectation.  regs maps x-number -> value."""
    if isinstance(code, (list, tuple)):
        code = b"".join(w.to_bytes(4, "little") for w in code)
    v = {"name": name, "code": code.hex(), "entry_pc": entry_pc,
         "regs": regs if isinstance(regs, list) else regs_to_slots(regs or {}),
         "memory": memory or [], "gas": gas, "footprint_pages": pages}
    if cow:
        v["cow_cost"] = cow
    v["expected"] = P.run_vector(v)
    return v


def rw(addr, length=PAGE, data=b"", writable=True):
    return {"addr": addr, "len": length, "writable": writable, "hex": bytes(data).hex()}


def random_vector(rng, name):
    kw = dict(ending=rng.choice([HALT] * 12 + [TRAP, ECALLJAR, encode("ecalli", imm=imm12(rng)),
                                             0x00000073, None, 0x0000300B]),
              spill_regs=0.15)
    base_page = rng.choice((DATA_BASE, DATA_BASE, 0x1234_5000, 0x7FFF_F000, 0x8000_0000 - PAGE,
                            0xFFFF_D000))
    code, p = random_program(rng, base_addr=base_page + PAGE, **kw)
    regs = {x: interesting(rng) for x in range(1, 16)}
    hi = rng.choice((0, 0, 0, 1 << 32, 0xDEAD << 32, MASK64 ^ P.MASK32))
    regs[p.base] = (base_page + PAGE + rng.choice((0, 0, 1, 3, 8))) | hi
    size = rng.choice((64, 200, PAGE))
    mem = [rw(base_page, 2 * PAGE, bytes(rng.getrandbits(8) for _ in range(size)))]
    if rng.random() < 0.15:                               # make some accesses fault
        mem = [rw(base_page, PAGE, mem[0]["hex"] and bytes.fromhex(mem[0]["hex"])),
               rw(base_page + PAGE, PAGE, b"", rng.random() < 0.3)]
    pages = rng.choice((0, 2, 2048, 2049, 8192, 8193, 65536, 65537))
    v = vector(name, code, regs, mem, 1_000_000, 0, pages)
    used = 1_000_000 - v["expected"]["gas"]
    if rng.random() < 0.15 and used > 1:                  # stop part-way for lack of gas
        v = vector(name, code, regs, mem, rng.randrange(0, used + 1), 0, pages)
    return v


# --------------------------------------------------------------------------
# Suites
# --------------------------------------------------------------------------
def suite_alu(rng):
    out = []
    for op in R_OPS + R1_OPS + I_OPS + ["lui", "auipc"]:
        fmt = P.ISA[op][0]
        for k in range(14):
            pool = [5, 6, 7, 8, 9, 10, 15, 1, 2]
            if k == 12:
                pool = [3, 4]
            rd, r1, r2 = (rng.choice(pool) for _ in range(3))
            if k == 0:
                rd = r1
            elif k == 1:
                rd = r2
            elif k == 2:
                r2 = r1
            elif k == 3:
                rd = 0
            elif k == 4:
                r1 = 0
            elif k == 5:
                r2 = 0
            a, b = rng.choice(CORNERS), rng.choice(CORNERS)
            if k >= 9:
                a, b = interesting(rng), interesting(rng)
            if k == 6 and op.startswith(("div", "rem")):
                b = 0
            if k == 7 and op.startswith(("div", "rem")):
                a, b = (0x80000000, MASK64) if op.endswith("w") else (1 << 63, MASK64)
            if k == 10 and op.startswith("czero"):
                a, b = MASK64, 1 << 63
            if k == 8 and op.endswith("w"):
                b = rng.getrandbits(32) << 32
            imm = {"SH6": rng.choice((0, 1, 31, 32, 33, 62, 63)), "SH5": rng.choice((0, 1, 15, 30, 31)),
                   "I": rng.choice((-2048, -1, 0, 1, 2047, imm12(rng))),
                   "U": P.sext(rng.choice((0, 1, 0x7FFFF, 0x80000, 0xFFFFF, rng.getrandbits(20))) << 12, 32),
                   }.get(fmt, 0)
            regs = {r2: b, r1: a} if k != 2 else {r1: a}
            regs.pop(0, None)
            out.append(vector("alu/%s/%d" % (op, k), [encode(op, rd, r1, r2, imm), HALT], regs))
    return out


def suite_alu_wide(rng):
    """Seven operand pairs per vector: sources x8..x15, results in x1..x7."""
    out = []
    for op in R_OPS + R1_OPS + I_OPS:
        for k in range(6):
            regs = {x: interesting(rng) for x in range(8, 16)}
            regs[8], regs[9] = rng.choice(((0, 1 << 63), (MASK64, 1 << 32), (0x80000000, 32),
                                           (0xFFFFFFFF00000000, 1), (rng.getrandbits(64), 64)))
            words = []
            for rd in (1, 2, 3, 4, 5, 6, 7):
                r1, r2 = rng.randrange(8, 16), rng.randrange(8, 16)
                if k == 0:
                    r1, r2 = (8, 9) if rd % 2 else (9, 8)
                    r1, r2 = (r1, r2) if rd < 5 else (rng.randrange(8, 16), rng.choice((8, 9)))
                imm = rng.choice((0, 1, 31, 32, 63, rng.randrange(64))) if P.ISA[op][0] != "I" else imm12(rng)
                words.append(encode(op, rd, r1, r2, imm))
            out.append(vector("alu-wide/%s/%d" % (op, k), words + [HALT], regs))
    return out


def suite_mem(rng):
    out = []
    img = bytes((i * 37 + 11) & 255 | (0x80 if i % 3 else 0) for i in range(PAGE))
    ro = DATA_BASE + 0x3000
    mem = [rw(DATA_BASE, 2 * PAGE, img), rw(ro, PAGE, img[::-1], False)]
    top = 0xFFFF_F000
    mem2 = mem + [rw(top, PAGE, img)]

    def one(tag, op, addr, off=0, m=mem, value=0x8899AABBCCDDEEFF, **kw):
        regs = {10: (addr - off) & MASK64, 11: value}
        w = encode(op, 12, 10, 0, off) if op in P.LOAD else encode(op, 0, 10, 11, off)
        # a marker write before the access shows that earlier instructions retired
        out.append(vector("mem/%s/%s" % (op, tag), [encode("addi", 13, 0, 0, 77), w,
                                                    encode("addi", 14, 0, 0, 99), HALT], regs, m, **kw))

    for op in list(P.LOAD) + list(P.STORE):
        n = P.LOAD[op][0] if op in P.LOAD else P.STORE[op]
        store = op in P.STORE
        for k in range(3):
            one("plain%d" % k, op, DATA_BASE + 8 * rng.randrange(0, 512))
            one("misaligned%d" % k, op, DATA_BASE + rng.randrange(0, 4080))
        one("imm-min", op, DATA_BASE + 100, -2048)
        one("imm-max", op, DATA_BASE + 2100, 2047)
        one("page-cross", op, DATA_BASE + PAGE - n // 2)
        one("alias-bit32", op, (1 << 32) + DATA_BASE + 64)
        one("alias-high", op, 0xFFFF_FFFF_0000_0000 + DATA_BASE + 72)
        one("wrap64-base", op, DATA_BASE + 16, 2047, m=mem)
        one("base-neg", op, (1 << 64) - (1 << 32) + DATA_BASE + 5, -7)
        one("null", op, 0)
        one("null-neg", op, -8 & MASK64)
        one("guard-end", op, CODE_BASE - 1)
        one("guard-end-straddle", op, CODE_BASE - n // 2 if n > 1 else CODE_BASE - 1)
        one("code", op, CODE_BASE)
        one("code-page-tail", op, CODE_BASE + PAGE - 8)
        one("code-after", op, CODE_BASE + PAGE)
        one("below-data", op, DATA_BASE - 1)
        one("end-last", op, DATA_BASE + 2 * PAGE - n)
        one("end-straddle", op, DATA_BASE + 2 * PAGE - n + 1 if n > 1 else DATA_BASE + 2 * PAGE)
        one("end-after", op, DATA_BASE + 2 * PAGE)
        one("ro", op, ro + 8)
        one("ro-straddle-in", op, ro - n // 2 - (n == 1))
        one("ro-end-straddle", op, ro + PAGE - n // 2 - (n == 1))
        one("top", op, top + PAGE - n, m=mem2)
        one("wrap4g", op, top + PAGE - n // 2 if n > 1 else top + PAGE - 1, m=mem2)
        one("wrap4g-alias", op, (7 << 32) + top + PAGE - 1, m=mem2)
        for pages in (2048, 2049, 8192, 8193, 65536, 65537):
            if rng.random() < 0.5:
                one("tier%d" % pages, op, DATA_BASE + 8, pages=pages)
        if store:
            one("x0-imm", op, DATA_BASE, 0, value=0)
    # absolute addressing through x0 and rd == base
    out.append(vector("mem/ld/rd-is-base", [encode("ld", 10, 10, 0, 8), HALT], {10: DATA_BASE}, mem))
    out.append(vector("mem/ld/rd-x0", [encode("ld", 0, 10, 0, 8), HALT], {10: DATA_BASE}, mem))
    out.append(vector("mem/ld/rd-x0-fault", [encode("ld", 0, 10, 0, 8), HALT], {10: 16}, mem))
    out.append(vector("mem/ld/x0-base-neg", [encode("ld", 5, 0, 0, -16), HALT], {}, mem2))
    out.append(vector("mem/sd/x0-base-neg", [encode("sd", 0, 0, 5, -16), HALT], {5: 42}, mem2))
    # position-independent read of the code, including the zero tail of its last page
    out.append(vector("mem/pic-code", [encode("auipc", 5), encode("ld", 6, 5, 0, 0),
                                       encode("lwu", 7, 5, 0, 2047), HALT], {}, mem))
    # store then load, overlapping sizes
    seq = [encode("sd", 0, 10, 11, 0), encode("sh", 0, 10, 12, 3), encode("ld", 13, 10, 0, 0),
           encode("sb", 0, 10, 13, 7), encode("lw", 14, 10, 0, 4), encode("lhu", 15, 10, 0, 5), HALT]
    out.append(vector("mem/overlap", seq, {10: DATA_BASE + PAGE - 3, 11: rng.getrandbits(64),
                                           12: rng.getrandbits(64)}, mem))
    return out


def suite_compressed(rng):
    """Every compressed form, register and immediate extremes, hints included."""
    out, by_form = [], {}
    for h in range(1 << 16):
        if h & 3 != 3:
            i = P.decode16(h)
            if i.cname:
                by_form.setdefault(i.cname, []).append(h)
    img = bytes((i * 29 + 3) & 255 for i in range(PAGE))
    for form, hs in sorted(by_form.items()):
        picks = set([hs[0], hs[-1]])
        imms = sorted(hs, key=lambda h: P.decode16(h).imm)
        picks |= {imms[0], imms[-1]}
        hints = [h for h in hs if P.decode16(h).rd == 0 and P.decode16(h).op in ("addi", "add", "lui", "slli")]
        picks |= set(rng.sample(hints, min(3, len(hints))))
        picks |= set(rng.sample(hs, min(18, len(hs))))
        for h in sorted(picks):
            i = P.decode16(h)
            regs = {x: interesting(rng) for x in range(1, 16)}
            mem = []
            if i.op in P.LOAD or i.op in P.STORE:
                regs[i.rs1] = DATA_BASE + rng.choice((0, 0, 5, 0x700))
                mem = [rw(DATA_BASE, 2 * PAGE, img)]
            a = Asm()
            if i.op in ("jal", "beq", "bne", "jalr"):
                # land on `target`, whose block sets x5; the not-taken path sets x6
                room = abs(i.imm) + 16
                if i.op == "jalr":
                    regs[i.rs1] = CODE_BASE + 8
                    code = (h | 0x0001 << 16 | TRAP << 32).to_bytes(8, "little") + \
                        encode("addi", 5, 0, 0, 1).to_bytes(4, "little") + HALT.to_bytes(4, "little")
                    out.append(vector("c/%s/%04x" % (form, h), code, regs, mem))
                    continue
                if i.imm == 0:
                    regs[i.rs1] = regs[i.rs1] if i.rs1 else 0
                    code = h.to_bytes(2, "little") + HALT.to_bytes(4, "little")
                    out.append(vector("c/%s/%04x" % (form, h), code, regs, mem, gas=500))
                    continue
                if rng.random() < 0.5 and i.rs1:
                    regs[i.rs1] = 0
                blob = bytearray(b"\x01\x00" * (room + 8))
                at = room // 2 * 2 if i.imm < 0 else 0
                blob = bytearray(b"\x01\x00" * (at // 2 + room // 2 + 16))
                blob[at:at + 2] = h.to_bytes(2, "little")
                tgt = at + i.imm
                stub = encode("addi", 5, 0, 0, 1).to_bytes(4, "little") + HALT.to_bytes(4, "little")
                fall = encode("addi", 6, 0, 0, 2).to_bytes(4, "little") + HALT.to_bytes(4, "little")
                if abs(i.imm) >= 24 and tgt >= 4:
                    blob[tgt - 4:tgt] = FALLTHROUGH.to_bytes(4, "little")
                    blob[tgt:tgt + 8] = stub
                    blob[at + 2:at + 10] = fall
                out.append(vector("c/%s/%04x" % (form, h), bytes(blob), regs, mem, entry_pc=0, gas=100_000))
                continue
            a.raw(h, 2)
            a.raw(HALT, 4)
            out.append(vector("c/%s/%04x" % (form, h), a.assemble(), regs, mem))
    return out


def suite_illegal(rng):
    """Encodings that must panic when reached (and are terminators)."""
    out = []
    words = [0x00000073, 0x00100073, 0x30200073, 0x10500073, 0x12000073, 0x10200073, 0x00200073,
             0xC0002573, 0x300312F3, 0x0000300B, 0x0000500B, 0x0000600B, 0x0000700B,
             0x0000008B, 0x0010000B, 0x0000108B, 0x8000100B, 0x0000208B, 0x0000A00B,
             0x0000408B, 0x0000C00B, 0x0010400B, 0x0000002B, 0x00C5852B, 0x0000005B, 0x0000007B,
             0x00002007, 0x00003027, 0x00000053, 0x00000043, 0x02A57053, 0x00007057,
             0x1000252F, 0x1800A52F, 0x00B5252F, 0x0000200F, 0x0000700F, 0x0000301B,
             0x00001067, 0x00002067, 0x00002063, 0x00003063, 0x00007003, 0x00004023, 0x00007023,
             0x02051513 | 1 << 31, 0x0205151B, 0x0205551B, 0x4205551B, 0x6205551B,
             0x62051513, 0x60651513, 0x60351513, 0x69855513, 0x28655513, 0x68055513,
             0x08054533, 0x0805C533, 0x0815453B, 0x0805653B, 0x0A05153B, 0x6305151B,
             0x0AB52533, 0x0AB51533, 0x0AB53533, 0x20B51533, 0x20B53533, 0x02B5153B, 0x02B5253B, 0x02B5353B,
             0x0EB51533, 0x0EB54533, 0x60B52533, 0x28B55533, 0x68B55533, 0xFFFFFFFF, 0x0000001F,
             0x0000003F, 0x0000007F, 0x0000009F]
    for w in words:
        assert P.decode32(w).op == "reserved", hex(w)
        out.append(vector("illegal/w%08x" % w, [encode("addi", 5, 0, 0, 7), w, HALT], {}))
    # x16..x31 in every operand position of every format
    for op, (fmt, _) in sorted(P.ISA.items()):
        use = P.FORMATS[fmt]
        for pos in range(3):
            if use[pos]:
                ops = [5, 6, 7]
                ops[pos] = rng.randrange(16, 32)
                w = encode(op, *ops, 4)
                out.append(vector("illegal/e-%s-%s" % (op, "rd rs1 rs2".split()[pos]),
                                  [encode("addi", 5, 0, 0, 7), w, HALT], {6: DATA_BASE}))
    bad = [h for h in range(1 << 16) if h & 3 != 3 and P.decode16(h).op == "reserved"]
    for h in sorted(set([0x0000, 0x9002, 0x8002, 0x6101, 0x2000, 0x4002, 0x6002, 0x9C41, 0x2001,
                         0x6081, 0x8000, 0xA000, 0x2002, 0xA002] + rng.sample(bad, 60))):
        code = b"\x1d\x45" + h.to_bytes(2, "little") + HALT.to_bytes(4, "little")
        out.append(vector("illegal/h%04x" % h, code, {}))
    # a reserved word is a terminator: the next offset is a valid jump target
    code = [encode("jal", 0, imm=8), 0xFFFFFFFF, encode("addi", 5, 0, 0, 3), HALT]
    out.append(vector("illegal/next-is-start", code, {}))
    code = b"\x01\x00" + b"\x00\x00" + HALT.to_bytes(4, "little")
    out.append(vector("illegal/entry-after-reserved", code, {}, entry_pc=4))
    # unreached garbage is harmless
    out.append(vector("illegal/unreached", [encode("jal", 0, imm=12), 0xFFFFFFFF, 0, HALT], {}))
    # not taken: the bad branch target does not matter
    out.append(vector("illegal/branch-not-taken-bad-target",
                      [encode("beq", 0, 0, 5, 6), HALT, HALT], {5: 1}))
    # gas precedence: no gas beats the illegal instruction at block start
    out.append(vector("illegal/oog-first", [0xFFFFFFFF], {}, gas=0))
    out.append(vector("illegal/charged", [0xFFFFFFFF], {}, gas=1))
    # accepted although odd-looking
    for w in (0x0000000F, 0xFFFF8F8F, 0x0010080F, 0x0000100F, 0xFFFF9F8F, 0x0100000F, 0x8330000F):
        out.append(vector("legal/fence%08x" % w, [w, HALT], {}))
    return out


def suite_control(rng):
    out = []
    A = encode
    # jalr to a block start / mid-block / mid-instruction / odd / outside
    code = [A("jalr", 1, 10, 0, 0), A("addi", 5, 0, 0, 1), A("addi", 6, 0, 0, 2), FALLTHROUGH,
            A("addi", 7, 0, 0, 3), HALT, TRAP]
    for tag, va in (("start0", 0), ("after-jalr", 4), ("mid-block", 8), ("at-fallthrough", 12),
                    ("after-fallthrough", 16), ("ecalli-own-pc", 20), ("after-ecalli", 24),
                    ("mid-instruction", 18), ("odd", 17), ("odd-mid", 9), ("end", 28), ("past-end", 32),
                    ("page-end", 4094), ("far", 0x100000)):
        g = 200 if tag == "start0" else 1_000_000
        out.append(vector("jalr/" + tag, code, {10: CODE_BASE + va}, gas=g))
    for tag, va in (("offset-not-va", 16), ("null", 0), ("below-code", CODE_BASE - 4), ("data", DATA_BASE),
                    ("minus-one", MASK64), ("alias", CODE_BASE + 16 + (1 << 32)),
                    ("alias-high", CODE_BASE + 16 + (0xABCD1234 << 32))):
        out.append(vector("jalr/" + tag, code, {10: va}))
    for imm in (-2048, 2047, 16, -1):
        c = [A("jalr", 1, 10, 0, imm)] + code[1:]
        out.append(vector("jalr/imm%d" % imm, c, {10: (CODE_BASE + 16 - imm) & MASK64}))
        out.append(vector("jalr/imm%d-wrap32" % imm, c,
                          {10: ((CODE_BASE + 16 - imm) & 0xFFFFFFFF) + (1 << 32)}))
    out.append(vector("jalr/rd-is-rs1", [A("jalr", 10, 10, 0, 0)] + code[1:], {10: CODE_BASE + 16}))
    out.append(vector("jalr/rd-is-rs1-bad", [A("jalr", 10, 10, 0, 0)] + code[1:], {10: CODE_BASE + 8}))
    out.append(vector("jalr/rd-x0-bad", [A("jalr", 0, 10, 0, 0)] + code[1:], {10: CODE_BASE + 8}))
    out.append(vector("jalr/x3", [A("jalr", 3, 4, 0, 0)] + code[1:], {4: CODE_BASE + 16}))
    out.append(vector("jalr/x0-base", [A("jalr", 1, 0, 0, 0)] + code[1:], {}))
    # c.jr / c.jalr
    for h, tag in ((0x8502, "c.jr"), (0x9502, "c.jalr")):
        for va in (8, 4, 6):
            code2 = h.to_bytes(2, "little") + b"\x01\x00" + TRAP.to_bytes(4, "little") + \
                A("addi", 5, 0, 0, 1).to_bytes(4, "little") + HALT.to_bytes(4, "little")
            out.append(vector("jalr/%s-%d" % (tag, va), code2, {10: CODE_BASE + va}))
    # branches: taken/not taken x good/bad target
    for op in P.BRANCH:
        for a, b in ((1, 1), (1, 2), (2, 1), (MASK64, 1), (1, MASK64), (1 << 63, (1 << 63) - 1), (0, 1 << 63)):
            good = [A(op, 0, 5, 6, 12), A("addi", 7, 0, 0, 1), FALLTHROUGH, A("addi", 8, 0, 0, 2), HALT]
            bad = [A(op, 0, 5, 6, 8), A("addi", 7, 0, 0, 1), A("addi", 9, 0, 0, 1), HALT]
            out.append(vector("branch/%s/%x-%x" % (op, a, b), good, {5: a, 6: b}))
            out.append(vector("branch/%s/%x-%x-midblock" % (op, a, b), bad, {5: a, 6: b}))
        same = [A(op, 0, 5, 5, 12), A("addi", 7, 0, 0, 1), FALLTHROUGH, A("addi", 8, 0, 0, 2), HALT]
        out.append(vector("branch/%s/same-reg" % op, same, {5: 9}))
    for tag, imm in (("self-mid", 2), ("before-code", -4), ("past-end", 16), ("way-past", 4094), ("mid-instr", 6)):
        out.append(vector("branch/target-" + tag, [A("beq", 0, 0, 0, imm), A("addi", 7, 0, 0, 1), HALT], {}))
        out.append(vector("jal/target-" + tag, [A("jal", 1, imm=imm), A("addi", 7, 0, 0, 1), HALT], {}))
    out.append(vector("jal/link", [A("jal", 1, imm=8), HALT, A("addi", 5, 0, 0, 1), HALT], {}))
    out.append(vector("jal/link-good", [A("jal", 1, imm=12), HALT, FALLTHROUGH, A("addi", 5, 0, 0, 1), HALT], {}))
    out.append(vector("jal/self-loop", [A("jal", 0, imm=0)], {}, gas=1000))
    out.append(vector("branch/self-loop", [A("beq", 0, 0, 0, 0)], {}, gas=1000))
    out.append(vector("jal/x4-link", [A("jal", 4, imm=12), HALT, FALLTHROUGH, A("add", 5, 4, 4), HALT], {}))
    # entry point checks
    prog = [A("addi", 5, 0, 0, 1), A("addi", 6, 0, 0, 1), HALT, A("addi", 7, 0, 0, 1), TRAP]
    for e in (0, 2, 4, 8, 12, 16, 20, 24, 0x7FFFFFFF):
        out.append(vector("entry/%d" % e, prog, {}, entry_pc=e))
    out.append(vector("entry/empty-code", b"", {}))
    out.append(vector("entry/one-byte", b"\x01", {}))
    out.append(vector("entry/truncated", b"\x13\x05", {}))
    # falling off the end, truncated last instruction
    out.append(vector("end/fall-off", [A("addi", 5, 0, 0, 1)], {}))
    out.append(vector("end/fall-off-after-fallthrough", [FALLTHROUGH], {}))
    out.append(vector("end/branch-not-taken", [A("bne", 0, 0, 0, 0)], {}))
    out.append(vector("end/truncated", A("addi", 5, 0, 0, 1).to_bytes(4, "little") + b"\x13\x05", {}))
    out.append(vector("end/truncated3", A("addi", 5, 0, 0, 1).to_bytes(4, "little") + b"\x13\x05\x00", {}))
    out.append(vector("end/odd-byte", A("addi", 5, 0, 0, 1).to_bytes(4, "little") + b"\x01", {}))
    out.append(vector("end/jump-to-truncated", A("jal", 0, imm=4).to_bytes(4, "little") + b"\x13\x05", {}))
    out.append(vector("end/jump-to-end", [A("jal", 0, imm=4)], {}))
    # the walk is linear: an embedded wide word hides a jump target inside itself
    code3 = A("jal", 0, imm=6).to_bytes(4, "little") + b"\x37\x00\x29\x45" + HALT.to_bytes(4, "little")
    out.append(vector("walk/mid-instruction-target", code3, {}))
    # ecalls
    for imm in (0, 1, -1, 7, 2047, -2048):
        out.append(vector("ecalli/%d" % imm, [A("addi", 5, 0, 0, 1), A("ecalli", imm=imm)], {}))
    for g in (0, 1, 99, 100, 101):
        out.append(vector("ecalli/gas%d" % g, [A("ecalli", imm=5), HALT], {}, gas=g))
        out.append(vector("ecall.jar/gas%d" % g, [ECALLJAR, HALT], {14: 26, 15: 3}, gas=g))
        out.append(vector("ecalli/after-block-gas%d" % (g + 1), [A("addi", 5, 0, 0, 1), HALT], {}, gas=g + 1))
    out.append(vector("ecalli/back-to-back", [A("ecalli", imm=1), A("ecalli", imm=2)], {}))
    out.append(vector("ecalli/second", [A("ecalli", imm=1), A("ecalli", imm=2)], {}, entry_pc=4))
    out.append(vector("ecalli/jump-target", [A("jal", 0, imm=8), TRAP, A("ecalli", imm=9)], {}))
    out.append(vector("trap/plain", [A("addi", 5, 0, 0, 1), TRAP], {}))
    out.append(vector("trap/gas0", [TRAP], {}, gas=0))
    out.append(vector("auipc/high", [A("auipc", 5, imm=P.sext(0x7FFFF000, 32)), A("auipc", 6, imm=-(1 << 31)),
                                     A("auipc", 7, imm=-4096), HALT], {}))
    # crossing 4 KiB inside the code, instruction straddling the page boundary
    a = Asm()
    for _ in range(2046):
        a.raw(0x0001, 2)
    a.raw(0x0001, 2)
    a.ins("addi", 5, 0, 0, 5)
    a.raw(HALT, 4)
    out.append(vector("walk/page-straddle", a.assemble(), {}))
    return out


def suite_oog(rng):
    """For a few programs: gas exactly at, one below and one above every block entry."""
    out = []
    for k in range(8):
        code, p = random_program(rng, blocks=rng.randrange(2, 5))
        regs = {x: interesting(rng) for x in range(1, 16)}
        regs[p.base] = DATA_BASE + PAGE
        mem = [rw(DATA_BASE, 2 * PAGE)]
        pages = rng.choice((0, 3000, 70000))
        probe = P.machine_from_vector(vector("x", code, regs, mem, 10_000_000, 0, pages))
        trace = []
        run_block = probe.run_block

        def spy(start, trace=trace, probe=probe, run_block=run_block):
            trace.append(10_000_000 - probe.gas)          # consumed after paying this block
            return run_block(start)
        probe.run_block = spy
        probe.run()
        spent = [0] + trace
        seen = 0
        for i, total in enumerate(spent):
            if seen >= 14:
                break
            seen += 1
            for g in sorted({max(total - 1, 0), total, total + 1}):
                out.append(vector("oog/p%d/b%d/g%d" % (k, i, g), code, regs, mem, g, 0, pages))
        last = spent[-1]
        for g in (last + 99, last + 100, last + 101):
            out.append(vector("oog/p%d/end/g%d" % (k, g), code, regs, mem, g, 0, pages))
    return out


def suite_cow(rng):
    """Optional category-3 accounting: first-write charge and per-store entry reserve."""
    out = []
    A = encode
    mem = [rw(DATA_BASE, 4 * PAGE), rw(DATA_BASE + 4 * PAGE, PAGE, b"", False)]
    regs = {10: DATA_BASE, 11: 5}
    c = 256
    prog = [A("sd", 0, 10, 11, 0), A("sd", 0, 10, 11, 8), A("ld", 12, 10, 0, 0), HALT]
    need = P.Program(b"".join(w.to_bytes(4, "little") for w in prog)).cost(0)
    for g in (need + 4 * c - 1, need + 4 * c, need + 4 * c + 1, 100_000):
        out.append(vector("cow/two-stores/g%d" % g, prog, regs, mem, g, cow=c))
    prog = [A("sd", 0, 10, 11, 2044), A("ld", 12, 10, 0, 0), HALT]
    out.append(vector("cow/straddle", prog, {10: DATA_BASE + 2048, 11: 5}, mem, cow=c))
    out.append(vector("cow/straddle-ro-fault", prog, {10: DATA_BASE + 4 * PAGE - 2048, 11: 5}, mem, cow=c))
    out.append(vector("cow/load-free", [A("ld", 12, 10, 0, 0), HALT], regs, mem, 200, cow=c))
    for k in range(24):
        code, p = random_program(rng, blocks=rng.randrange(2, 6))
        r = {x: interesting(rng) for x in range(1, 16)}
        r[p.base] = DATA_BASE + PAGE
        g = rng.choice((1_000_000, 1_000_000, rng.randrange(0, 20000)))
        out.append(vector("cow/random%d" % k, code, r, [rw(DATA_BASE, 2 * PAGE)], g, 0,
                          rng.choice((0, 5000)), cow=rng.choice((1, 64, 256))))
    return out


def suite_random(rng, count):
    return [random_vector(rng, "random/%d" % k) for k in range(count)]


def blocks_suite(rng, count=150):
    """Static analysis: instruction boundaries, block starts and static block costs."""
    out = []
    for k in range(count):
        if k % 5 == 4:                                    # arbitrary bytes
            code = bytes(rng.getrandbits(8) for _ in range(rng.randrange(1, 160)))
        else:
            code, _ = random_program(rng, spill_regs=0.4)
        pages = rng.choice((0, 2048, 2049, 8192, 8193, 65536, 65537, 1000000))
        prog = P.Program(code, pages)
        starts = sorted(prog.starts)
        out.append({"name": "blocks/%d" % k, "code": code.hex(), "footprint_pages": pages,
                    "instructions": [pc for pc, _ in prog.insts], "end": prog.end,
                    "starts": starts, "costs": [prog.cost(s) for s in starts],
                    "stores": [prog.store_count(s) for s in starts]})
    return out


def gas_suite(rng, count=400):
    """Straight-line blocks built to exercise every row, overlap rule and x3/x4 surcharge."""
    out = []
    straight = [op for op in P.GAS if op in P.ISA and op not in P.TERMINATORS]
    ends = ["trap", "fallthrough", "jal", "jalr", "beq", "bgeu"]
    for k in range(count):
        pool = rng.choice(([5, 6], [5, 6, 7, 8], HOT, HOT + [3, 4], [3, 4, 5], [0, 5, 6]))
        words = []
        ops = [straight[k % len(straight)]] * rng.randrange(1, 4) if k % 2 else \
            [rng.choice(straight) for _ in range(rng.randrange(1, 24))]
        for op in ops:
            words.append(encode(op, rng.choice(pool), rng.choice(pool), rng.choice(pool), rng.randrange(32)))
        if rng.random() < 0.7:
            words.append(encode(rng.choice(ends), rng.choice(pool), rng.choice(pool), rng.choice(pool), 0))
        code = b"".join(w.to_bytes(4, "little") for w in words)
        pages = rng.choice((0, 2048, 2049, 8193, 65537))
        prog = P.Program(code, pages)
        out.append({"name": "gas/%d" % k, "code": code.hex(), "footprint_pages": pages,
                    "instructions": [pc for pc, _ in prog.insts], "end": prog.end,
                    "starts": [0], "costs": [prog.cost(0)], "stores": [prog.store_count(0)]})
    # decode slots: k copies of one instruction, then a divide whose finish shows the decode cycle
    probe = encode("div", 15, 14, 14)
    for op in straight:
        for tag, (rd, r1, r2) in (("none", (5, 6, 7)), ("rd=rs1", (5, 5, 7)), ("rd=rs2", (5, 6, 5)),
                                  ("rd=both", (5, 5, 5)), ("rd=x0", (0, 0, 7)), ("rs=x0", (5, 0, 0))):
            for n, mix in ((rng.randrange(2, 6), 0), (rng.randrange(9, 14), 0), (10, 1)):
                if op in ("div", "divu", "rem", "remu", "divw", "divuw", "remw", "remuw") or op in P.LOAD:
                    if rd in (r1, r2):
                        n = 1
                unit = [encode(op, rd, r1, r2, 1)] + [encode("clz", 10, 11)] * mix
                code = b"".join(w.to_bytes(4, "little") for w in unit * n + [probe])
                prog = P.Program(code, 0)
                out.append({"name": "gas/slots-%s-%s-%d%s" % (op, tag, n, "m" * mix), "code": code.hex(), "footprint_pages": 0,
                            "instructions": [pc for pc, _ in prog.insts], "end": prog.end,
                            "starts": [0], "costs": [prog.cost(0)], "stores": [prog.store_count(0)]})
    # terminators and fences: behind many cheap instructions, and waiting for a loaded operand
    def add(tag, words):
        code = b"".join(w.to_bytes(4, "little") for w in words)
        prog = P.Program(code, 0)
        out.append({"name": "gas/" + tag, "code": code.hex(), "footprint_pages": 0,
                    "instructions": [pc for pc, _ in prog.insts], "end": prog.end,
                    "starts": [0], "costs": [prog.cost(0)], "stores": [prog.store_count(0)]})
    cheap = [encode("clz", 10, 11)] * 24
    for op in ["trap", "fallthrough", "jal", "jalr"] + list(P.BRANCH):
        word = encode(op, 0, 5, 6, 0)
        add("term-%s-cheap" % op, cheap + [word])
        for x in (5, 6):
            add("term-%s-load-x%d" % (op, x), [encode("ld", x, 8), word])
            add("term-%s-div-x%d" % (op, x), [encode("div", x, 8, 9), word])
    add("term-reserved-cheap", cheap + [0xFFFFFFFF])
    for op in ("fence", "fence.i"):
        add("fences-" + op, [encode(op)] * 29 + [encode("fallthrough")])
        add("fences-end-" + op, [encode(op)] * 29)
    return out


def decode16_table():
    """Expansion of every halfword that is not a 32-bit prefix: '' means reserved."""
    rows = {}
    for h in range(1 << 16):
        if h & 3 != 3:
            w = P.canonical_word(P.decode16(h))
            rows["%04x" % h] = "" if w is None else "%08x" % w
    return rows


def decode32_suite(rng, count=6000):
    out = []
    words = []
    for op, (fmt, match) in P.ISA.items():
        for _ in range(12):
            words.append(match | (rng.getrandbits(32) & ~P.FORMAT_MASK[fmt]))
        words.append(match ^ 1 << rng.randrange(2, 32))
    while len(words) < count:
        words.append(rng.getrandbits(32) | 3)
    for w in words:
        i = P.decode32(w)
        out.append(["%08x" % w, i.op, i.rd, i.rs1, i.rs2, i.imm])
    return out


SUITES = [("alu", suite_alu), ("alu-wide", suite_alu_wide), ("mem", suite_mem), ("compressed", suite_compressed),
          ("illegal", suite_illegal), ("control", suite_control), ("oog", suite_oog), ("cow", suite_cow)]


def write(path, obj):
    with open(path, "w") as f:
        if isinstance(obj, list):
            f.write("[\n" + ",\n".join(json.dumps(v, separators=(",", ":")) for v in obj) + "\n]\n")
        else:
            json.dump(obj, f, separators=(",", ":"))
            f.write("\n")


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("what", choices=["suite", "random"])
    ap.add_argument("--seed", type=int, default=1)
    ap.add_argument("--count", type=int, default=10)
    ap.add_argument("--random-count", type=int, default=500)
    ap.add_argument("--scale", type=float, default=1.0, help="keep this fraction of the fixed suites")
    ap.add_argument("--out", default=".")
    args = ap.parse_args()
    if args.what == "random":
        rng = random.Random("random-%d" % args.seed)
        print(json.dumps(suite_random(rng, args.count), indent=1))
        return
    os.makedirs(args.out, exist_ok=True)
    total = 0
    for name, fn in SUITES:
        rng = random.Random("%s-%d" % (name, args.seed))
        vs = fn(rng)
        if args.scale < 1:
            vs = [v for v in vs if rng.random() < args.scale]
        write(os.path.join(args.out, name + ".json"), vs)
        total += len(vs)
        print("%-12s %5d" % (name, len(vs)))
    rng = random.Random("random-%d" % args.seed)
    vs = suite_random(rng, args.random_count)
    write(os.path.join(args.out, "random.json"), vs)
    print("%-12s %5d" % ("random", len(vs)))
    total += len(vs)
    rng = random.Random("static-%d" % args.seed)
    for name, obj in (("static-blocks", blocks_suite(rng, int(150 * args.scale) or 1)),
                      ("static-gas", gas_suite(rng, int(400 * args.scale) or 1)),
                      ("static-decode32", decode32_suite(rng, int(6000 * args.scale) or 1))):
        write(os.path.join(args.out, name + ".json"), obj)
        print("%-12s %5d" % (name, len(obj)))
    if args.scale >= 1:
        write(os.path.join(args.out, "static-decode16.json"), decode16_table())
    print("execution vectors: %d" % total)


if __name__ == "__main__":
    main()
