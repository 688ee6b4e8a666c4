"""Which mechanisms are offered: those that the settings name and that can work, here and now.

Pure. A listener has its list from the settings; a session's TLS may make it shorter.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from gatepost.net.tls_channel import TlsInfo
from gatepost.wire.sasl.exchange import Needs
from gatepost.wire.sasl.mechanisms import CLIENTS, MECHANISMS

_TOKENS: Final = frozenset(name for name, m in CLIENTS.items() if m.needs is Needs.TOKEN)
_CERTIFICATE: Final = "EXTERNAL"
#: Channel bindings are offered on this one only (decision 17).
_BINDING_TLS: Final = "TLSv1.3"


@dataclass(frozen=True, slots=True)
class Possible:
    """What there is to check logins with: tokens ([auth.oauth]), client certificates (the
    listener's), channel binding (`net.channel_binding.is_sound`).
    """

    tokens: bool = False
    certificates: bool = False
    binding: bool = False


def offered(named: Iterable[str], possible: Possible) -> tuple[str, ...]:
    """Return what a listener offers of the mechanisms that the settings name, in their order."""

    def can_work(name: str) -> bool:
        if name in _TOKENS:
            return possible.tokens
        if name == _CERTIFICATE:
            return possible.certificates
        return possible.binding or not MECHANISMS[name].binds_channel

    return tuple(name for name in named if can_work(name))


def offered_within(names: tuple[str, ...], tls: TlsInfo | None) -> tuple[str, ...]:
    """Return what a session offers: PLUS on TLS 1.3 only, EXTERNAL to who has shown a certificate."""
    binds = tls is not None and tls.version == _BINDING_TLS
    shown = tls is not None and tls.peer_certificate is not None
    return tuple(
        name
        for name in names
        if (binds or not MECHANISMS[name].binds_channel) and (shown or name != _CERTIFICATE)
    )
