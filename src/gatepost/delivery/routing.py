"""Where a delivery goes next, by settings alone: local domains, then routes, then MX (decision 25).

Pure: names are looked up by `lookup`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from gatepost.model.delivery import Delivery, DeliveryState
from gatepost.model.route import (
    ClientCertificate,
    RefreshGrant,
    TlsMode,
    TokenCommand,
    TokenSource,
    UpstreamLogin,
    Via,
    ViaHold,
    ViaMaildir,
    ViaMx,
    ViaSmtp,
)
from gatepost.model.secret import Secret
from gatepost.model.settings import RefreshSettings, RouteSettings, Settings
from gatepost.model.source import DEFAULT, SYSTEM
from gatepost.model.via import parse_delivery_target, parse_pattern, parse_via
from gatepost.wire.smtp.grammar import parse_path
from gatepost.wire.values import changed, value

_POSTMASTER: Final = "postmaster"
_TO_MX: Final = ViaMx()


@value(frozen=True, slots=True)
class Hop:
    """The next step of one delivery.

    `forward_path` is what to say there (another than the delivery's own for a postmaster that is
    settled elsewhere), `destination` its domain, `mailbox` the folder's name for a maildir.
    """

    via: Via
    forward_path: str
    destination: str
    mailbox: str = ""


@dataclass(frozen=True, slots=True)
class Routing:
    """The settings that choose. `routes` in their order; names in lower-case A-labels."""

    local: Mapping[str, Via]
    routes: tuple[tuple[str, Via], ...]
    postmaster: str | None
    postmaster_directory: str
    #: From which pool of source addresses mail leaves that names none: "" while any node may send it.
    default_pool: str = ""
    #: Whether any route names a pool.
    names_pools: bool = False

    def hop(self, forward_path: str, destination: str) -> Hop:
        """Return where a delivery goes.

        A route "hold" does not count here: it holds when a message is accepted (`placement`), and
        what is due nevertheless was released by the operator.
        """
        if self._is_for_postmaster(forward_path, destination):
            return self._postmaster_hop()
        return self._plain_hop(forward_path, destination)

    def placement(self, destination: str) -> DeliveryState:
        """Return the state in which a new delivery to `destination` begins."""
        via = self.local.get(destination) or self._route(destination, holds=True)
        return DeliveryState.HELD if isinstance(via, ViaHold) else DeliveryState.DUE

    def pooled(self, deliveries: tuple[Delivery, ...], asked: str | None) -> tuple[Delivery, ...]:
        """Return deliveries in the pools from which they will leave: a route's, else the one that
        their account asks for. What does not leave by SMTP is in none.
        """
        if asked is None and not self.default_pool and not self.names_pools:
            return deliveries
        return tuple(
            changed(each, pool=pool) if (pool := self._pool(each.destination, asked)) else each
            for each in deliveries
        )

    def _pool(self, destination: str, asked: str | None) -> str:
        via = self.local.get(destination) or self._route(destination)
        if not isinstance(via, ViaMx | ViaSmtp) or via.pool == SYSTEM:
            return ""
        return via.pool or asked or self.default_pool

    def _plain_hop(self, forward_path: str, destination: str) -> Hop:
        via = self.local.get(destination)
        if via is None:
            return Hop(self._route(destination), forward_path, destination)
        mailbox = _mailbox(forward_path) if isinstance(via, ViaMaildir) else ""
        return Hop(via, forward_path, destination, mailbox)

    def _is_for_postmaster(self, forward_path: str, destination: str) -> bool:
        """Decision 26: <postmaster>, and postmaster at each local domain."""
        if destination and destination not in self.local:
            return False
        return _mailbox(forward_path) == _POSTMASTER

    def _postmaster_hop(self) -> Hop:
        if self.postmaster is not None:
            local_part, _, domain = self.postmaster.rpartition("@")
            domain = domain.lower()
            ours = domain in self.local and local_part.lower() == _POSTMASTER
            if not ours:  # else it would be led to itself for ever
                return self._plain_hop(f"{local_part}@{domain}", domain)
        via = ViaMaildir(self.postmaster_directory)
        return Hop(via, _POSTMASTER, "", _POSTMASTER)

    def _route(self, destination: str, *, holds: bool = False) -> Via:
        for pattern, via in self.routes:
            if (holds or not isinstance(via, ViaHold)) and _matches(pattern, destination):
                return via
        return _TO_MX


def build_routing(
    settings: Settings, read: Callable[[Path], str] = lambda path: path.read_text("utf-8")
) -> Routing:
    """Read the settings once; `read` fetches the text of a file with a secret.

    Raises:
        WrongValueError: a route or target that means nothing.
        OSError: a file with a secret cannot be read.

    """
    data_dir = settings.data_dir
    local = {d.name.lower(): parse_delivery_target(d.deliver_to) for d in settings.local_domains}
    for name, via in local.items():
        if isinstance(via, ViaMaildir):
            local[name] = ViaMaildir(str(data_dir / via.directory))
        elif isinstance(via, ViaSmtp):  # a server of ours, not the world
            local[name] = replace(via, pool=SYSTEM)
    routes: list[tuple[str, Via]] = []
    for route in settings.routes:
        via = _via(route, read)
        routes.extend((parse_pattern(text), via) for text in route.match)
    sources = [each.source for each in settings.egress]
    default_pool = DEFAULT if any(DEFAULT in source.pools for source in sources) else ""
    names_pools = any(route.pool for route in settings.routes)
    return Routing(
        local, tuple(routes), settings.postmaster, str(data_dir), default_pool, names_pools
    )


def _via(route: RouteSettings, read: Callable[[Path], str]) -> Via:
    login = None
    if route.username is not None:
        password = ""
        if route.password_file is not None:
            password = _first_line(read(route.password_file))
        certificate = None
        if route.client_certificate is not None and route.client_key is not None:
            key = Secret(read(route.client_key))
            certificate = ClientCertificate(read(route.client_certificate), key)
        token = _token(route, read)
        login = UpstreamLogin(route.username, Secret(password), route.mechanism, token, certificate)
    tls = TlsMode(route.tls) if route.tls else None
    return parse_via(route.via, tls=tls, login=login, pool=route.pool)


def _token(route: RouteSettings, read: Callable[[Path], str]) -> TokenSource | None:
    if route.token_command is not None:
        return TokenCommand(route.token_command)
    return _grant(route.oauth, read) if route.oauth is not None else None


def _grant(oauth: RefreshSettings, read: Callable[[Path], str]) -> RefreshGrant:
    secret = None
    if oauth.client_secret_file is not None:
        secret = Secret(_first_line(read(oauth.client_secret_file)))
    return RefreshGrant(
        oauth.token_url, oauth.client_id, secret, oauth.refresh_token_file, oauth.scope
    )


def _first_line(text: str) -> str:
    return text.removesuffix("\n").removesuffix("\r")


def _matches(pattern: str, destination: str) -> bool:
    if pattern.startswith("*."):
        return destination.endswith(pattern[1:])
    return pattern in {"*", destination}


def _mailbox(forward_path: str) -> str:
    """Return the local part as it is meant and compared."""
    mailbox = parse_path(forward_path)
    return mailbox.folded if mailbox is not None else ""
