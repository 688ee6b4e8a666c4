"""Every dialogue script, played to a conversation in memory."""

import asyncio
from dataclasses import replace

import pytest

from gatepost.identity.authenticate import Cause
from gatepost.model.quota import Limit, Unit, Window
from gatepost.store.protocols import DiskFullError, StoreUnavailableError
from gatepost.wire.smtp.replies import CATALOGUE, Reply
from tests.support.dialogue import Script, play, scripts
from tests.support.reception import Scene


def set_scene(script: Script) -> Scene:
    scene = Scene(script.role, message_size=int(script.scene.get("message_size", 10_000)))
    match script.scene.get("store"):
        case "away":
            scene.store.fault = StoreUnavailableError("away")
        case "full":
            scene.store.fault = DiskFullError("full")
    if "quota" in script.scene:
        unit, most = script.scene["quota"].split()
        limit = Limit(Unit(unit), Window.HOUR, int(most))
        scene.people.account = replace(scene.people.account, limits=(limit,))
    scene.people.is_held = "held" in script.scene
    if "cause" in script.scene:
        scene.people.cause = Cause[script.scene["cause"]]
    if script.scene.get("disk") == "full":
        scene.free = 0
    if "recipients" in script.scene:
        bound = tuple(script.scene["recipients"].split())
        scene.people.account = replace(scene.people.account, recipients=bound)
    if "suppressed" in script.scene:
        scene.suppressed.subjects = tuple(script.scene["suppressed"].split())
    scene.behind = dict.fromkeys(script.scene.get("behind", "").split(), False)
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


#: What a script cannot say, and where it is shown instead.
ELSEWHERE = {
    "READY": "every script shows it, with the host's name in its place",
    "HELLO": "every script shows it, with the host's name in its place",
    "STOPPING": "test_converse.py",
    "OVERLOADED": "test_listener.py",
    "TOO_MANY_CONNECTIONS": "test_listener.py",
    "IDLE_TOO_LONG": "test_converse.py",
    "SESSION_TOO_LONG": "test_converse.py",
    "TOO_SLOW": "test_converse.py",
    "SUSPENDED_MEANWHILE": "test_converse.py",
    "INTERNAL_FAULT": "test_converse.py",
    "KEY_NOT_PUBLISHED": "test_readiness.py",
    "SIGNATURE_BROKEN": "test_readiness.py",
    "DMARC_REFUSED": "test_inbound.py",
    "NOT_ALIGNED": "test_alignment.py",
    "CANNOT_VERIFY_AUTHOR": "test_inbound.py",
    "LATER_FULL": "test_later.py",
    "PRIORITY_LOWERED": "mt-priority.txt, with the number before its words",
    "NO_INITIAL_RESPONSE": "test_authenticate.py: only CRAM-MD5 takes none",
}


async def test_every_reply_of_the_catalogue_is_said_by_a_script() -> None:
    heard: list[str] = []
    for script in scripts():
        heard += (await perform(script))[1]
    said = {line.replace("-", " ", 1) if line[3:4] == "-" else line for line in heard}

    def is_said(reply: Reply) -> bool:
        beginning = f"{reply.code} {reply.status or ''} {reply.text}".replace("  ", " ")
        return any(line.startswith(beginning) for line in said)

    unsaid = {name for name, reply in CATALOGUE.items() if not is_said(reply)}
    assert unsaid == set(ELSEWHERE)
