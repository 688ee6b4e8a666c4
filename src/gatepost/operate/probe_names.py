"""What DNS says of the host that is to be probed: addresses, and whose mail it takes."""

import asyncio
from ipaddress import ip_address

from gatepost.net.resolver import DnsTemporaryError, NoSuchDomainError, Resolver
from gatepost.operate.probe_seen import Mark, NamesSeen, Stage, Step
from gatepost.operate.probe_talk import Clock


async def look_up(host: str, resolver: Resolver, clock: Clock) -> NamesSeen:
    """Return a host's addresses, and the mail exchangers of the name if it has any."""
    if _is_address(host):
        return NamesSeen((host,))
    began = clock.now()
    exchangers = asyncio.ensure_future(_exchangers(host, resolver, clock))
    try:
        seen = await _addresses(host, resolver, clock)
        found = await exchangers
    finally:
        exchangers.cancel()
    words = ", ".join(seen.addresses) or seen.trouble or "no address"
    if not seen.exists:
        words = "no such name"
    if found:
        words += f"; mail for {host} goes to {', '.join(found[:3])}"
    mark = Mark.FINE if seen.addresses else Mark.NO
    took = clock.now() - began
    step = Step(Stage.DNS, clock.since_start(began), took, mark, words)
    return NamesSeen(seen.addresses, seen.exists, seen.trouble, found, step)


async def _addresses(host: str, resolver: Resolver, clock: Clock) -> NamesSeen:
    try:
        async with asyncio.timeout(clock.patience.dns):
            return NamesSeen(await resolver.addresses(host))
    except NoSuchDomainError:
        return NamesSeen(exists=False)
    except DnsTemporaryError as problem:
        return NamesSeen(trouble=problem.reason)
    except TimeoutError:
        return NamesSeen(trouble="no answer")


async def _exchangers(host: str, resolver: Resolver, clock: Clock) -> tuple[str, ...]:
    if "." not in host:
        return ()
    try:
        async with asyncio.timeout(clock.patience.dns):
            answer = await resolver.mx(host)
    except (NoSuchDomainError, DnsTemporaryError, TimeoutError):
        return ()
    if answer.implicit:
        return ()
    return tuple(record.host for record in answer.records)


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
