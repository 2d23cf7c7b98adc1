#!/usr/bin/env python3
"""Executable reference model of PVM2 (RV64E + M/C/Zba/Zbb/Zbs/Zicond + Xjar).

Written for clarity, not speed.  Only the Python 3 standard library is used.
The companion text is the PVM2 specification; section numbers below refer to it.

Layers, bottom up:
    decode32 / decode16 / decode     bytes -> Inst                    (sections 3-5)
    Program                          linear walk, bb_starts, blocks   (section 6)
    block_cost                       single-pass pipeline gas model   (section 9)
    Memory                           4 KiB page map                   (section 2)
    Machine.run                      interpreter and exits            (sections 7-8)
    run_vector / check_vector        JSON vector format

Command line:
    pvm2ref.py selftest
    pvm2ref.py check FILE...         compare vectors with this model
    pvm2ref.py run FILE [NAME]       print what this model computes
    pvm2ref.py disasm HEX|@FILE      list instructions, starts and block gas
"""
import json
import sys

MASK64 = (1 << 64) - 1
MASK32 = (1 << 32) - 1
PAGE = 4096
CODE_BASE = 0x0040_0000
DATA_BASE = 0x1000_0000
MAX_CODE_SIZE = DATA_BASE - CODE_BASE

# Register file slots: phi[0..12] are x1,x2,x5..x15; x3,x4 sit in 13,14.
SLOT_TO_X = [1, 2, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 3, 4]
X_TO_SLOT = {x: s for s, x in enumerate(SLOT_TO_X)}
NREGS = 15

HOST_CALL_FLOOR = 100      # dynamic charge of ecalli
MGMT_OP_COST = 100         # dynamic charge of ecall.jar
MEM_CYCLES_BASE = 25
MAX_PAGES_PER_ACCESS = 2


def sext(value, bits):
    """Sign-extend the low `bits` of value to a Python int."""
    value &= (1 << bits) - 1
    return value - (1 << bits) if value >> (bits - 1) else value


def s64(v):
    return sext(v, 64)


def s32(v):
    return sext(v, 32)


def u64(v):
    return v & MASK64


def w_result(v):
    """Result of a W instruction: low 32 bits sign-extended to 64."""
    return sext(v, 32) & MASK64


# --------------------------------------------------------------------------
# Instruction table
# --------------------------------------------------------------------------
# format -> (uses rd, uses rs1, uses rs2)
FORMATS = {
    "R": (1, 1, 1),    # register-register
    "R1": (1, 1, 0),   # unary, all other bits fixed
    "I": (1, 1, 0),    # 12-bit immediate
    "SH6": (1, 1, 0),  # 6-bit shift amount
    "SH5": (1, 1, 0),  # 5-bit shift amount
    "L": (1, 1, 0),    # load
    "S": (0, 1, 1),    # store
    "B": (0, 1, 1),    # branch
    "U": (1, 0, 0),    # upper immediate
    "J": (1, 0, 0),    # jal
    "F": (0, 0, 0),    # fence: every other field ignored
    "X": (0, 0, 0),    # custom-0 without operands
    "E": (0, 0, 0),    # ecalli
}
FORMAT_MASK = {
    "R": 0xFE00707F, "R1": 0xFFF0707F, "I": 0x0000707F, "SH6": 0xFC00707F,
    "SH5": 0xFE00707F, "L": 0x0000707F, "S": 0x0000707F, "B": 0x0000707F,
    "U": 0x0000007F, "J": 0x0000007F, "F": 0x0000707F, "X": 0xFFFFFFFF,
    "E": 0x000FFFFF,
}


