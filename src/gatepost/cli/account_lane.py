"""`gatepost account lane`: how urgent an account's mail is."""

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

from gatepost.cli import usage
from gatepost.cli.account_verbs import Name, print_account, run
from gatepost.cli.acting import by
from gatepost.cli.context import Json

if TYPE_CHECKING:
    from gatepost.model.account import Account
    from gatepost.model.lane import Lane
    from gatepost.store.protocols import Store


class LaneChoice(StrEnum):
    """A lane, or none."""

    OTP = "otp"
    TRANSACTIONAL = "transactional"
    BULK = "bulk"
    NONE = "none"


LaneOption = Annotated[
    LaneChoice,
    usage.Option(
        "--lane",
        help="How urgent its mail is; a message may ask for less. Without it: as transactional, "
        "and tried for [retry] give_up.",
    ),
]


def lane_of(choice: LaneChoice) -> "Lane | None":
    """Return the lane that was chosen."""
    from gatepost.model.lane import Lane  # noqa: PLC0415

    return None if choice is LaneChoice.NONE else Lane(choice.value)


def register(app: usage.Commands) -> None:
    """Put the command into `gatepost account`."""
    app.command()(lane)


def lane(
    ctx: usage.Context,
    name: Name,
    lane: Annotated[LaneChoice, usage.Argument(help="Its lane.")],
    label: Annotated[
        str | None,
        usage.Option(
            "--label",
            metavar="LABEL|ID",
            help='Only for the credential with this label; "password" is the main password.',
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Say how urgent an account's mail is, or that of one of its credentials."""

    async def work(store: "Store") -> "Account":
        from gatepost.operate.account_lane import set_lane  # noqa: PLC0415

        return await set_lane(store, name, lane_of(lane), label=label, by=by())

    account = run(ctx, work)
    whose = f'"{label}" of {account.name}' if label else account.name
    print_account(account, f"lane of {whose}: {lane.value}", json=json)
