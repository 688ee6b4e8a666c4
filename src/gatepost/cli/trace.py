"""`gatepost trace`: what became of a message, and why it waits."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Final

from gatepost.cli import usage
from gatepost.cli.context import NO, Json, fail, in_one_line, print_json, run_with_store, say

if TYPE_CHECKING:
    from gatepost.operate.trace import Traced
    from gatepost.store.protocols import Store

app: Final = usage.Commands()


@app.command()
def trace(
    ctx: usage.Context,
    what: Annotated[
        str, usage.Argument(metavar="WHAT", help="A message's id, Message-ID, or a recipient.")
    ],
    limit: Annotated[int, usage.Option("--limit", min=1, max=1000, help="Messages at most.")] = 20,
    json: Json = False,
) -> None:
    """Tell what became of a message: each step, each wait with its reason, the next attempt."""
    found = run_with_store(ctx, lambda store: _trace(store, what, limit))
    if json:
        print_json([traced.as_json() for traced in found])
    elif found:
        for number, traced in enumerate(found):
            if number:
                say()
            print_traced(traced)
    if not found:
        fail(f'nothing is known of "{what}"', "it may be older than [retention] events", NO)


def print_traced(traced: "Traced") -> None:
    """Print one message's life: envelope, where each delivery stands, what happened."""
    from gatepost.events.handling_words import handling_words, report_words  # noqa: PLC0415
    from gatepost.events.timeline import sentence, standing  # noqa: PLC0415

    now = datetime.now(UTC)
    submission = traced.submission
    say(f"Message {traced.id}")
    if submission is not None:
        say(in_one_line(f"  from        {submission.reverse_path or '<>'}"))
        if submission.account:
            say(f"  account     {submission.account}")
        if submission.message_id:
            say(f"  Message-ID  {submission.message_id}")
        say(f"  size        {submission.size} octets")
        if submission.release_at:
            say(f"  send at     {submission.release_at:%Y-%m-%d %H:%M:%S} UTC")
        if submission.ret or submission.envid:
            say(f"  reports     {report_words(submission)}")
    recipients = {d.id: d.forward_path for d in traced.deliveries}
    say("\nDeliveries")
    for delivery in traced.deliveries:
        say(in_one_line(f"  {delivery.forward_path}: {standing(delivery, now)}"))
        say(f"    {handling_words(delivery)}")
    say("\nTimeline (UTC)")
    for event in traced.events:
        recipient = recipients.get(event.delivery_id) if event.delivery_id else None
        whom = f"{recipient}: " if recipient else ""
        line = f"{event.at:%Y-%m-%d %H:%M:%S}  {whom}{sentence(event, now)}"
        say(f"  {in_one_line(line)}")


async def _trace(store: "Store", what: str, limit: int) -> "list[Traced]":
    from gatepost.operate.trace import trace as trace_messages  # noqa: PLC0415

    return await trace_messages(store, what, limit=limit)
