"""`gatepost account app-password`: secrets for single programs and devices."""

from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Final

from gatepost.cli import usage
from gatepost.cli.account_lane import LaneChoice, LaneOption, lane_of
from gatepost.cli.account_verbs import (
    Name,
    answered,
    by_node_time,
    new_credential_id,
    print_account,
    run,
)
from gatepost.cli.acting import by, master_key
from gatepost.cli.context import Json, print_json, print_table, say, say_error

if TYPE_CHECKING:
    from gatepost.model.account import Account, Credential
    from gatepost.operate.account_shown import Holder
    from gatepost.operate.credentials import Made
    from gatepost.store.protocols import Store

app: Final = usage.Commands(
    help="Secrets for single programs and devices, each with its own limits.",
)


@app.command()
def add(  # noqa: PLR0913, PLR0917 - the options of a command
    ctx: usage.Context,
    name: Name,
    label: Annotated[str, usage.Option("--label", metavar="L", help="What it is for.")],
    expires: Annotated[
        str | None,
        usage.Option("--expires", metavar="DURATION", help='How long it is good, say "90d".'),
    ] = None,
    network: Annotated[
        list[str] | None,
        usage.Option("--from", metavar="CIDR", help="Good only from there; repeatable."),
    ] = None,
    sender: Annotated[
        list[str] | None,
        usage.Option(
            "--sender",
            metavar="ADDRESS_OR_@DOMAIN",
            help="Good only to send as this one of the account's own; repeatable.",
        ),
    ] = None,
    lane: LaneOption = LaneChoice.NONE,
    json: Json = False,
) -> None:
    """Make an app password. Its secret is shown now, and never again."""
    duration = answered(lambda: _duration(expires)) if expires else None

    async def work(store: "Store") -> "Made":
        from gatepost.operate.credentials import Wanted, add_app_password  # noqa: PLC0415

        return await add_app_password(
            store,
            name,
            Wanted(label, duration, tuple(network or ()), tuple(sender or ()), lane_of(lane)),
            credential_id=new_credential_id(),
            key=await master_key(ctx, store),
            by=await by_node_time(ctx, store),
        )

    made = run(ctx, work)
    if json:
        from gatepost.operate.account_shown import credential_json  # noqa: PLC0415

        shown = credential_json(made.credential) | {"secret": made.secret.reveal()}
        print_json(shown | {"account": made.credential.account})
        return
    say_error(f'app password "{made.credential.label}" for {made.credential.account}, shown once:')
    say(made.secret.reveal())


@app.command("list")
def list_(ctx: usage.Context, name: Name, json: Json = False) -> None:
    """List an account's app passwords, their limits and last use; never a secret."""
    from gatepost.model.account import CredentialKind  # noqa: PLC0415

    found = credentials_of(ctx, name, CredentialKind.APP_PASSWORD.value)
    if json:
        from gatepost.operate.account_shown import credential_json  # noqa: PLC0415

        print_json([credential_json(c) for c in found])
        return
    rows = [
        (
            c.label,
            f"{c.expires_at:%Y-%m-%d}" if c.expires_at else "never",
            ", ".join(c.networks) or "anywhere",
            ", ".join(c.senders) or "all its own",
            f"{c.last_used_at:%Y-%m-%d %H:%M}" if c.last_used_at else "",
            c.last_mechanism or "",
        )
        for c in found
    ]
    columns = ("LABEL", "EXPIRES", "FROM", "MAY SEND AS", "LAST USED", "BY")
    print_table(columns, rows, empty="No app passwords.")


@app.command()
def revoke(
    ctx: usage.Context,
    name: Name,
    which: Annotated[str, usage.Argument(metavar="LABEL|ID", help="Its label, or its id.")],
    json: Json = False,
) -> None:
    """Revoke an app password; sessions that logged in with it send no more mail."""
    from gatepost.model.account import CredentialKind  # noqa: PLC0415

    revoke_credential(ctx, name, which, CredentialKind.APP_PASSWORD.value, json=json)


@app.command()
def require(
    ctx: usage.Context,
    name: Name,
    off: Annotated[bool, usage.Option("--off", help="Let the password log in again.")] = False,
    json: Json = False,
) -> None:
    """Let an account log in with app passwords only; its password itself is answered 534."""

    async def work(store: "Store") -> "Account":
        from gatepost.operate.credentials import require_app_passwords  # noqa: PLC0415

        return await require_app_passwords(store, name, required=not off, by=by())

    account = run(ctx, work)
    words = "with any password" if off else "with app passwords only"
    print_account(account, f"{account.name} logs in {words}", json=json)


def credentials_of(ctx: usage.Context, name: str, kind: str) -> "list[Credential]":
    """Return an account's credentials of one kind, oldest first."""

    async def work(store: "Store") -> "Holder":
        from gatepost.operate.account_shown import show  # noqa: PLC0415

        return await show(store, name, by().now)

    return [c for c in run(ctx, work).credentials if c.kind.value == kind]


def revoke_credential(ctx: usage.Context, name: str, which: str, kind: str, *, json: bool) -> None:
    """Revoke one credential of a kind, and say so."""

    async def work(store: "Store") -> "Credential":
        from gatepost.model.account import CredentialKind  # noqa: PLC0415
        from gatepost.operate.credentials import revoke as revoke_one  # noqa: PLC0415

        return await revoke_one(store, name, which, kind=CredentialKind(kind), by=by())

    gone = run(ctx, work)
    if json:
        print_json({"revoked": gone.id, "label": gone.label, "account": gone.account})
    else:
        say(f'revoked: "{gone.label}" of {gone.account}')


def _duration(text: str) -> timedelta:
    from gatepost.model.quantities import parse_duration  # noqa: PLC0415
    from gatepost.operate.credentials import BadCredentialError  # noqa: PLC0415

    try:
        return parse_duration(text)
    except ValueError as problem:
        msg = f'"{text}" is no duration'
        raise BadCredentialError(msg, 'write it as "90d" or "12 h"') from problem
