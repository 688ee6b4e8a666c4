"""Room 6, its world: from a hop to a site with its hosts and addresses (RFC 5321 §5.1, RFC 7505).

What was found is kept for some seconds, so that a burst to one destination is one question; how
long DNS itself believes an answer is the resolver's affair.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from math import inf
from typing import Final

from gatepost.delivery.bounds import Bounds
from gatepost.delivery.known_sites import KnownSites
from gatepost.delivery.routing import Hop
from gatepost.delivery.site import Host, Kind, Site, in_order, without_us
from gatepost.model.delivery import Outcome
from gatepost.model.route import TlsMode, UpstreamLogin, Via, ViaLmtp, ViaMaildir, ViaMx, ViaSmtp
from gatepost.net.address import SocketAddress
from gatepost.net.dialer import happy_order, has_address
from gatepost.net.dns_shares import Parties, Share
from gatepost.net.resolver import DnsTemporaryError, NoSuchDomainError, Resolver
from gatepost.returns.outcome import (
    DNS_TROUBLE,
    LOOP,
    NO_ROUTE,
    NO_SUCH_DOMAIN,
    NULL_MX,
    as_given,
    deferred,
    refused,
)
from gatepost.wire.smtp.grammar import literal_address

SMTP_PORT: Final = 25
#: Exchangers of one domain that are looked up at once: it may name fifty.
_AT_ONCE: Final = 8
#: Addresses of one site that are kept: of each of its hosts its part, and two at least. An attempt tries
#: eight (`Bounds.addresses`), a domain may name a thousand.
_MOST_ADDRESSES: Final = 64
_FEWEST_OF_HOST: Final = 2
#: Characters of a site's key; a longer one is hashed: it outlives the site, where that refused us.
_LONGEST_KEY: Final = 200
#: NAT64's, and addresses "compatible with IPv4" (RFC 4291 §2.5.5.1), which nobody uses any more; the
#: local prefix with as many bits as the well-known one.
_TRANSLATED: Final = (
    IPv6Network("64:ff9b::/96"),
    IPv6Network("64:ff9b:1::/48"),
    IPv6Network("::/96"),
)
_OURSELVES: Final = "mail loop: the best host for it are we ourselves"
_WILDCARDS: Final = frozenset({"0.0.0.0", "::"})  # noqa: S104 - compared, not bound


@dataclass(frozen=True, slots=True)
class Ourselves:
    """How we would recognise ourselves at the other end of a connection."""

    hostname: str
    listeners: frozenset[SocketAddress]

    @classmethod
    def listening_on(cls, hostname: str, listeners: Iterable[SocketAddress]) -> "Ourselves":
        """Return the value; `hostname` is compared in lower case."""
        return cls(hostname.lower().rstrip("."), frozenset(listeners))

    def is_named(self, name: str) -> bool:
        """Tell whether a host has our name."""
        return name.lower().rstrip(".") == self.hostname

    def listens_on(self, host: Host) -> bool:
        """Tell whether a listener of ours has an address and the port of a host."""
        return any(SocketAddress(ip, host.port) in self.listeners for ip in host.addresses)

    def answers(self, local: SocketAddress, peer: SocketAddress) -> bool:
        """Tell whether a connection that was made leads back to us: to this machine, and a port
        on which we listen at all its addresses."""
        if peer in self.listeners:
            return True
        if not any(SocketAddress(name, peer.port) in self.listeners for name in _WILDCARDS):
            return False
        # Where the source was chosen, a machine calls itself from another address than it calls.
        return local.host == peer.host or has_address(peer.host)


@dataclass(frozen=True, slots=True)
class Exchangers:
    """How hosts are reached that a domain's MX names: by which port, and whether addresses of this
    machine (`local`) are dialled. Whoever owns a domain chooses its MX, and would otherwise reach
    services here that trust the loopback.
    """

    port: int = SMTP_PORT
    local: bool = True

    def may_dial(self, address: str) -> bool:
        """Tell whether an address may be dialled: no loopback, link-local, unspecified or multicast
        one, however it is written; private networks are what many sites live in.
        """
        if self.local:
            return True
        ip: IPv4Address | IPv6Address = ip_address(address.partition("%")[0])
        if isinstance(ip, IPv6Address):
            ip = _ipv4_in(ip) or ip
        is_this = isinstance(ip, IPv4Address) and ip.packed[0] == 0  # RFC 1122 §3.2.1.3
        return not (
            is_this or ip.is_loopback or ip.is_link_local or ip.is_unspecified or ip.is_multicast
        )


def _ipv4_in(ip: IPv6Address) -> IPv4Address | None:
    """Return the IPv4 address that an IPv6 address stands for: mapped, 6to4, or behind a NAT64 with one
    of the prefixes that are for it (RFC 6052 §2.1, RFC 8215; other prefixes are a network's own affair).
    """
    if any(ip in network for network in _TRANSLATED):
        return IPv4Address(ip.packed[-4:])
    return ip.ipv4_mapped or ip.sixtofour


class Lookup:
    """Finds sites."""

    def __init__(
        self,
        resolver: Resolver,
        ourselves: Ourselves,
        bounds: Bounds,
        exchangers: Exchangers = Exchangers(),
        *,
        time: Callable[[], float],
    ) -> None:
        self._resolver = resolver
        self._ourselves = ourselves
        self._life = bounds.site_life
        self._time = time
        self._exchangers = exchangers
        self._known = KnownSites()
        self._accounts = Parties()
        self._logins: dict[UpstreamLogin | None, int] = {None: 0}

    def known(self, hop: Hop) -> Site | Outcome | None:
        """Return what was found a moment ago, or needs no search; None: ask `find`."""
        if isinstance(hop.via, ViaMaildir):
            directory = hop.via.directory
            return Site(f"maildir:{directory}", Kind.MAILDIR, directory=directory)
        return self._known.get(key_of(hop), self._time())

    async def find(self, hop: Hop, account: str = "") -> Site | Outcome:
        """Return the site, or why there is none; what is asked goes to an account's share."""
        found = await self._find(hop, self._accounts.share_of(account))
        self._known.put(key_of(hop), found, self._time() + self._life)
        return found

    async def _find(self, hop: Hop, share: Share) -> Site | Outcome:
        via = hop.via
        try:
            match via:
                case ViaMx():
                    return await self._mx_site(hop.destination, via.tls, share)
                case ViaSmtp():
                    host = await self._given(via.host, via.port, share)
                    key = f"smtp:{via.host}:{via.port}:{via.tls}:{self._number(via.login)}"
                    found = self._checked(Site(key, Kind.SMTP, (host,), via.tls, via.login))
                    return found if isinstance(found, Site) else as_given(found)
                case ViaLmtp():
                    host = await self._given(via.host, via.port, share)
                    return Site(f"lmtp:{via.host}:{via.port}", Kind.LMTP, (host,))
        except DnsTemporaryError as trouble:
            return deferred(DNS_TROUBLE, f"DNS trouble: {trouble}")
        msg = f"{via} has no site"
        raise TypeError(msg)

    def _number(self, login: UpstreamLogin | None) -> int:
        """Return a number of its own for each login: no route sends over another's session."""
        return self._logins.setdefault(login, len(self._logins))

    async def _mx_site(self, domain: str, tls: TlsMode, share: Share) -> Site | Outcome:
        if domain.startswith("["):
            return self._literal_site(domain, tls)
        try:
            answer = await self._resolver.mx(domain, share)
            if answer.null_mx:
                return refused(NULL_MX, f"{domain} takes no mail (Null MX)")
        except NoSuchDomainError:
            return refused(NO_SUCH_DOMAIN, f"the domain {domain} does not exist")
        # By name first: one of ours that has no address now is no reason to go past it.
        named = [(record.host, record.preference) for record in answer.records]
        ours = min((rank for name, rank in named if self._ourselves.is_named(name)), default=inf)
        wanted = [each for each in named if each[1] < ours]
        if not wanted:
            return refused(LOOP, _OURSELVES)
        hosts = await self._with_addresses(wanted, share)
        if not hosts and answer.implicit:
            return refused(NO_SUCH_DOMAIN, f"{domain} has neither an MX nor an address")
        if not hosts:
            return refused(NO_ROUTE, f"none of the MX hosts of {domain} has an address")
        key = f"mx:{_short(in_order(hosts))}:{tls}"
        site = Site(key, Kind.SMTP, tuple(hosts), tls, is_found=True)
        found = self._checked(site)
        if not isinstance(found, Site):
            return found
        most = max(_FEWEST_OF_HOST, _MOST_ADDRESSES // len(found.hosts))
        each = (self._reachable(host, most) for host in found.hosts)
        reachable = tuple(host for host in each if host.addresses)
        if not reachable:
            return refused(
                NO_ROUTE, f"the MX of {domain} leads to this machine ([dns] local_exchangers)"
            )
        return replace(found, hosts=reachable)

    def _literal_site(self, domain: str, tls: TlsMode) -> Site | Outcome:
        ip = literal_address(domain)
        if ip is None:
            return refused(NO_SUCH_DOMAIN, f"{domain} is no address")
        if not self._exchangers.may_dial(ip):
            return refused(NO_ROUTE, f"{domain} is this machine ([dns] local_exchangers)")
        host = Host(ip, 0, (ip,), self._exchangers.port)
        return self._checked(Site(f"mx:{ip}:{tls}", Kind.SMTP, (host,), tls, is_found=True))

    def _reachable(self, host: Host, most: int) -> Host:
        """Return a host with those addresses that are dialled, `most` of them, of both versions of IP."""
        addresses = tuple(filter(self._exchangers.may_dial, host.addresses))
        if len(addresses) > most:
            addresses = happy_order(addresses)[:most]
        return host if addresses == host.addresses else replace(host, addresses=addresses)

    async def _with_addresses(self, wanted: Sequence[tuple[str, int]], share: Share) -> list[Host]:
        """Return those that have addresses.

        Raises:
            DnsTemporaryError: none has, and at least one might.

        """
        turns = asyncio.Semaphore(_AT_ONCE)

        async def addresses_of(name: str) -> tuple[str, ...]:
            async with turns:
                return await self._resolver.addresses(name, share)

        found = await asyncio.gather(
            *(addresses_of(name) for name, _ in wanted), return_exceptions=True
        )
        hosts, trouble = list[Host](), None
        for (name, preference), addresses in zip(wanted, found, strict=True):
            if isinstance(addresses, DnsTemporaryError):
                trouble = addresses
            elif isinstance(addresses, NoSuchDomainError):
                continue
            elif isinstance(addresses, BaseException):
                raise addresses
            elif addresses:
                hosts.append(
                    Host(name.lower(), preference, tuple(addresses), self._exchangers.port)
                )
        if not hosts and trouble is not None:
            raise trouble
        return hosts

    async def _given(self, name: str, port: int, share: Share) -> Host:
        """Return a host that the settings name: what is wrong with it can be mended."""
        try:
            return Host(name, 0, (str(ip_address(name)),), port)
        except ValueError:
            pass
        try:
            addresses = await self._resolver.addresses(name, share)
        except NoSuchDomainError:
            addresses = ()
        if not addresses:
            raise DnsTemporaryError(f"the next hop {name} has no address")
        return Host(name, 0, tuple(addresses), port)

    def _checked(self, site: Site) -> Site | Outcome:
        """Refuse what would come back to us."""
        us = self._ourselves
        hosts = without_us(
            site.hosts, [us.is_named(h.name) or us.listens_on(h) for h in site.hosts]
        )
        if not hosts:
            return refused(LOOP, _OURSELVES)
        return replace(site, hosts=hosts)


def _short(key: str) -> str:
    return key if len(key) <= _LONGEST_KEY else sha256(key.encode()).hexdigest()


def key_of(hop: Hop) -> tuple[Via, str]:
    """Return what two hops with the same site by settings share."""
    return hop.via, hop.destination if isinstance(hop.via, ViaMx) else ""
