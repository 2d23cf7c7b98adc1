#!/usr/bin/env python3
"""Writes tests/data/secp256k1.txt: vectors for public-key recovery on secp256k1.

    secp256k1_vectors.py [FILE]

Plain affine arithmetic on Python's integers, as SEC 1 (4.1.3, 4.1.6) describes it; it has nothing in common with
guest/programs/secp256k1.c but the curve. The output is the same each time. A line is

    NAME HASH R S RECID KEY

in hexadecimal, RECID decimal, KEY 64 bytes or "-" for an invalid signature. The first four lines are the vectors that
the program embeds. Before it writes, the script checks that every key verifies its signature.
"""
import hashlib
import os
import sys

P = 2**256 - 2**32 - 977
N = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
G = (0x79BE667EF9DCBBAC55A06295CE870B07029BFCDB2DCE28D959F2815B16F81798,
     0x483ADA7726A3C4655DA4FBFC0E1108A8FD17B448A68554199C47D08FFB10D4B8)
LAMBDA = 0x5363AD4CC05C30E0A5261C028812645A122E22EA20816678DF02967C1B23BD72  # of the endomorphism
A, B = 0x3086D221A7D46BCDE86C90E49284EB15, 0xE4437ED6010E88286F547FA90ABFE4C3  # of its lattice


def add(a, b):
    """The sum of two points; None is infinity."""
    if a is None:
        return b
    if b is None:
        return a
    if a[0] == b[0]:
        if (a[1] + b[1]) % P == 0:
            return None
        slope = 3 * a[0] * a[0] * pow(2 * a[1], -1, P)
    else:
        slope = (b[1] - a[1]) * pow(b[0] - a[0], -1, P)
    x = (slope * slope - a[0] - b[0]) % P
    return x, (slope * (a[0] - x) - a[1]) % P


def multiply(k, point):
    total = None
    for bit in bin(k % N)[2:]:
        total = add(total, total)
        if bit == "1":
            total = add(total, point)
    return total


