"""`gatepost domain add --account` and `domain verify`: domains that accounts bring along."""

from typing import TYPE_CHECKING, Annotated

from gatepost.cli import usage
from gatepost.cli.acting import by, master_key
from gatepost.cli.context import NO, Json, fail, load_settings, print_json, say
from gatepost.cli.domain_verbs import Name, print_claims, print_domain, run

if TYPE_CHECKING:
    from gatepost.operate.domain_claims import Claimed
    from gatepost.store.protocols import Store


def register(app: usage.Commands) -> None:
    """Put the command into `gatepost domain`."""
    app.command()(verify)


def ask_for(ctx: usage.Context, name: str, account: str, *, json: bool) -> None:
    """Ask for a domain on behalf of an account, and say what proves it."""

    async def work(store: "Store") -> "Claimed":
        from gatepost.operate.domain_claims import claim  # noqa: PLC0415

        return await claim(store, name, account, await master_key(ctx, store), by=by())

    found = run(ctx, work)
    words = f"asked for: {found.domain.name}"
    print_domain(ctx, found.domain, json, words, claims=found.claims)
    if not json and found.unproven:
        say(f'Publish these, then run "gatepost domain verify {found.domain.name}".')


def verify(
    ctx: usage.Context,
    name: Name,
    account: Annotated[
        str | None, usage.Option("--account", metavar="NAME", help="Only this one's claim.")
    ] = None,
    json: Json = False,
) -> None:
    """Look whether accounts have proven that a domain is theirs, and let them send as it then.

    Exit status 1 while one has not.
    """

    async def work(store: "Store") -> "Claimed":
        from gatepost.net.resolver import DnsTemporaryError, resolver_from  # noqa: PLC0415
        from gatepost.operate import domain_claims  # noqa: PLC0415

        claimed = await domain_claims.claims(store, name, account)
        try:
            resolver = resolver_from(load_settings(ctx).dns)
            return await domain_claims.verify(store, claimed, resolver, by=by())
        except DnsTemporaryError as problem:
            fail(f"the DNS does not answer: {problem.reason}", "try again", NO)

    found = run(ctx, work)
    if json:
        from gatepost.operate.domain_records import claim_json  # noqa: PLC0415

        print_json([claim_json(claim) for claim in found.claims])
    elif found.claims:
        print_claims(found.claims)
    else:
        say(f"no account has asked for {found.domain.name}")
    if found.unproven:
        raise usage.Exit(NO)
