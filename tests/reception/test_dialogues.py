"""Every dialogue script, played to a conversation in memory."""

import asyncio

import pytest

from gatepost.identity.authenticate import Cause
from gatepost.store.protocols import DiskFullError, StoreUnavailableError
from gatepost.wire.smtp.replies import CATALOGUE
from tests.support.dialogue import Script, play, scripts
from tests.support.reception import Scene


def set_scene(script: Script) -> Scene:
    scene = Scene(script.role, message_size=int(script.scene.get("message_size", 10_000)))
    match script.scene.get("store"):
        case "away":
            scene.store.fault = StoreUnavailableError("away")
        case "full":
            scene.store.fault = DiskFullError("full")
    if "cause" in script.scene:
        scene.people.cause = Cause[script.scene["cause"]]
    if script.scene.get("disk") == "full":
        scene.free = 0
    if "memory" in script.scene:
        scene.memory.limit = int(script.scene["memory"])
    return scene


async def perform(script: Script) -> tuple[Scene, list[str]]:
    scene = set_scene(script)
    task = asyncio.create_task(scene.conversation().run())
    try:
        heard = await play(script, scene.connection)
        await scene.connection.send(b"")
        await task
    finally:
        task.cancel()
    return scene, heard


@pytest.mark.rfc("5321#4.1.4")
@pytest.mark.parametrize("script", scripts(), ids=lambda s: s.name)
async def test_dialogue(script: Script) -> None:
    await perform(script)


#: Said by other parts than a conversation, or by none yet; where they are shown instead.
ELSEWHERE = {
    "READY", "HELLO", "CHALLENGE",  # shapes: every script shows them under other words
    "OVERLOADED", "INTERNAL_FAULT", "TLS_NOT_AVAILABLE",
    "TOO_MANY_CONNECTIONS", "STOPPING", "IDLE_TOO_LONG", "SESSION_TOO_LONG", "TOO_SLOW",
    "SUSPENDED_MEANWHILE", "AUTH_LINE_TOO_LONG", "LINE_TOO_LONG", "NO_INITIAL_RESPONSE",
}  # fmt: skip


def test_every_reply_of_the_catalogue_is_in_a_script() -> None:
    said = {
        text.split(" ", 1)[0] + " " + text.split(" ", 2)[1]
        for script in scripts()
        for _, key, text in script.steps
        if key == "S" and len(text.split(" ", 2)) > 1
    }
    missing = [
        name
        for name, reply in CATALOGUE.items()
        if name not in ELSEWHERE
        and f"{reply.code} {reply.status or reply.text.split(' ')[0]}" not in said
    ]
    assert not missing
