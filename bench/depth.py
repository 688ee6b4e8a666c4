#!/usr/bin/env python3
"""A long queue: what Gatepost needs with a million deliveries waiting, all of them due.

    bench/depth.py [--deliveries 1000000] [--lane bulk] [--out results/depth.jsonl]

Fills a store (fill.py), starts Gatepost on it with a next hop that takes everything, and measures: seconds from the
start to the first delivery, memory of all its processes while it works, CPU for each delivery of the next 2 500
messages, listings as whole commands, `account show`; then holds the deliveries of one destination, and stops.

To compare lengths give --lane: without it three lanes are mixed, and urgent mail, which goes first, lies scattered in a
long queue and is soon done in a short one.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import time

import measure

GATEPOST = os.environ.get("GATEPOST", str(measure.BENCH.parent / ".venv" / "bin" / "gatepost"))


def command(*words: str) -> tuple[float, str]:
    """Run a command of the operator's; return its seconds, process start included, and what it says."""
    config = measure.STATE / "peers" / "gatepost" / "gatepost.toml"
    # With its bytecode, as it is installed (see peers/gatepost.sh).
    env = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return measure.timed(lambda: subprocess.check_output([GATEPOST, "-c", str(config), *words], text=True, env=env))


def most_memory(peer: measure.Peer, seconds: float) -> dict[str, int]:
    """Return the largest sum of resident memory in so many seconds, in KiB."""
    until, most = time.monotonic() + seconds, peer.mem()
    while time.monotonic() < until:
        most = max(most, peer.mem(), key=lambda mem: mem["rss_kib"])
        time.sleep(0.2)
    return most


def drained(peer: measure.Peer, messages: int = 2500) -> dict[str, float]:
    """Have so many messages delivered; return deliveries, a second and CPU-s per 1000 of them."""
    sink = measure.start_sink(messages, 120)
    before, began = peer.cpu()[0], time.monotonic()
    out, _ = sink.communicate(timeout=130)
    said = json.loads(out.strip().rsplit("\n", 1)[-1])
    # At once: what a longer queue has more to do now, without a next hop, is not these deliveries'.
    cpu = peer.cpu()[0] - before
    took = said["last_mono"] - began
    count = said["rcpts"]
    return {"deliveries": count, "per_s": count / took, "cpu_per_1000": cpu / count * 1000}


def depth(o: argparse.Namespace) -> dict[str, object]:
    fill = f"--deliveries {o.deliveries} --destinations 1000 --deep {o.deep}" + (f" --lane {o.lane}" if o.lane else "")
    peer = measure.Peer(f"gatepost@FILL={fill}")
    peer.call("stop", check=False)
    peer.call("reset", check=False)
    row: dict[str, object] = {"workload": "depth", "peer": "gatepost", "deliveries": o.deliveries, "lane": o.lane}
    # the state is made, and the account, by a start without a way out
    peer.call("start", MODE="dead", timeout=600, FILL=fill)
    peer.call("stop")
    sink = measure.start_sink(1, 120)
    began = time.monotonic()
    peer.call("start", MODE="relay", timeout=600)
    row["serving_s"] = time.monotonic() - began
    out, _ = sink.communicate(timeout=130)
    row["first_delivery_s"] = json.loads(out.strip().rsplit("\n", 1)[-1])["last_mono"] - began
    row["drain"] = drained(peer)
    sink = measure.start_sink(1 << 30, 60)
    row["mem"] = most_memory(peer, 8)
    sink.terminate()
    sink.communicate(timeout=30)
    peer.call("stop")
    peer.call("start", MODE="dead")
    time.sleep(5)
    for name, words in COMMANDS.items():
        row[name], said = command(*words)
        row[f"{name}_says"] = said.strip().rsplit("\n", 1)[-1][:80]
    row["mem_at_the_end"] = peer.mem()
    row["stop_s"], _ = measure.timed(lambda: peer.call("stop"))
    peer.call("reset")
    return row


COMMANDS = {
    "version_s": ("--version",),
    "list_s": ("queue", "list"),
    "list_due_s": ("queue", "list", "--state", "due"),
    "list_destination_s": ("queue", "list", "--destination", "d77.test"),
    "account_show_s": ("account", "show", measure.AUTH.partition(":")[0]),
    "hold_s": ("queue", "hold", "--destination", "deep.test"),
    "release_s": ("queue", "release", "--destination", "deep.test"),
}


def main() -> None:
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--deliveries", type=int, default=1_000_000)
    ap.add_argument("--deep", type=float, default=0.1, help="share of the destination that is held")
    ap.add_argument("--lane", choices=("otp", "transactional", "bulk"), help="all of one lane (default: three, mixed)")
    ap.add_argument("--out", type=pathlib.Path, default=measure.BENCH / "results" / "depth.jsonl")
    o = ap.parse_args()
    row = depth(o)
    o.out.parent.mkdir(parents=True, exist_ok=True)
    with o.out.open("a") as out:
        out.write(json.dumps(row) + "\n")
    print(json.dumps(row, indent=1), file=sys.stderr)


if __name__ == "__main__":
    main()
