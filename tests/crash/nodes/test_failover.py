"""The database's primary dies, its standby is promoted: nodes find it by themselves. One that is in
step has everything; one that is behind lacks the last of it, and no more.
"""

import signal
import smtplib
import tempfile
import time
from pathlib import Path

import pytest

from tests.crash.conftest import SETTINGS, SinkProcess
from tests.crash.ledger import Kill, judge
from tests.crash.load import Load
from tests.crash.nodes.watcher import Watcher
from tests.support.node import CAPTURE_ALL, HOST, Node, wait_until
from tests.support.postgresql import PostgresServer
from tests.support.standby import replicated
from tests.support.two_nodes import two_nodes

pytestmark = [pytest.mark.crash, pytest.mark.alone, pytest.mark.timeout(500)]


@pytest.mark.parametrize("end", ["dies", "freezes"])
def test_a_promoted_standby_has_all_that_got_250(seed: int, end: str) -> None:
    print(f"\nfail-over under load of a primary that {end}, CRASH_SEED={seed}")
    directory = Path(tempfile.mkdtemp(prefix="gatepost-failover-"))
    sink = SinkProcess(directory / "journal")
    with replicated() as (primary, standby):
        sink.start()
        primary.execute("CREATE DATABASE gatepost")
        hosts = f"127.0.0.1:{primary.port},127.0.0.1:{standby.port}"
        url = f"postgresql://postgres@{hosts}/gatepost"
        nodes = two_nodes(directory, url, SETTINGS.format(port=sink.port), workers=1)
        load = Load(nodes[0], seed, clients=4, others=nodes[1:], patience=20.0)
        watcher = Watcher(load, nodes)
        try:
            for node in nodes:
                node.start()
            load.start()
            watcher.start()
            load.wait_for(100)
            began = time.monotonic()
            if end == "dies":
                primary.stop(signal.SIGQUIT)
            else:
                primary.freeze()
            standby.execute("SELECT pg_promote()")
            load.wait_for(20, patience=120.0)
            lasts = time.monotonic() - began
            print(f"  mail was taken again after {lasts:.1f} s")
            if end == "freezes":
                primary.thaw()  # nobody has fenced it
            load.wait_for(100)
            watcher.stop()
            print(watcher.report(began))
            load.stop()
            empty = ("queue", "list", "--limit", "1")
            wait_until(lambda: not nodes[0].json(*empty), "an empty queue", patience=200.0)
            assert nodes[1].json("queue", "verify") == []
            found = judge(load.sent, sink.arrivals(), [Kill("store", began, lasts)])
            print(found.report())
            assert not found.faults, "\n".join(found.faults[:20])
            # Clients hear something within 10 s of each command; two of them ask the store.
            assert watcher.slowest < 45.0
        finally:
            load.abandon()
            watcher.stop()
            for node in nodes:
                node.stop()
            sink.kill()


def send(node: Node, recipient: str) -> None:
    with smtplib.SMTP(HOST, node.ports.submission, timeout=30) as client:
        client.starttls(context=node.trust())
        client.login(node.account, node.password)
        letter = f"From: {node.account}\r\nSubject: hello\r\n\r\nTo {recipient}.\r\n"
        client.sendmail(node.account, [recipient], letter)


def is_sent(node: Node, recipient: str) -> bool:
    try:
        send(node, recipient)
    except (smtplib.SMTPException, OSError):
        return False
    return True


def may_log_in(node: Node, account: str, password: str) -> bool:
    with smtplib.SMTP(HOST, node.ports.submission, timeout=30) as client:
        client.starttls(context=node.trust())
        try:
            client.login(account, password)
        except smtplib.SMTPAuthenticationError as error:
            return bool(error.smtp_code != 535)
        return True


def captured(node: Node) -> set[str]:
    return {row["recipient"].partition("@")[0] for row in node.captured()}


def journal(node: Node) -> str:
    return "".join(path.read_text() for path in (node.data_dir / "journal").glob("*.jsonl"))


def test_a_standby_that_is_behind_lacks_the_last_and_no_more() -> None:
    directory = Path(tempfile.mkdtemp(prefix="gatepost-behind-"))
    with replicated(in_step=False) as (primary, standby):
        primary.execute("CREATE DATABASE gatepost")
        hosts = f"127.0.0.1:{primary.port},127.0.0.1:{standby.port}"
        url = f"postgresql://postgres@{hosts}/gatepost"
        nodes = node, other = two_nodes(directory, url, CAPTURE_ALL, workers=1)
        try:
            for each in nodes:
                each.start()
            for number in range(5):
                send(node, f"before{number}@next.test")
            before = {f"before{number}" for number in range(5)}
            wait_until(lambda: captured(node) == before, "what was sent")
            assert "promoted, it may lack the last of it" in node.run("check", check=False).stdout
            wait_until(lambda: _has_all(primary), "a standby that has all")
            standby.execute("ALTER SYSTEM SET primary_conninfo = ''")
            standby.execute("SELECT pg_reload_conf()")
            followers = "SELECT 1 FROM pg_stat_replication"
            wait_until(lambda: not primary.execute(followers), "a standby that is cut off")
            for number in range(5):
                send(node, f"after{number}@next.test")
            node.add_account("late@example.com", "a-password-1")
            for each in nodes:
                wait_until(
                    lambda n=each: may_log_in(n, "late@example.com", "a-password-1"), "a login"
                )
            primary.stop(signal.SIGQUIT)
            standby.execute("SELECT pg_promote()")
            for number, each in enumerate(nodes):
                wait_until(lambda n=each, m=number: is_sent(n, f"again{m}@next.test"), "mail again")
            # Both believe the database, not what they remember.
            for each in nodes:
                wait_until(
                    lambda n=each: not may_log_in(n, "late@example.com", "a-password-1"), "no login"
                )
            wait_until(lambda: captured(node) == before | {"again0", "again1"}, "what is left")
            assert node.json("queue", "verify") == []
            wait_until(
                lambda: all(
                    word in journal(node) + journal(other) for word in ("again0", "again1")
                ),
                "the journal",
            )
        finally:
            for each in nodes:
                each.stop()


def _has_all(primary: PostgresServer) -> bool:
    sql = "SELECT replay_lsn = pg_current_wal_lsn() FROM pg_stat_replication"
    return primary.execute(sql) == [(True,)]
