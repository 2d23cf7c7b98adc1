#!/usr/bin/env python3
"""Known answers for the tests of caps/, computed from the rules and not from the C code.

    golden.py > golden.h             the expected bytes and hashes
    golden.py --corpus FOLDER        images for the fuzz target, one file each
    golden.py --example              the worked example of docs/caps.md
"""
import hashlib
import os
import sys

PAGE = 4096
ZERO = bytes(32)


def H(*pieces):
    return hashlib.blake2b(b"".join(pieces), digest_size=32).digest()


def u(width, number):
    return number.to_bytes(width, "little")


def cap_hash(tag, body):
    return H(b"javm.cap.v1", bytes([tag]), body)


# ---- Data ----------------------------------------------------------------------------------


def page_root(pages, count):
    """pages: {number: 4096 bytes}; the tree is walked sparsely."""
    if count == 0:
        return ZERO
    level = {}
    for number, page in pages.items():
        if page != bytes(PAGE):
            level[number] = H(b"javm.page.v1", page)
    width = 1
    while width < count:
        above = {}
        for number in {n // 2 for n in level}:
            left, right = level.get(2 * number, ZERO), level.get(2 * number + 1, ZERO)
            above[number] = H(b"javm.node.v1", left, right)
        level, width = above, width * 2
    return level.get(0, ZERO)


def data_hash(pages, count):
    return cap_hash(2, u(8, count * PAGE) + page_root(pages, count))


def data_of(content):
    count = (len(content) + PAGE - 1) // PAGE
    padded = content.ljust(count * PAGE, b"\0")
    return {n: padded[n * PAGE:(n + 1) * PAGE] for n in range(count)}, count


def pattern_page(seed):
    return bytes((seed + i * 7 + i // 256) & 0xFF for i in range(PAGE))


# ---- CNode, Type, Instance -----------------------------------------------------------------


def key(k):
    return u(1, len(k)) + k


def cnode_hash(slots):
    return cap_hash(3, u(4, len(slots)) + b"".join(key(k) + slots[k] for k in sorted(slots)))


def instance_hash(chain, image, root, mem, regs, pc, gas, status, yield_key):
    return cap_hash(0, chain + image + root + mem + b"".join(u(8, r) for r in regs) + u(8, pc) + u(8, gas)
                    + u(1, status) + key(yield_key))


def handle_hash(name, regs=(0, 0), mem=data_hash({}, 0)):
    return instance_hash(H(b"kernel:" + name), ZERO, ZERO, mem, list(regs) + [0] * 13, 0, 0, 0, b"")


# ---- Image ---------------------------------------------------------------------------------


def listed(items):
    return u(4, len(items)) + b"".join(items)


def optional_key(k):
    return u(1, 1) + key(k) if k else u(1, 0)


def endpoint(index, entry_pc, stack_top, slot=b"", size=0, regs=()):
    regs = list(regs) + [0] * (13 - len(regs))
    return u(4, index) + u(8, entry_pc) + u(8, stack_top) + optional_key(slot) + u(1, size) + b"".join(
        u(8, r) for r in regs)


def mapping(start, size, path=None):
    return u(8, start) + u(8, size) + (u(1, 1) + listed([key(k) for k in path]) if path is not None else u(1, 0))


def pin(k, target):
    return key(k) + target


def image_parts(isa=1, code=b"", bitmask=b"", jumps=(), endpoints=(), mappings=(), pinned=(), initial=(),
                gas=(), quota=(), receiver=b""):
    """The fields of the encoding, in order, with their names."""
    return [
        ("isa", u(1, isa)),
        ("code", listed([code[i:i + 1] for i in range(len(code))])),
        ("bitmask", listed([bitmask[i:i + 1] for i in range(len(bitmask))])),
        ("jump_table", listed([u(4, j) for j in jumps])),
        ("endpoints", listed(list(endpoints))),
        ("mappings", listed(list(mappings))),
        ("pinned", listed(list(pinned))),
        ("initial", listed(list(initial))),
        ("gas_slots", listed([key(k) for k in gas])),
        ("quota_slots", listed([key(k) for k in quota])),
        ("yield_receiver_slot", optional_key(receiver)),
    ]


def image(**fields):
    return b"".join(part for _, part in image_parts(**fields))


def image_hash(**fields):
    parts = dict(image_parts(**fields))
    parts["code"] = H(b"javm.code.v1", fields.get("code", b""))
    return cap_hash(1, b"".join(parts.values()))


PIN_HASH = bytes(range(32))
INIT_HASH = bytes(range(0x80, 0xA0))

EXAMPLE = dict(
    isa=1, code=bytes.fromhex("1305a002 13000000"),
    endpoints=[endpoint(3, 0x400000, 0x20002000, b"\x09", 2, [0x1122334455667788, 0, 5])],
    mappings=[mapping(0x10000000, 0x1000, [b"\x05", b"\x06\x01"]), mapping(0x20000000, 0x2000)],
    pinned=[pin(b"\x02", PIN_HASH)], initial=[pin(b"\x05", INIT_HASH)],
    gas=[b"\x0a"], quota=[b"\x0b"], receiver=b"\x0c")

PVM = dict(isa=0, code=bytes(range(1, 12)), bitmask=b"\x05\x04", jumps=[0, 2, 0xFFFFFFFF],
           endpoints=[endpoint(0, 0, 0), endpoint(63, 5, 7)],
           mappings=[mapping(0x10000, 0x1000)], gas=[b"\x09", b"\x01\x02", b"\x01"])


# ---- outputs -------------------------------------------------------------------------------


def c_string(name, value):
    text = value.hex()
    rows = [text[i:i + 84] for i in range(0, len(text), 84)] or [""]
    return "#define %s \\\n%s\n" % (name, " \\\n".join('    "%s"' % row for row in rows))


def header():
    long_data, long_count = data_of(b"".join(pattern_page(s) for s in range(5))[:4 * PAGE + 10])
    regs = [0x0101010101010101 * (i + 1) for i in range(15)]
    chain, hash_a, hash_b = H(b"chain"), H(b"a"), H(b"b")
    keys = sorted([b"\x05", b"\x05\x00", b"\xff\x01\x02\x03\x04\x05\x06\x07", b"\x00"])
    receiver = u(2, len(keys)) + b"".join(key(k) for k in keys)
    sparse = {777777: pattern_page(9), 3: pattern_page(4), 1048575: pattern_page(5)}
    packed = int.from_bytes(b"\xce\x01\x7f", "little")
    out = {
        "GOLDEN_H_EMPTY": H(b""),
        "GOLDEN_H_ABC": H(b"abc"),
        "GOLDEN_DATA_NONE": data_hash({}, 0),
        "GOLDEN_DATA_ZERO_1": data_hash({}, 1),
        "GOLDEN_DATA_ZERO_3": data_hash({}, 3),
        "GOLDEN_DATA_ABC": data_hash(*data_of(b"abc")),
        "GOLDEN_DATA_5": data_hash(long_data, long_count),
        "GOLDEN_ROOT_5": page_root(long_data, long_count),
        "GOLDEN_DATA_SPARSE": data_hash(sparse, 1 << 20),
        "GOLDEN_ROOT_1": page_root({0: pattern_page(1)}, 1),
        "GOLDEN_CNODE_EMPTY": cnode_hash({}),
        "GOLDEN_CNODE_4": cnode_hash(
            {b"\x02": hash_a, b"\x01\xff": hash_b, b"\x01": ZERO, b"\x01\x00\x00\x00\x00\x00\x00\x00": hash_a}),
        "GOLDEN_TYPE": cap_hash(4, hash_a),
        "GOLDEN_INSTANCE_IDLE": instance_hash(chain, hash_a, hash_b, data_hash(long_data, long_count), regs,
                                              0x400002, (1 << 64) - 1, 0, b""),
        "GOLDEN_INSTANCE_PAUSED": instance_hash(chain, hash_a, hash_b, data_hash({}, 0), regs[::-1], 1, 2, 1,
                                                b"\xce\x10"),
        "GOLDEN_CHAIN_EXTENDED": H(chain, hash_a),
        "GOLDEN_KERNEL_GAS": H(b"kernel:gas"),
        "GOLDEN_KERNEL_QUOTA": H(b"kernel:quota"),
        "GOLDEN_KERNEL_YIELD_SENDER": H(b"kernel:yieldsender"),
        "GOLDEN_KERNEL_YIELD_RECEIVER": H(b"kernel:yieldreceiver"),
        "GOLDEN_KERNEL_GAS_METER": H(b"kernel:gasmeter"),
        "GOLDEN_KERNEL_STORAGE_QUOTA": H(b"kernel:storagequota"),
        "GOLDEN_KERNEL_FILE": H(b"kernel:file"),
        "GOLDEN_HANDLE_GAS": handle_hash(b"gas", (packed, 3)),
        "GOLDEN_HANDLE_QUOTA": handle_hash(b"quota", (packed, 3)),
        "GOLDEN_HANDLE_SENDER": handle_hash(b"yieldsender", (packed, 3)),
        "GOLDEN_HANDLE_RECEIVER": handle_hash(b"yieldreceiver", mem=data_hash(*data_of(receiver))),
        "GOLDEN_HANDLE_RECEIVER_EMPTY": handle_hash(b"yieldreceiver", mem=data_hash(*data_of(u(2, 0)))),
        "GOLDEN_IMAGE_EMPTY": image(),
        "GOLDEN_IMAGE_EMPTY_HASH": image_hash(),
        "GOLDEN_IMAGE_EXAMPLE": image(**EXAMPLE),
        "GOLDEN_IMAGE_EXAMPLE_HASH": image_hash(**EXAMPLE),
        "GOLDEN_IMAGE_PVM": image(**PVM),
        "GOLDEN_IMAGE_PVM_HASH": image_hash(**PVM),
    }
    print("/* Made by golden.py; do not edit. Hex of expected bytes and hashes. */")
    print("#ifndef TESTS_CAPS_GOLDEN_H\n#define TESTS_CAPS_GOLDEN_H\n")
    print("/* clang-format off */")
    print("".join(c_string(name, value) for name, value in out.items()), end="")
    print("/* clang-format on */")
    print("\n#endif")


def corpus(folder):
    os.makedirs(folder, exist_ok=True)
    files = {
        "empty": image(),
        "example": image(**EXAMPLE),
        "pvm": image(**PVM),
        "deep_path": image(mappings=[mapping(0xFFFFF000, 0x1000, [bytes([i + 1]) * (i + 1) for i in range(8)])]),
        "endpoints_64": image(code=b"\x01\x00", endpoints=[endpoint(i, 0, 0) for i in range(64)]),
        "touching": image(mappings=[mapping(0x10000000 + i * 0x2000, 0x2000) for i in range(6)]),
        "whole_space": image(mappings=[mapping(0x10000000, 0xF0000000)]),
        "pins": image(pinned=[pin(k, H(k)) for k in (b"\x01", b"\x01\x00", b"\x02")],
                      initial=[pin(k, H(k)) for k in (b"\x00", b"\x03")]),
        "bad_isa": image(isa=2),
        "bad_pvm2_bitmask": image(bitmask=b"\x01"),
        "bad_overlap": image(mappings=[mapping(0x10000000, 0x3000), mapping(0x10002000, 0x1000)]),
        "bad_wrap": image(mappings=[mapping(0xFFFFF000, 0xFFFFFFFFFFFFF000)]),
        "bad_order": image(pinned=[pin(b"\x02", ZERO), pin(b"\x01", ZERO)]),
        "bad_both": image(pinned=[pin(b"\x02", ZERO)], initial=[pin(b"\x02", ZERO)]),
        "bad_twice": image(gas=[b"\x01", b"\x02", b"\x01"]),
        "bad_path": image(mappings=[mapping(0x10000000, 0x1000, [])]),
        "bad_count": image()[:13] + b"\xff\xff\xff\xff",
        "bad_trailing": image() + b"\0",
        "bad_cut": image(**EXAMPLE)[:-3],
    }
    for name, content in files.items():
        with open(os.path.join(folder, name), "wb") as out:
            out.write(content)


def example():
    def row(content, text):
        print("    %-66s %s" % (content.hex(), text))

    for name, part in image_parts(**EXAMPLE):
        if name in ("isa", "yield_receiver_slot"):
            row(part, name)
            continue
        row(part[:4], name + ": count")
        rest = part[4:]
        while rest:
            row(rest[:32], "")
            rest = rest[32:]
    print("\n    cap_hash", image_hash(**EXAMPLE).hex())


if len(sys.argv) == 3 and sys.argv[1] == "--corpus":
    corpus(sys.argv[2])
elif len(sys.argv) == 2 and sys.argv[1] == "--example":
    example()
elif len(sys.argv) == 1:
    header()
else:
    sys.exit(__doc__)
