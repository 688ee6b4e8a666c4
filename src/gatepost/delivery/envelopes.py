"""The envelope of one transaction: what MAIL and RCPT will say (RFC 5321 §4.1.1)."""

from gatepost.delivery.fitting import Fitted
from gatepost.delivery.parcel import Parcel
from gatepost.wire.smtp.client_events import Envelope
from gatepost.wire.smtp.notification import NO_WISHES


def envelope_of(parcel: Parcel, fitted: Fitted) -> Envelope:
    """Return the envelope in which what was fitted for a link travels to all of a parcel's recipients."""
    submission = parcel.submission
    wishes = [i.leased.delivery.wishes for i in parcel.items]
    return Envelope(
        submission.reverse_path,
        [i.hop.forward_path for i in parcel.items],
        fitted.size,
        fitted.eight_bit,
        fitted.binary,
        fitted.utf8 or not are_ascii(parcel),
        wishes=wishes if any(one is not NO_WISHES for one in wishes) else (),
        ret=submission.ret,
        envid=submission.envid,
        priority=submission.priority,
    )


def are_ascii(parcel: Parcel) -> bool:
    """Tell whether every recipient can be named without SMTPUTF8 (RFC 6531 §3.4)."""
    return all(item.hop.forward_path.isascii() for item in parcel.items)
