"""What must not be said in a command (RFC 5321 §4.1.2): such an envelope is refused before anything is
written or dialled.

The door takes none. One that a former release queued must not reach a next hop, nor a header field of
ours, and must hold up nothing else that goes the same way.
"""

from typing import Final

from gatepost.delivery.routing import Hop
from gatepost.model.delivery import Leased, Outcome
from gatepost.returns.outcome import BAD_ADDRESS, BAD_SENDER, refused
from gatepost.wire.smtp.grammar import is_path

_SENDER: Final = refused(BAD_SENDER, "the reverse-path is no address")
_RECIPIENT: Final = refused(BAD_ADDRESS, "the forward-path is no address")


def unsayable(leased: Leased, hop: Hop) -> Outcome | None:
    """Return the refusal of a delivery whose reverse-path or forward-path is none, else None."""
    if not is_path(leased.submission.reverse_path):
        return _SENDER
    forward_path = leased.delivery.forward_path
    if not is_path(forward_path) or not (
        hop.forward_path is forward_path or is_path(hop.forward_path)
    ):
        return _RECIPIENT
    return None
