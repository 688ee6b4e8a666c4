#!/usr/bin/env python3
"""Draw the medians of measure.py's JSON lines as bars, an SVG beside the first file: plot.py FILE..."""

import collections
import html
import json
import pathlib
import statistics
import sys

#: What is drawn of a workload, and in which words; less is better.
DRAWN = {
    "W1": ("cpu_per_1000", "CPU seconds per 1000 messages accepted, 100 a session"),
    "W2": ("cpu_per_1000", "CPU seconds per 1000 messages accepted, one a connection"),
    "W3": ("cpu_per_1000", "CPU seconds per 1000 messages delivered"),
    "W4": ("pss_kib_per_conn", "KiB per idle session over TLS"),
}
OURS, THEIRS = "#1f6f54", "#9aa5b1"
LEFT, BAR, ROW, WIDTH = 130, 380, 26, 620


def medians(paths):
    """Return {workload: {peer: median}} of what can be drawn, the peers best first."""
    rows = collections.defaultdict(lambda: collections.defaultdict(list))
    for path in paths:
        for line in open(path):
            row = json.loads(line)
            drawn = DRAWN.get(row["workload"][:2])
            if drawn and row.get(drawn[0]) is not None:
                rows[row["workload"]][row["peer"]].append(row[drawn[0]])
    return {
        workload: dict(sorted(((p, statistics.median(v)) for p, v in peers.items()), key=lambda x: x[1]))
        for workload, peers in sorted(rows.items())
    }


def text(x, y, words, extra=""):
    return f'<text x="{x}" y="{y}" {extra}>{html.escape(words)}</text>'


def draw(found):
    """Return the SVG: a group of bars for each workload, on a scale of its own."""
    parts, y = [], 20
    for workload, peers in found.items():
        parts.append(text(10, y, f"{workload}: {DRAWN[workload[:2]][1]}", 'font-weight="bold"'))
        y += 12
        most = max(peers.values()) or 1
        for peer, value in peers.items():
            width = max(1, round(BAR * value / most))
            colour = OURS if peer.startswith("gatepost") else THEIRS
            parts.append(text(LEFT - 8, y + 15, peer, 'text-anchor="end"'))
            parts.append(f'<rect x="{LEFT}" y="{y}" width="{width}" height="{ROW - 6}" fill="{colour}"/>')
            parts.append(text(LEFT + width + 6, y + 15, f"{value:.3g}"))
            y += ROW
        y += 24
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{y}" '
        'font-family="sans-serif" font-size="13"><rect width="100%" height="100%" fill="white"/>'
    )
    return "\n".join((head, *parts, "</svg>\n"))


def main():
    found = medians(sys.argv[1:])
    if not found:
        sys.exit("plot: nothing to draw")
    out = pathlib.Path(sys.argv[1]).with_suffix(".svg")
    out.write_text(draw(found))
    print(f"\nplot: {out}")


if __name__ == "__main__":
    main()
