#!/usr/bin/env python3
"""What guessing passwords gets, with and without the throttle: loopback only, bounded in time.

    guessing.py --seconds 20 --guessers 16

Guessers try passwords of one account as fast as they are answered, each from an address of its own: all in one /24, or
each in another. The owner logs in beside them, from another network. Counted: guesses whose password was looked at
(535), refusals without a look (454, 421, closed), server CPU, and how the owner fares. Prints Markdown. See README.md.
"""

import argparse
import base64
import random
import socket
import ssl
import statistics
import threading
import time
from collections import Counter

import measure

UNTHROTTLED = measure.BENCH / "tools" / "unthrottled"
NAME, _, PASSWORD = measure.AUTH.partition(":")


class Client:
    """One SMTP connection from an address of loopback, up to AUTH."""

    def __init__(self, port, source):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=20, source_address=(source, 0))
        try:
            self.file = self.socket.makefile("rb")
            self.reply()
            self.ask("EHLO client.test")
            self.ask("STARTTLS")
            context = ssl._create_unverified_context()
            self.socket = context.wrap_socket(self.socket, server_hostname="localhost")
            self.file = self.socket.makefile("rb")
            self.ask("EHLO client.test")
        except BaseException:
            self.socket.close()
            raise

    def ask(self, line):
        self.socket.sendall(line.encode() + b"\r\n")
        return self.reply()

    def reply(self):
        while True:
            line = self.file.readline()
            if not line:
                raise ConnectionError
            if line[3:4] != b"-":
                break
        if line.startswith(b"421"):
            raise PermissionError
        return line[:3].decode()

    def login(self, password):
        return self.ask("AUTH PLAIN " + base64.b64encode(f"\0{NAME}\0{password}".encode()).decode())

    def close(self):
        self.socket.close()


def guess(port, source, until, counts):
    while time.monotonic() < until:
        client = None
        try:
            client = Client(port, source)
            while time.monotonic() < until:
                reply = client.login(f"guess {random.random()}")
                counts[reply] += 1
                if reply != "535":
                    time.sleep(0.05)  # as much of an attack as one machine should play
        except PermissionError:
            counts["421"] += 1
            time.sleep(0.05)
        except OSError:
            counts["closed"] += 1
            time.sleep(0.05)
        finally:
            if client:
                client.close()


def own(port, until, times, counts):
    while time.monotonic() < until:
        began = time.monotonic()
        try:
            client = Client(port, "127.99.0.1")
            counts[client.login(PASSWORD)] += 1
            times.append(time.monotonic() - began)
            client.close()
        except OSError as problem:
            counts[type(problem).__name__] += 1
        time.sleep(0.2)


def attack(peer, sources, seconds):
    peer.fresh("hold")
    try:
        Client(peer.port, "127.99.0.1").close()
        until = time.monotonic() + seconds
        guesses, logins, times = Counter(), Counter(), []
        threads = [threading.Thread(target=guess, args=(peer.port, s, until, guesses)) for s in sources]
        threads.append(threading.Thread(target=own, args=(peer.port, until, times, logins)))
        _, cpu, _ = measure.measured(peer, lambda: [run(threads), None][1])
        return guesses, logins, times, cpu["cpu_s"]
    finally:
        peer.call("stop", check=False)
        peer.call("reset", check=False)


def run(threads):
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--seconds", type=float, default=20)
    p.add_argument("--guessers", type=int, default=16)
    p.add_argument("--peer", default="gatepost", help="another script in peers/ that starts Gatepost")
    o = p.parse_args()
    near = [f"127.1.1.{n + 1}" for n in range(o.guessers)]
    far = [f"127.1.{n + 1}.1" for n in range(o.guessers)]
    print(f"In {o.seconds:g} s:\n")
    print("| guessers | throttle | passwords looked at | refused without a look | server CPU | owner's logins | p50, p99 |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for where, sources in ((f"{o.guessers} in one /24", near), (f"{o.guessers} in as many /24", far)):
        for throttle, more in (("without", f"@GATEPOST={UNTHROTTLED}"), ("with", "")):
            guesses, logins, times, cpu = attack(measure.Peer(o.peer + more), sources, o.seconds)
            looked = guesses.pop("535", 0)
            good, bad = logins.pop("235", 0), sum(logins.values())
            p50, p99 = statistics.median(times), statistics.quantiles(times, n=100)[98]
            print(
                f"| {where} | {throttle} | {looked} | {sum(guesses.values())}"
                f" | {cpu / o.seconds:.2f} cores | {good} good, {bad} not | {p50 * 1000:.0f}, {p99 * 1000:.0f} ms |",
                flush=True,
            )


if __name__ == "__main__":
    main()
