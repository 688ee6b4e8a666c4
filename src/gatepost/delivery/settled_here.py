"""What is settled without an attempt: what has expired, what nobody can be told, captured and discarded
mail.

An envelope that is fit for no command (RFC 5321 §4.1.2) is taken by no door. One that a former release
queued must not reach a next hop, nor a header field of ours, and must hold up nothing else that goes
the same way.
"""

from datetime import datetime
from typing import Final

from gatepost.delivery.routing import Hop
from gatepost.model.delivery import Leased, Outcome, OutcomeKind
from gatepost.model.route import ViaCapture, ViaDiscard
from gatepost.queue.expiry import is_expired
from gatepost.returns.outcome import BAD_ADDRESS, BAD_SENDER, refused
from gatepost.returns.settlement import Result
from gatepost.wire.smtp.grammar import is_path

_SENDER: Final = refused(BAD_SENDER, "the reverse-path is no address")
_RECIPIENT: Final = refused(BAD_ADDRESS, "the forward-path is no address")
_AT_ONCE: Final = {
    ViaCapture: Outcome(OutcomeKind.CAPTURED, status="2.0.0", text="captured"),
    ViaDiscard: Outcome(OutcomeKind.DISCARDED, status="2.0.0", text="discarded"),
}


def settled_here(leased: Leased, hop: Hop, now: datetime) -> Result | None:
    """Return what becomes of a delivery that needs no next hop, None for one that does."""
    if is_expired(leased.delivery, now):
        return Result(leased, None, attempted=False, expired=True)
    outcome = _unsayable(leased, hop) or _AT_ONCE.get(type(hop.via))
    return Result(leased, outcome, attempted=False) if outcome is not None else None


def _unsayable(leased: Leased, hop: Hop) -> Outcome | None:
    if not is_path(leased.submission.reverse_path):
        return _SENDER
    forward_path = leased.delivery.forward_path
    if not (
        is_path(forward_path) and (hop.forward_path is forward_path or is_path(hop.forward_path))
    ):
        return _RECIPIENT
    return None
