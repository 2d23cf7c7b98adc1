"""Feeds a batch of --isolation process and kills its executors while they work:

    kill_executors.py PROGRAM JOBS KILLS LINES RESULTS

runs PROGRAM on LINES, of which the first is a definition and the second a job with a NUMBER, which is there JOBS times at least, with results in RESULTS, and kills
KILLS times. An executor is killed only when it is running, and so has jobs; as long as none is, there are more jobs for
them. All lines that the batch got are written to LINES.fed, and the exit code is that of the batch."""
import os
import signal
import subprocess
import sys

PORTION = 90


def stat(pid):
    """(state, parent) of a process, or None."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            state, parent = file.read().rsplit(b")", 1)[1].split()[:2]
    except (OSError, IndexError, ValueError):
        return None
    return state, int(parent)


def children(parent):
    """(pid, state) of its children."""
    for name in os.listdir("/proc"):
        found = stat(name) if name.isdigit() else None
        if found and found[1] == parent:
            yield int(name), found[0]


def kill(pid, parent):
    """Kills the process if it is still the parent's child, and running. Pids come again: the descriptor does not."""
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return False
    try:
        if stat(pid) != (b"R", parent):
            return False
        signal.pidfd_send_signal(fd, signal.SIGKILL)
        return True
    except ProcessLookupError:
        return False
    finally:
        os.close(fd)


def main():
    program, jobs, kills, lines, results = sys.argv[1:]
    with open(lines, encoding="ascii") as file:
        definition, job = file.read().splitlines()
    command = [program, "--isolation", "process", "--workers", "2", "--reproducible", "--progress", "none", "--output", results, "-"]
    batch = subprocess.Popen(command, stdin=subprocess.PIPE)
    fed = 0
    with open(lines + ".fed", "wb") as copy:

        def feed(text):
            copy.write(text)
            batch.stdin.write(text)
            batch.stdin.flush()

        def more(count):
            nonlocal fed
            feed("".join(job.replace("NUMBER", f"{i:05}") + "\n" for i in range(fed, fed + count)).encode())
            fed += count

        feed(definition.encode() + b"\n")
        more(1)
        nursery = None
        while nursery is None:
            nursery = next((pid for pid, _ in children(batch.pid)), None)
        killed = 0
        while killed < int(kills):
            running = [pid for pid, state in children(nursery) if state == b"R"]
            if not running:
                more(PORTION)
            elif kill(running[killed % len(running)], nursery):
                killed += 1
            if batch.poll() is not None:
                sys.exit("the batch has ended, with code %d" % batch.returncode)
        more(max(0, int(jobs) - fed))
    batch.stdin.close()
    sys.exit(batch.wait())


main()
