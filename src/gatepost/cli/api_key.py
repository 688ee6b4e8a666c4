"""`gatepost api-key`: keys of programs that use the HTTP API."""

from typing import TYPE_CHECKING, Annotated, Final

from gatepost.cli import usage
from gatepost.cli.account_verbs import by_node_time, run
from gatepost.cli.acting import by
from gatepost.cli.context import Json, fail, print_json, print_table, say, say_error

if TYPE_CHECKING:
    from gatepost.model.api_key import ApiKey
    from gatepost.operate.api_keys import MadeApiKey
    from gatepost.store.protocols import Store

app: Final = usage.Commands(
    help="Keys of programs that use the HTTP API: add, list, revoke.",
)


@app.command()
def add(
    ctx: usage.Context,
    scope: Annotated[
        list[str], usage.Option("--scope", metavar="S", help="send, read, admin; repeatable.")
    ],
    account: Annotated[
        str | None,
        usage.Option(
            "--account", metavar="NAME", help="It sends as this account, and sees only what is its."
        ),
    ] = None,
    label: Annotated[str, usage.Option("--label", metavar="L", help="What it is for.")] = "",
    expires: Annotated[
        str | None, usage.Option("--expires", metavar="DURATION", help='Good for so long: "90 d".')
    ] = None,
    json: Json = False,
) -> None:
    """Make a key; its text is shown once."""

    async def work(store: "Store") -> "MadeApiKey":
        from gatepost.model.api_key import Scope  # noqa: PLC0415
        from gatepost.model.quantities import parse_duration  # noqa: PLC0415
        from gatepost.operate.api_keys import BadApiKeyError, NewApiKey  # noqa: PLC0415
        from gatepost.operate.api_keys import add as add_key  # noqa: PLC0415

        if strange := [each for each in scope if each.lower() not in set(Scope)]:
            fail(f'there is no scope "{strange[0]}"', f"take of {', '.join(Scope)}")
        scopes = [Scope(each.lower()) for each in scope]
        try:
            lasts = None if expires is None else parse_duration(expires)
        except ValueError as problem:
            msg = "this cannot be a key"
            raise BadApiKeyError(msg, f"{problem}") from problem
        made_by = await by_node_time(ctx, store)
        return await add_key(store, NewApiKey(scopes, account, label, lasts), by=made_by)

    made = run(ctx, work)
    if json:
        from gatepost.operate.api_keys import api_key_json  # noqa: PLC0415

        print_json(api_key_json(made.key) | {"key": made.text.reveal()})
        return
    say_error(f"API key {made.key.id} ({', '.join(made.key.scopes)}), shown once:")
    say(made.text.reveal())


@app.command("list")
def list_(ctx: usage.Context, json: Json = False) -> None:
    """List all keys and their last use; never a secret."""
    from gatepost.operate.api_keys import api_key_json, listing  # noqa: PLC0415

    found = run(ctx, listing)
    if json:
        print_json([api_key_json(key) for key in found])
        return
    rows = [
        (
            key.id,
            key.label,
            ", ".join(key.scopes),
            key.account or "all",
            f"{key.expires_at:%Y-%m-%d}" if key.expires_at else "never",
            f"{key.last_used_at:%Y-%m-%d %H:%M}" if key.last_used_at else "",
        )
        for key in found
    ]
    columns = ("ID", "LABEL", "SCOPES", "ACCOUNT", "EXPIRES", "LAST USED")
    print_table(columns, rows, empty='No API keys; make one with "gatepost api-key add".')


@app.command()
def revoke(
    ctx: usage.Context,
    which: Annotated[str, usage.Argument(metavar="ID|LABEL", help="Its id, or its label.")],
    json: Json = False,
) -> None:
    """Revoke a key; a running server refuses it at once."""

    async def work(store: "Store") -> "ApiKey":
        from gatepost.operate.api_keys import revoke as revoke_key  # noqa: PLC0415

        return await revoke_key(store, which, by=by())

    if not which:
        fail("an empty label names no key", 'give the id that "gatepost api-key list" shows')
    gone = run(ctx, work)
    if json:
        from gatepost.operate.api_keys import api_key_json  # noqa: PLC0415

        print_json(api_key_json(gone))
        return
    say(f"revoked: API key {gone.id} {gone.label}".rstrip())