def _rows():
    rows = []

    def r(name, op, f7, f3):
        rows.append((name, "R", f7 << 25 | f3 << 12 | op))

    def r1(name, op, f12, f3):
        rows.append((name, "R1", f12 << 20 | f3 << 12 | op))

    def i(name, op, f3, fmt="I"):
        rows.append((name, fmt, f3 << 12 | op))

    def sh6(name, op, f6, f3):
        rows.append((name, "SH6", f6 << 26 | f3 << 12 | op))

    def sh5(name, op, f7, f3):
        rows.append((name, "SH5", f7 << 25 | f3 << 12 | op))

    rows.append(("lui", "U", 0x37))
    rows.append(("auipc", "U", 0x17))
    rows.append(("jal", "J", 0x6F))
    i("jalr", 0x67, 0)
    for f3, n in ((0, "beq"), (1, "bne"), (4, "blt"), (5, "bge"), (6, "bltu"), (7, "bgeu")):
        i(n, 0x63, f3, "B")
    for f3, n in enumerate(("lb", "lh", "lw", "ld", "lbu", "lhu", "lwu")):
        i(n, 0x03, f3, "L")
    for f3, n in enumerate(("sb", "sh", "sw", "sd")):
        i(n, 0x23, f3, "S")
    for f3, n in ((0, "addi"), (2, "slti"), (3, "sltiu"), (4, "xori"), (6, "ori"), (7, "andi")):
        i(n, 0x13, f3)
    sh6("slli", 0x13, 0x00, 1)
    sh6("srli", 0x13, 0x00, 5)
    sh6("srai", 0x13, 0x10, 5)
    i("addiw", 0x1B, 0)
    sh5("slliw", 0x1B, 0x00, 1)
    sh5("srliw", 0x1B, 0x00, 5)
    sh5("sraiw", 0x1B, 0x20, 5)
    for n, f7, f3 in (("add", 0, 0), ("sub", 0x20, 0), ("sll", 0, 1), ("slt", 0, 2),
                      ("sltu", 0, 3), ("xor", 0, 4), ("srl", 0, 5), ("sra", 0x20, 5),
                      ("or", 0, 6), ("and", 0, 7),
                      # M
                      ("mul", 1, 0), ("mulh", 1, 1), ("mulhsu", 1, 2), ("mulhu", 1, 3),
                      ("div", 1, 4), ("divu", 1, 5), ("rem", 1, 6), ("remu", 1, 7),
                      # Zbb
                      ("andn", 0x20, 7), ("orn", 0x20, 6), ("xnor", 0x20, 4),
                      ("min", 5, 4), ("minu", 5, 5), ("max", 5, 6), ("maxu", 5, 7),
                      ("rol", 0x30, 1), ("ror", 0x30, 5),
                      # Zba
                      ("sh1add", 0x10, 2), ("sh2add", 0x10, 4), ("sh3add", 0x10, 6),
                      # Zbs
                      ("bclr", 0x24, 1), ("bext", 0x24, 5), ("binv", 0x34, 1), ("bset", 0x14, 1),
                      # Zicond
                      ("czero.eqz", 7, 5), ("czero.nez", 7, 7)):
        r(n, 0x33, f7, f3)
    for n, f7, f3 in (("addw", 0, 0), ("subw", 0x20, 0), ("sllw", 0, 1), ("srlw", 0, 5),
                      ("sraw", 0x20, 5),
                      ("mulw", 1, 0), ("divw", 1, 4), ("divuw", 1, 5), ("remw", 1, 6),
                      ("remuw", 1, 7),
                      ("rolw", 0x30, 1), ("rorw", 0x30, 5),
                      ("add.uw", 4, 0), ("sh1add.uw", 0x10, 2), ("sh2add.uw", 0x10, 4),
                      ("sh3add.uw", 0x10, 6)):
        r(n, 0x3B, f7, f3)
    for n, f12, f3 in (("clz", 0x600, 1), ("ctz", 0x601, 1), ("cpop", 0x602, 1),
                       ("sext.b", 0x604, 1), ("sext.h", 0x605, 1),
                       ("orc.b", 0x287, 5), ("rev8", 0x6B8, 5)):
        r1(n, 0x13, f12, f3)
    for n, f12 in (("clzw", 0x600), ("ctzw", 0x601), ("cpopw", 0x602)):
        r1(n, 0x1B, f12, 1)
    r1("zext.h", 0x3B, 0x080, 4)
    sh6("rori", 0x13, 0x18, 5)
    sh5("roriw", 0x1B, 0x30, 5)
    sh6("slli.uw", 0x1B, 0x02, 1)
    sh6("bclri", 0x13, 0x12, 1)
    sh6("bexti", 0x13, 0x12, 5)
    sh6("binvi", 0x13, 0x1A, 1)
    sh6("bseti", 0x13, 0x0A, 1)
    i("fence", 0x0F, 0, "F")
    i("fence.i", 0x0F, 1, "F")
    rows.append(("trap", "X", 0x0000000B))
    rows.append(("ecall.jar", "X", 0x0000100B))
    rows.append(("ecalli", "E", 0x0000200B))
    rows.append(("fallthrough", "X", 0x0000400B))
    return rows


ISA = {name: (fmt, match) for name, fmt, match in _rows()}
_BY_OPCODE = {}
for _n, (_f, _m) in ISA.items():
    _BY_OPCODE.setdefault(_m & 0x7F, []).append((FORMAT_MASK[_f], _m, _n, _f))


class Inst:
    """One decoded instruction.  op == 'reserved' marks every illegal encoding."""
    __slots__ = ("op", "rd", "rs1", "rs2", "imm", "size", "raw", "cname")

    def __init__(self, op, rd=0, rs1=0, rs2=0, imm=0, size=4, raw=0, cname=None):
        self.op, self.rd, self.rs1, self.rs2, self.imm = op, rd, rs1, rs2, imm
        self.size, self.raw, self.cname = size, raw, cname

    def text(self):
        if self.op == "reserved":
            return "reserved 0x%x" % self.raw
        fmt = ISA[self.op][0]
        rd, r1, r2 = "x%d" % self.rd, "x%d" % self.rs1, "x%d" % self.rs2
        if fmt == "R":
            a = "%s, %s, %s" % (rd, r1, r2)
        elif fmt == "R1":
            a = "%s, %s" % (rd, r1)
        elif fmt in ("I", "SH6", "SH5"):
            a = "%s, %s, %d" % (rd, r1, self.imm)
        elif fmt == "L":
            a = "%s, %d(%s)" % (rd, self.imm, r1)
        elif fmt == "S":
            a = "%s, %d(%s)" % (r2, self.imm, r1)
        elif fmt == "B":
            a = "%s, %s, %+d" % (r1, r2, self.imm)
        elif fmt == "U":
            a = "%s, 0x%x" % (rd, (self.imm >> 12) & 0xFFFFF)
        elif fmt == "J":
            a = "%s, %+d" % (rd, self.imm)
        elif fmt == "E":
            a = "%d" % self.imm
        else:
            a = ""
        return (self.op + " " + a).strip() + ("  [%s]" % self.cname if self.cname else "")


def reserved(raw, size):
    return Inst("reserved", size=size, raw=raw)


def decode32(w):
    """Decode a 32-bit word whose two low bits are 11."""
    for mask, match, name, fmt in _BY_OPCODE.get(w & 0x7F, ()):
        if w & mask == match:
            break
    else:
        return reserved(w, 4)
    rd, rs1, rs2 = w >> 7 & 31, w >> 15 & 31, w >> 20 & 31
    use_rd, use_rs1, use_rs2 = FORMATS[fmt]
    if (use_rd and rd > 15) or (use_rs1 and rs1 > 15) or (use_rs2 and rs2 > 15):
        return reserved(w, 4)                     # RV64E: x16..x31 do not exist
    rd, rs1, rs2 = rd * use_rd, rs1 * use_rs1, rs2 * use_rs2
    if fmt in ("I", "L", "E"):
        imm = sext(w >> 20, 12)
    elif fmt == "SH6":
        imm = w >> 20 & 63
    elif fmt == "SH5":
        imm = w >> 20 & 31
    elif fmt == "S":
        imm = sext((w >> 25) << 5 | (w >> 7 & 31), 12)
    elif fmt == "B":
        imm = sext((w >> 31) << 12 | (w >> 7 & 1) << 11 | (w >> 25 & 63) << 5
                   | (w >> 8 & 15) << 1, 13)
    elif fmt == "U":
        imm = sext(w & 0xFFFFF000, 32)
    elif fmt == "J":
        imm = sext((w >> 31) << 20 | (w >> 12 & 255) << 12 | (w >> 20 & 1) << 11
                   | (w >> 21 & 1023) << 1, 21)
    else:
        imm = 0
    return Inst(name, rd, rs1, rs2, imm, 4, w)


