"""Ends and changes that are no accident: under load, nobody loses mail and nothing comes twice."""

import os
import signal
import socket
import time

import pytest

from tests.crash import processes
from tests.crash.conftest import SETTINGS, WORKERS, Rig
from tests.crash.ledger import Findings
from tests.crash.load import Client
from tests.support.node import HOST, greets, wait_until

pytestmark = [pytest.mark.crash, pytest.mark.timeout(180)]

#: Seconds: the supervisor's DRAIN and some to spare; how soon orphans must be gone.
DRAIN = 32.0
ORPHANED = 10.0
#: Who is to see that others are put off has time for it.
UNHURRIED = "from gatepost.reception import converse\nconverse._LAST_TRANSACTION = 100.0"
#: A drain that is longer than a transaction may last (10 s), and no longer than a test needs.
SHORT = 11.0
SHORT_DRAIN = f"from gatepost.node import supervisor\nsupervisor.DRAIN = {SHORT}"


def nothing_twice(found: Findings) -> bool:
    return not (
        found.counts["duplicates by repeated delivery"]
        or found.counts["duplicates by resent submission"]
        or found.counts["final dots to us unanswered"]
    )


@pytest.mark.rfc("5321#3.8")
def test_sigterm_ends_in_time_and_loses_nothing(rig: Rig) -> None:
    print(f"\nSIGTERM under load, CRASH_SEED={rig.seed}")
    rig.load.start()
    for _ in range(3):
        rig.load.wait_for(100)
        rig.goes_away()
        began = time.monotonic()
        rig.node.signal(signal.SIGTERM)
        assert rig.node.process is not None
        assert rig.node.process.wait(DRAIN) == 0
        print(f"  ended within {time.monotonic() - began:.1f} s")
        rig.restart()
    assert nothing_twice(rig.settle_accounts())


@pytest.mark.rfc("5321#3.8")
def test_a_transaction_may_end_while_new_connections_are_put_off(rig: Rig) -> None:
    node = rig.node
    node.stop()
    node.prelude = UNHURRIED
    node.start()
    with Client(node, node.trust(), implicit=False).socket as session:
        session.sendall(
            f"MAIL FROM:<{node.account}>\r\nRCPT TO:<m1@next.test>\r\nDATA\r\n".encode()
        )
        _read_until(session, b"354 ")
        node.signal(signal.SIGTERM)
        wait_until(lambda: _is_put_off(node.ports.submission), "421 for others", patience=25)
        assert rig.workers(), "the transaction is still under way"
        session.sendall(f"From: <{node.account}>\r\n\r\nbye\r\n.\r\n".encode())
        _read_until(session, b"250 ")
    assert node.process is not None
    assert node.process.wait(DRAIN) == 0


def _is_put_off(port: int) -> bool:
    with socket.create_connection((HOST, port), timeout=30) as sock:
        return sock.recv(3) == b"421"


def _read_until(session: socket.socket, wanted: bytes) -> None:
    octets = b""
    while wanted not in octets:
        more = session.recv(4096)
        assert more, octets
        octets += more


def test_sighup_refuses_nobody_and_loses_nothing(rig: Rig) -> None:
    print(f"\nSIGHUP under load, CRASH_SEED={rig.seed}")
    rig.load.start()
    for megabytes in (11, 12, 13):
        rig.load.wait_for(100)
        former = rig.workers()
        size = f'\n[limits]\nmessage_size = "{megabytes} MiB"\n'
        rig.node.configure(SETTINGS.format(port=rig.sink.port) + size)
        rig.node.signal(signal.SIGHUP)
        wait_until(
            lambda: len(rig.workers()) == WORKERS and set(rig.workers()).isdisjoint(former),  # noqa: B023
            "new workers in the place of the former",
            patience=DRAIN,
        )
        assert _offered_size(rig) == megabytes * 2**20
        rig.load.wait_for(20)
    assert nothing_twice(rig.settle_accounts())


def test_a_restart_refuses_nobody_and_loses_nothing(mixed: Rig) -> None:
    rig = mixed
    print(f"\nhanding over under load, CRASH_SEED={rig.seed}")
    rig.load.start()
    for _ in range(4):
        rig.load.wait_for(100)
        former = rig.node.process
        assert former is not None
        began = time.monotonic()
        rig.hand_over()
        print(f"  took over within {time.monotonic() - began:.1f} s", end="")
        wait_until(lambda: former.poll() is not None, "the former's end", patience=DRAIN)  # noqa: B023
        print(f", the former had ended within {time.monotonic() - began:.1f} s")
    rig.load.wait_for(100)
    found = rig.settle_accounts()
    assert nothing_twice(found)
    assert not found.counts["sessions lost before login"]


def test_a_stopped_worker_delays_the_end_no_longer_than_all(rig: Rig) -> None:
    """A worker that takes no signal, and one with a session that never ends."""
    node = rig.node
    node.stop()
    node.prelude = SHORT_DRAIN
    node.start()
    with Client(node, node.trust(), implicit=False).socket as session:
        session.sendall(
            f"MAIL FROM:<{node.account}>\r\nRCPT TO:<m1@next.test>\r\nDATA\r\n".encode()
        )
        _read_until(session, b"354 ")
        stopped = rig.workers()[0]
        os.kill(stopped, signal.SIGSTOP)
        began = time.monotonic()
        node.signal(signal.SIGTERM)
        assert node.process is not None
        assert node.process.wait(DRAIN + 5) == 1, "some had to be killed"
        elapsed = time.monotonic() - began
        print(f"\n  ended within {elapsed:.1f} s")
        assert elapsed > SHORT
    node.prelude = ""
    assert not processes.is_alive(stopped)
    rig.goes_away()
    rig.restart()
    rig.load.start()
    rig.load.wait_for(20)
    rig.settle_accounts()


def test_workers_without_supervisor_leave_the_ports(rig: Rig) -> None:
    """Decision 2: no orphans."""
    print(f"\nkill -9 of the supervisor under load, CRASH_SEED={rig.seed}")
    rig.load.start()
    rig.load.wait_for(100)
    workers = rig.workers()
    rig.goes_away()
    began = time.monotonic()
    supervisor, rig.node.process = rig.node.process, None
    assert supervisor is not None
    os.kill(supervisor.pid, signal.SIGKILL)
    supervisor.wait()
    wait_until(
        lambda: not any(map(processes.is_alive, workers)), "the orphans' end", patience=ORPHANED
    )
    print(f"  {len(workers)} orphans were gone within {time.monotonic() - began:.1f} s")
    ports = rig.node.ports
    assert not any(greets(port) for port in (ports.submission, ports.submissions, ports.mx))
    rig.restart()
    rig.load.wait_for(20)
    assert nothing_twice(rig.settle_accounts())


def _offered_size(rig: Rig) -> int:
    with socket.create_connection((HOST, rig.node.ports.mx), timeout=30) as sock:
        sock.sendall(b"EHLO test.example\r\nQUIT\r\n")
        words = b""
        while octets := sock.recv(4096):
            words += octets
    return int(words.split(b"SIZE ")[1].split()[0])
