"""What a link needs of the world, whom it calls, and how it fails."""

import ssl
from collections.abc import Callable
from dataclasses import dataclass, field

from gatepost.delivery.bounds import Bounds
from gatepost.delivery.lookup import Ourselves
from gatepost.delivery.site import Target
from gatepost.delivery.tokens import UpstreamTokens
from gatepost.model.delivery import Outcome
from gatepost.model.route import ClientCertificate
from gatepost.net.deadlines import Deadlines

#: Returns the context for a next hop that must be verified (True) or may be anybody (False), to
#: which a certificate of ours is shown.
Contexts = Callable[[bool, ClientCertificate | None], ssl.SSLContext]


class LinkFailedError(Exception):
    """There is no session with this host. `outcome` says why; `tls_only`: clear would do."""

    def __init__(self, outcome: Outcome, *, tls_only: bool = False) -> None:
        super().__init__(outcome.words)
        self.outcome = outcome
        self.tls_only = tls_only


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a link needs of the world."""

    ourselves: Ourselves
    bounds: Bounds
    deadlines: Deadlines
    contexts: Contexts
    tokens: UpstreamTokens = field(default_factory=UpstreamTokens)


@dataclass(frozen=True, slots=True)
class Call:
    """Whom to call, from which IP address of ours (None: the system's choice), and by which name."""

    target: Target
    source: str | None
    name: str
