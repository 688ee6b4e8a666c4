"""Sign what goes out, with the keys of its author's domain and with no others (RFC 6376 §5).

The domain of From, or the nearest one above it that was added, is d=, so that the signature is
aligned for DMARC. No such domain: the message goes unsigned.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from gatepost.identity.master_key import MasterKey, MasterKeyError
from gatepost.model.domain import DkimKey, DkimKeyState, Domain, sealing_context
from gatepost.model.domain_look import DomainLook
from gatepost.model.grant import canonical
from gatepost.net.clock import now
from gatepost.reception.readiness import Unpublished, mode_of, unready
from gatepost.store.freshness import Freshness
from gatepost.store.protocols import Reading, Store, StoreUnavailableError
from gatepost.wire.dkim.canonical import body_hash
from gatepost.wire.dkim.sign import BadKeyError, SigningKey, SigningTime, parse_private_key, sign
from gatepost.wire.dkim.verify import DkimResult, verify
from gatepost.wire.message.addresses import authors_of
from gatepost.wire.message.header import HeaderFault, scan, value_of
from gatepost.wire.message.limits import HEADER_SECTION
from gatepost.wire.records.dkim_key import KeyType, dkim_key_text, key_name

_log = logging.getLogger(__name__)

#: With the poll's 0.2 s and the time of a read, a change is heard of within 1 s (decision 5).
_STALE_AFTER: Final = 0.6
#: Octets above which hashing a body would hold up other sessions: it goes to a thread.
_LARGE: Final = 256 * 1024
_PIECE: Final = 64 * 1024
#: From with authors in several domains is signed for so many of them.
_MOST_DOMAINS: Final = 4
#: A signature outlives the longest wait in our queue by this, for queues of others.
_GRACE: Final = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Signed:
    """Signatures to put before a message, and "domain/selector" of each; b"" and () for none.

    `broken` says what is wrong where they were verified and do not hold, or where the domain's keys
    cannot be opened: then nothing is signed.
    """

    prefix: bytes
    by: tuple[str, ...]
    broken: str = ""


@dataclass(frozen=True, slots=True)
class SigningRules:
    """`unpublished`: what is done while a domain's key is not published. `verify_sample`: one
    message in so many is verified before it leaves; 0 for none.
    """

    unpublished: Unpublished = Unpublished.SIGN
    verify_sample: int = 1


_UNSIGNED: Final = Signed(b"", ())


def lifetime(give_up: timedelta) -> timedelta:
    """Return how long a signature is good, when mail waits here for `give_up` at most."""
    return give_up + _GRACE


class Signer:
    """Knows the signing keys of all domains, parsed once. Used from one event loop."""

    def __init__(
        self,
        store: Store,
        master_key: MasterKey,
        give_up: timedelta,
        rules: SigningRules = SigningRules(),
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take `give_up`, the longest that a message waits here: signatures last longer."""
        self.rules = rules
        self._store = store
        self._master_key = master_key
        self._lifetime = round(lifetime(give_up).total_seconds())
        self._domains: list[Domain] = []
        self._keys: dict[str, tuple[SigningKey, ...]] = {}
        self._parsed: dict[DkimKey, SigningKey] = {}
        #: Domains that have keys to sign with, none of which opens.
        self._shut: frozenset[str] = frozenset()
        self._unready: dict[str, Unpublished] = {}
        self._until_verified = 0
        self._freshness = Freshness(_STALE_AFTER, clock)

    async def note_version(self, data_version: int) -> None:
        """Pass on what `Store.data_version` says: keys are read again after a change, but not with
        every commit of a neighbour.

        Raises:
            StoreUnavailableError: the store cannot be read; the keys stay as they were.

        """
        if self._freshness.is_due(data_version):
            await self.refresh()

    async def refresh(self) -> None:
        """Read the domains and their keys anew.

        Raises:
            StoreUnavailableError: the store cannot be read; the keys stay as they were.

        """
        self._freshness.reading()
        try:
            domains, looks = await self._store.read(self._read)
        except StoreUnavailableError:
            self._freshness.failed()
            raise
        domains = [domain for domain in domains if not domain.unproven]
        self._unready = unready(domains, looks, self.rules.unpublished)
        if domains != self._domains:
            self._keys, self._parsed = await asyncio.to_thread(self._parse, domains)
            self._domains = domains
            signing = [each for each in domains if each.in_state(DkimKeyState.ACTIVE)]
            self._shut = frozenset(d.name for d in signing if not self._keys[d.name])

    def _read(self, reading: Reading) -> tuple[list[Domain], Mapping[str, DomainLook]]:
        # Looks only where somebody asks for them: they would cost the most of every refresh.
        domains = reading.domains()
        default = self.rules.unpublished
        asked = any(mode_of(each, default) is not Unpublished.SIGN for each in domains)
        return domains, reading.domain_looks() if asked else {}

    async def sign(
        self,
        pieces: Sequence[bytes],
        authors: Iterable[str],
        at: datetime,
        held: timedelta = timedelta(0),
    ) -> Signed:
        """Return the signatures for a message of which `authors` are the addresses of From; they
        last longer by the time that it is `held` before its first attempt.
        """
        authors = tuple(authors)
        if closed := self._closed(authors):
            return Signed(b"", closed, "its DKIM key cannot be opened: see gatepost check")
        return await self.sign_with(self.keys_for(authors), pieces, at, held)

    async def sign_with(
        self,
        keys: Sequence[SigningKey],
        pieces: Sequence[bytes],
        at: datetime,
        held: timedelta = timedelta(0),
    ) -> Signed:
        """Return the signatures that these keys make, as `sign` does."""
        if not keys:
            return _UNSIGNED
        signed_at = int(at.timestamp())
        lifetime = self._lifetime + round(held.total_seconds())
        when = SigningTime(signed_at, signed_at + lifetime)
        if sum(map(len, pieces)) <= _LARGE:
            # Inline: handing it to a thread cost a fifth of the signature, and all cores have workers.
            made = _sign_small(b"".join(pieces), keys, when)
            broken = _fault_in(made, pieces, keys, signed_at) if self._is_sample() else ""
        else:
            made = await asyncio.to_thread(_sign_large, pieces, keys, when)
            broken = ""
            if self._is_sample():
                broken = await asyncio.to_thread(_fault_in, made, pieces, keys, signed_at)
        if broken:
            self._until_verified = 0  # all, until one is good again
            _log.error("a signature of ours is not good (%s): %s", " ".join(made.by), broken)
            return Signed(b"", made.by, broken)
        return made

    def _closed(self, authors: Iterable[str]) -> tuple[str, ...]:
        """Return those domains of the authors whose signing keys cannot be opened."""
        if not self._shut:
            return ()
        return tuple(sorted(self._shut & {self._domain_of(author) for author in authors}))

    def _is_sample(self) -> bool:
        """Tell whether this message is one of those that are verified; the first one is."""
        if not self.rules.verify_sample:
            return False
        if self._until_verified > 0:
            self._until_verified -= 1
            return False
        self._until_verified = self.rules.verify_sample - 1
        return True

    def unready(self, authors: Iterable[str]) -> str:
        """Return the first domain that would sign for these authors and whose key is not known to
        be published; "" for none, and where nobody asks.
        """
        if not self._unready:
            return ""
        domains = (self._domain_of(author) for author in authors)
        return next((domain for domain in domains if domain in self._unready), "")

    def while_unready(self, domain: str) -> Unpublished:
        """Return what is done with mail of a domain that `unready` named."""
        return self._unready.get(domain, Unpublished.SIGN)

    def keys_for(self, authors: Iterable[str]) -> tuple[SigningKey, ...]:
        """Return who signs for these authors: the keys of each one's own domain, or of the nearest
        above it.
        """
        if not self._keys:
            return ()
        found: dict[str, tuple[SigningKey, ...]] = {}
        for author in authors:
            domain = self._domain_of(author)
            if domain and len(found) < _MOST_DOMAINS:
                found[domain] = self._keys[domain]
        return tuple(key for keys in found.values() for key in keys)

    def _domain_of(self, author: str) -> str:
        name = (canonical(author) or "").rpartition("@")[2]
        while name and name not in self._keys:
            name = name.partition(".")[2]
        return name

    def _parse(
        self, domains: Iterable[Domain]
    ) -> tuple[dict[str, tuple[SigningKey, ...]], dict[DkimKey, SigningKey]]:
        keys: dict[str, tuple[SigningKey, ...]] = {}
        parsed: dict[DkimKey, SigningKey] = {}
        for domain in domains:
            for key in domain.in_state(DkimKeyState.ACTIVE):
                known = self._parsed.get(key) or self._open(domain.name, key)
                if known:
                    parsed[key] = known
            mine = [parsed[key] for key in domain.keys if key in parsed]
            # Some verifiers look at the first signature only, and know RSA only.
            keys[domain.name] = tuple(sorted(mine, key=lambda k: k.key_type is not KeyType.RSA))
        return keys, parsed

    def _open(self, domain: str, key: DkimKey) -> SigningKey | None:
        try:
            pem = self._master_key.open(key.private_key, sealing_context(domain, key.selector))
            return SigningKey(domain, key.selector, parse_private_key(pem.encode()))
        except (MasterKeyError, BadKeyError) as problem:
            _log.error("DKIM key %s of %s does not sign: %s", key.selector, domain, problem)
            return None


