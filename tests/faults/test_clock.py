"""A clock that is set far ahead or back under a running node, and later right again."""

from typing import Any

import pytest

from tests.faults.conftest import Scene, World, events
from tests.support.node import wait_until

pytestmark = [pytest.mark.crash, pytest.mark.timeout(240)]

DAYS = 10 * 86_400


def attempts(scene: Scene) -> list[int]:
    """How often each message of the queue was tried."""
    return [row["attempts"] for row in scene.node.json("queue", "list")]


def journal(scene: Scene) -> list[dict[str, Any]]:
    return events(scene.node.data_dir / "journal")


def wait_for_attempts(scene: Scene, count: int) -> None:
    wait_until(
        lambda: len(attempts(scene)) == count and min(attempts(scene)) > 0, "everything was tried"
    )


@pytest.mark.parametrize("jump", [DAYS, -DAYS], ids=["ahead", "back"])
def test_mail_goes_by_the_time_that_really_passes(scene: Scene, world: World, jump: int) -> None:
    scene.node.set_up()
    scene.node.start()
    talk = scene.session()
    scene.sink.kill()
    for _ in range(10):
        assert scene.send(talk).startswith("250")
    wait_for_attempts(scene, 10)

    world.turn_clock(jump)
    scene.wait_for_words(
        f"the clock was set by {jump:+} s: mail goes by the time that really passes"
    )
    for _ in range(10):
        assert scene.send(talk).startswith("250")
    newcomer = scene.session()
    assert scene.send(newcomer).startswith("250")
    wait_for_attempts(scene, 21)
    # None has expired, and none waits for a time in ten days.
    before = sum(attempts(scene))
    wait_until(lambda: sum(attempts(scene)) > before + 21, "tries go on")
    assert scene.node.json("queue", "list", "--recipient", scene.node.account) == []

    world.turn_clock(0)
    scene.wait_for_words("the clock is followed again")
    before = sum(attempts(scene))
    wait_until(lambda: sum(attempts(scene)) > before + 21, "tries go on")
    scene.sink.start()
    scene.send_until(talk, "250")
    scene.wait_until_arrived()
    wait_until(scene.is_up_to_date, "an empty queue")
    assert scene.node.json("queue", "verify") == []
    wait_until(
        lambda: (
            [e["facts"] for e in journal(scene) if e["kind"] == "clock.turned"]
            == [{"off": jump}, {"off": 0}]
        ),
        "both turns in the journal",
    )
    assert not [e for e in journal(scene) if e["kind"] in {"delivery.expired", "return.sent"}]


def test_what_waits_for_a_time_far_ahead_is_due_at_the_start(scene: Scene, world: World) -> None:
    """The clock was ten days ahead when the node started, and was set right while it was off."""
    scene.node.set_up()
    world.turn_clock(DAYS)
    scene.node.start()
    talk = scene.session()
    scene.sink.kill()
    for _ in range(5):
        assert scene.send(talk).startswith("250")
    wait_for_attempts(scene, 5)
    assert scene.node.stop() == 0
    world.turn_clock(0)
    scene.sink.start()
    scene.node.start()
    scene.wait_for_words("waited for a time far ahead: they are due now")
    scene.wait_until_arrived()
