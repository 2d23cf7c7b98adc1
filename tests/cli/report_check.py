"""The page of --report against the figures of --stats: report_check.py PAGE STATS WORKERS"""
import json
import re
import sys

page = open(sys.argv[1], encoding="utf-8").read()
stats = json.load(open(sys.argv[2], encoding="utf-8"))
workers = int(sys.argv[3])
found = re.findall(r'<script type="application/json" id="data">(.*?)</script>', page, re.S)
assert len(found) == 1, "the page holds its figures once"
data = json.loads(found[0])
assert data["stats"] == stats, "the figures are those of --stats"
assert not re.search(r"(?:src|href)\s*=|@import|url\(|fetch\(|XMLHttpRequest", page), "nothing comes from elsewhere"
assert "default-src 'none'" in page, "and nothing may"

points = data["points"]
assert points[0] == [0, 0, 0, 0] and 2 <= len(points) <= 512, "a start, and at most 512 points"
for before, after in zip(points, points[1:]):
    assert after[0] > before[0], "time goes on"
    assert all(a >= b for a, b in zip(after[1:], before[1:])), "counts grow"
assert points[-1][1] == stats["jobs"] and points[-1][3] == stats["gas"], "the last point is the end"

rows = data["rows"]
assert len(rows) == min(workers, 64) and rows[0]["first"] == 0 and rows[-1]["last"] == workers - 1
busy = 0
for row, following in zip(rows, rows[1:] + [{"first": workers}]):
    assert row["last"] + 1 == following["first"], "every worker is in one row"
    assert len(row["use"]) == len(points) - 1 and all(0 <= use <= 1000 for use in row["use"])
    size = row["last"] - row["first"] + 1
    busy += size * sum(use / 1000 * (b[0] - a[0]) for use, a, b in zip(row["use"], points, points[1:]))
# Each use is rounded to a thousandth.
assert abs(busy - stats["busy_seconds"]) <= 0.001 * workers * points[-1][0] + 0.001, (busy, stats["busy_seconds"])

charged = stats["jobs"] - stats["exits"]["error"]
assert sum(n for _, _, n in data["latency"]) == stats["jobs"]
assert sum(n for _, _, n in data["gas"]) == charged
for histogram in (data["latency"], data["gas"]):
    assert all(a[0] < b[0] and a[1] < b[1] for a, b in zip(histogram, histogram[1:]))
total = sum(middle * n for _, middle, n in data["gas"])
assert abs(total - stats["gas"]) <= 0.07 * stats["gas"], "buckets are an eighth of a doubling wide"
assert len(data["failures"]) == min(8, stats["mismatches"] + stats["exits"]["error"])
print(f"{stats['jobs']} jobs, {len(points)} points")
