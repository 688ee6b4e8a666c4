"""How much, how many, how long, on the way out: each figure once, settable in tests."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import inf
from typing import Final

from gatepost.wire.smtp.client_events import Phase

#: Seconds that a client waits (RFC 5321 §4.5.3.2). Less than ten minutes for the final dot makes
#: duplicates. STARTTLS and AUTH wait as long as a command; QUIT is a courtesy.
PATIENCE: Final[Mapping[Phase, float]] = {
    Phase.GREETING: 300,
    Phase.HELLO: 300,
    Phase.START_TLS: 300,
    Phase.AUTH: 300,
    Phase.READY: 300,
    Phase.RESET: 300,
    Phase.MAIL: 300,
    Phase.RCPT: 300,
    Phase.DATA: 120,
    Phase.CONTENT: 180,
    Phase.FINAL_DOT: 600,
    Phase.QUIT: 5,
    Phase.OVER: 5,
}

_NOT_HURRIED: Final = frozenset({Phase.FINAL_DOT, Phase.QUIT, Phase.OVER})


@dataclass(frozen=True, slots=True)
class Bounds:
    """The bounds of one worker. Times in seconds, sizes in octets."""

    #: Connections to one site. Most providers bear 10 (Postfix: 20, KumoMTA: 32).
    connections_per_site: int = 10
    #: A site that refused one has so long until it is asked for one more again.
    widened_after: float = 60.0
    #: A site that refused us a session for good is not called again for so long, twice as long each
    #: time, and at most so long.
    rest: float = 60.0
    longest_rest: float = 300.0
    #: An address whose TLS broke gets clear text for so long, twice as long each time, and at most so
    #: long (where no certificate need be good).
    clear: float = 60.0
    longest_clear: float = 3600.0
    #: Connections in all.
    connections: int = 500
    #: Where all of them are busy and a site has none: so long another one keeps its last.
    turn: float = 30.0
    #: Messages over one connection, and how long one waits for more.
    messages_per_session: int = 100
    session_idle: float = 30.0
    #: RFC 5321 §4.5.3.1.8: a server takes at least so many recipients.
    recipients: int = 100
    #: TCP handshake with one address. (Postfix: 30.)
    dial: float = 30.0
    #: TLS handshake.
    handshake: float = 60.0
    #: MX hosts and addresses that one attempt tries (Postfix: 5 addresses).
    addresses: int = 8
    #: Transactions that a connection takes on at once: their attempts are counted together.
    claim: int = 8
    #: Octets of content that they may have together; a larger message goes alone.
    claimed_content: int = 4 * 2**20
    #: Deliveries in this worker's hands.
    held: int = 4000
    #: Content kept in memory for deliveries that wait; beyond it, it is read again from the store.
    content: int = 64 * 2**20
    #: Large contents that connections have in their hands meanwhile (`lending`).
    lent: int = 256 * 2**20
    #: Content is written in pieces of so much.
    piece: int = 256 * 1024
    #: How long a lease lasts (decision 10), and how old it may grow before it is renewed.
    lease: float = 120.0
    renew_after: float = 40.0
    #: A lease may be as old as this when it comes: so long a write may wait for the store.
    written_within: float = 30.0
    #: How often the store is asked whether a neighbour has changed it (decision 5), and how often
    #: due mail is looked for in any case (leases of the dead end without a change).
    look: float = 0.2
    look_anyway: float = 10.0
    #: Deliveries leased at once.
    take_at_once: int = 500
    #: How long a site found in DNS is believed without asking the resolver's cache again.
    site_life: float = 30.0
    #: How often slow sites are made to give back what they hold of the common room.
    fairness: float = 10.0
    maildir_writers: int = 4
    #: So long no content at all may be readable (a disk that is not mounted) before mail ends whose time
    #: is over: it is not given up because a disk comes late after the node was off.
    contents_away: float = 3600.0
    #: While others wait for a connection, no host is waited for longer than this: for its greeting;
    #: until a session is ready; for a transaction, and beyond that as long as its content takes at
    #: so many octets a second. When nobody waits, only `patience` counts.
    hurried_greeting: float = 30.0
    hurried_begin: float = 60.0
    hurried_transaction: float = 120.0
    hurried_octets: int = 16 * 1024
    patience: Mapping[Phase, float] = field(default_factory=lambda: PATIENCE)

    def hurried(self, phase: Phase, size: int | None) -> float:
        """Return how many seconds a session may take up to its readiness, or for a transaction with
        so many octets, while others wait. After the final dot it is waited for all the same (RFC
        5321 §4.5.3.2.6): the message may have been taken.
        """
        if phase in _NOT_HURRIED:
            return inf
        if size is not None:
            return self.hurried_transaction + size / self.hurried_octets
        return self.hurried_greeting if phase is Phase.GREETING else self.hurried_begin
