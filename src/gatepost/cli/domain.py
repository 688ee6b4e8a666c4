"""`gatepost domain`: domains whose mail we sign, and what the DNS must say for them."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

from gatepost.cli import domain_claim, domain_publish, domain_set, usage
from gatepost.cli.acting import by, master_key
from gatepost.cli.context import NO, Json, fail, load_settings, print_json, print_table, say
from gatepost.cli.domain_verbs import Name, look_words, print_domain, print_findings, run, sending

if TYPE_CHECKING:
    from gatepost.model.domain import Domain
    from gatepost.model.domain_look import Finding
    from gatepost.operate.domain_looks import Seen
    from gatepost.store.protocols import Store

app: Final = usage.Commands(
    help="Sending domains: DKIM keys, the DNS records to publish, a live check.",
)

domain_publish.register(app)
domain_claim.register(app)
domain_set.register(app)


@app.command()
def add(
    ctx: usage.Context,
    name: Name,
    selector: Annotated[
        str | None,
        usage.Option("--selector", metavar="S", help="Where the imported key is published."),
    ] = None,
    dkim_key: Annotated[
        Path | None,
        usage.Option(
            "--dkim-key",
            metavar="FILE",
            help="Import this private key (PEM, RSA or Ed25519) instead of making new ones.",
        ),
    ] = None,
    account: Annotated[
        str | None,
        usage.Option(
            "--account",
            metavar="NAME",
            help="For this account, which has to prove first that it may send as it.",
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Add a domain: its mail is signed from now on. Prints the records to publish.

    With --account it is one that an account brings: "domain verify" lets it in.
    """
    if (selector is None) != (dkim_key is None):
        fail("--selector and --dkim-key belong together", "give both, or neither for new keys")
    if account is not None:
        if selector is not None:
            fail("--account goes without a key", "import it afterwards")
        domain_claim.ask_for(ctx, name, account, json=json)
        return
    pem = _read(dkim_key) if dkim_key else b""

    async def work(store: "Store") -> "Domain":
        from gatepost.operate.domains import ImportedKey  # noqa: PLC0415
        from gatepost.operate.domains import add as add_domain  # noqa: PLC0415

        imported = ImportedKey(selector, pem) if selector is not None else None
        return await add_domain(
            store, name, await master_key(ctx, store), imported=imported, by=by()
        )

    domain = run(ctx, work)
    print_domain(ctx, domain, json, f"added: mail from {domain.name} is signed")
    if not json:
        say(f'Publish these, then see "gatepost domain check {domain.name}".')


@app.command("list")
def list_(ctx: usage.Context, json: Json = False) -> None:
    """List all sending domains, and how each stood at the last look at the DNS."""

    async def work(store: "Store") -> "list[Seen]":
        from gatepost.operate.domain_looks import seen  # noqa: PLC0415

        return await seen(store)

    found = run(ctx, work)
    if json:
        from gatepost.operate.domain_records import domain_json  # noqa: PLC0415

        place = sending(ctx)
        print_json([domain_json(each.domain, place, each.look, each.claims) for each in found])
        return
    rows = [
        (
            each.domain.name,
            "unproven" if each.domain.unproven else look_words(each.look),
            ", ".join(f"{key.selector} ({key.state.value})" for key in each.domain.keys),
        )
        for each in found
    ]
    print_table(
        ("NAME", "DNS", "KEYS"),
        rows,
        empty='No sending domains; add one with "gatepost domain add NAME".',
    )


@app.command()
def show(ctx: usage.Context, name: Name, json: Json = False) -> None:
    """Show one domain, its keys (never a private one), the last look, the records to publish."""

    async def work(store: "Store") -> "Seen":
        from gatepost.operate.domain_looks import seen  # noqa: PLC0415

        return (await seen(store, name))[0]

    found = run(ctx, work)
    words = f"{found.domain.name}, added {found.domain.created_at:%Y-%m-%d}"
    print_domain(ctx, found.domain, json, words, found.look, found.claims)


@app.command()
def check(ctx: usage.Context, name: Name, json: Json = False) -> None:
    """Compare the live DNS with what is needed; 1 when something is missing or wrong.

    A running server takes what was found over.
    """

    async def work(store: "Store") -> "tuple[Finding, ...]":
        from gatepost.operate.domains import show as show_domain  # noqa: PLC0415

        return await _look(ctx, store, await show_domain(store, name))

    findings = run(ctx, work)
    print_findings(findings, json)
    if any(finding.is_serious for finding in findings):
        raise usage.Exit(NO)


