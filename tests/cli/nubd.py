#!/usr/bin/env python3
"""javm-nubd and its peers: nubd.py JAVM_NUBD JAVM_NUB MKIMAGE

Defects that this would catch: a request without an answer, with two, or with another's; a request that takes effect before one that
was sent before it; a peer that is slow, silent, greedy, malformed or gone and that others notice; memory that a peer can make the
server hold without bound; a stranger who is let in; a socket of somebody else that is replaced, or a dead one that is not; an executor
whose death costs more than what was in its lanes; a server that does not end, or ends without answering.

Nothing here looks at the clock: what has to happen is waited for.
"""
import atexit
import os
import random
import select
import signal
import socket
import stat
import struct
import subprocess
import sys
import tempfile

NUBD, NUB, MKIMAGE = map(os.path.abspath, sys.argv[1:4])
SMOKE, HEAP_STATS, INVOKE, PUT_CAP, BOOT_INFO, EVICT = 0, 2, 3, 4, 5, 6
FORMAT, LIMIT, RANGE, MISSING, STATE, CRASHED = 67, 74, 68, 70, 75, 77
NO_FUNCTION, BAD_PAYLOAD, NO_LANE = 32, 33, 34
NOBODY = 2**64 - 1
RETURN, ADD, COUNT, FOREVER = 0, 1, 2, 3
ANSWER_42 = struct.pack("<Q", 42)
checks = 0


def check(what, true):
    """Counts, and ends at the first thing that is not as it should be."""
    global checks
    checks += 1
    if not true:
        sys.exit(f"FAILED: {what}")


def same(what, got, wanted):
    """check() that shows both."""
    check(f"{what}: {got!r}, expected {wanted!r}", got == wanted)


class Server:
    """A running javm-nubd."""

    def __init__(self, *options, path="s"):
        self.path = path
        self.process = subprocess.Popen([NUBD, "--socket", path, *options], stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True)
        atexit.register(self.process.kill) # when a check fails; does nothing to one that has ended
        same("it listens", self.process.stdout.readline(), f"javm-nubd: listening at {path}\n")

    def end(self, code=0):
        """SIGTERM; its last words."""
        self.process.terminate()
        return self.ended(code)

    def ended(self, code):
        """Waits for its end."""
        _, said = self.process.communicate()
        same(f"its end ({said})", self.process.returncode, code)
        check("no socket is left", not os.path.exists(self.path) or code == -signal.SIGKILL)
        return said

    def put(self, file):
        """The Instance of an image."""
        out = subprocess.run([NUB, "--socket", self.path, "put-cap", file], stdout=subprocess.PIPE, text=True, check=True)
        return next(bytes.fromhex(line.split()[1][2:]) for line in out.stdout.splitlines() if line.startswith("Instance"))

    def executors(self):
        """Process ids: children of its children."""
        parents = {}
        for name in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{name}/stat", encoding="latin-1") as file:
                    fields = file.read().rpartition(")")[2].split()
            except OSError:
                continue
            if fields[0] != "Z":
                parents[int(name)] = int(fields[1])
        return [pid for pid, parent in parents.items() if parents.get(parent) == self.process.pid]


class Peer:
    """A connection."""

    def __init__(self, path="s"):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(path)

    def send(self, function, request, payload=b""):
        """One request."""
        self.socket.sendall(frame(function, request, payload))

    def exactly(self, count):
        """So many bytes, or what there is before the end."""
        got = b""
        while len(got) < count:
            more = self.socket.recv(count - len(got))
            if not more:
                break
            got += more
        return got

    def receive(self):
        """(id, error number, payload); None at the end."""
        head = self.exactly(16)
        if not head:
            return None
        length, number, request = struct.unpack("<IIQ", head)
        payload = self.exactly(length)
        same("a whole payload", len(payload), length)
        return request, number, payload

    def refused(self, number, text, request=NOBODY):
        """The next response is this error."""
        got = self.receive()
        check(f"an error: {got!r}, expected {number} {text!r}",
              got is not None and got[:2] == (request, number) and text.encode() in got[2][8:])

    def smoke(self, request=1):
        """All is well."""
        self.send(SMOKE, request)
        same("smoke", self.receive(), (request, 0, ANSWER_42))

    def end(self):
        """The server ends it."""
        same("the end", self.receive(), None)
        self.socket.close()