def decode16(h):
    """Decode a compressed halfword (two low bits not 11) to its expansion."""
    q, f3 = h & 3, h >> 13
    c1, c2 = 8 + (h >> 7 & 7), 8 + (h >> 2 & 7)    # rs1'/rd'  and  rs2'/rd'
    f1, f2 = h >> 7 & 31, h >> 2 & 31              # full-width register fields
    imm6 = sext((h >> 12 & 1) << 5 | f2, 6)
    shamt = (h >> 12 & 1) << 5 | f2

    def mk(cname, op, rd=0, rs1=0, rs2=0, imm=0):
        if max(rd, rs1, rs2) > 15:
            return reserved(h, 2)
        return Inst(op, rd, rs1, rs2, imm, 2, h, cname)

    if q == 0:
        off_w = (h >> 10 & 7) << 3 | (h >> 6 & 1) << 2 | (h >> 5 & 1) << 6
        off_d = (h >> 10 & 7) << 3 | (h >> 5 & 3) << 6
        if f3 == 0:
            imm = (h >> 11 & 3) << 4 | (h >> 7 & 15) << 6 | (h >> 6 & 1) << 2 | (h >> 5 & 1) << 3
            if imm:
                return mk("c.addi4spn", "addi", c2, 2, 0, imm)
        elif f3 == 2:
            return mk("c.lw", "lw", c2, c1, 0, off_w)
        elif f3 == 3:
            return mk("c.ld", "ld", c2, c1, 0, off_d)
        elif f3 == 6:
            return mk("c.sw", "sw", 0, c1, c2, off_w)
        elif f3 == 7:
            return mk("c.sd", "sd", 0, c1, c2, off_d)
        return reserved(h, 2)

    if q == 1:
        if f3 == 0:
            return mk("c.addi" if f1 else "c.nop", "addi", f1, f1, 0, imm6)
        if f3 == 1:
            return mk("c.addiw", "addiw", f1, f1, 0, imm6) if f1 else reserved(h, 2)
        if f3 == 2:
            return mk("c.li", "addi", f1, 0, 0, imm6)
        if f3 == 3:
            if f1 == 2:
                imm = sext((h >> 12 & 1) << 9 | (h >> 6 & 1) << 4 | (h >> 5 & 1) << 6
                           | (h >> 3 & 3) << 7 | (h >> 2 & 1) << 5, 10)
                return mk("c.addi16sp", "addi", 2, 2, 0, imm) if imm else reserved(h, 2)
            return mk("c.lui", "lui", f1, 0, 0, imm6 << 12) if imm6 else reserved(h, 2)
        if f3 == 4:
            sel = h >> 10 & 3
            if sel == 0:
                return mk("c.srli", "srli", c1, c1, 0, shamt)
            if sel == 1:
                return mk("c.srai", "srai", c1, c1, 0, shamt)
            if sel == 2:
                return mk("c.andi", "andi", c1, c1, 0, imm6)
            op = {0: "sub", 1: "xor", 2: "or", 3: "and", 4: "subw", 5: "addw"}.get(
                (h >> 12 & 1) << 2 | (h >> 5 & 3))
            return mk("c." + op, op, c1, c1, c2) if op else reserved(h, 2)
        if f3 == 5:
            imm = sext((h >> 12 & 1) << 11 | (h >> 11 & 1) << 4 | (h >> 9 & 3) << 8
                       | (h >> 8 & 1) << 10 | (h >> 7 & 1) << 6 | (h >> 6 & 1) << 7
                       | (h >> 3 & 7) << 1 | (h >> 2 & 1) << 5, 12)
            return mk("c.j", "jal", 0, 0, 0, imm)
        imm = sext((h >> 12 & 1) << 8 | (h >> 10 & 3) << 3 | (h >> 5 & 3) << 6
                   | (h >> 3 & 3) << 1 | (h >> 2 & 1) << 5, 9)
        return mk("c.beqz", "beq", 0, c1, 0, imm) if f3 == 6 else mk("c.bnez", "bne", 0, c1, 0, imm)

    # quadrant 2
    if f3 == 0:
        return mk("c.slli", "slli", f1, f1, 0, shamt)
    if f3 == 2 and f1:
        return mk("c.lwsp", "lw", f1, 2, 0, (h >> 12 & 1) << 5 | (h >> 4 & 7) << 2 | (h >> 2 & 3) << 6)
    if f3 == 3 and f1:
        return mk("c.ldsp", "ld", f1, 2, 0, (h >> 12 & 1) << 5 | (h >> 5 & 3) << 3 | (h >> 2 & 7) << 6)
    if f3 == 4:
        if h >> 12 & 1 == 0:
            if f2:
                return mk("c.mv", "add", f1, 0, f2)
            return mk("c.jr", "jalr", 0, f1) if f1 else reserved(h, 2)
        if f2:
            return mk("c.add", "add", f1, f1, f2)
        return mk("c.jalr", "jalr", 1, f1) if f1 else reserved(h, 2)   # f1 == 0: c.ebreak
    if f3 == 6:
        return mk("c.swsp", "sw", 0, 2, f2, (h >> 9 & 15) << 2 | (h >> 7 & 3) << 6)
    if f3 == 7:
        return mk("c.sdsp", "sd", 0, 2, f2, (h >> 10 & 7) << 3 | (h >> 7 & 7) << 6)
    return reserved(h, 2)


