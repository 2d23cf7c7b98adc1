#!/usr/bin/env python3
"""A client of javm-nubd that needs nothing but Python: nub_client.py SOCKET [HASH [ENDPOINT [ARG...]]]

Says what the server has, publishes a piece of data, and invokes the Instance of that hash (javm-nub put-cap prints it), as often
as there are arguments, all of them in flight at once. docs/nub.md has the frames.
"""
import socket
import struct
import sys

SMOKE, HEAP_STATS, INVOKE, PUT_CAP, BOOT_INFO, EVICT = 0, 2, 3, 4, 5, 6
EXITS = {0: "halt", 1: "panic", 2: "out of gas", 3: "page fault", 4: "host call", 6: "ecall.jar", 7: "trap"}


class Refused(Exception):
    """An error response: its number, where it is about, and its text."""

    def __init__(self, number, payload):
        self.number, self.where = number, struct.unpack_from("<Q", payload)[0]
        super().__init__(f"error {number}: {payload[8:].decode()}")


class Nub:
    """A connection. Requests may be sent ahead; each answer says by its id whose it is."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.connect(path)
        self.stream = self.socket.makefile("rb")
        self.last = 0

    def send(self, function, payload=b""):
        """The id of the request."""
        self.last += 1
        self.socket.sendall(struct.pack("<IIQ", len(payload), function, self.last) + payload)
        return self.last

    def exactly(self, count):
        """So many bytes."""
        got = self.stream.read(count)
        if len(got) != count:
            raise EOFError("the server closed the connection")
        return got

    def receive(self):
        """(id, error number, payload) of the next response."""
        length, number, request = struct.unpack("<IIQ", self.exactly(16))
        return request, number, self.exactly(length)

    def call(self, function, payload=b""):
        """One request and its answer."""
        self.send(function, payload)
        _, number, answer = self.receive()
        if number != 0:
            raise Refused(number, answer)
        return answer


def archived_data(content):
    """A Data cap as an archive: the bytes, padding, and a root of 232 bytes that says where they are."""
    body = content + bytes(-len(content) % 8)
    vec = struct.pack("<iI", -(len(body) + 4), len(content))  # the offset counts from the Vec itself
    return body + b"\x02\0\0\0" + vec + bytes(232 - 12)


def invoke_packet(instance, endpoint=0, args=(), gas=1000000000):
    """What INVOKE takes."""
    args = [*args, 0, 0, 0, 0][:4]
    return struct.pack("<32sII4QQ", instance, endpoint, 0, *args, gas)


def main():
    """As the text above says."""
    nub = Nub(sys.argv[1])
    print("smoke:", struct.unpack("<Q", nub.call(SMOKE))[0])
    print("data:", "0x" + nub.call(PUT_CAP, archived_data(b"abc")).hex())
    print("caps:", struct.unpack("<4Q", nub.call(HEAP_STATS))[1] > 0)
    try:
        nub.call(PUT_CAP, b"abc")
    except Refused as refused:
        print(f"{refused} (at {refused.where})")
    if len(sys.argv) < 3:
        return
    instance = bytes.fromhex(sys.argv[2].removeprefix("0x"))
    endpoint = int(sys.argv[3]) if len(sys.argv) > 3 else 0
    asked = {nub.send(INVOKE, invoke_packet(instance, endpoint, [int(arg)])): arg for arg in sys.argv[4:]}
    ended = {}
    while len(ended) < len(asked):
        request, number, payload = nub.receive()
        if number != 0:
            ended[request] = str(Refused(number, payload))
        else:
            reason, _, value, gas = struct.unpack_from("<IIQQ", payload)
            ended[request] = f"{EXITS[reason]}, value {value}, gas left {gas}"
    for request in sorted(asked):
        print(f"{asked[request]}: {ended[request]}")


main()