def frame(function, request, payload=b"", length=None):
    """A request as bytes."""
    return struct.pack("<IIQ", len(payload) if length is None else length, function, request) + payload


def invoke(instance, endpoint, *args, gas=10**9):
    """What INVOKE takes."""
    return struct.pack("<32sII4QQ", instance, endpoint, 0, *[*args, 0, 0, 0, 0][:4], gas)


def data(content):
    """An archived Data."""
    body = content + bytes(-len(content) % 8)
    return body + b"\2\0\0\0" + struct.pack("<iI", -len(body) - 4, len(content)) + bytes(220)


def value(payload):
    """Of a result that halted."""
    reason, _, returned = struct.unpack_from("<IIQ", payload)
    same("a halt", reason, 0)
    return returned


def pipelined():
    """A thousand in flight at once, each answered once with its own; errors among them."""
    server = Server("--workers", "2", "--lanes", "3", "--max-in-flight", "50")
    instance = server.put("demo.jimg")
    peer = Peer()
    sent = b""
    for i in range(1000):
        sent += frame(9 if i % 10 == 9 else INVOKE, i, b"?" if i % 10 == 9 else invoke(instance, ADD, i, 1000))
    child = os.fork()
    if child == 0:
        peer.socket.sendall(sent)
        os._exit(0)
    seen = {}
    while len(seen) < 1000:
        request, number, payload = peer.receive()
        check("no answer twice", request not in seen)
        seen[request] = (number, payload)
    os.waitpid(child, 0)
    for i, (number, payload) in seen.items():
        if i % 10 == 9:
            same("an error", number, NO_FUNCTION)
        else:
            same("a sum", value(payload), i + 1000)
    peer.smoke()
    # A cap and what needs it, sent without waiting; twice, so that it is known the second time.
    with open("demo.cap", "rb") as file:
        archive = file.read()
    for _ in range(2):
        peer.socket.sendall(frame(PUT_CAP, 1, archive) + b"".join(
            frame(INVOKE, 2 + i, invoke(instance, ADD, i, i)) for i in range(20)) + frame(HEAP_STATS, 30) + frame(EVICT, 31))
        got = {one[0]: one for one in (peer.receive() for _ in range(23))}
        same("all of them", sorted(got), [*range(1, 22), 30, 31])
        same("none an error", {one[1] for one in got.values()}, {0})
        same("nothing of evict", got[31][2], b"")
    # Answers of a peer that shuts its writing side.
    peer.socket.sendall(frame(INVOKE, 1, invoke(instance, ADD, 1, 2)))
    peer.socket.shutdown(socket.SHUT_WR)
    same("half closed", value(peer.receive()[2]), 3)
    peer.end()
    check("what it served", int(server.end().split()[1]) >= 950)