def decode(code, pc):
    """Decode at byte offset pc, or None where the code ends inside/before it."""
    if pc + 2 > len(code):
        return None
    h = code[pc] | code[pc + 1] << 8
    if h & 3 != 3:
        return decode16(h)
    if pc + 4 > len(code):
        return None
    return decode32(h | code[pc + 2] << 16 | code[pc + 3] << 24)


def encode(op, rd=0, rs1=0, rs2=0, imm=0):
    """Assemble one 32-bit instruction (the inverse of decode32)."""
    fmt, w = ISA[op]
    w |= (rd * FORMATS[fmt][0]) << 7 | (rs1 * FORMATS[fmt][1]) << 15 | (rs2 * FORMATS[fmt][2]) << 20
    if fmt in ("I", "L", "E"):
        w |= (imm & 0xFFF) << 20
    elif fmt == "SH6":
        w |= (imm & 63) << 20
    elif fmt == "SH5":
        w |= (imm & 31) << 20
    elif fmt == "S":
        w |= (imm >> 5 & 127) << 25 | (imm & 31) << 7
    elif fmt == "B":
        w |= ((imm >> 12 & 1) << 31 | (imm >> 5 & 63) << 25 | (imm >> 1 & 15) << 8
              | (imm >> 11 & 1) << 7)
    elif fmt == "U":
        w |= imm & 0xFFFFF000
    elif fmt == "J":
        w |= ((imm >> 20 & 1) << 31 | (imm >> 1 & 1023) << 21 | (imm >> 11 & 1) << 20
              | (imm >> 12 & 255) << 12)
    return w


def canonical_word(inst):
    """The 32-bit encoding equivalent to inst (None for reserved)."""
    if inst.op == "reserved":
        return None
    return encode(inst.op, inst.rd, inst.rs1, inst.rs2, inst.imm)


# --------------------------------------------------------------------------
# Arithmetic (section 4).  Every function maps 64-bit patterns to a 64-bit one.
# --------------------------------------------------------------------------
def _div(a, b, bits):
    a, b = sext(a, bits), sext(b, bits)
    if b == 0:
        return -1
    q = abs(a) // abs(b)                 # overflow case wraps by masking
    return -q if (a < 0) != (b < 0) else q


def _rem(a, b, bits):
    a, b = sext(a, bits), sext(b, bits)
    if b == 0:
        return a
    r = abs(a) % abs(b)
    return -r if a < 0 else r


def _divu(a, b, bits):
    m = (1 << bits) - 1
    return m if b & m == 0 else (a & m) // (b & m)


def _remu(a, b, bits):
    m = (1 << bits) - 1
    return a & m if b & m == 0 else (a & m) % (b & m)


def _rotr(v, n, bits):
    m = (1 << bits) - 1
    v, n = v & m, n % bits
    return (v >> n | v << (bits - n)) & m


def _clz(v, bits):
    return bits - (v & ((1 << bits) - 1)).bit_length()


def _ctz(v, bits):
    v &= (1 << bits) - 1
    return (v & -v).bit_length() - 1 if v else bits


def _orc_b(v):
    return sum(0xFF << 8 * i for i in range(8) if v >> 8 * i & 0xFF)


BINARY = {
    "add": lambda a, b: u64(a + b),
    "sub": lambda a, b: u64(a - b),
    "sll": lambda a, b: u64(a << (b & 63)),
    "srl": lambda a, b: a >> (b & 63),
    "sra": lambda a, b: u64(s64(a) >> (b & 63)),
    "slt": lambda a, b: int(s64(a) < s64(b)),
    "sltu": lambda a, b: int(a < b),
    "xor": lambda a, b: a ^ b,
    "or": lambda a, b: a | b,
    "and": lambda a, b: a & b,
    "addw": lambda a, b: w_result(a + b),
    "subw": lambda a, b: w_result(a - b),
    "sllw": lambda a, b: w_result(a << (b & 31)),
    "srlw": lambda a, b: w_result((a & MASK32) >> (b & 31)),
    "sraw": lambda a, b: w_result(s32(a) >> (b & 31)),
    "mul": lambda a, b: u64(a * b),
    "mulh": lambda a, b: u64(s64(a) * s64(b) >> 64),
    "mulhu": lambda a, b: a * b >> 64,
    "mulhsu": lambda a, b: u64(s64(a) * b >> 64),
    "mulw": lambda a, b: w_result(a * b),
    "div": lambda a, b: u64(_div(a, b, 64)),
    "rem": lambda a, b: u64(_rem(a, b, 64)),
    "divu": lambda a, b: _divu(a, b, 64),
    "remu": lambda a, b: _remu(a, b, 64),
    "divw": lambda a, b: w_result(_div(a, b, 32)),
    "remw": lambda a, b: w_result(_rem(a, b, 32)),
    "divuw": lambda a, b: w_result(_divu(a, b, 32)),
    "remuw": lambda a, b: w_result(_remu(a, b, 32)),
    "andn": lambda a, b: a & ~b & MASK64,
    "orn": lambda a, b: a | (~b & MASK64),
    "xnor": lambda a, b: ~(a ^ b) & MASK64,
    "min": lambda a, b: a if s64(a) < s64(b) else b,
    "minu": min,
    "max": lambda a, b: a if s64(a) > s64(b) else b,
    "maxu": max,
    "rol": lambda a, b: _rotr(a, -(b & 63), 64),
    "ror": lambda a, b: _rotr(a, b & 63, 64),
    "rolw": lambda a, b: w_result(_rotr(a, -(b & 31), 32)),
    "rorw": lambda a, b: w_result(_rotr(a, b & 31, 32)),
    "sh1add": lambda a, b: u64((a << 1) + b),
    "sh2add": lambda a, b: u64((a << 2) + b),
    "sh3add": lambda a, b: u64((a << 3) + b),
    "add.uw": lambda a, b: u64((a & MASK32) + b),
    "sh1add.uw": lambda a, b: u64(((a & MASK32) << 1) + b),
    "sh2add.uw": lambda a, b: u64(((a & MASK32) << 2) + b),
    "sh3add.uw": lambda a, b: u64(((a & MASK32) << 3) + b),
    "slli.uw": lambda a, b: u64((a & MASK32) << (b & 63)),
    "bclr": lambda a, b: a & ~(1 << (b & 63)) & MASK64,
    "bext": lambda a, b: a >> (b & 63) & 1,
    "binv": lambda a, b: a ^ 1 << (b & 63),
    "bset": lambda a, b: a | 1 << (b & 63),
    "czero.eqz": lambda a, b: 0 if b == 0 else a,
    "czero.nez": lambda a, b: 0 if b != 0 else a,
}
UNARY = {
    "clz": lambda a: _clz(a, 64),
    "clzw": lambda a: _clz(a, 32),
    "ctz": lambda a: _ctz(a, 64),
    "ctzw": lambda a: _ctz(a, 32),
    "cpop": lambda a: bin(a).count("1"),
    "cpopw": lambda a: bin(a & MASK32).count("1"),
    "sext.b": lambda a: u64(sext(a, 8)),
    "sext.h": lambda a: u64(sext(a, 16)),
    "zext.h": lambda a: a & 0xFFFF,
    "rev8": lambda a: int.from_bytes(a.to_bytes(8, "little"), "big"),
    "orc.b": _orc_b,
}
# immediate form -> register form computing it
IMMEDIATE = {
    "addi": "add", "slti": "slt", "sltiu": "sltu", "xori": "xor", "ori": "or", "andi": "and",
    "slli": "sll", "srli": "srl", "srai": "sra", "addiw": "addw", "slliw": "sllw",
    "srliw": "srlw", "sraiw": "sraw", "rori": "ror", "roriw": "rorw", "slli.uw": "slli.uw",
    "bclri": "bclr", "bexti": "bext", "binvi": "binv", "bseti": "bset",
}
BRANCH = {
    "beq": lambda a, b: a == b,
    "bne": lambda a, b: a != b,
    "blt": lambda a, b: s64(a) < s64(b),
    "bge": lambda a, b: s64(a) >= s64(b),
    "bltu": lambda a, b: a < b,
    "bgeu": lambda a, b: a >= b,
}
LOAD = {"lb": (1, 1), "lh": (2, 1), "lw": (4, 1), "ld": (8, 0),
        "lbu": (1, 0), "lhu": (2, 0), "lwu": (4, 0)}          # (bytes, signed)
