"""A credential that does something sudden is held on a running server; the others are not."""

from typing import Any

from tests.node.conftest import NodeOf
from tests.node.test_quotas import HOLD_ALL, App, app_on
from tests.support.node import Node, wait_until

TOUCHY = """
[breaker]
recipients = 5
factor = 2
known_for = "1 ms"
"""


def held(app: App) -> list[dict[str, Any]]:
    holds: list[dict[str, Any]] = app.node.json("account", "show", app.name)["holds"]
    return holds


def second_secret(node: Node, app: App) -> App:
    made = node.json("account", "app-password", "add", app.name, "--label", "other")
    return App(node, app.name, made["secret"])


def test_a_sudden_credential_is_held_alone_until_it_is_released(node_of: NodeOf) -> None:
    node = node_of(HOLD_ALL + TOUCHY, workers=2)
    app = app_on(node)
    quiet = second_secret(node, app)
    with app.talk() as talk, quiet.talk() as other:
        assert app.send(talk, *(f"r{n}@elsewhere.test" for n in range(6))).startswith("250")
        # It is young when it is seen first; a moment later it is not.
        wait_until(lambda: _is_held(app, talk), "the hold")
        assert quiet.send(other).startswith("250")
        (hold,) = held(app)
        assert hold["label"] == "test"
        assert "recipients in an hour, its busiest was 0" in hold["reason"]
        shown = node.run("account", "show", app.name).stdout
        assert f"gatepost account release {app.name}" in shown
        assert node.run("account", "release", app.name, "other", check=False).returncode == 1
        done = node.run("account", "release", app.name)
        assert done.stdout == f"released: test of {app.name}\n"
        wait_until(lambda: app.send(talk).startswith("250"), "released")
        assert held(app) == []
        assert node.run("account", "release", app.name, check=False).returncode == 1


def _is_held(app: App, talk: Any) -> bool:
    """Send once more; tell whether the store knows of a hold, and the worker that is asked, too."""
    said = app.send(talk)
    assert said.startswith(("250", "450 4.7.0 This login is held"))
    return said.startswith("450") and bool(held(app))


def test_switched_off_nothing_is_held(node_of: NodeOf) -> None:
    node = node_of(HOLD_ALL + TOUCHY + "enabled = false\n")
    app = app_on(node)
    with app.talk() as talk:
        for _ in range(8):
            assert app.send(talk, *(f"r{n}@elsewhere.test" for n in range(6))).startswith("250")
    assert held(app) == []


ROAMING = """
[breaker]
networks = 3
factor = 2
known_for = "1 ms"
"""


def test_a_credential_used_from_many_new_networks_is_held_alone(node_of: NodeOf) -> None:
    """A stolen password comes from everywhere: each 127.N.0.0/24 is a network of its own."""
    node = node_of(HOLD_ALL + ROAMING, workers=2)
    app = app_on(node)
    quiet = second_secret(node, app)

    def reply_from(network: int, who: App = app) -> str:
        with who.talk(source=f"127.{network}.0.9") as talk:
            return who.send(talk)

    # Its usual places, used again and again: no alarm, though they are more than three together.
    for network in (1, 1, 1, 1, 1, 2):
        assert reply_from(network).startswith("250")
    assert held(app) == []
    networks = iter(range(10, 250))

    def is_held() -> bool:
        reply_from(next(networks))
        return bool(held(app))

    wait_until(is_held, "the hold")
    (hold,) = held(app)
    assert hold["label"] == "test"
    assert "new networks in an hour, its most were 0" in hold["reason"]
    wait_until(
        lambda: all(reply_from(1).startswith("450 4.7.0 This login is held") for _ in range(4)),
        "held on all workers",
    )
    assert reply_from(1, quiet).startswith("250")
    node.run("account", "release", app.name)

    def is_released() -> bool:
        """Tell whether all workers know, as far as many connections can tell; 10 is known now."""
        return all(reply_from(network).startswith("250") for network in [1, 10] * 4)

    wait_until(is_released, "released")
    assert held(app) == []
