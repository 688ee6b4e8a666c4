"""Look at what waits."""

from dataclasses import dataclass
from typing import Final

from gatepost.model.ids import SubmissionId
from gatepost.operate.trace import Traced, follow
from gatepost.store.protocols import Reading, Store
from gatepost.store.queue_view import QueueFilter

#: Recipients of one message that `show` lists.
_MOST_SHOWN: Final = 10_000
#: What a header section can be; a message without a body would else be shown whole.
_LONGEST_HEADER: Final = 256 * 1024


@dataclass(frozen=True, slots=True)
class Shown:
    """One message as `queue show` presents it; `header` is None when its content is gone."""

    traced: Traced
    header: bytes | None


class AmbiguousError(Exception):
    """The beginning of an id names several messages."""


async def find(store: Store, name: str) -> SubmissionId | None:
    """Return the message that `name` means: its id or a delivery's, in full or the beginning.

    Raises:
        AmbiguousError: it means several.
        StoreUnavailableError: the store cannot be read.

    """

    def query(reading: Reading) -> set[SubmissionId]:
        rows = reading.deliveries(QueueFilter(id=name), limit=_MOST_SHOWN)
        return {row.submission.id for row in rows}

    found = await store.read(query)
    if len(found) > 1:
        raise AmbiguousError(name)
    return next(iter(found), None)


async def show(store: Store, name: str) -> Shown | None:
    """Return one message with its deliveries, events and header section; None if there is none.

    Raises:
        AmbiguousError: `name` means several messages.
        ContentDamagedError: the stored content is not what was stored.
        StoreUnavailableError: the store cannot be read.

    """
    submission_id = await find(store, name)
    if submission_id is None:
        return None
    octets = await content(store, submission_id)
    header = None if octets is None else header_section(octets)
    return Shown(await follow(store, submission_id), header)


async def content(store: Store, submission_id: SubmissionId) -> bytes | None:
    """Return a message's stored octets; None when they are gone.

    Raises:
        ContentDamagedError: they are not what was stored.
        StoreUnavailableError: the store cannot be read.

    """
    return await store.read(lambda reading: reading.content(submission_id))


def header_section(octets: bytes) -> bytes:
    """Return what stands before the first empty line (RFC 5322 §2.1), with its last line end."""
    if octets.startswith(b"\r\n"):
        return b""
    end = octets.find(b"\r\n\r\n", 0, _LONGEST_HEADER)
    return octets[: end + 2] if end >= 0 else octets[:_LONGEST_HEADER]