STORE = {"sb": 1, "sh": 2, "sw": 4, "sd": 8}
ECALLS = ("ecalli", "ecall.jar")
TERMINATORS = frozenset(BRANCH) | {"jal", "jalr", "trap", "fallthrough", "reserved"} | set(ECALLS)

# --------------------------------------------------------------------------
# Gas (section 9)
# --------------------------------------------------------------------------
# op -> (cycles, slots if overlap, slots if not, overlap rule, sources, has tracked rd)
#   cycles None      = load/store latency of the footprint tier
#   overlap rule     = "any": rd is one of the sources; "rs1": rd == rs1; None: no rule
#   sources          = 0: none, 1: rs1, 2: rs1 and rs2
GAS = {}


def _gas(ops, cycles, hit, miss=None, rule=None, sources=2, dst=True):
    for op in ops.split():
        GAS[op] = (cycles, hit, hit if miss is None else miss, rule, sources, dst)


_gas("lb lh lw ld lbu lhu lwu", None, 1, sources=1)
_gas("sb sh sw sd", None, 1, dst=False)
_gas("lui auipc", 1, 2, sources=0)
_gas("addi slti sltiu xori ori andi slli srli srai", 1, 1, 2, "any", sources=1)
_gas("addiw slliw srliw sraiw", 2, 2, 3, "any", sources=1)
_gas("add sub xor or and", 1, 1, 2, "any")
_gas("sll srl sra", 1, 2, 3, "rs1")
_gas("slt sltu", 3, 3)
_gas("addw subw", 2, 2, 3, "any")
_gas("sllw srlw sraw", 2, 3, 4, "rs1")
_gas("mul", 3, 1, 2, "any")
_gas("mulw", 4, 2, 3, "any")
_gas("mulh mulhu", 4, 4)
_gas("mulhsu", 6, 4)
_gas("div divu rem remu divw divuw remw remuw", 60, 4)
_gas("clz clzw cpop cpopw sext.b sext.h zext.h rev8 orc.b", 1, 1, sources=1)
_gas("ctz ctzw", 2, 1, sources=1)
_gas("min minu max maxu", 3, 2, 3, "any")
_gas("andn orn", 2, 3)
_gas("xnor", 2, 2, 3, "any")
_gas("rol ror", 1, 2, 3, "rs1")
_gas("rori", 1, 1, 2, "any", sources=1)
_gas("rolw rorw", 2, 3, 4, "rs1")
_gas("roriw", 2, 2, 3, "any", sources=1)
_gas("sh1add sh2add sh3add add.uw sh1add.uw sh2add.uw sh3add.uw", 1, 1, 2, "any")
_gas("slli.uw", 1, 1, 2, "any", sources=1)
_gas("bclr bext binv bset", 1, 1, 2, "any")
_gas("bclri bexti binvi bseti", 1, 1, 2, "any", sources=1)
_gas("czero.eqz czero.nez", 2, 2)
_gas("jal", 15, 1, sources=0)
_gas("jalr", 22, 1, sources=1, dst=False)
_gas("beq bne blt bge bltu bgeu", 20, 1, dst=False)
_gas("fence fence.i", 1, 1, sources=0, dst=False)
_gas("trap fallthrough reserved", 2, 1, sources=0, dst=False)


def footprint_scale(pages):
    """Multiplier tier for the number of declared accessible data pages."""
    return 1 if pages <= 2048 else 2 if pages <= 8192 else 3 if pages <= 65536 else 4


