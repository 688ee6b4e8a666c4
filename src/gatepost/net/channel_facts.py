"""What a SASL exchange may know of its connection: channel bindings, a fresh nonce, the time."""

import time
from base64 import urlsafe_b64encode

from gatepost.net.channel_binding import ChannelBinding
from gatepost.net.clock import Entropy
from gatepost.net.connection import Connection
from gatepost.wire.sasl.exchange import ChannelFacts

#: Octets of chance in a nonce (RFC 5802 §5.1: different each time; RFC 4086), a multiple of three.
_NONCE = 18

_entropy = Entropy()


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
        nonce=urlsafe_b64encode(_entropy.octets(_NONCE)).decode("ascii"),
        hostname=hostname,
        at=int(time.time()),
    )
