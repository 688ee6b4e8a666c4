#!/usr/bin/env python3
"""What a login costs: one message a connection (STARTTLS, AUTH PLAIN, MAIL to 250), 50 at once.

    logins.py --rounds 3 --messages 2000 --out results/logins.jsonl

With and without the cache of verified credentials, TLS resumption, and an RSA instead of an ECDSA certificate; all
variants in turn, in each round, so that a noisy machine is noisy for all. Other peers may be named beside: --beside
postfix,exim. Prints medians as Markdown. See README.md.
"""

import argparse
import json
import pathlib
import random
import statistics

import measure

UNCACHED = measure.BENCH / "tools" / "uncached"
RESUMED = ("--resume", "on")
#: What is measured: name, peer with its settings, smtpload's options, share of the messages.
VARIANTS = (
    ("ECDSA, full handshake", "{peer}@CERT=ecdsa", (), 1),
    ("ECDSA, resumed", "{peer}@CERT=ecdsa", RESUMED, 1),
    ("RSA-2048, full handshake", "{peer}@CERT=rsa", (), 1),
    ("RSA-2048, resumed", "{peer}@CERT=rsa", RESUMED, 1),
    ("ECDSA, full handshake, no cache", "{peer}@CERT=ecdsa@GATEPOST={uncached}", (), 0.1),
)


def one(name, spec, extra, share, o):
    peer = measure.Peer(spec.format(peer=o.peer, uncached=UNCACHED))
    work = argparse.Namespace(messages=max(100, int(o.messages * share)), sessions=o.sessions)
    try:
        row = measure.accept(peer, work, 1, extra)
    finally:
        peer.call("stop", check=False)
    return {"variant": name, **{k: v for k, v in row.items() if k != "load"}}


def table(rows):
    print("| one message a connection | logins/s | CPU-s per 1000 | beside the first | connect to 235, p50 ms |")
    print("| --- | --- | --- | --- | --- |")
    first = None
    for name in dict.fromkeys(row["variant"] for row in rows):
        mine = [row for row in rows if row["variant"] == name]
        cpu, rate, setup = (
            statistics.median(row[key] for row in mine) for key in ("cpu_per_1000", "msgs_per_s", "setup_p50_ms")
        )
        first = first or cpu
        print(f"| {name} | {rate:.0f} | {cpu:.2f} | {cpu / first:.2f} | {setup:.0f} |")


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument("--messages", type=int, default=2000)
    p.add_argument("--sessions", type=int, default=50)
    p.add_argument("--peer", default="gatepost", help="another script in peers/ that starts Gatepost")
    p.add_argument("--beside", default="", help="peers of others, with full handshakes")
    p.add_argument("--out", type=pathlib.Path)
    o = p.parse_args()
    variants = [*VARIANTS, *((peer, peer, (), 1) for peer in o.beside.split(",") if peer)]
    rows = []
    for _ in range(o.rounds):
        for variant in random.sample(variants, len(variants)):
            rows.append(one(*variant, o))
            if o.out:
                o.out.parent.mkdir(parents=True, exist_ok=True)
                with o.out.open("a") as out:
                    print(json.dumps(rows[-1]), file=out)
    table(sorted(rows, key=lambda row: [v[0] for v in variants].index(row["variant"])))


if __name__ == "__main__":
    main()