def gas_operands(inst, mem_cycles):
    """(cycles, decode slots, [source slots], destination slot or None) of one instruction."""
    cycles, hit, miss, rule, sources, has_dst = GAS[inst.op]
    src = [X_TO_SLOT.get(x) for x in (inst.rs1, inst.rs2)[:sources]]     # x0 -> None
    dst = X_TO_SLOT.get(inst.rd) if has_dst else None
    if cycles is None:
        cycles = mem_cycles
    spilled = sum(1 for s in src + [dst] if s in (13, 14))
    cycles = min(255, cycles + min(255, mem_cycles * spilled))           # 8-bit saturating
    if rule == "any":
        slots = hit if dst is not None and dst in src else miss
    elif rule == "rs1":
        slots = hit if dst is not None and dst == src[0] else miss
    else:
        slots = hit
    return cycles, slots, [s for s in src if s is not None], dst


def block_cost(insts, mem_cycles=MEM_CYCLES_BASE):
    """Static cost of a non-ecall block: max(max_done - 3, 1)."""
    ready = [0] * NREGS
    cycle = used = max_done = 0
    for inst in insts:
        cycles, slots, src, dst = gas_operands(inst, mem_cycles)
        if used >= 4:
            cycle, used = cycle + 1, slots
        else:
            used += slots
        done = max([cycle] + [ready[s] for s in src]) + cycles
        if dst is not None:
            ready[dst] = done
        max_done = max(max_done, done)
    return max(max_done - 3, 1)


# --------------------------------------------------------------------------
# Program: linear walk and basic blocks (section 6)
# --------------------------------------------------------------------------
class Program:
    def __init__(self, code, footprint_pages=0):
        assert len(code) <= MAX_CODE_SIZE
        self.code = bytes(code)
        self.mem_cycles = MEM_CYCLES_BASE * footprint_scale(footprint_pages)
        self.insts = []                       # (pc, Inst) in address order
        self.at = {}                          # pc -> Inst
        pc = 0
        while True:
            inst = decode(self.code, pc)
            if inst is None:
                break
            self.insts.append((pc, inst))
            self.at[pc] = inst
            pc += inst.size
        self.end = pc                         # first offset holding no instruction
        self.starts = set()
        after_terminator = True               # offset 0
        for pc, inst in self.insts:
            if after_terminator or inst.op in ECALLS:
                self.starts.add(pc)
            after_terminator = inst.op in TERMINATORS
        self._cost, self._block = {}, {}

    def block(self, start):
        """The instructions of the block at `start`, as (pc, Inst) pairs."""
        if start not in self._block:
            out, pc = [], start
            while pc in self.at and (pc == start or pc not in self.starts):
                out.append((pc, self.at[pc]))
                pc += self.at[pc].size
            self._block[start] = out
        return self._block[start]

    def is_ecall_block(self, start):
        return self.at[start].op in ECALLS

    def cost(self, start):
        """Static cost of the block at `start` (0 for the dynamically charged ecall blocks)."""
        if start not in self._cost:
            self._cost[start] = (0 if self.is_ecall_block(start) else
                                 block_cost([i for _, i in self.block(start)], self.mem_cycles))
        return self._cost[start]

    def store_count(self, start):
        return sum(1 for _, i in self.block(start) if i.op in STORE)


# --------------------------------------------------------------------------
# Memory (section 2)
# --------------------------------------------------------------------------
class PageFault(Exception):
    def __init__(self, addr, write):
        super().__init__("page fault at 0x%08x" % addr)
        self.addr, self.write = addr, write


