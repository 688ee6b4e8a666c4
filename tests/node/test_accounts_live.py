"""Account changes reach a running server within a second; the wire tells strangers nothing."""

import base64
import itertools
import re
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.crash.processes import children
from tests.node.conftest import LOCAL, NodeOf
from tests.node.talk import Talk, anyone, plain
from tests.support.node import Node, on_all_workers

#: The contract says 1 s, which one test measures; on a busy machine the others wait for longer.
SOON = 60.0


HOSTS = itertools.cycle(f"127.0.0.{n}" for n in range(2, 250))


@dataclass(frozen=True)
class Holder:
    """A node, and an account on it that only one test knows."""

    node: Node
    name: str
    password: str

    def talk(self, source: str | None = None) -> Talk:
        talk = Talk(self.node.ports.submissions, tls=anyone(), source=source)
        talk.hello()
        return talk

    def login(self, password: str | None = None) -> str:
        # From ever another address: what is asked too early must not add up to a lock.
        with self.talk(next(HOSTS)) as talk:
            return talk.login(self.name, password or self.password)

    def change(self, *arguments: str, stdin: str = "") -> None:
        self.node.run("account", arguments[0], self.name, *arguments[1:], stdin=stdin)


@pytest.fixture
def holder(node_of: NodeOf) -> Holder:
    limits = "[limits]\nauthentication_failures = 1000\n"
    node = node_of(LOCAL + limits, workers=2)
    holder = Holder(node, f"{secrets.token_hex(4)}@sender.test", secrets.token_hex(8))
    node.add_account(holder.name, holder.password)
    return holder


def soon(ask: Callable[[], str], beginning: str) -> float:
    """Ask until the reply is the one that is due; return the seconds it took."""
    begin = time.monotonic()
    while not (reply := ask()).startswith(beginning):
        took = time.monotonic() - begin
        assert took < SOON, f"still {reply!r} after {took:.1f} s"
        time.sleep(0.02)
    return time.monotonic() - begin


def soon_everywhere(ask: Callable[[], str], beginning: str) -> None:
    """Ask until the reply is the one that is due, whichever worker is met."""
    on_all_workers(lambda: ask().startswith(beginning), beginning)


def mail_then_reset(talk: Talk, name: str) -> str:
    reply = talk.ask(f"MAIL FROM:<{name}>")
    if reply.startswith("250"):
        talk.must("RSET", "250")
    return reply


def test_a_new_account_logs_in_at_once(holder: Holder) -> None:
    soon(holder.login, "235")


def test_a_change_is_in_force_within_a_second(holder: Holder) -> None:
    """The best of twenty: what the machine does besides is not ours."""
    took = []
    for verb, reply in [("suspend", "525"), ("resume", "235")] * 10:
        holder.change(verb)
        took.append(soon(holder.login, reply))
        soon_everywhere(holder.login, reply)
        if min(took) < 1:
            return
    assert min(took) < 1, took


def test_suspending_reaches_open_sessions_and_new_logins_and_resume_undoes_it(
    holder: Holder,
) -> None:
    with holder.talk() as talk:
        assert talk.login(holder.name, holder.password).startswith("235")
        talk.must(f"MAIL FROM:<{holder.name}>", "250")
        talk.must("RCPT TO:<you@elsewhere.test>", "250")
        holder.change("suspend")
        # The transaction under way is not cut: it was allowed when it began.
        talk.must("RSET", "250")
        soon(lambda: mail_then_reset(talk, holder.name), "550 5.7.13 ")
        soon_everywhere(holder.login, "525 5.7.13 ")
        # Who does not know the password is not told that the account is suspended.
        assert holder.login("wrong").startswith("535 5.7.8 ")
        holder.change("resume")
        soon(lambda: mail_then_reset(talk, holder.name), "250")
        soon(holder.login, "235")


def test_grants_reach_open_sessions(holder: Holder) -> None:
    with holder.talk() as talk:
        assert talk.login(holder.name, holder.password).startswith("235")
        assert mail_then_reset(talk, "x@a.brand.test").startswith("550 5.7.1 ")
        holder.change("allow", "--sender", "*.brand.test")
        soon(lambda: mail_then_reset(talk, "x@a.brand.test"), "250")
        assert mail_then_reset(talk, "x@brand.test").startswith("550 5.7.1 ")
        holder.change("forbid", "--sender", "@.brand.test")
        soon(lambda: mail_then_reset(talk, "x@a.brand.test"), "550 5.7.1 ")


