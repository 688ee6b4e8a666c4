"""`gatepost account allow` and `forbid`: what an account may send as, and write to."""

from typing import TYPE_CHECKING, Annotated

from gatepost.cli import usage
from gatepost.cli.account_verbs import Name, print_account, run
from gatepost.cli.acting import by
from gatepost.cli.context import Json, fail

if TYPE_CHECKING:
    from gatepost.model.account import Account
    from gatepost.operate.accounts import Grants
    from gatepost.store.protocols import Store

Senders = Annotated[
    list[str] | None,
    usage.Option(
        "--sender",
        metavar="ADDRESS_OR_@DOMAIN",
        help='What it may send as: an address, "news-*@example.com", "@example.com", '
        '"@.example.com" for all domains below, "*" for anything; repeatable.',
    ),
]
Recipients = Annotated[
    list[str] | None,
    usage.Option(
        "--recipient",
        metavar="ADDRESS_OR_@DOMAIN",
        help="Whom it may write to, written alike; without any: anybody. Repeatable.",
    ),
]


def register(app: usage.Commands) -> None:
    """Put the two commands into `gatepost account`."""
    app.command()(allow)
    app.command()(forbid)


def allow(
    ctx: usage.Context,
    name: Name,
    sender: Senders = None,
    recipient: Recipients = None,
    json: Json = False,
) -> None:
    """Let an account send as, or write to, more. The first --recipient binds it to those."""
    grants = _grants(sender, recipient)

    async def work(store: "Store") -> "Account":
        from gatepost.operate import account_grants  # noqa: PLC0415

        return await account_grants.allow(store, name, grants, by=by())

    _print(run(ctx, work), json=json)


def forbid(
    ctx: usage.Context,
    name: Name,
    sender: Senders = None,
    recipient: Recipients = None,
    json: Json = False,
) -> None:
    """Take grants away from an account, each as "account show" writes it."""
    grants = _grants(sender, recipient)

    async def work(store: "Store") -> "Account":
        from gatepost.operate import account_grants  # noqa: PLC0415

        return await account_grants.forbid(store, name, grants, by=by())

    _print(run(ctx, work), json=json)


def _grants(sender: list[str] | None, recipient: list[str] | None) -> "Grants":
    from gatepost.operate.accounts import Grants  # noqa: PLC0415

    if not sender and not recipient:
        fail("there is nothing to change", "say what with --sender or --recipient")
    return Grants(tuple(sender or ()), tuple(recipient or ()))


def _print(account: "Account", *, json: bool) -> None:
    senders, recipients = ", ".join(account.senders), ", ".join(account.recipients)
    words = f"{account.name} may send as {senders or 'nobody'}, write to {recipients or 'anybody'}"
    print_account(account, words, json=json)