@app.command("rotate-key")
def rotate_key(
    ctx: usage.Context,
    name: Name,
    forget: Annotated[
        bool,
        usage.Option("--forget-old", help="Remove retired keys, the last step of a rotation."),
    ] = False,
    at_once: Annotated[
        bool, usage.Option("--now", help="Even where mail that they signed may be under way.")
    ] = False,
    json: Json = False,
) -> None:
    """Take the next step of a rotation: make new keys; once they are published, sign with them.

    Run it, publish what it prints, run it again. The old keys stay published for mail under way,
    for as long as their signatures last; then --forget-old.
    """
    if forget:
        domain = run(ctx, _forgetting(ctx, name, at_once=at_once))
        print_domain(ctx, domain, json, "retired keys are removed; so may be their records")
        return
    domain, problems = run(ctx, _rotating(ctx, name))
    if problems and not json:
        print_findings(problems, json)
    if problems:
        print_domain(ctx, domain, json, "the new keys do not sign yet: publish them first")
        raise usage.Exit(NO)
    step = "publish the pending keys, then run this again"
    if not any(key.state.value == "pending" for key in domain.keys):
        step = "the new keys sign; keep the old records until --forget-old lets them go"
    print_domain(ctx, domain, json, step)


@app.command()
def remove(ctx: usage.Context, name: Name, json: Json = False) -> None:
    """Remove a domain and its keys. Its mail goes unsigned."""

    async def work(store: "Store") -> "Domain":
        from gatepost.operate.domains import remove as remove_domain  # noqa: PLC0415

        return await remove_domain(store, name, by=by())

    domain = run(ctx, work)
    if json:
        print_json({"removed": domain.name})
    else:
        say(f"removed: {domain.name}")


def _forgetting(
    ctx: usage.Context, name: str, *, at_once: bool
) -> "Callable[[Store], Awaitable[Domain]]":
    async def work(store: "Store") -> "Domain":
        from datetime import timedelta  # noqa: PLC0415

        from gatepost.operate.domains import forget_retired  # noqa: PLC0415
        from gatepost.reception.signing import lifetime  # noqa: PLC0415

        settings = load_settings(ctx)
        # Mail for later was signed when it came.
        needed = lifetime(settings.retry.give_up) + settings.limits.future_release
        if at_once:
            needed = timedelta(0)
        return await forget_retired(store, name, needed_for=needed, by=by())

    return work


def _rotating(
    ctx: usage.Context, name: str
) -> "Callable[[Store], Awaitable[tuple[Domain, list[Finding]]]]":
    """Return the work of one step: the domain after it, and what hinders pending keys."""

    async def work(store: "Store") -> "tuple[Domain, list[Finding]]":
        from gatepost.model.domain import DkimKeyState  # noqa: PLC0415
        from gatepost.net.resolver import resolver_from  # noqa: PLC0415
        from gatepost.operate import domains  # noqa: PLC0415
        from gatepost.operate.domain_check import check_keys  # noqa: PLC0415

        domain, key = await domains.show(store, name), await master_key(ctx, store)
        pending = domain.in_state(DkimKeyState.PENDING)
        if not pending:
            return await domains.prepare_rotation(store, name, key, by=by()), []
        resolver = resolver_from(load_settings(ctx).dns)
        found = await check_keys(domain, pending, resolver, key)
        if problems := [finding for finding in found if finding.is_serious]:
            return domain, problems
        await _look(ctx, store, domain)  # the new keys are known to be there before they sign
        return await domains.complete_rotation(store, name, by=by()), []

    return work


async def _look(ctx: usage.Context, store: "Store", domain: "Domain") -> "tuple[Finding, ...]":
    """Look at a domain in the live DNS, and keep what was found."""
    from gatepost.net.resolver import resolver_from  # noqa: PLC0415
    from gatepost.operate.domain_check import check as check_domain  # noqa: PLC0415
    from gatepost.operate.domain_looks import note  # noqa: PLC0415

    resolver = resolver_from(load_settings(ctx).dns)
    findings = await check_domain(domain, sending(ctx), resolver, await master_key(ctx, store))
    await note(store, domain, findings, by().now)
    return findings


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        fail(f"{file}: {(error.strerror or str(error)).lower()}", "give a readable PEM file")