async def sign_again(signer: Signer, domains: Collection[str], content: bytes) -> bytes:
    """Return signatures for content of ours that was changed on its way out, b"" for none: by those of
    `domains`, which signed it when its authors were judged, that are still its authors'.
    """
    header = scan(content[: 2 * HEADER_SECTION], completed=True)
    if not domains or isinstance(header, HeaderFault):
        return b""
    fields = header.named(b"from")
    authors = authors_of(value_of(content, fields[0])) if len(fields) == 1 else ()
    if isinstance(authors, HeaderFault):
        return b""
    keys = [key for key in signer.keys_for(authors) if key.domain in domains]
    return (await signer.sign_with(keys, (content,), now())).prefix


def _sign_small(content: bytes, keys: Sequence[SigningKey], when: SigningTime) -> Signed:
    header = scan(content, completed=True)
    if isinstance(header, HeaderFault):
        return _UNSIGNED
    digest = body_hash((content[header.body :],))
    return Signed(sign(content, header, digest, keys, when), _names(keys))


def _sign_large(pieces: Sequence[bytes], keys: Sequence[SigningKey], when: SigningTime) -> Signed:
    head = b"".join(_cut(pieces, 0, 2 * HEADER_SECTION))
    header = scan(head, completed=True)
    if isinstance(header, HeaderFault):
        return _UNSIGNED
    digest = body_hash(_cut(pieces, header.body, None))
    return Signed(sign(head, header, digest, keys, when), _names(keys))


