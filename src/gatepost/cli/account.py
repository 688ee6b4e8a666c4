"""`gatepost account`: who may send."""

import sys
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, Final, TypeVar

import typer

from gatepost.cli.context import NO, Json, fail, print_json, print_table, run_with_store, say

if TYPE_CHECKING:
    from gatepost.model.account import Account
    from gatepost.model.secret import Secret
    from gatepost.operate.accounts import By, Holder
    from gatepost.store.protocols import Store

T = TypeVar("T")

app: Final = typer.Typer(
    help="Who may send: add, list, show, change, suspend, resume and remove accounts.",
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
)

Name = Annotated[str, typer.Argument(metavar="NAME", help="What one logs in with.")]
PasswordStdin = Annotated[
    bool,
    typer.Option("--password-stdin", help="Read the password from standard input, one line."),
]


@app.command()
def add(
    ctx: typer.Context,
    name: Annotated[
        str, typer.Argument(metavar="NAME", help='What one logs in with, say "app@example.com".')
    ],
    password_stdin: PasswordStdin = False,
    sender: Annotated[
        list[str] | None,
        typer.Option(
            "--sender",
            metavar="ADDRESS_OR_@DOMAIN",
            help="An address, or a whole domain, that it may send as; repeatable. "
            "Without it: NAME only.",
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Add an account. It can log in within a second."""
    from gatepost.operate.accounts import account_name, canonical_senders  # noqa: PLC0415

    senders = tuple(sender or ())
    # Asked for a password only to hear that the name is wrong: not here.
    _answered(lambda: canonical_senders(account_name(name), senders))
    password = _read_password(password_stdin=password_stdin)

    async def work(store: "Store") -> "Account":
        from gatepost.model.ids import CredentialId  # noqa: PLC0415
        from gatepost.net.clock import new_identifier  # noqa: PLC0415
        from gatepost.operate.accounts import add as add_account  # noqa: PLC0415

        return await add_account(
            store,
            name,
            password,
            senders=senders,
            credential_id=CredentialId(new_identifier()),
            by=_by(),
        )

    account = _run(ctx, work)
    _print_account(account, f"added: {account.name} may send as {', '.join(account.senders)}", json)


@app.command("list")
def list_(ctx: typer.Context, json: Json = False) -> None:
    """List all accounts."""

    async def work(store: "Store") -> "list[Account]":
        from gatepost.operate.accounts import listing  # noqa: PLC0415

        return await listing(store)

    accounts = _run(ctx, work)
    if json:
        from gatepost.operate.accounts import account_json  # noqa: PLC0415

        print_json([account_json(account) for account in accounts])
        return
    rows = [(a.name, a.state.value, ", ".join(a.senders)) for a in accounts]
    print_table(
        ("NAME", "STATE", "MAY SEND AS"),
        rows,
        empty='No accounts; add one with "gatepost account add NAME".',
    )


@app.command()
def show(ctx: typer.Context, name: Name, json: Json = False) -> None:
    """Show one account and its credentials (never a secret)."""

    async def work(store: "Store") -> "Holder":
        from gatepost.operate.accounts import show as show_account  # noqa: PLC0415

        return await show_account(store, name)

    holder = _run(ctx, work)
    if json:
        from gatepost.operate.accounts import holder_json  # noqa: PLC0415

        print_json(holder_json(holder))
        return
    _print_holder(holder)


@app.command()
def password(
    ctx: typer.Context, name: Name, password_stdin: PasswordStdin = False, json: Json = False
) -> None:
    """Set a new password; the old one is good no more."""
    secret = _read_password(password_stdin=password_stdin)

    async def work(store: "Store") -> "Account":
        from gatepost.model.ids import CredentialId  # noqa: PLC0415
        from gatepost.net.clock import new_identifier  # noqa: PLC0415
        from gatepost.operate.accounts import set_password  # noqa: PLC0415

        identifier = CredentialId(new_identifier())
        return await set_password(store, name, secret, credential_id=identifier, by=_by())

    account = _run(ctx, work)
    _print_account(account, f"new password for {account.name}", json)


@app.command()
def suspend(ctx: typer.Context, name: Name, json: Json = False) -> None:
    """Refuse logins and new mail of an account; its waiting mail goes on."""

    async def work(store: "Store") -> "Account":
        from gatepost.operate.accounts import suspend as suspend_account  # noqa: PLC0415

        return await suspend_account(store, name, by=_by())

    account = _run(ctx, work)
    _print_account(account, f"suspended: {account.name}", json)


@app.command()
def resume(ctx: typer.Context, name: Name, json: Json = False) -> None:
    """Let a suspended account log in and send again."""

    async def work(store: "Store") -> "Account":
        from gatepost.operate.accounts import resume as resume_account  # noqa: PLC0415

        return await resume_account(store, name, by=_by())

    account = _run(ctx, work)
    _print_account(account, f"resumed: {account.name}", json)


@app.command()
def remove(ctx: typer.Context, name: Name, json: Json = False) -> None:
    """Remove an account and its credentials; its waiting mail goes on."""

    async def work(store: "Store") -> str:
        from gatepost.operate.accounts import remove as remove_account  # noqa: PLC0415

        return await remove_account(store, name, by=_by())

    removed = _run(ctx, work)
    if json:
        print_json({"removed": removed})
    else:
        say(f"removed: {removed}")


def _run(ctx: typer.Context, work: "Callable[[Store], Awaitable[T]]") -> T:
    return _answered(lambda: run_with_store(ctx, work))


def _answered(ask: Callable[[], T]) -> T:
    """Return what `ask` returns; say in words why a verb did nothing."""
    from gatepost.operate.accounts import (  # noqa: PLC0415
        AccountError,
        AccountExistsError,
        NoSuchAccountError,
    )

    try:
        return ask()
    except (AccountExistsError, NoSuchAccountError) as error:
        fail(error.what, error.mend, NO)
    except AccountError as error:
        fail(error.what, error.mend)


def _by() -> "By":
    from gatepost.net.clock import now  # noqa: PLC0415
    from gatepost.operate.accounts import By  # noqa: PLC0415
    from gatepost.operate.operator import operator_name  # noqa: PLC0415

    return By(now(), operator_name())


def _read_password(*, password_stdin: bool) -> "Secret":
    """Return the password from standard input, or ask a person for it twice; never shown."""
    from gatepost.model.secret import Secret  # noqa: PLC0415
    from gatepost.operate.accounts import prepare_password  # noqa: PLC0415

    if password_stdin:
        # One line end belongs to echo, everything else to the password.
        try:
            text = sys.stdin.buffer.read(64 * 1024).decode("utf-8")
        except UnicodeDecodeError:
            fail("the password is not UTF-8", "give it in UTF-8")
        line_end = "\r\n" if text.endswith("\r\n") else "\n"
        secret = Secret(text.removesuffix(line_end))
    elif sys.stdin.isatty():
        secret = Secret(typer.prompt("Password", hide_input=True, confirmation_prompt=True))
    else:
        fail("there is no terminal to ask for the password", "give it with --password-stdin")
    _answered(lambda: prepare_password(secret))
    return secret


def _print_account(account: "Account", words: str, json: bool) -> None:
    if json:
        from gatepost.operate.accounts import account_json  # noqa: PLC0415

        print_json(account_json(account))
    else:
        say(words)


def _print_holder(holder: "Holder") -> None:
    account = holder.account
    say(f"name         {account.name}")
    say(f"state        {account.state.value}")
    say(f"may send as  {', '.join(account.senders)}")
    say(f"added        {account.created_at:%Y-%m-%d %H:%M:%S} UTC")
    if account.exposed_at:
        say(f"exposed      {account.exposed_at:%Y-%m-%d %H:%M:%S} UTC: password sent without TLS")
    for credential in holder.credentials:
        used = credential.last_used_at
        last = f"last used {used:%Y-%m-%d %H:%M:%S} UTC" if used else "no use recorded"
        say(f"{credential.kind.value:<12} set {credential.created_at:%Y-%m-%d}, {last}")
