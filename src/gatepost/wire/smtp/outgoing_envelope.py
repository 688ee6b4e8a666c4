"""An envelope on its way out: whether a server can carry it, and its commands (RFC 5321 §4.1.1.2)."""

from gatepost.wire.smtp.client_events import Envelope, Fault, FaultKind, Phase
from gatepost.wire.smtp.extensions import Offers
from gatepost.wire.smtp.grammar import is_path
from gatepost.wire.smtp.notification import RecipientWishes, spell_notify


def commands(envelope: Envelope, offers: Offers, *, rehearsing: bool) -> list[tuple[Phase, bytes]]:
    """Return a transaction's commands up to DATA, or to RSET when it is only rehearsed. Binary
    content has no DATA: BDAT goes with the content itself (RFC 3030 §2).

    Raises:
        ValueError: a path holds what must not stand in a command.

    """
    paths = (envelope.reverse_path, *envelope.forward_paths)
    if not all(map(is_path, paths)) or not (envelope.utf8 or is_ascii(envelope)):
        msg = "a path is not fit for a command"
        raise ValueError(msg)
    flight = [(Phase.MAIL, mail_command(envelope, offers))]
    flight += [(Phase.RCPT, command) for command in rcpt_commands(envelope, offers)]
    if rehearsing:
        flight.append((Phase.RESET, b"RSET\r\n"))
    elif not envelope.binary:
        flight.append((Phase.DATA, b"DATA\r\n"))
    return flight


def is_ascii(envelope: Envelope) -> bool:
    """Tell whether all paths are ASCII: else they need SMTPUTF8 (RFC 6531 §3.2)."""
    return envelope.reverse_path.isascii() and all(map(str.isascii, envelope.forward_paths))


def mail_command(envelope: Envelope, offers: Offers) -> bytes:
    """Return MAIL with the parameters that the server offers (RFC 1870 §3, RFC 6152 §3,
    RFC 3030 §3, RFC 3461 §5.2.1, RFC 6531 §3.4, RFC 6710 §4.2).
    """
    command = f"MAIL FROM:<{envelope.reverse_path}>"
    if offers.size is not None and envelope.size:
        command += f" SIZE={envelope.size}"
    if envelope.binary:
        command += " BODY=BINARYMIME"
    elif envelope.eight_bit:
        command += " BODY=8BITMIME"
    if envelope.utf8:
        command += " SMTPUTF8"
    if offers.dsn and envelope.ret is not None:
        command += f" RET={envelope.ret.value}"
    if offers.dsn and envelope.envid:
        command += f" ENVID={envelope.envid}"
    if offers.mt_priority and envelope.priority is not None:
        command += f" MT-PRIORITY={envelope.priority}"
    return command.encode() + b"\r\n"


def rcpt_commands(envelope: Envelope, offers: Offers) -> list[bytes]:
    """Return RCPT for each forward-path (RFC 3461 §5.2.1)."""
    said = [b"RCPT TO:<%b>" % path.encode() for path in envelope.forward_paths]
    if offers.dsn and envelope.wishes:
        pairs = zip(said, envelope.wishes, strict=True)
        said = [command + _wishes(wishes) for command, wishes in pairs]
    return [command + b"\r\n" for command in said]


def _wishes(wishes: RecipientWishes) -> bytes:
    notify = "" if wishes.notify is None else f" NOTIFY={spell_notify(wishes.notify)}"
    orcpt = f" ORCPT={wishes.orcpt}" if wishes.orcpt else ""
    return f"{notify}{orcpt}".encode("ascii")


def cannot_carry(envelope: Envelope, offers: Offers) -> Fault | None:
    """Return why a server that offers so little cannot take this message, None when it can."""
    if envelope.utf8 and not offers.utf8:
        return Fault(FaultKind.NEEDS_UTF8, Phase.MAIL, "SMTPUTF8 is not offered")
    if envelope.binary and not offers.binary:
        return Fault(FaultKind.NEEDS_BINARY, Phase.MAIL, "BINARYMIME is not offered")
    if envelope.eight_bit and not envelope.binary and not offers.eight_bit:
        return Fault(FaultKind.NEEDS_EIGHT_BIT, Phase.MAIL, "8BITMIME is not offered")
    limit = offers.size
    if limit and envelope.size > limit:
        return Fault(FaultKind.TOO_LARGE, Phase.MAIL, f"at most {limit} octets are taken")
    return None