def _fault_in(made: Signed, pieces: Sequence[bytes], keys: Sequence[SigningKey], at: int) -> str:
    """Verify signatures as a receiver would, and return what is wrong; "" for nothing."""
    content = b"".join((made.prefix, *pieces))
    if not made.by or isinstance(scan(content), HeaderFault):
        return ""  # unsigned, or its header is too long to be looked at
    records = {
        key_name(key.selector, key.domain): (dkim_key_text(key.key_type, key.public),)
        for key in keys
    }
    ours = verify(content, records, at)[: len(keys)]
    bad = [
        f"{verdict.result.value} ({verdict.reason})"
        for verdict in ours
        if verdict.result is not DkimResult.PASS
    ]
    return ", ".join(bad)


def _cut(pieces: Iterable[bytes], start: int, end: int | None) -> Iterator[bytes]:
    """Yield the octets from `start` up to `end` (None: all), some at a time."""
    position = 0
    for piece in pieces:
        for at in range(0, len(piece), _PIECE):
            part = piece[at : at + _PIECE]
            first = max(0, start - position)
            if first < len(part):
                yield part[first:] if first else part
            position += len(part)
            if end is not None and position >= end:
                return


def _names(keys: Iterable[SigningKey]) -> tuple[str, ...]:
    return tuple(f"{key.domain}/{key.selector}" for key in keys)