def test_removing_an_account_reaches_open_sessions_and_new_logins(holder: Holder) -> None:
    with holder.talk() as talk:
        assert talk.login(holder.name, holder.password).startswith("235")
        assert mail_then_reset(talk, holder.name).startswith("250")
        holder.change("remove")
        soon(lambda: mail_then_reset(talk, holder.name), "550 5.7.13 ")
    soon(holder.login, "535 5.7.8 ")


def test_a_changed_password_ends_what_the_cache_of_right_ones_knew(holder: Holder) -> None:
    for _ in range(4):  # both workers have seen it now
        assert holder.login().startswith("235")
    fresh = secrets.token_hex(8)
    holder.change("password", "--password-stdin", stdin=fresh + "\n")
    soon_everywhere(lambda: holder.login(fresh), "235")
    soon_everywhere(holder.login, "535 5.7.8 ")


@pytest.mark.rfc("4954#4")
def test_an_unknown_account_and_a_wrong_password_hear_the_same_words(holder: Holder) -> None:
    def words(name: str, command: str) -> str:
        with holder.talk() as talk:
            if command == "PLAIN":
                reply = talk.login(name, "wrong")
            else:
                talk.must("AUTH LOGIN", "334")
                talk.must(base64.b64encode(name.encode()).decode(), "334")
                reply = talk.ask(base64.b64encode(b"wrong").decode())
        return re.sub(r"\[[0-9a-f]+\]$", "[tag]", reply)

    for command in ("PLAIN", "LOGIN"):
        known = words(holder.name, command)
        assert known == "535 5.7.8 Authentication credentials invalid [tag]"
        assert words("nobody@sender.test", command) == known
        assert words("no address at all", command) == known


def processor_time(node: Node) -> float:
    """Return the seconds that a node's workers have computed: what else the machine does is not in it."""
    assert node.process is not None
    threads = [t for pid in children(node.process.pid) for t in Path(f"/proc/{pid}/task").iterdir()]
    return sum(int((thread / "schedstat").read_text().split()[0]) for thread in threads) / 1e9


def test_an_unknown_account_takes_as_long_as_a_wrong_password(holder: Holder) -> None:
    def seconds(name: str) -> float:
        with holder.talk() as talk:
            begin = processor_time(holder.node)
            talk.login(name, secrets.token_hex(4))
            return processor_time(holder.node) - begin

    pairs = [(seconds(holder.name), seconds(f"{n}@sender.test")) for n in range(4)]  # five lock
    known, unknown = (min(each) for each in zip(*pairs, strict=True))
    assert 1 / 3 < unknown / known < 3  # without a check it would be a twentieth


@pytest.mark.rfc("4954#4")
def test_auth_before_tls_is_refused_and_flags_what_was_right(holder: Holder) -> None:
    def shown() -> str:
        (secret,) = holder.node.json("account", "show", holder.name)["credentials"]
        return str(secret["exposed_at"] or "")

    said = set()

    def say(password: str) -> None:
        with Talk(holder.node.ports.submission) as talk:
            talk.hello()
            said.update(talk.ask(plain(name, password)) for name in (holder.name, "nobody@x.test"))

    say("wrong")
    assert not shown()
    say(holder.password)
    soon(shown, "2")
    (reply,) = said  # for all the same
    assert reply.startswith("538 5.7.11 Encryption required")
    assert holder.login().startswith("235")  # flagged, not locked


def test_no_login_on_the_mx_port_even_inside_tls(holder: Holder) -> None:
    with Talk(holder.node.ports.mx) as talk:
        assert "AUTH" not in talk.hello()
        talk.must("STARTTLS", "220")
        talk.start_tls(anyone())
        assert "AUTH" not in talk.must("EHLO c.test", "250")
        assert talk.login(holder.name, holder.password).startswith("503 5.5.1 ")
