#!/usr/bin/env python3
"""What a restart costs when everybody comes back: cold logins at once, and mail that is accepted beside them.

    storm.py --accounts 20 --sessions 10 --gatepost .venv/bin/gatepost

Starts a Gatepost of its own on free ports of loopback (its mail is held), adds accounts, logs some sessions in that
send `--rate` messages a second, and then opens accounts x sessions new ones that log in by AUTH PLAIN over TLS. Prints
one line of JSON: p50 and p99 of the mail before and during the storm, counted from the moment a message was due, how
long the storm took, and the server's CPU seconds; and beside them those of logins of another account, by SCRAM-SHA-256 and by
PLAIN with a password that is known, from AUTH to 235 (without the TLS before it). `--warm` does it a second time, with the passwords known. Bounded in
sessions and in seconds.
"""

import argparse
import asyncio
import base64
import hashlib
import hmac
import itertools
import json
import multiprocessing
import os
import pathlib
import resource
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time

CONFIG = """
hostname = "relay.example"
data_dir = "state"
workers = 2
[tls]
certificate = "cert.pem"
private_key = "key.pem"
[[listeners]]
address = "127.0.0.1:{port}"
role = "submissions"
[limits]
connections_per_address = 10000
[[routes]]
match = ["*"]
via = "hold"
"""
PASSWORD = "correct horse battery {}"
TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
TLS.check_hostname, TLS.verify_mode = False, ssl.CERT_NONE
CONTENT = b"From: <a0@example.com>\r\nSubject: storm\r\n\r\n" + (b"x" * 76 + b"\r\n") * 20 + b".\r\n"


class Session:
    """One connection over TLS, logged in."""

    def __init__(self, port):
        self.port, self.busy = port, 0

    async def login(self, account):
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port, ssl=TLS)
        await self.reply()
        await self.say("EHLO client.example")
        secret = f"\0a{account}@example.com\0{PASSWORD.format(account)}".encode()
        while not (answer := await self.say("AUTH PLAIN " + base64.b64encode(secret).decode())).startswith("235"):
            if not answer.startswith("454"):
                raise SystemExit(f"not logged in: {answer}")
            self.busy += 1
            await asyncio.sleep(0.2)

    async def message(self, account):
        self.writer.write(f"MAIL FROM:<a{account}@example.com>\r\nRCPT TO:<b@example.net>\r\nDATA\r\n".encode())
        for _ in range(3):
            await self.reply()
        self.writer.write(CONTENT)
        answer = await self.reply()
        if not answer.startswith("250"):
            raise SystemExit(f"not accepted: {answer}")

    async def say(self, line):
        self.writer.write(line.encode() + b"\r\n")
        return await self.reply()

    async def reply(self):
        while True:
            line = (await self.reader.readline()).decode()
            if line[3:4] != "-":
                return line


async def offer(port, rate, until):
    """Send messages at a rate, each by a session that is free; return when each was due, and what it took from then."""
    free, latencies = asyncio.Queue(), []
    for _ in range(10):
        session = Session(port)
        await session.login(0)
        free.put_nowait(session)

    async def one(due):
        session = await free.get()
        await session.message(0)
        free.put_nowait(session)
        latencies.append((due, time.monotonic() - due))

    async with asyncio.TaskGroup() as group:
        due = time.monotonic()
        while not until.is_set():
            due += 1 / rate
            await asyncio.sleep(max(0, due - time.monotonic()))
            group.create_task(one(due))
    return latencies


def offering(port, rate, until, told):
    """Offer mail, in a process of its own: the storm's clients must not delay it."""
    told.put(asyncio.run(offer(port, rate, until)))


class Scram:
    """The client's half of SCRAM-SHA-256 (RFC 5802), its keys made once: they cost the client 0.1 s."""

    keys = None

    async def login(self, session, account):
        bare = f"n=a{account}@example.com,r=nonce"
        first = await session.say("AUTH SCRAM-SHA-256 " + base64.b64encode(f"n,,{bare}".encode()).decode())
        challenge = base64.b64decode(first[4:]).decode()
        said = dict(part.split("=", 1) for part in challenge.split(","))
        if self.keys is None:
            password, salt = PASSWORD.format(account).encode(), base64.b64decode(said["s"])
            salted = hashlib.pbkdf2_hmac("sha256", password, salt, int(said["i"]))
            client = hmac.digest(salted, b"Client Key", "sha256")
            self.keys = client, hashlib.sha256(client).digest()
        client, stored = self.keys
        last = f"c=biws,r={said['r']}"
        signature = hmac.digest(stored, f"{bare},{challenge},{last}".encode(), "sha256")
        proof = base64.b64encode(bytes(a ^ b for a, b in zip(client, signature, strict=True))).decode()
        second = await session.say(base64.b64encode(f"{last},p={proof}".encode()).decode())
        if second.startswith("334"):
            second = await session.say("")
        return second


