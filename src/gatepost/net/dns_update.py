"""Change a zone on its primary server: dynamic update, signed with TSIG (RFC 2136, RFC 8945).

Used by commands, never by workers. Knows dnspython, as `dns_exchange` does.
"""

import asyncio
import base64
import binascii
import re
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import dns.exception
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.tsig
import dns.update

from gatepost.model.secret import Secret

#: Seconds for one exchange; a primary that writes to a slow disk takes its time.
_PATIENCE: Final = 10.0
_LENGTH: Final = struct.Struct("!H")
#: Base64 may hold "//", too: a comment stands behind a space, a brace or a semicolon.
_COMMENT: Final = re.compile(r"(?m)(?:^|(?<=[\s{};]))(?:#|//).*$")
_KEY: Final = re.compile(r'key\s+"?([\w.-]+)"?\s*\{(.*?)\}\s*;?', re.DOTALL)
_STATEMENT: Final = re.compile(r'(algorithm|secret)\s+"?([^\s";]+)"?\s*;')
_ALGORITHMS: Final = {
    "hmac-sha224": dns.tsig.HMAC_SHA224,
    "hmac-sha256": dns.tsig.HMAC_SHA256,
    "hmac-sha384": dns.tsig.HMAC_SHA384,
    "hmac-sha512": dns.tsig.HMAC_SHA512,
}


class DnsUpdateError(Exception):
    """The server did not do it; `reason` is short and safe to show, `mend` says how to go on."""

    def __init__(self, reason: str, mend: str) -> None:
        super().__init__(f"{reason}: {mend}")
        self.reason = reason
        self.mend = mend


@dataclass(frozen=True, slots=True)
class TsigKey:
    """A shared key; `secret` is base64."""

    name: str
    algorithm: str
    secret: Secret


@dataclass(frozen=True, slots=True)
class Change:
    """A record to add; with `replaces`, whatever of its type stands at its name goes."""

    name: str
    kind: str
    text: str
    seconds: int
    replaces: bool = False


def parse_tsig_key(text: str) -> TsigKey:
    """Read a key file as BIND's tsig-keygen writes it: key "name" { algorithm …; secret "…"; };

    Raises:
        ValueError: it is none; the words say why, never the secret.

    """
    found = _KEY.search(_COMMENT.sub("", text))
    if found is None:
        raise ValueError('there is no key "NAME" { … } in it')
    said = dict(_STATEMENT.findall(found[2]))
    algorithm, secret = said.get("algorithm", "").lower(), said.get("secret", "")
    if algorithm not in _ALGORITHMS:
        raise ValueError(f"its algorithm is none of {', '.join(_ALGORITHMS)}")
    try:
        good = len(base64.b64decode(secret, validate=True)) >= 16
    except binascii.Error:
        good = False
    if not good:
        raise ValueError("its secret is missing, too short, or no base64")
    return TsigKey(found[1].lower().rstrip("."), algorithm, Secret(secret))


class ZoneServer:
    """A zone's primary server, asked and told over TCP with one key."""

    def __init__(self, host: str, port: int, key: TsigKey) -> None:
        self._host = host
        self._port = port
        name = dns.name.from_text(f"{key.name}.")
        algorithm = _ALGORITHMS[key.algorithm]
        self._key = dns.tsig.Key(name, key.secret.reveal(), algorithm)

    async def zone_of(self, name: str) -> str:
        """Return the zone on this server that holds a name: itself or the nearest above it.

        Raises:
            DnsUpdateError: there is none here.

        """
        zone = name
        while zone:
            reply = await self._ask(dns.message.make_query(f"{zone}.", "SOA"))
            own = (rrset for rrset in reply.answer if rrset.rdtype == dns.rdatatype.SOA)
            if reply.rcode() == dns.rcode.NOERROR and any(own):
                return zone
            zone = zone.partition(".")[2]
        raise DnsUpdateError(
            f"{self._host} holds no zone for {name}", "name the primary server of the zone"
        )

    async def records(self, name: str, kind: str) -> tuple[str, ...]:
        """Return what stands at a name now, in presentation form.

        Raises:
            DnsUpdateError: it does not tell.

        """
        reply = await self._ask(dns.message.make_query(f"{name}.", kind))
        if reply.rcode() not in {dns.rcode.NOERROR, dns.rcode.NXDOMAIN}:
            raise _refused(reply, self._host)
        wanted = dns.rdatatype.from_text(kind)
        return tuple(
            record.to_text() for rrset in reply.answer if rrset.rdtype == wanted for record in rrset
        )

    async def change(self, zone: str, changes: Iterable[Change]) -> None:
        """Make all changes to a zone, or none.

        Raises:
            DnsUpdateError: none was made.

        """
        update = dns.update.UpdateMessage(f"{zone}.")
        for change in changes:
            at = dns.name.from_text(f"{change.name}.")
            put = update.replace if change.replaces else update.add
            put(at, change.seconds, change.kind, change.text)
        reply = await self._ask(update)
        if reply.rcode() != dns.rcode.NOERROR:
            raise _refused(reply, self._host)

    async def _ask(self, message: dns.message.Message) -> dns.message.Message:
        message.use_tsig(self._key)
        octets = message.to_wire()
        try:
            async with asyncio.timeout(_PATIENCE):
                answer = await self._exchange(octets)
            # Without a signature only a no is believed: what is refused is not changed.
            if answer[3:4] and answer[3] & 0x0F and answer[10:12] == b"\0\0":
                return dns.message.from_wire(answer)
            return dns.message.from_wire(answer, keyring=self._key, request_mac=message.mac)
        except TimeoutError:
            raise self._away("no answer in time") from None
        except (OSError, EOFError) as problem:
            words = getattr(problem, "strerror", None) or str(problem) or type(problem).__name__
            raise self._away(words.lower()) from None
        except dns.tsig.PeerError as problem:
            raise DnsUpdateError(
                f"{self._host} does not know the key ({type(problem).__name__})",
                "use a key that the server knows; see that both clocks are right",
            ) from None
        except dns.exception.DNSException as problem:
            raise self._away(f"unusable answer ({type(problem).__name__})") from None

    async def _exchange(self, octets: bytes) -> bytes:
        reader, writer = await asyncio.open_connection(self._host, self._port)
        try:
            writer.write(_LENGTH.pack(len(octets)) + octets)
            (length,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
            return await reader.readexactly(length)
        finally:
            writer.close()

    def _away(self, words: str) -> DnsUpdateError:
        reason = f"{self._host} port {self._port}: {words}"
        return DnsUpdateError(reason, "name the primary server of the zone with --server HOST:PORT")


def _refused(reply: dns.message.Message, host: str) -> DnsUpdateError:
    code = dns.rcode.to_text(reply.rcode())
    return DnsUpdateError(
        f"{host} answers {code}",
        "let this key query and update the zone on its primary server"
        " (BIND: update-policy or allow-update; Knot: an acl with action update)",
    )
