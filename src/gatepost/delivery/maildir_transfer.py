"""Room 7 where mail is kept on this machine: one parcel into maildirs, an outcome for each recipient."""

import asyncio
from collections.abc import Sequence

from gatepost.delivery import maildir
from gatepost.delivery.claim import Claim
from gatepost.delivery.depot import Depot
from gatepost.delivery.fitting import OF_MAILDIR, Unfit, fit
from gatepost.delivery.parcel import Parcel, lasts
from gatepost.delivery.site import Site
from gatepost.returns.outcome import LOCAL_TROUBLE, deferred, refused

#: As where a session ends before its final dot: what neighbours may have taken waits for its turn.
_IN_DOUBT = deferred(LOCAL_TROUBLE, "a neighbour may have taken it over; nothing was stored")


async def store_in_maildirs(
    parcel: Parcel, content: Sequence[bytes], site: Site, depot: Depot, claim: Claim
) -> None:
    """Store one parcel, in a thread, a recipient at a time, and settle each."""
    loop = asyncio.get_running_loop()
    hostname = depot.around.ourselves.hostname
    fitted = await fit(parcel.submission, content, OF_MAILDIR, depot.sign_again)
    if isinstance(fitted, Unfit):
        claim.settle(parcel.items, refused(fitted.status, fitted.words))
        return
    for position, item in enumerate(parcel.items):
        if not (depot.is_heard() and lasts(item)):
            claim.settle(parcel.items[position:], _IN_DOUBT)
            return
        lines = maildir.header_lines(
            parcel.submission.reverse_path, item.leased.delivery.forward_path
        )
        outcome = await loop.run_in_executor(
            depot.files,
            maildir.deliver,
            site.directory,
            item.hop.mailbox,
            f"{item.id}.{hostname}",
            lines,
            fitted.pieces,
        )
        claim.settle((item,), outcome)