async def knock(port, rate, until):
    """Log in at a rate, by SCRAM and by PLAIN in turn; return when each began, how, and how long AUTH took."""
    scram, latencies = Scram(), []
    plain = f"AUTH PLAIN {base64.b64encode(chr(0).join(['', 'a0@example.com', PASSWORD.format(0)]).encode()).decode()}"

    async def one(how):
        session = Session(port)
        session.reader, session.writer = await asyncio.open_connection("127.0.0.1", port, ssl=TLS)
        await session.reply()
        await session.say("EHLO client.example")
        begun = time.monotonic()
        answer = await (scram.login(session, 0) if how == "scram" else session.say(plain))
        if not answer.startswith("235"):
            raise SystemExit(f"not logged in by {how}: {answer}")
        latencies.append((begun, how, time.monotonic() - begun))
        session.writer.close()

    await one("scram")
    latencies.clear()
    async with asyncio.TaskGroup() as group:
        for how in itertools.cycle(("scram", "plain")):
            if until.is_set():
                return latencies
            group.create_task(one(how))
            await asyncio.sleep(1 / rate)


def knocking(port, rate, until, told):
    told.put(asyncio.run(knock(port, rate, until)))


def percentiles(values):
    values = sorted(values)
    return {f"p{p}_ms": round(values[min(len(values) - 1, len(values) * p // 100)] * 1e3, 1) for p in (50, 99)}


async def come(o, port):
    """Log all sessions in at once; return how often they were told to come later."""
    sessions = [(Session(port), 1 + i % o.accounts) for i in range(o.accounts * o.sessions)]
    async with asyncio.TaskGroup() as group:
        for session, account in sessions:
            group.create_task(session.login(account))
    for session, _ in sessions:
        session.writer.close()
    return sum(session.busy for session, _ in sessions)


def measure(o, port, pid):
    until, told = multiprocessing.Event(), multiprocessing.Queue()
    process = multiprocessing.Process(target=offering, args=(port, o.rate, until, told), daemon=True)
    process.start()
    heard = multiprocessing.Queue()
    others = multiprocessing.Process(target=knocking, args=(port, o.logins, until, heard), daemon=True)
    others.start()
    begun = time.monotonic() + 1
    time.sleep(1 + o.seconds)
    spans, said = {"before": (begun, time.monotonic())}, {}
    for name in ("cold", "warm") if o.warm else ("cold",):
        begun, cpu = time.monotonic(), cpu_of(pid)
        late = asyncio.run(asyncio.wait_for(come(o, port), 300))
        spans[name] = (begun, time.monotonic())
        said[name] = {"cpu_s": round(cpu_of(pid) - cpu, 2), "told_454": late}
        time.sleep(1)
    until.set()
    latencies, logins = told.get(timeout=60), heard.get(timeout=60)
    process.join()
    others.join()
    for name, (begun, ended) in spans.items():
        took = [took for due, took in latencies if begun <= due <= ended]
        said[name] = {"seconds": round(ended - begun, 2), **percentiles(took), **said.get(name, {})}
        for how in ("scram", "plain"):
            said[name][how] = percentiles([t for at, by, t in logins if by == how and begun <= at <= ended])
    return said


def cpu_of(pid):
    """Return the CPU seconds of a process and of its children that are alive."""
    total = 0
    for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(stat.parent.name) == pid or int(fields[1]) == pid:
            total += int(fields[11]) + int(fields[12])
    return total / os.sysconf("SC_CLK_TCK")


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--accounts", type=int, default=20)
    p.add_argument("--sessions", type=int, default=10, help="of each account")
    p.add_argument("--rate", type=float, default=100)
    p.add_argument("--logins", type=float, default=40, help="of another account, a second")
    p.add_argument("--seconds", type=float, default=5, help="of mail before the storm")
    p.add_argument("--warm", action="store_true")
    p.add_argument("--gatepost", default="gatepost")
    o = p.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # the server is ended first
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    o.gatepost = shutil.which(o.gatepost) or o.gatepost
    with tempfile.TemporaryDirectory() as where:
        subprocess.run([o.gatepost, "init", where, "--hostname", "relay.example"], check=True, capture_output=True)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        config = pathlib.Path(where) / "gatepost.toml"
        config.write_text(CONFIG.format(port=port))
        for account in range(o.accounts + 1):
            add = [o.gatepost, "-c", config, "account", "add", f"a{account}@example.com", "--password-stdin"]
            subprocess.run(add, input=PASSWORD.format(account).encode() + b"\n", check=True, capture_output=True)
        with (pathlib.Path(where) / "log").open("wb") as log:
            server = subprocess.Popen([o.gatepost, "-c", config, "serve"], stderr=log)
        try:
            for _ in range(600):
                with socket.socket() as probe:
                    if probe.connect_ex(("127.0.0.1", port)) == 0:
                        break
                time.sleep(0.1)
            time.sleep(1)
            print(json.dumps(measure(o, port, server.pid)))
        finally:
            server.terminate()
            server.wait(60)


if __name__ == "__main__":
    main()
