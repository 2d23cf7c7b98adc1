"""metrics.py PROGRAM: a batch that waits for jobs is looked at through --metrics with plain sockets, also by bad clients."""
import re
import socket
import subprocess
import sys
import threading

PROGRAM = sys.argv[1]
FIGURE = re.compile(r'^([a-z_][a-z0-9_]*)(\{[a-z]+="[^"\\]*"(?:,[a-z]+="[^"\\]*")*\})? ([0-9.e+]+)$')
failures = []


def check(what, fine):
    if not fine:
        failures.append(what)
        print("FAILED:", what)


class Batch:
    def __init__(self, address="127.0.0.1:0", options=()):
        self.child = subprocess.Popen([PROGRAM, "--progress", "none", "--workers", "2", "--metrics", address, *options,
                                       "--output", "out", "-"], stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        line = self.child.stderr.readline()
        found = re.fullmatch(r"javm-batch: metrics: http://(127\.[0-9.]+|\[::1\]):([0-9]+)/metrics\n", line)
        if not found:
            sys.exit(f"no address: {line}{self.child.stderr.read()}")
        self.host, self.port = found[1].strip("[]"), int(found[2])

    def jobs(self, *lines):
        self.child.stdin.write("".join(line + "\n" for line in lines))
        self.child.stdin.flush()

    def connect(self):
        return socket.create_connection((self.host, self.port))

    def ask(self, request):
        """Everything that is answered, until the other side closes."""
        with self.connect() as s:
            try:
                s.sendall(request)
            except (ConnectionResetError, BrokenPipeError):
                pass
            parts = []
            while True:
                part = s.recv(65536)
                if not part:
                    return b"".join(parts).decode()
                parts.append(part)

    def figures(self):
        head, _, body = self.ask(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").partition("\r\n\r\n")
        check("status", head.startswith("HTTP/1.0 200 OK\r\n"))
        check("type", "\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n" in head)
        check("length", f"\r\nContent-Length: {len(body.encode())}\r\n" in head)
        return parse(body)

    def end(self):
        self.child.stdin.close()
        err = self.child.stderr.read()
        return self.child.wait(), err


def parse(body):
    """The figures by name and labels; the rules of the format that Prometheus insists on hold."""
    figures, types, family = {}, {}, None
    check("ends with a newline", body.endswith("\n"))
    for line in body.splitlines():
        if line.startswith("# HELP "):
            family = line.split(" ")[2]
            check(f"{family} once", family not in types)
        elif line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            check(f"{name} follows its help", name == family)
            check(f"{name}: {kind}", kind in ("counter", "gauge", "histogram"))
            types[name] = kind
        else:
            found = FIGURE.match(line)
            check(f"a figure: {line}", found)
            name = found[1]
            check(f"{name} in its family", name == family or
                  (types[family] == "histogram" and re.fullmatch(family + "_(bucket|sum|count)", name)))
            check(f"{line} once", name + (found[2] or "") not in figures)
            figures[name + (found[2] or "")] = float(found[3])
    buckets = [v for k, v in figures.items() if k.startswith("javm_batch_job_seconds_bucket")]
    check("buckets rise", buckets == sorted(buckets) and len(buckets) > 20)
    check("the last one is all", buckets[-1] == figures["javm_batch_job_seconds_count"])
    return figures


def until(batch, key, value):
    """The figures, once the one under `key` is `value`: the jobs were handed over and will end."""
    while True:
        figures = batch.figures()
        if figures[key] == value or failures:
            return figures


def figures_are_right():
    batch = Batch(options=["--gas", "5000"])
    first = batch.figures()
    check("nothing yet", first['javm_batch_jobs_total{exit="halt"}'] == 0 and first["javm_batch_input_complete"] == 0)
    batch.jobs('{"image":"d","load":"demo.jimg"}', '{"invoke":"d","repeat":40}',
               '{"invoke":"d","endpoint":2,"args":[100000000],"repeat":3}', '{"invoke":"d","expect":{"value":123456}}')
    halted = 'javm_batch_jobs_total{exit="halt"}'
    until(batch, halted, 41)
    f = until(batch, "javm_batch_results_written_total", 44)
    check("out of gas", f['javm_batch_jobs_total{exit="out_of_gas"}'] == 3)
    check("a mismatch", f["javm_batch_mismatches_total"] == 1 and f["javm_batch_failures_total"] == 1)
    check("read", f["javm_batch_jobs_read_total"] == 44)
    check("all times", f["javm_batch_job_seconds_count"] == 44)
    check("gas", f["javm_batch_gas_total"] > 3 * 4000)
    check("workers", f["javm_batch_workers"] == 2)
    check("memory", 0 < f["javm_batch_resident_memory_bytes"])
    check("caps", f["javm_batch_caps_published"] > 0)
    # Several at once while jobs run: each answer is whole, counters never go back.
    seen = [[] for _ in range(8)]

    def scrape(mine):
        for _ in range(10):
            mine.append(batch.figures()[halted])
    threads = [threading.Thread(target=scrape, args=(mine,)) for mine in seen]
    for thread in threads:
        thread.start()
    for _ in range(20):
        batch.jobs('{"invoke":"d","repeat":500}')
    for thread in threads:
        thread.join()
    for mine in seen:
        check("ten answers", len(mine) == 10)
        check("they only rise", mine == sorted(mine))
    until(batch, halted, 41 + 10000)
    code, err = batch.end()
    check("code 1: the mismatch", code == 1)
    check("the summary", "halt        10,041" in err)
    try:
        batch.connect().close()
        check("nobody listens after the end", False)
    except ConnectionRefusedError:
        pass


def bad_clients():
    batch = Batch()
    for request, status in ((b"GET / HTTP/1.0\r\n\r\n", "404"), (b"POST /metrics HTTP/1.0\r\n\r\n", "405"),
                            (b"\r\n\r\n", "400"), (b"GET /metrics\r\n\r\n", "400"), (b"GET /metrics SMTP/1\r\n\r\n", "400"),
                            (b"GET /metrics HTTP/1.0\0\r\n\r\n", "400"), (b"\xff\xfe\xfd\r\n\r\n", "400"),
                            (b"G" * 20 + b" /metrics HTTP/1.0\r\n\r\n", "400"),
                            (b"GET /" + b"a" * 3000 + b" HTTP/1.0\r\n\r\n", "400"), (b"a" * 4095, "431"),
                            (b"GET /metrics HTTP/1.0\r\n" + b"x: y\r\n" * 100000, "431"),
                            (b"HEAD /metrics HTTP/1.0\r\n\r\n", "200"), (b"GET /metrics?x=1 HTTP/1.1\n\n", "200")):
        answer = batch.ask(request)
        check(f"{request[:40]} gives {status}: {answer[:40]}", answer.startswith(f"HTTP/1.0 {status} "))
        if request.startswith(b"HEAD"):
            check("HEAD has no body", answer.endswith("\r\n\r\n"))
    # In pieces; half a request and gone; many that say nothing: the next ones are answered, those get closed.
    with batch.connect() as s:
        for byte in b"GET /metrics HTTP/1.0\r\n\r\n":
            s.sendall(bytes([byte]))
        check("byte by byte", s.recv(12) == b"HTTP/1.0 200")
    for _ in range(100):
        with batch.connect() as s:
            s.sendall(b"GET /met")
    silent = [batch.connect() for _ in range(40)]
    batch.figures()  # waits until those that fill all places have had their time
    check("a silent one is closed", silent[0].recv(1) == b"")
    batch.jobs('{"image":"d","load":"demo.jimg"}', '{"invoke":"d"}')
    code, err = batch.end()
    check("the batch did not mind", code == 0 and "halt        1\n" in err)
    for s in silent:
        s.close()


def addresses():
    for address in ("127.0.0.1:0", "127.9.8.7:0", "localhost:0"):
        batch = Batch(address)
        check("answers at " + address, batch.figures()["javm_batch_workers"] == 2)
        check("ends", batch.end()[0] == 0)
    batch = Batch()
    taken = f"127.0.0.1:{batch.port}"
    done = subprocess.run([PROGRAM, "--metrics", taken, "--output", "o2", "-"], stdin=subprocess.DEVNULL,
                          stderr=subprocess.PIPE, text=True, check=False)
    check("a port that is taken", done.returncode == 2 and
          done.stderr == f"javm-batch: --metrics {taken}: Address already in use\n")
    batch.end()


figures_are_right()
bad_clients()
addresses()
print(f"{len(failures)} failed")
sys.exit(1 if failures else 0)
