"""What the verbs of `gatepost domain` share: the store, what is printed."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, Final, TypeVar

from gatepost.cli import usage
from gatepost.cli.context import NO, fail, load_settings, print_json, run_with_store, say

if TYPE_CHECKING:
    from gatepost.model.domain import Domain
    from gatepost.model.domain_claim import DomainClaim
    from gatepost.model.domain_look import DomainLook, Finding
    from gatepost.operate.domain_records import Sending
    from gatepost.store.protocols import Store

T = TypeVar("T")

#: Where a command remembers what nodes call from.
_SOURCES: Final = "gatepost.sources"

Name = Annotated[str, usage.Argument(metavar="NAME", help='The domain, say "example.com".')]


def run(ctx: usage.Context, work: "Callable[[Store], Awaitable[T]]") -> T:
    """Do a verb's work on the store; say in words why it did nothing."""
    from gatepost.identity.master_key import MasterKeyError  # noqa: PLC0415
    from gatepost.operate.accounts import AccountError, NoSuchAccountError  # noqa: PLC0415
    from gatepost.operate.domain_claims import NoSuchClaimError  # noqa: PLC0415
    from gatepost.operate.domain_records import announced_sources  # noqa: PLC0415
    from gatepost.operate.domains import (  # noqa: PLC0415
        DomainError,
        DomainExistsError,
        NoSuchDomainHereError,
        StillNeededError,
    )

    async def noting_sources(store: "Store") -> T:
        ctx.meta[_SOURCES] = await store.read(announced_sources)
        return await work(store)

    try:
        return run_with_store(ctx, noting_sources)
    except (
        DomainExistsError,
        NoSuchAccountError,
        NoSuchClaimError,
        NoSuchDomainHereError,
        StillNeededError,
    ) as error:
        fail(error.what, error.mend, NO)
    except (DomainError, AccountError) as error:
        fail(error.what, error.mend)
    except MasterKeyError as error:
        fail(str(error))


def sending(ctx: usage.Context) -> "Sending":
    """Return what records depend on besides the domain; what other nodes call from is known once
    `run` has opened the store.
    """
    from gatepost.operate.domain_records import sending_from  # noqa: PLC0415

    return sending_from(load_settings(ctx), ctx.meta.get(_SOURCES, ()))


def print_domain(
    ctx: usage.Context,
    domain: "Domain",
    json: bool,
    words: str,
    look: "DomainLook | None" = None,
    claims: "tuple[DomainClaim, ...]" = (),
) -> None:
    """Say what was done, how the domain stood at the last look, and every record to publish."""
    from gatepost.operate.domain_records import (  # noqa: PLC0415
        domain_json,
        inbound_hosts,
        records_of,
        sts_policy,
        zone_snippet,
    )

    place = sending(ctx)
    if json:
        print_json(domain_json(domain, place, look, claims))
        return
    say(words)
    if place.hostname == "localhost":
        say('The records name "localhost": set hostname in gatepost.toml before you publish them.')
    print_claims(claims)
    if domain.unpublished:
        say(f"while its key is not published: {domain.unpublished}")
    if look:
        say(look_words(look))
        print_findings([each for each in look.findings if each.is_serious], json=False)
    say()
    records = records_of(domain, place)
    for record in records:
        word = " (optional)" if record.optional else ""
        say(f"{record.purpose}{word}: {record.why}")
        say(f"  {record.kind} at {record.name}")
        say(f"  {record.text}")
    for host in inbound_hosts(domain, place):
        policy = sts_policy(host, place)
        say(f"MTA-STS policy (optional), to be served at {policy.url}:")
        say("".join(f"  {line}\n" for line in policy.text.splitlines()).rstrip("\n"))
    say()
    say("The same for a zone file (BIND):")
    say()
    say(zone_snippet(records))
    say()


def print_claims(claims: "tuple[DomainClaim, ...]") -> None:
    """Say which accounts have asked for a domain, and what each must publish."""
    for claim in claims:
        if claim.proven_at:
            say(f"{claim.account} has proven on {claim.proven_at:%Y-%m-%d} that it may send as it")
            if claim.missing_since:
                say(f"  but its record is missing since {claim.missing_since:%Y-%m-%d}:")
                say(f"  TXT at {claim.record_name}: {claim.record_text}")
            continue
        say(f"{claim.account} may not send as it yet: it publishes first")
        say(f"  TXT at {claim.record_name}")
        say(f"  {claim.record_text}")


def look_words(look: "DomainLook | None") -> str:
    """Return in a few words how a domain stood at the last look."""
    if look is None:
        return "not looked at yet"
    if look.health.value == "unseen":
        return f"not known, last asked for at {look.looked_at:%Y-%m-%d %H:%M} UTC"
    since = f"since {look.since:%Y-%m-%d %H:%M}"
    return f"{look.health.value} {since}, last looked at {look.looked_at:%Y-%m-%d %H:%M} UTC"


def print_findings(findings: "tuple[Finding, ...] | list[Finding]", json: bool) -> None:
    """Say how each record stands, and its mend."""
    if json:
        from gatepost.operate.domain_records import finding_json  # noqa: PLC0415

        print_json([finding_json(finding) for finding in findings])
        return
    for finding in findings:
        say(f"{finding.standing.value:<8} {finding.purpose:<7} {finding.name}: {finding.what}")
        if finding.mend:
            say(f"         {finding.mend}")
