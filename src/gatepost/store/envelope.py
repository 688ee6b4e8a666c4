"""What is written beside a message's content, so that its rows could be made anew."""

from collections.abc import Sequence

from gatepost.model.delivery import Delivery
from gatepost.model.submission import Submission
from gatepost.wire.values import value


@value(frozen=True, slots=True)
class Envelope:
    """A message and the deliveries that were to be made of it when it was written.

    `is_certain`: it had been accepted before. A new message is written before that is known.
    `suffices`: all that its job writes beside is counted, or told; so its rows need no sync of their
    own (ADR 34).
    """

    submission: Submission
    deliveries: Sequence[Delivery]
    is_certain: bool = False
    suffices: bool = False
