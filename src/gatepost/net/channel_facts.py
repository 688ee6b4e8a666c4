"""What a SASL exchange may know of its connection: channel bindings, a fresh nonce, the time."""

import time
from secrets import token_urlsafe

from gatepost.net.channel_binding import ChannelBinding
from gatepost.net.connection import Connection
from gatepost.wire.sasl.exchange import ChannelFacts

#: Octets of chance in a nonce (RFC 5802 §5.1: different each time; RFC 4086).
_NONCE = 18


def channel_facts(
    connection: Connection, *, hostname: str, offers_plus: bool = False, binds: bool = True
) -> ChannelFacts:
    """Return the facts for one exchange, either side's; see there. `binds` False: the exchange
    does not look at channel bindings.
    """
    binding = connection.binding() if binds else ChannelBinding()
    return ChannelFacts(
        tls_version=connection.tls.version if connection.tls else "",
        exporter=binding.exporter,
        end_point=binding.end_point,
        former_end_points=binding.former_end_points,
        offers_plus=offers_plus,
        nonce=token_urlsafe(_NONCE),
        hostname=hostname,
        at=int(time.time()),
    )
