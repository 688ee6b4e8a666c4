"""Have source addresses the names that receivers look for? A PTR record, whose name has the address and
is the one that we say in EHLO (RFC 5321 §4.1.4; the large providers' rules for senders).
"""

import asyncio
from collections.abc import Sequence
from ipaddress import ip_address
from typing import Final, Protocol

from gatepost.model.settings import Settings
from gatepost.operate.check_finding import Finding, Grade

#: Names of one address that are looked at.
_MOST: Final = 10
#: Seconds for which the DNS is waited for.
_PATIENCE: Final = 5.0


class Asks(Protocol):
    """A resolver."""

    async def records(self, name: str, kind: str) -> tuple[str, ...]:
        """Return records in presentation form."""
        ...


def name_findings(settings: Settings) -> list[Finding]:
    """Ask the DNS about all source addresses that others on the Internet see."""
    named = [
        (address, each.name)
        for each in settings.egress
        for address in each.source.addresses
        if ip_address(address).is_global
    ]
    if not named:
        return []
    from gatepost.net.resolver import resolver_from  # noqa: PLC0415 - for its price

    async def ask() -> list[Finding]:
        resolver = resolver_from(settings.dns)
        try:
            return await asyncio.gather(
                *(look_at(resolver, address, name) for address, name in named)
            )
        finally:
            await resolver.close()

    return asyncio.run(ask())


def dns_findings(settings: Settings) -> list[Finding]:
    """Ask the DNS about our own name, where mail goes by MX: whether it answers matters, not what."""
    if any("*" in route.match and route.via != "mx" for route in settings.routes):
        return []
    from gatepost.net.resolver import (  # noqa: PLC0415 - for its price
        DnsTemporaryError,
        NoSuchDomainError,
        resolver_from,
    )

    async def ask() -> str:
        resolver = resolver_from(settings.dns)
        try:
            async with asyncio.timeout(_PATIENCE):
                await resolver.records(settings.hostname, "A")
        except DnsTemporaryError as problem:
            return problem.reason
        except TimeoutError:
            return f"no answer within {_PATIENCE:.0f} s"
        except NoSuchDomainError:
            return ""
        finally:
            await resolver.close()
        return ""

    if not (reason := asyncio.run(ask())):
        return []
    what = f"it does not tell about {settings.hostname}: {reason}"
    mend = "mail that goes by MX waits (4.4.3) as long as it tells nothing: look at [dns] resolvers, or /etc/resolv.conf"
    return [Finding(Grade.WARNING, "dns", what, mend)]


async def look_at(resolver: Asks, address: str, name: str) -> Finding:
    """Return what there is to say of an IP address from which `name` is said in EHLO."""
    from gatepost.net.resolver import DnsTemporaryError, NoSuchDomainError  # noqa: PLC0415

    async def records(of: str, kind: str) -> Sequence[str]:
        try:
            return await resolver.records(of, kind)
        except NoSuchDomainError:
            return ()

    subject = f"egress {address}"
    kind = "AAAA" if ":" in address else "A"
    try:
        found = await records(ip_address(address).reverse_pointer, "PTR")
        names = [each.lower().removesuffix(".") for each in found[:_MOST]]
        theirs = {each: await records(each, kind) for each in {*names, name}}
    except DnsTemporaryError as problem:
        what = f"nobody could tell whether it has a PTR record: {problem.reason}"
        return Finding(Grade.WARNING, subject, what, "look at [dns] resolvers, or try again")
    wanted = ip_address(address)
    has_it = {each for each, texts in theirs.items() if wanted in map(ip_address, texts)}
    return judge(subject, names, has_it, name, kind)


def judge(subject: str, names: Sequence[str], has_it: set[str], name: str, kind: str) -> Finding:
    """Return the finding: `names` are those that the PTR records give, `has_it` those, and the EHLO name,
    whose records of a `kind` (A, AAAA) give the address.
    """
    said = " and ".join(names)
    proven = [each for each in names if each in has_it]
    if not names:
        what = "it has no PTR record: large providers refuse mail from it"
        mend = f"let whoever gave you the address write {name} into it"
    elif not proven:
        what = f"its PTR record says {said}, and that name has not this address"
        mend = f"write an {kind} record for it, or have the PTR record say {name}"
    elif name not in has_it:
        what = f"it calls as {name}, which has not this address; its PTR record says {said}"
        mend = f'write an {kind} record for {name}, or name = "{proven[0]}"'
    elif name not in names:
        what = f"it calls as {name}, and its PTR record says {said}: some receivers mind"
        mend = f'have the PTR record say {name}, or write name = "{proven[0]}"'
    else:
        return Finding(Grade.FINE, subject, f"its PTR record says {name}, which has this address")
    return Finding(Grade.WARNING, subject, what, mend)
