"""How mail of a session comes: by whom, from where, over which protocol and TLS."""

from gatepost.model.settings import Role
from gatepost.model.submission import Origin
from gatepost.net.transport import Connection
from gatepost.reception.arrival import Origination
from gatepost.reception.speaker import Speaker
from gatepost.wire.message.trace import transmission_type
from gatepost.wire.smtp.server import ServerSession


class Originator:
    """Says so, made once while nothing of it changes."""

    __slots__ = ("_connection", "_key", "_made", "_role", "_session", "_speaker")

    def __init__(
        self, role: Role, session: ServerSession, connection: Connection, speaker: Speaker
    ) -> None:
        self._role = role
        self._session = session
        self._connection = connection
        self._speaker = speaker
        self._made: Origination | None = None
        self._key = ("", False, False)

    def now(self) -> Origination:
        """Return how it comes now."""
        session = self._session
        key = (session.client_name, session.extended, bool(session.mail and session.mail.utf8))
        made = self._made
        if made is None or key != self._key or made.account is not self._speaker.account:
            made = self._make(*key)
            self._made, self._key = made, key
        return made

    def forget(self) -> None:
        """Make it anew: somebody has logged in, or TLS has begun."""
        self._made = None

    def _make(self, client_name: str, extended: bool, utf8: bool) -> Origination:
        principal, tls = self._speaker.principal, self._connection.tls
        return Origination(
            origin=Origin.MX if self._role is Role.MX else Origin.SUBMISSION,
            client_name=client_name,
            client_address=self._connection.peer.host,
            protocol=transmission_type(
                extended=extended,
                tls=tls is not None,
                authenticated=principal is not None,
                utf8=utf8,
            ),
            tls_version=tls.version if tls else "",
            tls_cipher=tls.cipher if tls else "",
            account=self._speaker.account,
            mechanism=principal.mechanism if principal else "",
            credential=principal.credential if principal else None,
        )
