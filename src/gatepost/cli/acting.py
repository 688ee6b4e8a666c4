"""Who does a verb and when, and the key that a store's secrets are under: for all commands that change something."""

from typing import TYPE_CHECKING

from gatepost.cli import usage
from gatepost.cli.context import load_settings

if TYPE_CHECKING:
    from gatepost.identity.master_key import MasterKey
    from gatepost.operate.accounts import By
    from gatepost.store.protocols import Store


async def master_key(ctx: usage.Context, store: "Store") -> "MasterKey":
    """Return the store's master key, made where it has none yet. Raises MasterKeyError."""
    from gatepost.identity.key_of_store import key_of_store  # noqa: PLC0415

    return await key_of_store(store, load_settings(ctx).master_key)


def by() -> "By":
    """Return when a verb is done, and by whom."""
    from gatepost.net.clock import now  # noqa: PLC0415
    from gatepost.operate.accounts import By  # noqa: PLC0415
    from gatepost.operate.operator import operator_name  # noqa: PLC0415

    return By(now(), operator_name())