def malformed():
    """Nothing that is sent ends the server, and a good request behind a bad one is served."""
    server = Server("--workers", "1", "--heap", "64K", "--isolation", "thread")
    peer = Peer()
    for bad, number, text in [(frame(1, 5), NO_FUNCTION, "there is no 1, expected 0 or 2 to 6"),
                              (frame(2**32 - 1, 5, b"x" * 1000), NO_FUNCTION, "there is no 4294967295"),
                              (frame(7, 5, b"\0\0\0\0"), NO_LANE, "the lanes itself"),
                              (frame(SMOKE, 5, b"x"), BAD_PAYLOAD, "length: 1 bytes for function 0, expected 0"),
                              (frame(INVOKE, 5, b"x" * 79), BAD_PAYLOAD, "79 bytes for function 3, expected 80"),
                              (frame(PUT_CAP, 5), FORMAT, "a cap of 0 bytes, expected at least 232"),
                              (frame(PUT_CAP, 5, b"x" * 65536), FORMAT, ""),
                              (frame(INVOKE, 5, bytes(80)), MISSING, "not published")]:
        peer.socket.sendall(bad + frame(SMOKE, 6))
        got = sorted([peer.receive(), peer.receive()], key=lambda one: one[0])
        same("which", [one[0] for one in got], [5, 6])
        check(f"{text!r}: {got[0]!r}", got[0][1] == number and text.encode() in got[0][2][8:])
        same("the one behind it", got[1], (6, 0, ANSWER_42))
    peer.send(SMOKE, NOBODY)
    peer.refused(RANGE, "2^64-1 is the server's own")
    peer.smoke()
    # Too long: nothing more is read as requests, however much comes.
    peer.socket.sendall(frame(PUT_CAP, 8, b"x" * 1000, length=65537) + frame(SMOKE, 9))
    peer.refused(LIMIT, "length: 65537 bytes, expected at most 65536", 8)
    peer.socket.sendall(b"x" * 300000)
    same("the end", peer.receive(), None)
    peer.socket.close()
    # Cut in every place.
    for cut in [1, 4, 15, 16, 17, 95]:
        peer = Peer()
        peer.socket.sendall(frame(INVOKE, 8, bytes(80))[:cut])
        peer.socket.shutdown(socket.SHUT_WR)
        expected = 96 if cut >= 16 else 16
        peer.refused(FORMAT, f"behind {cut} bytes of a request, expected {expected}", 8 if cut >= 16 else NOBODY)
        peer.end()
    # Byte by byte.
    peer = Peer()
    for byte in frame(PUT_CAP, 3, data(b"abc")):
        peer.socket.sendall(bytes([byte]))
    same("byte by byte", peer.receive()[:2], (3, 0))
    # Anything at all, and gone again.
    chance = random.Random(1)
    for i in range(300):
        other = Peer()
        try:
            other.socket.sendall(chance.randbytes(chance.randrange(200)) if i % 2 else
                                 frame(chance.randrange(9), i, chance.randbytes(chance.randrange(300))))
        except OSError:
            pass
        other.socket.close()
    peer.smoke()
    server.end()


def limits():
    """Connections, bytes that are held, bytes of caps."""
    server = Server("--workers", "1", "--max-connections", "3", "--max-held", "1M")
    peers = [Peer() for _ in range(3)]
    for peer in peers:
        peer.smoke()
    for _ in range(50):
        stranger = Peer()
        stranger.refused(LIMIT, "one more than 3")
        stranger.end()
    peers.pop().socket.close()
    while True: # until the server has seen that
        peer = Peer()
        peer.send(SMOKE, 1)
        if peer.receive() == (1, 0, ANSWER_42):
            break
        peer.socket.close()
    # Held: announced is what counts.
    large = 900000
    peers[0].socket.sendall(frame(PUT_CAP, 1, b"x" * 1000, length=large))
    peers[0].socket.sendall(b"x" * 1000)
    while True: # it may not have read that yet
        peers[1].socket.sendall(frame(PUT_CAP, 2, b"y" * large))
        request, number, payload = peers[1].receive()
        if number == LIMIT and b"beside 900000 of other requests, expected at most 1048576" in payload:
            break
    peers[1].smoke()
    peers[0].socket.sendall(b"x" * (large - 2000))
    same("what was begun is taken", peers[0].receive()[:2], (1, FORMAT))
    peers[1].socket.sendall(frame(PUT_CAP, 2, b"y" * large))
    same("and then there is room", peers[1].receive()[:2], (2, FORMAT))
    check("refused were", int(server.end().split()[6]) >= 50)
    # Caps: each once.
    server = Server("--workers", "2", "--max-caps", "2000")
    peer = Peer()
    for i in range(100):
        peer.send(PUT_CAP, i, data(b"the same"))
        same("again", peer.receive()[:2], (i, 0))
    numbers = []
    for i in range(10):
        peer.send(PUT_CAP, i, data(b"%08d" % i))
        numbers.append(peer.receive()[1])
    same("2000 bytes of archives of 240", numbers, [0] * 7 + [LIMIT] * 3)
    peer.send(PUT_CAP, 1, data(b"the same"))
    same("what is there, still is", peer.receive()[1], 0)
    server.end()


