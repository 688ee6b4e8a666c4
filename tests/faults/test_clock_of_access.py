"""Tokens, API keys, held logins and retention, while the clock is set ten days ahead or back and right again."""

import json
import os
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.faults.conftest import Scene, World
from tests.faults.test_clock import DAYS
from tests.faults.test_clock_of_logins import turn
from tests.node.talk import Talk, plain, upgraded
from tests.node.test_tokens_live import NAME, login, token
from tests.support.node import HOST, on_all_workers, wait_until
from tests.support.openid_provider import Provider
from tests.support.ports import free_ports

pytestmark = [pytest.mark.crash, pytest.mark.timeout(240)]

SETTINGS = """
[auth.oauth]
issuer = "{issuer}"
audience = "gatepost"
[http]
address = "{http}"
[[routes]]
match = ["*"]
via = "capture"
[breaker]
recipients = 5
factor = 2
known_for = "1 ms"
[retention]
captured = "2 h"
events = "2 d"
"""
#: Housekeeping goes round all the time.
BUSY = "from gatepost.node import worker\nworker._TIDY = 0.2\n"


@pytest.fixture
def provider() -> Iterator[Provider]:
    provider = Provider()
    provider.start()
    yield provider
    provider.stop()


class Access:
    """A node that anybody may come to who has a token, a key or a password."""

    def __init__(self, scene: Scene, provider: Provider) -> None:
        self.node = scene.node
        self.provider = provider
        self.http = f"{HOST}:{free_ports(1)[0]}"
        self.node.prelude = BUSY
        self.node.settings = SETTINGS.format(issuer=provider.issuer, http=self.http)
        self.node.set_up()
        self.made: list[str] = []

    def key(self, expires: str) -> str:
        words = ("api-key", "add", "--scope", "send", "--account", NAME, "--expires", expires)
        key: str = self.node.json(*words)["key"]
        return key

    def post(self, key: str) -> int:
        """Hand a message in over HTTP; return the status."""
        body = {"from": NAME, "to": ["b@next.test"], "content": f"From: {NAME}\n\nhello\n"}
        request = urllib.request.Request(
            f"http://{self.http}/v1/messages", json.dumps(body).encode()
        )
        request.add_header("Authorization", f"Bearer {key}")
        request.add_header("Content-Type", "application/json")
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                self.made.append(json.loads(answer.read())["id"])
                return int(answer.status)
        except urllib.error.HTTPError as refusal:
            return refusal.code

    def bearer(self, lasts: int) -> str:
        return login(self.node, "OAUTHBEARER", token(self.provider, exp=int(time.time()) + lasts))

    def talk(self) -> Talk:
        talk = upgraded(self.node.ports.submission)
        talk.must(plain(NAME, self.node.password), "235")
        return talk

    def send(self, recipients: int = 1) -> str:
        with self.talk() as talk:
            reply = talk.ask(f"MAIL FROM:<{NAME}>")
            if not reply.startswith("250"):
                return reply
            for number in range(recipients):
                talk.must(f"RCPT TO:<r{number}@next.test>", "250")
            talk.must("DATA", "354")
            return talk.message(f"From: <{NAME}>\r\n\r\nx\r\n".encode())

    def holds(self) -> list[Any]:
        holds: list[Any] = self.node.json("account", "show", NAME)["holds"]
        return holds

    def keep_house(self) -> None:
        """Wait for a whole round of housekeeping: at its end it removes what a crash left."""
        left: Path = self.node.data_dir / "content" / "left.new"
        left.touch()
        os.utime(left, (0, 0))
        wait_until(lambda: not left.exists(), "housekeeping")

    def is_kept(self, identifier: str) -> bool:
        shown = self.node.run("queue", "show", identifier, "--content", check=False)
        traced = self.node.json("trace", identifier)
        return "hello" in shown.stdout and len(traced[0]["events"]) >= 2


@pytest.fixture
def access(scene: Scene, world: World, provider: Provider) -> Access:
    access = Access(scene, provider)
    access.node.start()
    return access


def test_who_may_come_in_may_so_at_any_time(scene: Scene, world: World, access: Access) -> None:
    key = access.key("1 d")
    assert access.post(key) == 202
    assert access.bearer(300).startswith("235")
    held = _hold(access)
    for seconds in (DAYS, 0, -DAYS):
        turn(scene, world, seconds)
        for _ in range(6):  # whichever worker it is
            assert access.bearer(300).startswith("235"), "it is good for five minutes"
        assert access.bearer(-999).startswith("535"), "it ended a quarter of an hour ago"
        assert access.post(key) == 202, "it is good for a day"
        assert access.send().startswith(held), "nobody has released it"
        access.keep_house()
        for identifier in access.made:  # what was removed would not come back
            wait_until(
                lambda i=identifier: access.is_kept(i),
                "captured for two hours, told of for two days",
            )
    # A command learns the node's time from what its workers say of themselves every few seconds.
    wait_until(
        lambda: access.post(access.key("1 d")) == 202, "a key of a command whose clock was set"
    )
    short = access.key("1 s")
    wait_until(lambda: access.post(short) == 401, "its end")
    access.node.run("account", "release", NAME)
    on_all_workers(lambda: access.send().startswith("250"), "released")
    turn(scene, world, 0)
    assert access.post(key) == 202
    on_all_workers(lambda: access.send().startswith("250"), "still released")
    assert access.node.json("queue", "verify") == []


def _hold(access: Access) -> str:
    """Do something sudden; return what the login hears then."""

    def is_held() -> bool:
        access.send(6)
        return bool(access.holds())

    wait_until(is_held, "the hold")
    words = "450 4.7.0 This login is held"
    on_all_workers(lambda: access.send().startswith(words), "held on all workers")
    return words
