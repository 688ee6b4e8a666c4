"""`gatepost account`: who may send."""

from typing import TYPE_CHECKING, Annotated, Final

from gatepost.cli import (
    account_app_password,
    account_certificate,
    account_grants,
    account_lane,
    account_limit,
    account_pool,
    usage,
)
from gatepost.cli.account_lane import LaneChoice, LaneOption, lane_of
from gatepost.cli.account_verbs import (
    HashStdin,
    Name,
    PasswordStdin,
    answered,
    new_credential_id,
    print_account,
    read_hash_line,
    read_password,
    run,
)
from gatepost.cli.acting import by, master_key
from gatepost.cli.context import NO, Json, fail, print_json, print_table, say

if TYPE_CHECKING:
    from gatepost.model.account import Account
    from gatepost.operate.account_shown import Guest, Holder
    from gatepost.operate.accounts import NewPassword
    from gatepost.store.account_protocols import UnreadAccount
    from gatepost.store.guessing_protocols import Guessed
from gatepost.store.protocols import Store

app: Final = usage.Commands(
    help="Who may send: add, list, show, change, suspend, resume, unlock and remove accounts.",
)
app.add(account_app_password.app, name="app-password")
app.add(account_certificate.app, name="certificate")
account_grants.register(app)
account_lane.register(app)
account_pool.register(app)
app.command("limit")(account_limit.limit)
app.command("usage")(account_limit.usage_)

CramMd5 = Annotated[
    bool,
    usage.Option(
        "--cram-md5",
        help="Let this account use CRAM-MD5; its password is then kept recoverable, encrypted "
        "under the master key.",
    ),
]


@app.command()
def add(  # noqa: PLR0913, PLR0917 - the options of a command
    ctx: usage.Context,
    name: Annotated[
        str, usage.Argument(metavar="NAME", help='What one logs in with, say "app@example.com".')
    ],
    password_stdin: PasswordStdin = False,
    hash_stdin: HashStdin = False,
    sender: Annotated[
        list[str] | None,
        usage.Option(
            "--sender",
            metavar="ADDRESS_OR_@DOMAIN",
            help='What it may send as: an address, "news-*@example.com", "@example.com" for a '
            'whole domain, "@.example.com" for all below it, "*" for anything; repeatable. '
            "Without it: NAME only.",
        ),
    ] = None,
    recipient: Annotated[
        list[str] | None,
        usage.Option(
            "--recipient",
            metavar="ADDRESS_OR_@DOMAIN",
            help="Whom it may write to, written alike; repeatable. Without it: anybody.",
        ),
    ] = None,
    lane: LaneOption = LaneChoice.NONE,
    cram_md5: CramMd5 = False,
    app_passwords_only: Annotated[
        bool,
        usage.Option("--app-passwords-only", help="The password itself logs in nowhere (534)."),
    ] = False,
    hourly: account_limit.Hourly = None,
    daily: account_limit.Daily = None,
    json: Json = False,
) -> None:
    """Add an account. It can log in within a second."""
    from dataclasses import replace  # noqa: PLC0415

    from gatepost.operate.accounts import (  # noqa: PLC0415
        Grants,
        account_name,
        canonical_senders,
        checked_grants,
    )

    grants = Grants(tuple(sender or ()), tuple(recipient or ()), lane_of(lane))
    # Asked for a password only to hear that the name is wrong: not here.
    answered(lambda: canonical_senders(account_name(name), grants.senders))
    answered(lambda: checked_grants(grants.recipients))
    new = _new_password(password_stdin, hash_stdin, cram_md5)
    limits = account_limit.new_limits(hourly, daily)
    new = replace(new, app_passwords_only=app_passwords_only, limits=limits)

    async def work(store: "Store") -> "Account":
        from gatepost.operate.accounts import add as add_account  # noqa: PLC0415

        return await add_account(
            store, name, new, grants=grants, key=await master_key(ctx, store), by=by()
        )

    account = run(ctx, work)
    words = f"added: {account.name} may send as {', '.join(account.senders)}{_later(hash_stdin)}"
    print_account(account, words, json=json)


@app.command("list")
def list_(ctx: usage.Context, json: Json = False) -> None:
    """List all accounts."""

    async def work(store: "Store") -> "list[Account | UnreadAccount]":
        from gatepost.operate.accounts import listing  # noqa: PLC0415

        return await listing(store)

    accounts = run(ctx, work)
    if json:
        from gatepost.operate.account_shown import account_json  # noqa: PLC0415

        print_json([account_json(account) for account in accounts])
        return
    from gatepost.cli.account_printed import account_line  # noqa: PLC0415

    rows = [account_line(account) for account in accounts]
    print_table(
        ("NAME", "STATE", "MAY SEND AS"),
        rows,
        empty='No accounts; add one with "gatepost account add NAME".',
    )


