"""`gatepost judge`: what would become of a message, without queueing it."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

from gatepost.cli import usage
from gatepost.cli.account_verbs import run
from gatepost.cli.context import NO, Json, fail, load_settings, print_json, say

if TYPE_CHECKING:
    from gatepost.operate.judge import Judgement
    from gatepost.store.protocols import Store

app: Final = usage.Commands()


@app.command()
def judge(
    ctx: usage.Context,
    account: Annotated[str, usage.Option("--account", metavar="NAME", help="Who would send it.")],
    sender: Annotated[str, usage.Option("--from", metavar="A", help='Reverse-path; "" for <>.')],
    to: Annotated[list[str], usage.Option("--to", metavar="B", help="A recipient; repeatable.")],
    file: Annotated[
        str, usage.Argument(metavar="[FILE]", help='The message; "-" for standard input.')
    ] = "-",
    json: Json = False,
) -> None:
    """Tell what would become of a message: each rule, each recipient's route, who signs it, what
    DMARC will see, what of quotas is left. Nothing is queued. 1 when it would be refused.
    """
    content = _read(file)

    async def work(store: "Store") -> "Judgement":
        return await _judge(ctx, store, account, (sender, *to), content)

    found = run(ctx, work)
    if json:
        print_json(found.as_json())
    else:
        _print(found)
    if not found.would_be_queued:
        raise usage.Exit(NO)


async def _judge(
    ctx: usage.Context, store: "Store", account: str, envelope: tuple[str, ...], content: bytes
) -> "Judgement":
    from gatepost.events.record import Recorder  # noqa: PLC0415
    from gatepost.model.ids import WorkerId  # noqa: PLC0415
    from gatepost.node.intake import build_intake  # noqa: PLC0415
    from gatepost.operate.accounts import existing  # noqa: PLC0415
    from gatepost.operate.hand_in import Parcel  # noqa: PLC0415
    from gatepost.operate.judge import judge as judge_parcel  # noqa: PLC0415

    settings = load_settings(ctx)
    found = await store.read(lambda reading: existing(reading, account))
    intake = await build_intake(settings, store, WorkerId("cli/judge/0/"), recorder=Recorder(store))
    await intake.signer.refresh()
    await intake.suppressed.refresh()
    sender, *recipients = envelope
    reverse_path = sender.strip().removeprefix("<").removesuffix(">")
    return await judge_parcel(
        Parcel(found.name, reverse_path, recipients, content, "127.0.0.1"), intake
    )


def _read(file: str) -> bytes:
    if file == "-":
        return sys.stdin.buffer.read()
    try:
        return Path(file).read_bytes()
    except OSError as problem:
        fail(f"cannot read {file}: {(problem.strerror or str(problem)).lower()}")


def _print(found: "Judgement") -> None:
    say("It would be queued." if found.would_be_queued else "It would be refused.")
    for step in found.steps:
        say(f"  {'no ' if step.reply else 'yes'}  {step.rule}: {step.words}")
        if step.reply and step.reply.text != step.words:
            say(f"       {step.reply.code} {step.reply.status} {step.reply.text}")
    for way in found.ways:
        if way.reply:
            say(f"  no   {way.recipient}: {way.reply.code} {way.reply.status} {way.reply.text}")
        else:
            say(f"  yes  {way.recipient} by {way.route}")
    if found.added:
        say(f"  added: {', '.join(found.added)}")
    if found.removed:
        say(f"  removed: {', '.join(found.removed)}")
    if found.size:
        say(f"  signed by: {' '.join(found.signers) or 'nobody'}")
    if found.alignment:
        say(f"  DMARC will see: {found.alignment}")
