"""SIGHUP takes a new configuration over while mail goes on; a faulty one changes nothing."""

import signal
import threading
from pathlib import Path

import pytest

from tests.conftest import NodeMaker
from tests.node.conftest import LOCAL, NodeOf
from tests.node.talk import Talk
from tests.support.node import Node, wait_until

#: What is under way when a worker stops has 10 s; on a busy machine what tests do meanwhile takes longer.
UNHURRIED = "from gatepost.reception import converse\nconverse._LAST_TRANSACTION = 100.0\n"
NEW_DOMAIN = """
[[local_domains]]
name = "new.test"
deliver_to = "maildir:new"
"""


def rcpt(node: Node, address: str) -> str:
    with Talk(node.ports.mx) as talk:
        if not talk.reply().startswith("220"):
            return ""
        talk.ask("EHLO c.test")
        talk.ask("MAIL FROM:<a@b.test>")
        return talk.ask(f"RCPT TO:<{address}>")


def logged_since(node: Node, begin: int, words: str) -> None:
    wait_until(lambda: words in node.log.read_text()[begin:], words)


def test_a_reload_is_taken_over_and_a_faulty_one_is_not(make_node: NodeMaker) -> None:
    node = make_node(LOCAL, workers=2, start=False)
    node.prelude = UNHURRIED
    node.start()
    assert rcpt(node, "x@new.test").startswith("550 5.7.1")

    # a faulty file: said with line and mend, the former one stays
    begin = len(node.log.read_text())
    node.configure(LOCAL + NEW_DOMAIN + '\n[limits]\nidel = "5 min"\n')
    node.signal(signal.SIGHUP)
    logged_since(node, begin, "the former configuration stays in force")
    said = node.log.read_text()[begin:]
    assert "idel" in said
    assert "idle" in said  # did you mean
    assert rcpt(node, "x@new.test").startswith("550 5.7.1")
    assert rcpt(node, "alice@local.test").startswith("250")

    # a good one, while a transaction is under way and others knock
    with Talk(node.ports.mx) as under_way, Talk(node.ports.mx) as idle:
        under_way.hello()
        idle.hello()
        under_way.must("MAIL FROM:<a@b.test>", "250")
        under_way.must("RCPT TO:<alice@local.test>", "250")
        stop = threading.Event()
        refused: list[str] = []

        def knock() -> None:
            while not stop.is_set():
                reply = rcpt(node, "alice@local.test")
                if reply[:3] not in {"250", "421", ""}:
                    refused.append(reply)

        knocker = threading.Thread(target=knock)
        knocker.start()
        node.configure(LOCAL + NEW_DOMAIN)
        node.signal(signal.SIGHUP)
        node.signal(signal.SIGHUP)  # a second one is not lost, and does no harm
        wait_until(
            lambda: all(rcpt(node, "x@new.test").startswith("250") for _ in range(12)),
            "both workers know the new domain",
        )
        stop.set()
        knocker.join(30)
        assert not refused
        assert idle.reply().startswith("421 4.3.2 ")
        under_way.must("DATA", "354")
        assert under_way.message(b"Subject: a\r\n\r\n").startswith("250 2.0.0 Queued")
        assert under_way.reply().startswith("421 4.3.2 ")
        assert under_way.is_closed()
    folder = node.data_dir / "local" / "alice" / "new"
    wait_until(lambda: folder.is_dir() and len(list(folder.iterdir())) == 1, "mail for alice")


def test_a_change_that_needs_a_restart_says_so_and_the_rest_is_taken_over(
    make_node: NodeMaker,
) -> None:
    node = make_node(LOCAL, workers=1)
    ports = node.ports
    node.workers = 2
    node.configure(LOCAL + NEW_DOMAIN)
    begin = len(node.log.read_text())
    node.signal(signal.SIGHUP)
    logged_since(node, begin, "changes to workers need a restart")
    wait_until(lambda: rcpt(node, "x@new.test").startswith("250"), "the new domain")
    assert node.ports == ports


def test_a_secret_that_was_changed_is_taken_over_though_the_file_that_names_it_was_not(
    make_node: NodeMaker, tmp_path: Path
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("former\n")
    route = '[[routes]]\nmatch = ["up.test"]\nvia = "smtp:127.0.0.1:9"\nusername = "u"\n'
    node = make_node(f'{route}password_file = "{secret}"\n{LOCAL}', workers=2)
    begin = len(node.log.read_text())
    node.signal(signal.SIGHUP)
    logged_since(node, begin, "nothing in it has changed")
    secret.write_text("new\n")
    node.signal(signal.SIGHUP)
    logged_since(node, begin, f"changed: {secret}")
    logged_since(node, begin, "configuration taken over by all workers")
    assert "former\n" not in node.log.read_text()[begin:]


def test_a_reload_during_a_reload_follows_it(make_node: NodeMaker) -> None:
    node = make_node(LOCAL, workers=1, start=False)
    node.prelude = UNHURRIED
    node.start()
    with Talk(node.ports.mx) as under_way:
        under_way.hello()
        under_way.must("MAIL FROM:<a@b.test>", "250")  # keeps the former worker busy
        node.configure(LOCAL + "# one\n[limits]\nrecipients = 200\n")
        node.signal(signal.SIGHUP)
        wait_until(lambda: "configuration reloaded" in node.log.read_text(), "the first reload")
        node.configure(LOCAL + NEW_DOMAIN)
        node.signal(signal.SIGHUP)
        wait_until(lambda: "the next one follows it" in node.log.read_text(), "the second")
        assert rcpt(node, "x@new.test").startswith("550")
        under_way.must("QUIT", "221")
    wait_until(lambda: rcpt(node, "x@new.test").startswith("250"), "the new domain")


@pytest.mark.parametrize("fault", ["key", "number", "depth", "NUL", "data_dir"])
def test_what_a_reload_cannot_take_over_changes_nothing(
    node_of: NodeOf, tmp_path: Path, fault: str
) -> None:
    node = node_of(LOCAL, workers=2)
    wait_until(lambda: "all workers serve" in node.log.read_text(), "both workers")
    good = node.config.read_text()
    begin = len(node.log.read_text())
    node.config.write_text(
        {
            "key": f'master_key = "{tmp_path}/elsewhere.key"\n{good}',
            "number": good + "[limits]\nrecipients = " + "9" * 5000 + "\n",
            "depth": good + "[limits]\nrecipients = " + "[" * 5000 + "]" * 5000 + "\n",
            "NUL": 'master_key = "a\\u0000b"\n' + good,
            "data_dir": good + "[limits]\nrecipients = 177\n",
        }[fault]
    )
    away = node.directory / "away"
    if fault == "data_dir":
        node.data_dir.rename(away)
    node.signal(signal.SIGHUP)
    wait_until(lambda: "former" in node.log.read_text()[begin:], "a line in the log")
    said = node.log.read_text()[begin:]
    if fault == "data_dir":
        away.rename(node.data_dir)
    assert "Traceback" not in said
    assert "reloaded" not in said
    assert not (tmp_path / "elsewhere.key").exists()
    assert rcpt(node, "alice@local.test").startswith("250")
    node.config.write_text(good)
