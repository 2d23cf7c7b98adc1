"""trace_check.py TRACE [STATS]: the file is a JSON array of Chrome trace events, no two slices of a lane overlap, and with the
figures of --stats: each job, steal and compiled byte is there once, unless the file says that events were left out."""
import json
import sys
from decimal import Decimal

with open(sys.argv[1], encoding="utf-8") as file:
    events = json.load(file, parse_float=Decimal)
stats = json.load(open(sys.argv[2], encoding="utf-8")) if len(sys.argv) > 2 else None


def expect(what, found, wanted):
    if found != wanted:
        sys.exit(f"{sys.argv[1]}: {what}: {found}, expected {wanted}")


def note(name):
    return sum(e["args"]["count"] for e in events if e["name"] == name and e.get("cat") == "trace")


lanes = {}
for e in events:
    expect("process", e["pid"], 1)
    if e["ph"] == "X":
        lanes.setdefault(e["tid"], []).append((e["ts"], e["ts"] + e["dur"], e["name"]))
    elif e["ph"] == "i":
        expect("scope of " + e["name"], e["s"], "g" if e["cat"] == "trace" else "t")
    else:
        expect("kind", e["ph"], "M")
named = {e["tid"] for e in events if e["name"] == "thread_name" and e["ph"] == "M"}
for tid, slices in lanes.items():
    if tid not in named:
        sys.exit(f"lane {tid} has no name")
    slices.sort()
    for before, after in zip(slices, slices[1:]):
        if before[1] > after[0]:
            sys.exit(f"lane {tid}: {before} overlaps {after}")
jobs = [e for e in events if e.get("cat") == "job"]
missing = note("events lost") + note("events left out on purpose")
print(len(events), "events,", len(jobs), "jobs,", missing, "left out,", len(lanes), "lanes")
if stats is None:
    sys.exit(0)
if len(jobs) + missing < stats["jobs"]:
    sys.exit(f"{len(jobs)} jobs and {missing} left out, but {stats['jobs']} ran")
for tid in lanes:
    if tid >= stats["workers"]:
        sys.exit(f"lane {tid} of {stats['workers']} workers")
if missing == 0:
    expect("jobs", len(jobs), stats["jobs"])
    expect("gas", sum(e["args"]["gas"] for e in jobs), stats["gas"])
    for name, count in stats["exits"].items():
        expect(name, sum(e["args"]["exit"] == name for e in jobs), count)
    s = stats["scheduler"]
    expect("steals", sum(e["name"] == "steal" and e["ph"] == "i" for e in events),
           s["steals_l3"] + s["steals_node"] + s["steals_far"])
    expect("compiled bytes", sum(e["args"]["bytes"] for e in events if e["name"] == "compile" and e["ph"] == "i"),
           stats["native"]["compiled_bytes"])
    busy = sum((e["dur"] for e in jobs), Decimal(0)) / 1000000
    if abs(busy - Decimal(str(stats["busy_seconds"]))) > Decimal("0.000002"):
        sys.exit(f"{busy} seconds in jobs, the figures say {stats['busy_seconds']}")
