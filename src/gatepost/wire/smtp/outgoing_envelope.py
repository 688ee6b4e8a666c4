"""An envelope on its way out: whether a server can carry it, and its MAIL command (RFC 5321 §4.1.1.2)."""

from gatepost.wire.smtp.client_events import Envelope, Fault, FaultKind, Phase
from gatepost.wire.smtp.extensions import Offers


def is_fit(path: str) -> bool:
    """Tell whether a path can neither end its command nor its angle brackets."""
    if not (path.isascii() and path.isprintable()):
        return False
    return path.startswith('"') or not set("<> ").intersection(path)


def mail_command(envelope: Envelope, offers: Offers) -> bytes:
    """Return MAIL with the parameters that the server offers (RFC 1870 §3, RFC 6152 §3)."""
    command = f"MAIL FROM:<{envelope.reverse_path}>"
    if offers.size is not None and envelope.size:
        command += f" SIZE={envelope.size}"
    if envelope.eight_bit:
        command += " BODY=8BITMIME"
    return command.encode("ascii") + b"\r\n"


def cannot_carry(envelope: Envelope, offers: Offers) -> Fault | None:
    """Return why a server that offers so little cannot take this message, None when it can."""
    if envelope.eight_bit and not offers.eight_bit:
        return Fault(FaultKind.NEEDS_EIGHT_BIT, Phase.MAIL, "8BITMIME is not offered")
    limit = offers.size
    if limit and envelope.size > limit:
        return Fault(FaultKind.TOO_LARGE, Phase.MAIL, f"at most {limit} octets are taken")
    return None
