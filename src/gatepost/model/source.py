"""Where our connections come from: the source addresses of a node, in pools (design §8)."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Final

#: The pool of mail that names none, and of addresses that name none.
DEFAULT: Final = "default"
#: What a route writes instead of a pool: the system chooses the source address.
SYSTEM: Final = "system"


@dataclass(frozen=True, slots=True)
class Source:
    """What a node may call from: an EHLO name (RFC 5321 §4.1.4) with an IPv4 address, an IPv6 address
    or both, in their shortest form. An address is of one source alone.
    """

    name: str
    ipv4: str | None = None
    ipv6: str | None = None
    pools: tuple[str, ...] = (DEFAULT,)

    @property
    def addresses(self) -> tuple[str, ...]:
        """Return its addresses, IPv4 first."""
        return tuple(filter(None, (self.ipv4, self.ipv6)))

    @property
    def key(self) -> str:
        """Return what connections have in common that come from here."""
        return f"{self.name} {self.ipv4} {self.ipv6}"

    def for_peer(self, address: str) -> str | None:
        """Return from where an IP address is called: from one of its own version of IP, if any."""
        return self.ipv6 if ":" in address else self.ipv4

    def without(self, out: Collection[str]) -> "Source":
        """Return what is left when these addresses are not to be used."""
        return replace(
            self,
            ipv4=None if self.ipv4 in out else self.ipv4,
            ipv6=None if self.ipv6 in out else self.ipv6,
        )