@app.command()
def show(ctx: usage.Context, name: Name, json: Json = False) -> None:
    """Show one account: its credentials and their last use (never a secret), logins that were
    refused in the last 7 days, and what should be mended.
    """

    async def work(store: "Store") -> "Holder | Guest | UnreadAccount":
        from gatepost.operate.account_shown import show_any  # noqa: PLC0415

        return await show_any(store, name, by().now, account_limit.defaults(ctx))

    holder = run(ctx, work)
    if json:
        from gatepost.operate.account_shown import holder_json  # noqa: PLC0415

        print_json(holder_json(holder))
        return
    from gatepost.cli.account_printed import print_holder  # noqa: PLC0415

    print_holder(holder)


@app.command()
def password(
    ctx: usage.Context,
    name: Name,
    password_stdin: PasswordStdin = False,
    hash_stdin: HashStdin = False,
    cram_md5: CramMd5 = False,
    json: Json = False,
) -> None:
    """Set a new password; the old one is good no more, app passwords stay."""
    new = _new_password(password_stdin, hash_stdin, cram_md5)

    async def work(store: "Store") -> "Account":
        from gatepost.operate.credentials import set_password  # noqa: PLC0415

        return await set_password(store, name, new, key=await master_key(ctx, store), by=by())

    account = run(ctx, work)
    print_account(account, f"new password for {account.name}{_later(hash_stdin)}", json=json)


@app.command()
def suspend(ctx: usage.Context, name: Name, json: Json = False) -> None:
    """Refuse logins, API keys and new mail of an account; its waiting mail goes on."""

    async def work(store: "Store") -> "Account":
        from gatepost.operate.accounts import suspend as suspend_account  # noqa: PLC0415

        return await suspend_account(store, name, by=by())

    account = run(ctx, work)
    print_account(account, f"suspended: {account.name}", json=json)


@app.command()
def resume(ctx: usage.Context, name: Name, json: Json = False) -> None:
    """Let a suspended account log in and send again."""

    async def work(store: "Store") -> "Account":
        from gatepost.operate.accounts import resume as resume_account  # noqa: PLC0415

        return await resume_account(store, name, by=by())

    account = run(ctx, work)
    print_account(account, f"resumed: {account.name}", json=json)


@app.command()
def release(
    ctx: usage.Context,
    name: Name,
    credential: Annotated[
        str | None,
        usage.Argument(metavar="[LABEL|ID]", help="Which one; without it, all that are held."),
    ] = None,
    json: Json = False,
) -> None:
    """Let credentials send again that were held after something sudden ("account show" says
    what); it counts as usual from now on.
    """

    async def work(store: "Store") -> list[str]:
        from gatepost.operate.holds import release as release_held  # noqa: PLC0415

        return await release_held(store, name, credential, by=by())

    released = run(ctx, work)
    if json:
        print_json({"account": name, "released": released})
    else:
        say(f"released: {', '.join(released)} of {name}")


@app.command()
def unlock(
    ctx: usage.Context,
    what: Annotated[
        str,
        usage.Argument(metavar="NAME|ADDRESS", help="An account's name, or a client's IP address."),
    ],
    json: Json = False,
) -> None:
    """Forgive failed logins of an account, or of an address and its network; locks end at once."""

    async def work(store: "Store") -> "list[Guessed]":
        from gatepost.operate.unlock import unlock as unlock_what  # noqa: PLC0415

        return await unlock_what(store, what, by=by())

    found = run(ctx, work)
    if json:
        print_json({"what": what, "forgiven": len(found)})
    elif found:
        from gatepost.operate.unlock import locked_until  # noqa: PLC0415

        until = locked_until(found, by().now)
        words = f"would have been locked until {until:%H:%M:%S} UTC" if until else "was not locked"
        say(f"unlocked: {what} ({words})")
    if not found:
        mend = 'nothing locks it; "gatepost explain TAG" tells the cause of a 535 by its tag'
        fail(f'no failed logins of "{what}" are counted', mend, NO)


@app.command()
def remove(ctx: usage.Context, name: Name, json: Json = False) -> None:
    """Remove an account and its credentials; its waiting mail goes on."""

    async def work(store: "Store") -> str:
        from gatepost.operate.accounts import remove as remove_account  # noqa: PLC0415

        return await remove_account(store, name, by=by())

    removed = run(ctx, work)
    if json:
        print_json({"removed": removed})
    else:
        say(f"removed: {removed}")


def _new_password(password_stdin: bool, hash_stdin: bool, cram_md5: bool) -> "NewPassword":
    """Read what is to be set."""
    from gatepost.operate.accounts import NewPassword  # noqa: PLC0415

    if hash_stdin and (password_stdin or cram_md5):
        fail("a hash goes with neither a password nor CRAM-MD5", "give --hash-stdin alone")
    if hash_stdin:
        return NewPassword(new_credential_id(), imported=read_hash_line())
    secret = read_password(password_stdin=password_stdin)
    return NewPassword(new_credential_id(), secret, cram_md5=cram_md5)


def _later(hash_stdin: bool) -> str:
    """Return what an account with an imported hash cannot do yet."""
    return "; by SCRAM only after one login with PLAIN or LOGIN" if hash_stdin else ""