def lift(x, parity):
    square = (x**3 + 7) % P
    y = pow(square, (P + 1) // 4, P)
    if y * y % P != square:
        return None
    return x, y if y % 2 == parity else P - y


def recover(z, r, s, recid):
    """The key as a point, or None."""
    if not (0 < r < N and 0 < s < N and 0 <= recid <= 3):
        return None
    x = r + (N if recid & 2 else 0)
    point = lift(x, recid & 1) if x < P else None
    if point is None:
        return None
    inverse = pow(r, -1, N)
    return add(multiply(s * inverse, point), multiply(-z * inverse, G))


def verify(key, z, r, s):
    inverse = pow(s, -1, N)
    point = add(multiply(z * inverse, G), multiply(r * inverse, key))
    return point is not None and point[0] % N == r


def sign(d, z, k, high):
    """The signature (r, s, recid) of z by the key d with the nonce k, s in the upper half when `high`."""
    point = multiply(k, G)
    r, recid = point[0] % N, point[1] % 2 + 2 * (point[0] >= N)
    s = pow(k, -1, N) * (z + r * d) % N
    if (s > N // 2) != high:
        s, recid = N - s, recid ^ 1
    return r, s, recid


def number(*label):
    """256 bits that depend on the label only."""
    return int.from_bytes(hashlib.sha256(repr(label).encode()).digest(), "big")


lines = []


def emit(name, z, r, s, recid, want=None):
    """`want`: "valid", "invalid" or a key, to be sure that the vector is what its name says."""
    key = recover(z, r, s, recid)
    text = "-" if key is None else "%064x%064x" % key
    if key is not None:
        assert verify(key, z, r, s), name
    if want is not None:
        assert want == text or want == ("invalid" if key is None else "valid"), name
    lines.append("%s %064x %064x %064x %d %s" % (name, z, r, s, recid, text))


def from_factors(name, k, u1, u2, want=None):
    """The signature whose key is u1 G + u2 R for R = k G."""
    point = multiply(k, G)
    r = point[0] % N
    emit(name, -u1 * r % N, r, u2 * r % N, point[1] % 2 + 2 * (point[0] >= N), want)


def small_x(start, step):
    """The next x that is on the curve."""
    while lift(start, 0) is None:
        start += step
    return start


def embedded():
    # The test of go-ethereum's Ecrecover (crypto/signature_test.go).
    emit("geth", 0xCE0677BB30BAA8CF067C88DB9811F4333D131BF8BCF12FE7065D211DCE971008,
         0x90F27B8B488DB00B00606796D2987F6A5F59AE62EA05EFFE84FEF5B8B0E54998,
         0x4A691139AD57A3F0B906637673AA2F63D1F55CB1A69199D4009EEA23CEADDC93, 1,
         "e32df42865e97135acfb65f3bae71bdc86f4d49150ad6a440b6f15878109880a"
         "0a2b2667f7e725ceea70c673093bf67663e0312623c8e091b13cf2c0f11ef652")
    # The precompile test "ValidKey", of the address a94f5374fce5edbc8e2a8697c15331677e6ebf0b.
    emit("precompile", 0x18C547E4F7B0F325AD1E56F57E26C745B09A3E503D86E00E5255FF7F715D3D1C,
         0x73B1693892219D736CABA55BDB67216E485557EA6B6AF75F37096C9AA6A5A75F,
         0xEEB940B1D03B21E36B0E47E79769F095FE2AB855BD91E3A38756B7D75A9C4549, 1, "valid")
    # The precompile test "CallEcrecoverUnrecoverableKey".
    emit("unrecoverable", 0xA8B53BDF3306A35A7103AB5504A0C9B492295564B6202B1942A84EF300107281,
         0x3078356531653033663533636531386237373263636230303933666637316633,
         0x6635336635633735623734646362333161383561613862383839326234653862, 0, "invalid")
    emit("overflow", number("z"), small_x(N + 1, 1) - N, number("s") % N, 2, "valid")


def public():
    # The example of evm.codes, of the address 7156526fbd7a3c72969b54f64e42c10fbb768c8a.
    emit("evm.codes", 0x456E9AEA5E197A1F1AF7A3E85A3212FA4049A3BA34C2289B4C860FC0B0C64EF3,
         0x9242685BF161793CC25603C231BC2F568EB630EA16AA137D2664AC8038825608,
         0x4F8AE3BD7535248D0BD448298CC2E2071E56992D0774DC340C368AE950852ADA, 1, "valid")


def signed():
    """Signatures by random keys; the key must come back."""
    for i in range(60):
        d, k, z = number("d", i) % N, number("k", i) % N, number("z", i)
        r, s, recid = sign(d, z % N, k, i % 3 == 0)
        emit("signed-%d" % i, z, r, s, recid, "%064x%064x" % multiply(d, G))
        if i % 6 == 0:
            emit("signed-%d-other" % i, z, r, s, recid ^ 1, "valid")


def hashes():
    d, k = number("d", "hash") % N, number("k", "hash") % N
    for name, z in (("0", 0), ("1", 1), ("n-1", N - 1), ("n", N), ("n+1", N + 1), ("p-1", P - 1), ("p", P),
                    ("p+1", P + 1), ("max", 2**256 - 1), ("2^255", 2**255), ("2^128", 2**128)):
        r, s, recid = sign(d, z % N, k, False)
        emit("hash-" + name, z, r, s, recid, "%064x%064x" % multiply(d, G))


def ranges():
    z = number("z", "range")
    r, s, recid = sign(number("d", "range") % N, z % N, number("k", "range") % N, False)
    for name, value in (("0", 0), ("n", N), ("n+1", N + 1), ("p", P), ("max", 2**256 - 1)):
        for v in (0, 1, 2, 3):
            emit("r-%s-%d" % (name, v), z, value, s, v, "invalid")
        emit("s-" + name, z, r, value, recid, "invalid")
    for value in (1, 2, N // 2, N // 2 + 1, N - 2, N - 1):
        emit("s-edge-%x" % (value % 2**16), z, r, value, recid, "valid")
    for v in (4, 5, 27, 28, 128, 254, 255):
        emit("recid-%d" % v, z, r, s, v, "invalid")
    for v in (2, 3):  # r + n would be p or more
        emit("recid-%d-too-large" % v, z, r, s, v, "invalid")


def edges_of_x():
    """x around 0, p - n, n and p."""
    z, s = number("z", "x"), number("s", "x") % N
    for name, x in (("1", 1), ("below-p-n", P - N - 1), ("at-p-n", P - N), ("above-p-n", P - N + 1)):
        for v in (0, 1, 2, 3):
            emit("r-is-%s-%d" % (name, v), z, x, s, v)
    for name, start, step in (("1", 1, 1), ("p-n", P - N - 1, -1), ("n", N - 1, -1)):
        for parity in (0, 1):
            emit("x-near-%s-%d" % (name, parity), z, small_x(start, step), s, parity, "valid")
    for i, start in enumerate((N + 1, N + 2**40, N + 2**100, P - 2**60)):
        x = small_x(start, 1)
        for v in (2, 3):
            emit("x-over-n-%d-%d" % (i, v), z + i, x - N, s, v, "valid")
    x = small_x(P - 1, -1)
    for v in (2, 3):
        emit("x-below-p-%d" % v, z, x - N, s, v, "valid")
    bad = next(x for x in range(N + 1, P) if lift(x, 0) is None)
    for v in (2, 3):
        emit("x-over-n-not-on-curve-%d" % v, z, bad - N, s, v, "invalid")


def factors():
    """Sums that meet equal or opposite points inside, and factors at the edges of how they are split."""
    for k in (1, 2, 3, 5, N - 1, N - 2, LAMBDA, N - LAMBDA, LAMBDA * LAMBDA % N, pow(2, -1, N)):
        from_factors("equal-%x" % (k % 2**32), k, k, 1, "valid")
        from_factors("opposite-%x" % (k % 2**32), k, N - k, 1, "invalid")
    k = number("k", "factor") % N
    u2 = number("u2", "factor") % N
    from_factors("infinity", k, -u2 * k % N, u2, "invalid")
    from_factors("only-r", k, 0, u2, "valid")
    from_factors("twice", k, u2 * k % N, u2, "valid")
    from_factors("lambda-twice", LAMBDA, u2 * LAMBDA % N, u2, "valid")
    edge = (1, N - 1, 16, 31, 2**127, 2**128 - 1, 2**128, 2**129 + 1, LAMBDA, LAMBDA - 1, N - LAMBDA, A, B, A + B,
            2**127 - 1, (2**126 - 1) * LAMBDA % N,
            N - A, (A + 2 * B) // 2, LAMBDA * B % N, N // 2, N // 2 + 1, N // 3, 2**255, 2**256 - 2**128 - 1,
            (A * LAMBDA + B) % N, ((A + B) // 2 * LAMBDA + A // 2) % N, (-(A + B) // 2 * LAMBDA - A // 2) % N,
            0x5555555555555555555555555555555555555555555555555555555555555555,
            int("f" * 31 + "0" + "f" * 32, 16))
    for i, u in enumerate(edge):
        from_factors("u1-edge-%d" % i, k, u, u2, "valid")
        from_factors("u2-edge-%d" % i, k, u2, u, "valid")


def representations():
    """Keys and R with a coordinate below 2^256 - p, which then has two forms in 256 bits, and products of scalars that
    carry where random ones come once in 2^64."""
    u1, u2 = number("u1", "form") % N, number("u2", "form") % N
    places = []
    for x in (1, 2, 3, 5, 100, 2**32):
        places.append(lift(small_x(x, 1), x % 2))
    y = 0
    while len(places) < 10:
        y += 1
        x = pow(y * y - 7, (P + 2) // 9, P)  # a cube root, if there is one
        if (x**3 + 7 - y * y) % P == 0:
            places += [(x, y), (x, P - y)]
    for i, place in enumerate(places):
        # R such that u1 G + u2 R is the place, and R at the place.
        point = multiply(pow(u2, -1, N), add(place, multiply(-u1, G)))
        r = point[0] % N
        emit("small-key-%d" % i, -u1 * r % N, r, u2 * r % N, point[1] % 2, "%064x%064x" % place)
        emit("small-r-%d" % i, u1, place[0], u2, place[1] % 2, "valid")
    # The upper half of the product, folded, has a low word of ones before a carry comes to it.
    fold = 2**256 - N
    z, r, v = number("z", "form"), multiply(number("k", "form"), G)[0], 0
    inverse = pow(r, -1, N)
    found = 0
    for i in range(10):
        factor = ((2**320 // fold - (i + 1) * 2**124) << 256) // inverse
        product = factor * inverse
        folded = (product >> 256) * fold
        if (folded >> 256) % 2**64 == 2**64 - 1 and folded % 2**256 + product % 2**256 >= 2**256:
            emit("carry-s-%d" % i, z, r, factor, v, "valid")
            emit("carry-z-%d" % i, factor, r, z % N, v, "valid")
            found += 1
    assert found >= 2
    # Quotients that round up to a multiple of 2^64.
    for i, short in enumerate((A, B)):
        scaled = (short * 2**384 + N // 2) // N
        u = (((5 << 64) - 1) * 2**384 + 3 * 2**382) // scaled
        assert (u * scaled >> 383) % 2**65 == 2**65 - 1
        from_factors("round-up-%d" % i, 7, u, u2, "valid")
        from_factors("round-up-r-%d" % i, 7, u1, u, "valid")


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    path = sys.argv[1] if len(sys.argv) > 1 else os.path.join(here, "..", "data", "secp256k1.txt")
    for part in (embedded, public, signed, hashes, ranges, edges_of_x, factors, representations):
        part()
    with open(path, "w", encoding="ascii") as file:
        file.write("\n".join(lines) + "\n")
    keys = sum(not line.endswith("-") for line in lines)
    print("%d vectors, %d of them valid" % (len(lines), keys))


main()
