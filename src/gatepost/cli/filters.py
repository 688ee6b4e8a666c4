"""Which deliveries a command means: the options that the contract gives them."""

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

from gatepost.cli import usage
from gatepost.cli.context import fail

if TYPE_CHECKING:
    from gatepost.store.queue_view import QueueFilter

AccountOption = Annotated[
    str | None, usage.Option("--account", metavar="NAME", help="Only this account's.")
]
DestinationOption = Annotated[
    str | None,
    usage.Option("--destination", metavar="DOMAIN", help="Only to this recipient domain."),
]
RecipientOption = Annotated[
    str | None, usage.Option("--recipient", metavar="ADDRESS", help="Only to this recipient.")
]
IdOption = Annotated[
    str | None,
    usage.Option("--id", metavar="ID", help="Of a message or delivery, or its beginning."),
]
ReasonOption = Annotated[
    str | None, usage.Option("--reason", metavar="TEXT", help="Only what waits for this reason.")
]
PoolOption = Annotated[
    str | None,
    usage.Option(
        "--pool",
        metavar="NAME",
        help='Only what leaves from this pool; "system": as the system chooses, or not by SMTP.',
    ),
]


def queue_filter(  # noqa: PLR0913 - its options
    *,
    account: str | None,
    destination: str | None,
    recipient: str | None,
    id: str | None,  # noqa: A002 - the option's name
    reason: str | None = None,
    pool: str | None = None,
    states: list[str] | None = None,
) -> "QueueFilter":
    """Return the filter, names brought into the form that they are stored in."""
    from gatepost.model.wrong import WrongValueError  # noqa: PLC0415
    from gatepost.operate import queue_filter as filters  # noqa: PLC0415

    try:
        which = filters.queue_filter(
            account=account, destination=destination, recipient=recipient, id=id, pool=pool
        )
        return replace(which, reason=reason, states=filters.states_of(states or []))
    except WrongValueError as error:
        fail(error.wrongs[0].what, error.wrongs[0].mend)