def many():
    """Many connections, at once and one after the other."""
    server = Server("--workers", "1", "--max-connections", "600")
    instance = server.put("demo.jimg")
    peers = [Peer() for _ in range(250)]
    for i, peer in enumerate(peers):
        peer.send(INVOKE, i, invoke(instance, ADD, i, 1))
    for i, peer in enumerate(peers):
        request, number, payload = peer.receive()
        same("each its own", (request, number, value(payload)), (i, 0, i + 1))
    for i in range(500):
        peers[i % 250].socket.close()
        peers[i % 250] = Peer()
        peers[i % 250].send(SMOKE, i)
    for peer in peers:
        same("smoke", peer.receive()[1:], (0, ANSWER_42))
    # Gone with something in flight, and a cap that nobody waits for.
    for peer in peers:
        peer.socket.sendall(frame(INVOKE, 1, invoke(instance, COUNT, 1000)) * 20)
        peer.socket.close()
    peer = Peer()
    peer.send(PUT_CAP, 1, data(b"left behind"))
    peer.socket.close()
    peer = Peer()
    known = 0
    while known < 5: # the demo's four and that one
        peer.send(HEAP_STATS, 1)
        known = struct.unpack("<4Q", peer.receive()[2])[1]
    server.end()


def slow():
    """Time: a half request, a silent peer, one that takes no answers. Others are served all the while."""
    server = Server("--workers", "1", "--stall", "4", "--idle", "4", "--max-in-flight", "8")
    instance = server.put("demo.jimg")
    half, idle, deaf = Peer(), Peer(), Peer()
    half.socket.sendall(frame(SMOKE, 1) + frame(PUT_CAP, 2, b"x" * 50, length=100))
    same("what was whole", half.receive(), (1, 0, ANSWER_42))
    idle.smoke()
    deaf.socket.setblocking(False)
    taken = 0
    requests = frame(INVOKE, 1, invoke(instance, RETURN)) * 100
    other = Peer()
    blocked = 0
    while blocked < 20: # rounds of the server in which it did not read that peer
        try:
            taken += deaf.socket.send(requests)
            blocked = 0
        except BlockingIOError:
            other.smoke()
            blocked += 1
        check(f"a peer that takes no answers is not read without bound: {taken}", taken < 10**7)
    other.socket.close()
    half.refused(LIMIT, "a request was begun and is not whole, expected it within 4 s")
    half.end()
    idle.refused(LIMIT, "no request for 4 s")
    idle.end()
    deaf.socket.setblocking(True)
    try:
        while True:
            deaf.socket.sendall(requests)
    except OSError as gone: # it is closed at last
        check("closed", isinstance(gone, (BrokenPipeError, ConnectionResetError)))
    # Slow, but within its time each time; busy, but not idle.
    peer = Peer()
    peer.send(INVOKE, 4, invoke(instance, COUNT, 20000000, gas=2**63))
    same("a long one", peer.receive()[:2], (4, 0))
    peer.smoke()
    server.end()


