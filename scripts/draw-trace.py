#!/usr/bin/env python3
"""A page that shows a file of --trace, for a picture in a document: draw-trace.py TRACE.json >PAGE.html

A lane for each worker: jobs by exit, sleep, and marks where tasks were stolen or code was compiled. To look at a trace closely use
ui.perfetto.dev or chrome://tracing, which read the file as it is.
"""
import html
import json
import sys

WIDTH, LANE, LEFT = 1000, 46, 70
COLOURS = {"halt": "#3f77a8", "parked": "#dfe4e8", "paused": "#7a68a6", "error": "#b4461f", "crashed": "#b4461f"}

events = json.load(open(sys.argv[1], encoding="utf-8"))
names = {e["tid"]: e["args"]["name"] for e in events if e["name"] == "thread_name"}
slices = [e for e in events if e["ph"] == "X"]
marks = [e for e in events if e["ph"] == "i" and e["name"] in ("steal", "compile")]
end = max([e["ts"] + e["dur"] for e in slices] + [1])
scale = (WIDTH - LEFT - 12) / end
lane = {tid: i for i, tid in enumerate(sorted(names))}
height = 26 + len(lane) * LANE + 40
out = [f'<!doctype html><meta charset="utf-8"><title>trace</title><body style="margin:0;background:#fff">'
       f'<svg width="{WIDTH}" height="{height}" font-family="DejaVu Sans,sans-serif" font-size="12" fill="#1d2730">'
       f'<text x="{LEFT}" y="16">{html.escape(sys.argv[1].rsplit("/", 1)[-1])}: '
       f'{sum(e["cat"] == "job" for e in slices):,} jobs in {end / 1e6:.2f} s</text>']
for tid, i in lane.items():
    y = 26 + i * LANE
    out.append(f'<text x="4" y="{y + 22}">{html.escape(names[tid])}</text>')
    # What would be narrower than a quarter of a point is drawn with its neighbours.
    drawn = {}
    for e in slices:
        if e["tid"] != tid:
            continue
        kind = e["args"]["exit"] if e["cat"] == "job" else "parked"
        x, width = LEFT + e["ts"] * scale, e["dur"] * scale
        if x + width < drawn.get(kind, 0):
            continue
        x = max(x, drawn.get(kind, 0))
        width = max(0.25, width)
        drawn[kind] = x + width
        gap = 0.35 if width > 3 else 0
        out.append(f'<rect x="{x:.2f}" y="{y}" width="{width - gap:.2f}" height="32" fill="{COLOURS.get(kind, "#c08a2d")}"/>')
    for e in marks:
        if e["tid"] == tid:
            x, colour = LEFT + e["ts"] * scale, "#b4461f" if e["name"] == "steal" else "#3d8b5f"
            out.append(f'<path d="M{x - 3:.1f} {y + 41}l3 -7l3 7z" fill="{colour}"/>')
y = 26 + len(lane) * LANE + 18
out.append(f'<text x="{LEFT}" y="{y}">0</text><text x="{WIDTH - 12}" y="{y}" text-anchor="end">{end / 1e6:.2f} s</text>')
legend = [("#3f77a8", "jobs"), ("#dfe4e8", "parked"), ("#b4461f", "steal"), ("#3d8b5f", "compile")]
for i, (colour, name) in enumerate(legend):
    out.append(f'<rect x="{LEFT + 200 + i * 90}" y="{y - 10}" width="11" height="11" fill="{colour}"/>'
               f'<text x="{LEFT + 216 + i * 90}" y="{y}">{name}</text>')
print("\n".join(out) + "</svg>")
