"""`gatepost account limit` and `usage`: how much an account, or one of its credentials, may send, and sends."""

from typing import TYPE_CHECKING, Annotated

from gatepost.cli import usage
from gatepost.cli.account_verbs import Name, answered, run
from gatepost.cli.acting import by
from gatepost.cli.context import Json, fail, load_settings, print_json, print_table, say

if TYPE_CHECKING:
    from datetime import timedelta

    from gatepost.model.quota import Limits, Unit, Window
    from gatepost.operate.account_shown import Holder
    from gatepost.operate.limits import Change
    from gatepost.store.counts import Sender
    from gatepost.store.protocols import Store

Hourly = Annotated[
    str | None,
    usage.Option("--hourly", metavar="N", help="Most messages in an hour; 450 beyond."),
]
Daily = Annotated[
    str | None,
    usage.Option("--daily", metavar="N", help="Most messages in a day; 450 beyond."),
]


def _option(unit: str, window: str, *aliases: str) -> "usage.Option":
    option: usage.Option = usage.Option(
        f"--{unit}-per-{window}",
        *aliases,
        metavar="N",
        help=f'Most {unit} in {"an" if window == "hour" else "a"} {window}: a number, "none", or '
        '"default" for what the settings say.',
    )
    return option


def limit(  # noqa: PLR0913, PLR0917 - the options of a command
    ctx: usage.Context,
    name: Name,
    credential: Annotated[
        str | None,
        usage.Option(
            "--credential",
            "--app-password",
            metavar="LABEL|ID",
            help='Limit what is sent with this one only, an API key included; "password" is the main '
            "password.",
        ),
    ] = None,
    messages_per_minute: Annotated[str | None, _option("messages", "minute")] = None,
    messages_per_hour: Annotated[str | None, _option("messages", "hour", "--hourly")] = None,
    messages_per_day: Annotated[str | None, _option("messages", "day", "--daily")] = None,
    messages_per_month: Annotated[str | None, _option("messages", "month")] = None,
    recipients_per_minute: Annotated[str | None, _option("recipients", "minute")] = None,
    recipients_per_hour: Annotated[str | None, _option("recipients", "hour")] = None,
    recipients_per_day: Annotated[str | None, _option("recipients", "day")] = None,
    recipients_per_month: Annotated[str | None, _option("recipients", "month")] = None,
    json: Json = False,
) -> None:
    """Set how much an account may send, and show how much it has sent. A running server keeps to
    it within a second.
    """
    messages = [messages_per_minute, messages_per_hour, messages_per_day, messages_per_month]
    recipients = [
        recipients_per_minute, recipients_per_hour, recipients_per_day, recipients_per_month,
    ]  # fmt: skip
    changes = _changes([*messages, *recipients])

    async def work(store: "Store") -> "Holder":
        from gatepost.operate.account_shown import show  # noqa: PLC0415
        from gatepost.operate.limits import set_limits  # noqa: PLC0415

        if changes:
            await set_limits(store, name, changes, which=credential, by=by())
        return await show(store, name, by().now, defaults(ctx))

    holder = run(ctx, work)
    if json:
        from gatepost.operate.limits import limited_json  # noqa: PLC0415

        print_json([limited_json(each) for each in holder.limits])
        return
    from gatepost.cli.account_printed import print_limits  # noqa: PLC0415

    say(f"limits of {holder.account.name}" if holder.limits else "no limits")
    print_limits(holder.limits)


def usage_(
    ctx: usage.Context,
    within: Annotated[
        str,
        usage.Option("--within", metavar="DURATION", help='How far to look back: "10 min", "1 d".'),
    ] = "1 h",
    limit: Annotated[int, usage.Option("--limit", help="Accounts at most.", min=1)] = 20,
    json: Json = False,
) -> None:
    """Tell who sends how much: messages and recipients of each account, the busiest first."""
    span = _span(within)

    async def work(store: "Store") -> "list[Sender]":
        since = by().now - span
        return await store.read(lambda reading: reading.senders(since))

    senders = run(ctx, work)[:limit]
    if json:
        from gatepost.operate.account_usage import sender_json  # noqa: PLC0415

        print_json([sender_json(each) for each in senders])
        return
    from gatepost.model.quantities import size_words  # noqa: PLC0415

    rows = [(s.account, str(s.messages), str(s.recipients), size_words(s.octets)) for s in senders]
    empty = f"No account has sent anything within {within}."
    print_table(("NAME", "MESSAGES", "RECIPIENTS", "SIZE"), rows, empty=empty)


def new_limits(hourly: str | None, daily: str | None) -> "Limits":
    """Return the limits of a new account."""
    from gatepost.operate.limits import with_changes  # noqa: PLC0415

    return with_changes((), _changes([None, hourly, daily, *[None] * 5]))


def defaults(ctx: usage.Context) -> "Limits":
    """Return the limits that the settings set."""
    return load_settings(ctx).quotas.limits


def _changes(texts: list[str | None]) -> "list[Change]":
    """Read the options, in the order of `PLACES`."""
    from gatepost.model.quota import PLACES  # noqa: PLC0415
    from gatepost.operate.limits import change_of  # noqa: PLC0415

    def read(place: "tuple[Unit, Window]", text: str) -> "Change":
        return answered(lambda: change_of(*place, text))

    return [
        read(place, text) for place, text in zip(PLACES, texts, strict=True) if text is not None
    ]


def _span(text: str) -> "timedelta":
    from gatepost.model.quantities import parse_duration  # noqa: PLC0415

    try:
        return parse_duration(text)
    except ValueError as error:
        fail(f'"{text}" is not understood', f"it {error}")