def users():
    """Credentials, and the mode of the socket."""
    server = Server("--workers", "1", "--isolation", "thread")
    same("mode", stat.S_IMODE(os.stat("s").st_mode), 0o600)
    same("mode of the lock", stat.S_IMODE(os.stat("s.lock").st_mode), 0o600)
    server.end()
    stranger = 12345 if os.geteuid() != 12345 else 12346
    server = Server("--workers", "1", "--isolation", "thread", "--allow-uid", str(stranger))
    for _ in range(20):
        peer = Peer()
        peer.refused(STATE, f"connection: of user {os.geteuid()}, expected one that --allow-uid names")
        peer.end()
    if os.geteuid() == 0:
        os.chmod(".", 0o755)
        for user, welcome in [(stranger, True), (stranger + 5, False)]:
            child = os.fork()
            if child == 0:
                os.setgroups([])
                os.setgid(user)
                os.setuid(user)
                peer = Peer()
                if welcome:
                    peer.smoke()
                else:
                    peer.refused(STATE, f"of user {user}")
                os._exit(0)
            same(f"user {user}", os.waitpid(child, 0)[1], 0)
    else:
        print("SKIPPED: connections of other users need root")
    said = server.end()
    check("counted", int(said.split()[6]) >= 20)
    server = Server("--workers", "1", "--isolation", "thread", "--allow-uid", str(stranger), "--allow-uid", str(os.geteuid()))
    Peer().smoke()
    server.end()


def killed():
    """Executors die: each request is answered once, as crashed or rightly, and caps are there again."""
    lanes, total = 4, 600
    server = Server("--workers", "2", "--lanes", str(lanes), "--max-in-flight", "40")
    instance = server.put("demo.jimg")
    peer = Peer()
    sent = seen = crashed = kills = 0
    answered = set()
    while seen < total:
        while sent < total and sent - seen < 40:
            peer.send(INVOKE, sent, invoke(instance, COUNT, 20000, gas=2**40) if sent % 2 else invoke(instance, ADD, sent, 1))
            sent += 1
            if sent % 40 == 0:
                for pid in server.executors()[:1]:
                    os.kill(pid, signal.SIGKILL)
                    kills += 1
        request, number, payload = peer.receive()
        seen += 1
        check("once", request not in answered)
        answered.add(request)
        if number == CRASHED:
            crashed += 1
        else:
            same("no other error", number, 0)
            same("a value", value(payload), 0 if request % 2 else request + 1)
    check(f"{kills} kills", kills > 5)
    check(f"{crashed} crashed of {kills} kills", crashed <= kills * lanes)
    peer.send(INVOKE, 1, invoke(instance, FOREVER, gas=2**64 - 1))
    other = Peer()
    other.send(INVOKE, 2, invoke(instance, ADD, 3, 4)) # at the other executor
    same("beside one that never ends", value(other.receive()[2]), 7)
    while not select.select([peer.socket], [], [], 0.05)[0]: # it may not have begun at first
        for pid in server.executors():
            os.kill(pid, signal.SIGKILL)
    got = peer.receive()
    same("killed in mid-job", got[:2], (1, CRASHED))
    check("says so", b"the executor died" in got[2])
    peer.smoke()
    for i in range(4): # at both
        got = (2, CRASHED, b"")
        while got[1] == CRASHED: # a signal may still be on its way
            other.send(INVOKE, 2, invoke(instance, ADD, i, 4))
            got = other.receive()
        same("caps are there again", value(got[2]), i + 4)
    check("they were replaced", int(server.end().split()[-3]) > 0)
    # A guest that never ends costs its lanes.
    server = Server("--workers", "1", "--lanes", "2", "--watchdog", "5")
    instance = server.put("demo.jimg")
    peer = Peer()
    peer.send(INVOKE, 1, invoke(instance, FOREVER, gas=2**64 - 1))
    same("the watchdog", peer.receive()[:2], (1, CRASHED))
    peer.send(INVOKE, 2, invoke(instance, ADD, 3, 4))
    same("and on it goes", value(peer.receive()[2]), 7)
    server.end()