class Memory:
    """Sparse page map.  Addresses are taken modulo 2**32."""

    def __init__(self):
        self.pages = {}                        # page number -> bytearray(4096)
        self.writable = {}                     # page number -> bool

    def map(self, addr, length, writable, data=b""):
        if addr % PAGE or length % PAGE or addr + length > 1 << 32 or len(data) > length:
            raise ValueError("bad mapping 0x%x+0x%x" % (addr, length))
        data = bytes(data) + bytes(-len(data) % PAGE)
        for i in range(length // PAGE):
            chunk = data[i * PAGE:(i + 1) * PAGE]
            self.pages[addr // PAGE + i] = bytearray(chunk or PAGE)
            self.writable[addr // PAGE + i] = writable

    def page_numbers(self, addr, n, write):
        """Pages touched by an n-byte access; faults unless all of them allow it."""
        touched = sorted({(addr & MASK32) // PAGE, ((addr + n - 1) & MASK32) // PAGE})
        for p in touched:
            if p not in self.pages or (write and not self.writable[p]):
                raise PageFault(addr & MASK32, write)
        return touched

    def load(self, addr, n):
        self.page_numbers(addr, n, False)
        return int.from_bytes(bytes(self.pages[(addr + i & MASK32) // PAGE][(addr + i) % PAGE]
                                    for i in range(n)), "little")

    def store(self, addr, n, value):
        self.page_numbers(addr, n, True)
        for i in range(n):
            self.pages[(addr + i & MASK32) // PAGE][(addr + i) % PAGE] = value >> 8 * i & 0xFF


# --------------------------------------------------------------------------
# Machine (sections 7, 8)
# --------------------------------------------------------------------------
class Machine:
    """One PVM2 execution.  pc is a byte offset into the code, regs is x0..x15."""

    def __init__(self, program, memory, gas, entry_pc=0, cow_cost=0):
        self.prog, self.mem, self.gas, self.pc = program, memory, gas, entry_pc
        self.regs = [0] * 16
        self.cow_cost, self.dirty = cow_cost, set()
        self.instret = self.blocks = 0
        padded = self.prog.code + bytes(-len(self.prog.code) % PAGE)
        memory.map(CODE_BASE, len(padded), False, padded)

    # -- helpers -----------------------------------------------------------
    def write_reg(self, x, value):
        if x:
            self.regs[x] = value

    def exit(self, kind, pc, arg=0):
        self.pc = pc
        return {"exit": kind, "exit_arg": arg}

    def jump_target(self, va):
        """Code offset of a virtual address if it is a block start, else None."""
        off = (va - CODE_BASE) & MASK32
        return off if off in self.prog.starts else None

    # -- main loop ---------------------------------------------------------
    def run(self):
        """Run from self.pc until an exit; returns {'exit', 'exit_arg', ...}."""
        if self.pc not in self.prog.starts:
            return self.exit("panic", self.pc)
        while True:
            start = self.pc
            if self.prog.is_ecall_block(start):
                return self.ecall_block(start)
            cost = self.prog.cost(start)
            reserve = self.prog.store_count(start) * MAX_PAGES_PER_ACCESS * self.cow_cost \
                if self.cow_cost else 0
            if self.gas < cost + reserve:
                return self.exit("out_of_gas", start)
            self.gas -= cost
            self.blocks += 1
            result = self.run_block(start)
            if result:
                return result
            if self.pc not in self.prog.at:          # fell off the end of the code
                return self.exit("panic", self.pc)

    def ecall_block(self, pc):
        inst = self.prog.at[pc]
        cost = HOST_CALL_FLOOR if inst.op == "ecalli" else MGMT_OP_COST
        if self.gas < cost:
            return self.exit("out_of_gas", pc)
        self.gas -= cost
        self.instret += 1
        if inst.op == "ecalli":
            return self.exit("host_call", pc + 4, inst.imm)
        return self.exit("ecall_jar", pc + 4)

    def run_block(self, start):
        for pc, inst in self.prog.block(start):
            result = self.step(pc, inst)
            if result:
                return result
            self.instret += 1
        return None

    def step(self, pc, inst):
        """Execute one non-ecall instruction; sets self.pc.  Returns an exit or None."""
        op, x = inst.op, self.regs
        next_pc = pc + inst.size
        if op in IMMEDIATE:
            self.write_reg(inst.rd, BINARY[IMMEDIATE[op]](x[inst.rs1], u64(inst.imm)))
        elif op in BINARY:
            self.write_reg(inst.rd, BINARY[op](x[inst.rs1], x[inst.rs2]))
        elif op in LOAD:
            size, signed = LOAD[op]
            try:
                value = self.mem.load(u64(x[inst.rs1] + inst.imm), size)
            except PageFault as fault:
                return self.page_fault(pc, fault)
            self.write_reg(inst.rd, u64(sext(value, 8 * size)) if signed else value)
        elif op in STORE:
            addr = u64(x[inst.rs1] + inst.imm)
            try:
                touched = self.mem.page_numbers(addr, STORE[op], True)
                for page in touched:
                    if page not in self.dirty:
                        self.dirty.add(page)
                        self.gas -= self.cow_cost
                self.mem.store(addr, STORE[op], x[inst.rs2])
            except PageFault as fault:
                return self.page_fault(pc, fault)
        elif op in BRANCH:
            if BRANCH[op](x[inst.rs1], x[inst.rs2]):
                target = self.jump_target(CODE_BASE + pc + inst.imm)
                if target is None:
                    return self.exit("panic", pc)
                next_pc = target
        elif op == "jal" or op == "jalr":
            va = CODE_BASE + pc + inst.imm if op == "jal" else (x[inst.rs1] + inst.imm) & ~1
            self.write_reg(inst.rd, CODE_BASE + next_pc)
            target = self.jump_target(va)
            if target is None:
                return self.exit("panic", pc)
            next_pc = target
        elif op in UNARY:
            self.write_reg(inst.rd, UNARY[op](x[inst.rs1]))
        elif op == "lui":
            self.write_reg(inst.rd, u64(inst.imm))
        elif op == "auipc":
            self.write_reg(inst.rd, u64(CODE_BASE + pc + inst.imm))
        elif op in ("fence", "fence.i", "fallthrough"):
            pass
        elif op == "trap":
            return self.exit("trap", pc)
        else:                                         # reserved
            return self.exit("panic", pc)
        self.pc = next_pc
        return None

    def page_fault(self, pc, fault):
        result = self.exit("page_fault", pc, fault.addr & ~(PAGE - 1))
        result["fault_addr"], result["fault_write"] = fault.addr, fault.write
        return result


# --------------------------------------------------------------------------
# JSON vectors
# --------------------------------------------------------------------------
def machine_from_vector(v):
    mem = Memory()
    for m in v.get("memory", []):
        mem.map(m["addr"], m["len"], m["writable"], bytes.fromhex(m.get("hex", "")))
    prog = Program(bytes.fromhex(v["code"]), v.get("footprint_pages", 0))
    machine = Machine(prog, mem, v["gas"], v.get("entry_pc", 0), v.get("cow_cost", 0))
    for slot, value in enumerate(v["regs"]):
        machine.regs[SLOT_TO_X[slot]] = u64(value)
    return machine


def memory_diff(before, mem):
    """Runs of changed bytes, nearby runs merged (gap < 16 bytes inside a page)."""
    out = []
    for p in sorted(mem.pages):
        old, new = before.get(p), mem.pages[p]
        if old == new:
            continue
        changed = [i for i in range(PAGE) if old[i] != new[i]]
        lo = hi = changed[0]
        for i in changed[1:] + [1 << 20]:
            if i - hi > 16:
                out.append({"addr": p * PAGE + lo, "hex": bytes(new[lo:hi + 1]).hex()})
                lo = i
            hi = i
    return out


def run_vector(v, machine=None):
    """Execute a vector and return its 'expected' object."""
    m = machine or machine_from_vector(v)
    before = {p: bytes(b) for p, b in m.mem.pages.items() if m.mem.writable[p]}
    result = m.run()
    result.update(pc=m.pc, regs=[m.regs[SLOT_TO_X[s]] for s in range(NREGS)], gas=m.gas,
                  memory=memory_diff(before, _WritableView(m.mem)))
    return result


class _WritableView:
    def __init__(self, mem):
        self.pages = {p: b for p, b in mem.pages.items() if mem.writable[p]}


def check_vector(v):
    """List of human-readable mismatches (empty when the vector passes)."""
    got, want = run_vector(v), v["expected"]
    return ["%s: got %r want %r" % (k, got.get(k), want[k]) for k in want if got.get(k) != want[k]]


def load_vectors(path):
    with open(path) as f:
        data = json.load(f)
    if isinstance(data, dict) and "vectors" in data:
        return data["vectors"]
    return data if isinstance(data, list) else [data]


def listing(code, footprint_pages=0):
    prog = Program(code, footprint_pages)
    for pc, inst in prog.insts:
        mark = "  "
        extra = ""
        if pc in prog.starts:
            mark = "* "
            extra = "   ; gas " + ("dynamic" if prog.is_ecall_block(pc) else str(prog.cost(pc)))
        yield "%s%06x  %-8s  %s%s" % (mark, pc, code[pc:pc + inst.size].hex(), inst.text(), extra)


# --------------------------------------------------------------------------
# Self-test: hand-computed facts
# --------------------------------------------------------------------------
def selftest():
    checks = 0

    def eq(got, want, what):
        nonlocal checks
        checks += 1
        if got != want:
            raise AssertionError("%s: got %r want %r" % (what, got, want))

    for name, (fmt, match) in ISA.items():
        inst = decode32(match | (5 << 7 if FORMATS[fmt][0] else 0) | (6 << 15 if FORMATS[fmt][1] else 0)
                        | (7 << 20 if FORMATS[fmt][2] else 0))
        eq(inst.op, name, "decode " + name)
        eq(canonical_word(inst), inst.raw, "re-encode " + name)
    for h in range(1 << 16):
        if h & 3 != 3:
            inst = decode16(h)
            w = canonical_word(inst)
            if w is not None:
                back = decode32(w)
                eq((back.op, back.rd, back.rs1, back.rs2, back.imm),
                   (inst.op, inst.rd, inst.rs1, inst.rs2, inst.imm), "c-expand %04x" % h)
    known = [(0x00C58533, "add x10, x11, x12"), (0x01053283, "ld x5, 16(x10)"),
             (0x00B53423, "sd x11, 8(x10)"), (0xFFC58513, "addi x10, x11, -4"),
             (0x00B50463, "beq x10, x11, +8"), (0x00C000EF, "jal x1, +12"),
             (0x123452B7, "lui x5, 0x12345"), (0x0000200B, "ecalli 0"),
             (0xFFF0200B, "ecalli -1"), (0x0000400B, "fallthrough"), (0x0000000B, "trap"),
             (0x0000100B, "ecall.jar"), (0x0805453B, "zext.h x10, x10"),
             (0x6B855513, "rev8 x10, x10")]
    for w, text in known:
        eq(decode32(w).text(), text, "%08x" % w)
    eq(decode16(0x852E).text(), "add x10, x0, x11  [c.mv]", "c.mv")
    for w in (0x00000073, 0x00100073, 0x0000300B, 0x0000002B, 0x0000008B, 0x00012B83 | 16 << 7,
              0x69855513, 0x0805C533, 0x30200073, 0x00000007, 0x1000202F):
        eq(decode32(w).op, "reserved", "%08x" % w)
    for h in (0x0000, 0x9002, 0x8002, 0x2000, 0x9C41, 0x6101, 0x6081, 0x4002, 0x6002):
        eq(decode16(h).op, "reserved", "%04x" % h)

    # pipeline facts (cost = max(max_done - 3, 1))
    def ins(*rows):
        return [decode32(encode(*r)) for r in rows]

    eq(block_cost([]), 1, "empty block")
    eq(block_cost(ins(("addi", 5, 5, 0, 1))), 1, "one addi")
    eq(block_cost(ins(*[("addi", 6 + i, 5 + i, 0, 1) for i in range(5)])), 5 - 3, "5-chain")
    eq(block_cost(ins(("ld", 5, 6, 0, 0), ("add", 7, 5, 5))), 26 - 3, "load-use")
    eq(block_cost(ins(("ld", 5, 6, 0, 0), ("add", 7, 5, 5)), 100), 101 - 3, "load-use tier 4")
    eq(block_cost(ins(("addi", 3, 0, 0, 1))), 26 - 3, "x3 spill")
    eq(block_cost(ins(("add", 3, 3, 4))), 1 + 75 - 3, "three spills")
    eq(block_cost(ins(("div", 5, 6, 7), ("div", 8, 9, 10))), 61 - 3, "two divides decode 1/cycle")
    eq(block_cost(ins(("jal", 0, 0, 0, 8))), 12, "jal")
    eq(block_cost(ins(("jalr", 0, 1, 0, 0))), 19, "jalr")
    eq(block_cost(ins(("jalr", 3, 1, 0, 0))), 19, "jalr rd is not tracked")
    eq(block_cost(ins(("jal", 3, 0, 0, 8))), 15 + 25 - 3, "jal rd is tracked")
    eq(block_cost(ins(("beq", 0, 5, 6, 8))), 17, "branch")
    eq(block_cost(ins(("sd", 0, 3, 4, 0)), 100), 255 - 3, "8-bit saturation")
    return checks


def main(argv):
    if len(argv) < 2 or argv[1] not in ("selftest", "check", "run", "disasm"):
        print(__doc__)
        return 2
    if argv[1] == "selftest":
        print("selftest: %d checks passed" % selftest())
        return 0
    if argv[1] == "disasm":
        text = argv[2]
        code = open(text[1:], "rb").read() if text.startswith("@") else bytes.fromhex(text)
        print("\n".join(listing(code)))
        return 0
    if argv[1] == "run":
        for v in load_vectors(argv[2]):
            if len(argv) < 4 or v.get("name") == argv[3]:
                print(json.dumps({"name": v.get("name"), "expected": run_vector(v)}))
        return 0
    total = bad = 0
    for path in argv[2:]:
        for v in load_vectors(path):
            if "expected" not in v:
                continue
            total += 1
            problems = check_vector(v)
            if problems:
                bad += 1
                print("FAIL %s %s: %s" % (path, v.get("name"), "; ".join(problems)))
    print("%d vectors, %d failed" % (total, bad))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
