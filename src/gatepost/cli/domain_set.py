"""`gatepost domain set`: what holds for one sending domain and not for all."""

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

from gatepost.cli import usage
from gatepost.cli.acting import by
from gatepost.cli.context import Json
from gatepost.cli.domain_verbs import Name, print_domain, run

if TYPE_CHECKING:
    from gatepost.model.domain import Domain
    from gatepost.store.protocols import Store


class UnpublishedKey(StrEnum):
    """What may be said of a key that is not published."""

    SIGN = "sign"
    REFUSE = "refuse"
    HOLD = "hold"
    DEFAULT = "default"


def register(app: usage.Commands) -> None:
    """Add the command."""
    app.command("set")(set_)


def set_(
    ctx: usage.Context,
    name: Name,
    unpublished_key: Annotated[
        UnpublishedKey,
        usage.Option(
            "--unpublished-key",
            help="What is done with its mail while the DNS does not show its key; default: what "
            "[domains] unpublished_key says.",
        ),
    ],
    json: Json = False,
) -> None:
    """Set what holds for one domain. A running server keeps to it within a second."""
    mode = None if unpublished_key is UnpublishedKey.DEFAULT else unpublished_key.value

    async def work(store: "Store") -> "Domain":
        from gatepost.operate.domains import set_unpublished  # noqa: PLC0415

        return await set_unpublished(store, name, mode, by=by())

    domain = run(ctx, work)
    print_domain(ctx, domain, json, f"changed: {domain.name}")
