"""What counts time for clients and operators, while a clock is set ten days ahead or back and right again."""

import json

import pytest

from tests.faults.conftest import Scene, World
from tests.faults.test_clock import DAYS
from tests.node.talk import Talk, plain, upgraded
from tests.support.node import on_all_workers, wait_until

pytestmark = [pytest.mark.crash, pytest.mark.timeout(240)]

SOME = "some@example.com"
VICTIM = "victim@example.com"
PASSWORD = "correct horse battery"


def login(scene: Scene, name: str, password: str) -> str:
    with upgraded(scene.node.ports.submission) as talk:
        return talk.ask(plain(name, password))


def send(scene: Scene, name: str, password: str) -> str:
    with upgraded(scene.node.ports.submission) as talk:
        talk.must(plain(name, password), "235")
        reply = talk.ask(f"MAIL FROM:<{name}>")
        if not reply.startswith("250"):
            return reply
        reply = talk.ask("RCPT TO:<x@next.test>")
        if not reply.startswith("250"):
            return reply
        talk.must("DATA", "354")
        return talk.message(f"From: <{name}>\r\n\r\nx\r\n".encode())


def turn(scene: Scene, world: World, seconds: int) -> None:
    """Turn the clock, and wait until the node has noticed."""
    begin = len(scene.node.log.read_text())
    world.turn_clock(seconds)
    words = "the clock was set by" if seconds else "the clock is followed again"
    wait_until(lambda: words in scene.node.log.read_text()[begin:], words)


@pytest.mark.parametrize("jump", [DAYS, -DAYS], ids=["ahead", "back"])
def test_quotas_locks_and_expiries_go_by_the_time_that_passes(
    scene: Scene, world: World, jump: int
) -> None:
    node = scene.node
    # The pair of account and address is locked, and not the address too: that is everybody's here.
    node.settings += "\n[limits]\nauthentication_failures = 50\n"
    node.set_up()
    node.add_account(SOME, PASSWORD)
    node.add_account(VICTIM, PASSWORD)
    node.run("account", "limit", SOME, "--hourly", "3")
    shown = node.run(
        "account", "app-password", "add", SOME, "--label", "x", "--expires", "1d", "--json"
    )
    secret = json.loads(shown.stdout)["secret"]
    node.start()
    # warm: the right password, an app password that ends tomorrow; used up: the hour's messages
    replies = [send(scene, SOME, PASSWORD) for _ in range(4)]
    assert [reply[:3] for reply in replies] == ["250", "250", "250", "450"], replies
    assert login(scene, SOME, secret).startswith("235"), shown.stdout
    for _ in range(30):
        if "4.7.0" in (said := login(scene, VICTIM, "wrong password")):
            break
    print(f"\n{said}")

    for seconds in (jump, 0, jump):
        turn(scene, world, seconds)
        assert send(scene, SOME, PASSWORD).startswith("450"), "the hour has not passed"
        assert login(scene, SOME, secret).startswith("235"), "the day has not passed"
        assert login(scene, scene.node.account, scene.node.password).startswith("235")
        assert not login(scene, VICTIM, PASSWORD).startswith("235"), "the lock has not ended"
    # What an operator does while it is set: at once, as ever.
    node.run("account", "unlock", VICTIM)
    on_all_workers(lambda: login(scene, VICTIM, PASSWORD).startswith("235"), "unlocked")
    node.run("account", "limit", SOME, "--hourly", "100")
    on_all_workers(lambda: send(scene, SOME, PASSWORD).startswith("250"), "more per hour")
    turn(scene, world, 0)
    on_all_workers(lambda: login(scene, VICTIM, PASSWORD).startswith("235"), "still unlocked")
    assert send(scene, SOME, PASSWORD).startswith("250")


@pytest.mark.parametrize("jump", [DAYS, -DAYS], ids=["ahead", "back"])
def test_verbs_and_looks_while_the_clock_is_set(scene: Scene, world: World, jump: int) -> None:
    node = scene.node
    node.set_up()
    node.configure(
        node.settings.replace('first = "200 ms"', 'first = "30 min"').replace('"1 s"', '"1 h"')
    )
    node.start()
    talk = scene.session()
    assert scene.send(talk).startswith("250")
    scene.wait_until_arrived()
    scene.sink.kill()
    assert scene.send(talk).startswith("250")
    wait_until(
        lambda: [row["attempts"] for row in node.json("queue", "list")] == [1], "tried, and waits"
    )
    turn(scene, world, jump)
    scene.sink.start()
    node.run("queue", "retry", "--recipient", "m2@next.test")
    scene.wait_until_arrived()
    (held,) = [node.json("node", "list")]
    print(json.dumps(held)[:600])
    assert {row["state"] for row in held} <= {"alive", "serves", "up"}, held
    begin = len(node.log.read_text())
    chain = node.certificate.read_bytes()
    fresh = node.directory / "fresh.pem"
    fresh.write_bytes(chain + chain)  # what is no certificate does not count
    fresh.replace(node.certificate)
    wait_until(lambda: "certificates reloaded" in node.log.read_text()[begin:], "certificates")
    with Talk(node.ports.submission) as plain_talk:
        plain_talk.hello()
    assert node.json("queue", "verify") == []
    assert scene.send(talk).startswith("250")
    scene.wait_until_arrived()
