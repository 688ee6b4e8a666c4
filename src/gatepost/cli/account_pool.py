"""`gatepost account pool`: from which source addresses an account's mail leaves."""

from typing import TYPE_CHECKING, Annotated

from gatepost.cli import usage
from gatepost.cli.account_verbs import Name, print_account, run
from gatepost.cli.acting import by
from gatepost.cli.context import Json, fail, load_settings, say_error

if TYPE_CHECKING:
    from gatepost.model.account import Account
    from gatepost.store.protocols import Store

_NONE = "none"


def register(app: usage.Commands) -> None:
    """Put the command into `gatepost account`."""
    app.command()(pool)


def pool(
    ctx: usage.Context,
    name: Name,
    pool: Annotated[
        str,
        usage.Argument(
            metavar="POOL", help='A pool that [[egress]] of some node names; "none" for none.'
        ),
    ],
    json: Json = False,
) -> None:
    """Say from which pool of source addresses an account's mail leaves, from the next message on."""
    from gatepost.model.wrong import WrongValueError  # noqa: PLC0415

    ours = {each for egress in load_settings(ctx).egress for each in egress.pools}

    async def work(store: "Store") -> "Account":
        from gatepost.operate.account_pool import known_pools, set_pool  # noqa: PLC0415

        account = await set_pool(store, name, None if pool == _NONE else pool, by())
        if account.pool and account.pool not in ours | await store.read(known_pools):
            say_error(f"no node that runs has an address of pool {pool}: its mail will wait")
        return account

    try:
        account = run(ctx, work)
    except WrongValueError as error:
        fail(error.wrongs[0].what, error.wrongs[0].mend)
    print_account(account, f"pool of {account.name}: {account.pool or _NONE}", json=json)