def endings():
    """Signals, with something in flight."""
    server = Server("--workers", "1")
    instance = server.put("demo.jimg")
    peer = Peer()
    peer.socket.sendall(b"".join(frame(INVOKE, i, invoke(instance, COUNT, 3000000, gas=2**40)) for i in range(10)))
    other = Peer()
    other.smoke() # so all ten were read
    server.process.terminate()
    same("all are answered", sorted(peer.receive()[:2] for _ in range(10)), [(i, 0) for i in range(10)])
    peer.end()
    other.end()
    server.ended(0)
    for isolation in ["process", "thread"]:
        server = Server("--workers", "1", "--isolation", isolation, "--watchdog", "0")
        instance = server.put("demo.jimg")
        peer = Peer()
        peer.send(INVOKE, 1, invoke(instance, FOREVER, gas=2**64 - 1))
        other = Peer()
        other.socket.sendall(frame(9, 1))
        other.receive()
        server.process.send_signal(signal.SIGINT)
        other.end() # it ends as nothing of it is in flight; the other one goes on
        server.process.send_signal(signal.SIGINT)
        server.ended(130)
        peer.end()
    # Nobody waits for the endless guest, but its thread cannot be ended.
    server = Server("--workers", "1", "--isolation", "thread")
    instance = server.put("demo.jimg")
    peer = Peer()
    peer.send(INVOKE, 1, invoke(instance, FOREVER, gas=2**64 - 1))
    peer.send(9, 2)
    peer.refused(NO_FUNCTION, "", 2)
    peer.socket.close()
    server.process.terminate()
    check("it is done", "requests on" in server.process.stderr.readline())
    server.process.terminate()
    server.ended(130)


def sockets():
    """What is at the path."""
    def no_server(text):
        done = subprocess.run([NUBD, "--socket", "s", "--workers", "1", "--isolation", "thread"], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, check=False)
        same("no server", (done.returncode, done.stdout), (3, ""))
        check(f"{done.stderr!r} has {text!r}", text in done.stderr)

    with open("s", "w", encoding="ascii") as file:
        file.write("mine")
    no_server("s: expected nothing or a socket, found another thing")
    with open("s", encoding="ascii") as file:
        same("the file", file.read(), "mine")
    os.unlink("s")
    os.symlink("elsewhere", "s")
    no_server("found another thing")
    os.unlink("s")
    living = socket.socket(socket.AF_UNIX)
    living.bind("s")
    living.listen(0)
    no_server("s: somebody listens there")
    clients = [socket.socket(socket.AF_UNIX) for _ in range(4)]
    for client in clients: # until nobody more is taken
        client.setblocking(False)
        try:
            client.connect("s")
        except BlockingIOError:
            break
    no_server("s: somebody listens there")
    living.close()
    server = Server("--workers", "1", "--isolation", "thread") # now it is dead, and replaced
    Peer().smoke()
    no_server("s: a server is running there already")
    os.unlink("s") # somebody else takes the path: it is not ours to remove
    living = socket.socket(socket.AF_UNIX)
    living.bind("s")
    server.process.terminate()
    server.process.communicate()
    check("another's socket stays", os.path.exists("s"))
    living.close()
    os.unlink("s")
    os.unlink("s.lock")
    os.symlink("stolen", "s.lock")
    no_server("s.lock: cannot be opened")
    check("no file elsewhere", not os.path.exists("stolen"))
    os.unlink("s.lock")
    server = Server("--workers", "2")
    left = server.executors()
    same("executors", len(left), 2)
    server.process.kill()
    server.ended(-signal.SIGKILL)
    check("a dead socket", os.path.exists("s"))
    server = Server("--workers", "1")
    Peer().smoke()
    for pid in left:
        while os.path.exists(f"/proc/{pid}"): # they end with their server
            pass
    server.end()


def main():
    """In a folder that goes again."""
    with tempfile.TemporaryDirectory(prefix="javm-nubd-") as folder:
        os.chdir(folder)
        subprocess.run([MKIMAGE, "."], check=True)
        with open("demo.cap", "wb") as file:
            file.write(data(b"a cap"))
        for part in [pipelined, malformed, limits, many, slow, users, killed, endings, sockets]:
            part()
            print(part.__name__, flush=True)
        os.chdir("/")
    print(f"{checks} checks")


main()
