"""Which deliveries a command means: the options that the contract gives them."""

from typing import TYPE_CHECKING, Annotated

import typer

from gatepost.cli.context import fail

if TYPE_CHECKING:
    from gatepost.store.protocols import QueueFilter

AccountOption = Annotated[
    str | None, typer.Option("--account", metavar="NAME", help="Only this account's.")
]
DestinationOption = Annotated[
    str | None,
    typer.Option("--destination", metavar="DOMAIN", help="Only to this recipient domain."),
]
RecipientOption = Annotated[
    str | None, typer.Option("--recipient", metavar="ADDRESS", help="Only to this recipient.")
]
IdOption = Annotated[
    str | None,
    typer.Option("--id", metavar="ID", help="Of a message or delivery; 8 digits will do."),
]


def queue_filter(
    *,
    account: str | None,
    destination: str | None,
    recipient: str | None,
    id: str | None,  # noqa: A002 - the option's name
    states: list[str] | None = None,
) -> "QueueFilter":
    """Return the filter, names brought into the form that they are stored in."""
    from gatepost.model.delivery import DeliveryState  # noqa: PLC0415
    from gatepost.model.ids import AccountName  # noqa: PLC0415
    from gatepost.store.protocols import QueueFilter  # noqa: PLC0415

    known = [s.value for s in DeliveryState]
    for state in states or ():
        if state not in known:
            fail(f'there is no state "{state}"', f"write one of {', '.join(known)}")
    return QueueFilter(
        id=_identifier(id) if id is not None else None,
        account=AccountName(account.casefold()) if account is not None else None,
        destination=_domain(destination) if destination is not None else None,
        recipient=_recipient(recipient) if recipient is not None else None,
        states=tuple(DeliveryState(s) for s in states) if states else None,
    )


def _identifier(text: str) -> str:
    text = text.strip().lower()
    if len(text) < 8 or set(text) - set("0123456789abcdef"):
        fail(f'"{text}" is not an id', "write at least the first 8 of its hexadecimal digits")
    return text


def _domain(text: str) -> str:
    from gatepost.model.domain_name import parse_domain  # noqa: PLC0415
    from gatepost.model.wrong import WrongValueError  # noqa: PLC0415

    if text.startswith("["):
        return text.lower()
    try:
        return parse_domain(text)
    except WrongValueError as error:
        fail(error.wrongs[0].what, error.wrongs[0].mend)


def _recipient(text: str) -> str:
    local_part, at, domain = text.rpartition("@")
    return f"{local_part}@{_domain(domain)}" if at else text
