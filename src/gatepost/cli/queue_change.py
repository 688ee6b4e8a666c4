"""`gatepost queue hold, release, retry, cancel`: however much it is, and how far it has come."""

import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Final

from gatepost.cli import usage
from gatepost.cli.bar import Bar
from gatepost.cli.context import (
    NO,
    Json,
    fail,
    load_place_of,
    print_json,
    run_with_store,
    say,
    say_error,
)
from gatepost.cli.filters import (
    AccountOption,
    DestinationOption,
    IdOption,
    PoolOption,
    ReasonOption,
    RecipientOption,
    queue_filter,
)

if TYPE_CHECKING:
    from gatepost.operate.queue_change import Order
    from gatepost.store.protocols import Store
    from gatepost.store.queue_view import QueueFilter

AllOption = Annotated[bool, usage.Option("--all", help="Everything, without a filter.")]
YesOption = Annotated[bool, usage.Option("--yes", help="Do not ask.")]

_VERBS: Final[Mapping[str, str]] = {
    "hold": "Keep deliveries until they are released.",
    "release": "Let held deliveries go: they are due at once, or when they were to be sent.",
    "retry": "Try waiting deliveries now, those sent for later too. (Held ones need release.)",
    "cancel": "Give deliveries up for good; nobody is told.",
}


def add_verbs(app: usage.Commands) -> None:
    """Add the commands."""
    for verb, words in _VERBS.items():
        _add_verb(app, verb, words)


def _add_verb(app: usage.Commands, verb: str, words: str) -> None:
    def command(  # noqa: PLR0913, PLR0917 - its options
        ctx: usage.Context,
        account: AccountOption = None,
        destination: DestinationOption = None,
        recipient: RecipientOption = None,
        id: IdOption = None,  # noqa: A002
        reason: ReasonOption = None,
        pool: PoolOption = None,
        all_: AllOption = False,
        yes: YesOption = False,
        json: Json = False,
    ) -> None:
        which = queue_filter(
            account=account,
            destination=destination,
            recipient=recipient,
            id=id,
            reason=reason,
            pool=pool,
        )
        _change(ctx, verb, which, all_=all_, yes=yes, json=json)

    app.command(verb, help=words)(command)


def _change(
    ctx: usage.Context, verb: str, which: "QueueFilter", *, all_: bool, yes: bool, json: bool
) -> None:
    from gatepost.operate.operator import operator_name  # noqa: PLC0415
    from gatepost.operate.queue_change import Order, Verb  # noqa: PLC0415
    from gatepost.store.queue_view import QueueFilter  # noqa: PLC0415

    if which == QueueFilter():
        if not all_:
            fail(
                f"{verb} what?",
                "give --id, --account, --destination, --recipient, --reason or --pool; or --all for everything",
            )
        if not yes:
            _ask(verb)
    elif all_:
        fail("--all goes without a filter", "remove one of them")
    order = Order(Verb(verb), which, operator_name())
    is_shared = load_place_of(ctx).store != "sqlite"
    changed = run_with_store(ctx, lambda store: _changed(store, order, is_shared=is_shared))
    if json:
        print_json({"changed": changed})
    else:
        say(f"{verb}: {_deliveries(changed)}")
    if not changed and which.id:
        raise usage.Exit(NO)


def _ask(verb: str) -> None:
    """Ask a person about everything. Where nobody can be asked, what cannot be undone needs --yes."""
    if sys.stdin.isatty():
        if not usage.confirm(f"{verb} everything?"):
            raise usage.Exit(NO)
    elif verb == "cancel":
        fail("cancel everything? There is no terminal to ask at", "say --yes")


async def _changed(store: "Store", order: "Order", *, is_shared: bool) -> int:
    from asyncio import CancelledError  # noqa: PLC0415

    from gatepost.model.wrong import WrongValueError  # noqa: PLC0415
    from gatepost.operate.node_time import node_time  # noqa: PLC0415
    from gatepost.operate.queue_change import BrokenOffError, change_all, matching  # noqa: PLC0415

    try:
        found = await matching(store, order)
    except WrongValueError as error:
        fail(error.wrongs[0].what, error.wrongs[0].mend, NO)
    bar = Bar()
    changed = seen = 0
    now = await node_time(store, datetime.now(UTC), is_shared=is_shared)
    try:
        async for done in change_all(store, order, found, now):
            changed += done.changed
            seen += done.seen
            bar.show(order.verb, seen, found.count)
    except CancelledError:  # Ctrl-C
        bar.end()
        say_error(
            f"{order.verb}: {_deliveries(changed)} at least, then stopped; give the command again for the rest"
        )
        raise
    except BrokenOffError as trouble:
        bar.end()
        fail(
            f"{order.verb}: {_deliveries(trouble.changed)}, then: {trouble}",
            "they stay so; give the command again for the rest",
        )
    bar.end()
    return changed


def _deliveries(count: int) -> str:
    return f"{count} deliver{'y' if count == 1 else 'ies'}"
