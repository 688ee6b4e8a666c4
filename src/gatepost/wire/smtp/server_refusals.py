"""What the RFCs alone refuse: commands out of order, and those that no policy could allow."""

from gatepost.wire.smtp import replies
from gatepost.wire.smtp.commands import Auth, Bdat, Command, Data, Mail, Rcpt
from gatepost.wire.smtp.extensions import Profile
from gatepost.wire.smtp.replies import Reply
from gatepost.wire.smtp.server_states import TRANSACTION, State


def out_of_order(command: Command, state: State, *, refused: bool) -> Reply:
    """Return the reply to a command that leads nowhere from here (RFC 5321 §4.1.4); `refused`: a recipient
    of this transaction was.
    """
    if state is State.CONNECTED:
        return replies.SAY_HELLO_FIRST
    if state is State.CHUNK_FAILED:
        return replies.TRANSACTION_FAILED
    if isinstance(command, Data | Bdat) and state is not State.BETWEEN_CHUNKS:
        return replies.ALL_REFUSED if refused else replies.NO_RECIPIENTS
    if isinstance(command, Auth) and state in TRANSACTION:
        return replies.AUTH_IN_TRANSACTION
    return replies.OUT_OF_ORDER


def auth_refuses(profile: Profile, *, authenticated: bool, extended: bool) -> Reply | None:
    """Refuse AUTH where there is none, after a login, and after HELO (RFC 4954 §4)."""
    if not profile.mechanisms:
        return replies.AUTH_NOT_HERE
    if authenticated:
        return replies.ALREADY_AUTHENTICATED
    if not extended:
        return replies.SAY_HELLO_FIRST
    return None


def mail_refuses(command: Data | Rcpt, mail: Mail | None) -> Reply | None:
    """Refuse what the parameters of MAIL do not go with: DATA for binary content (RFC 3030 §3), a path that
    is not ASCII (RFC 6531 §3.5).
    """
    if mail is None:
        return None
    if isinstance(command, Data):
        return replies.BINARY_BY_BDAT if mail.binary else None
    if command.forward_path.is_ascii or mail.utf8:
        return None
    return replies.RECIPIENT_NOT_ASCII
