"""`gatepost domain`: domains whose mail we sign, and what the DNS must say for them."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, TypeVar

import typer

from gatepost.cli.context import (
    NO,
    Json,
    fail,
    load_settings,
    print_json,
    print_table,
    run_with_store,
    say,
)

if TYPE_CHECKING:
    from gatepost.identity.master_key import MasterKey
    from gatepost.model.domain import Domain
    from gatepost.operate.accounts import By
    from gatepost.operate.domain_check import Finding
    from gatepost.store.protocols import Store

T = TypeVar("T")

app: Final = typer.Typer(
    help="Sending domains: DKIM keys, the DNS records to publish, a live check.",
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
)

Name = Annotated[str, typer.Argument(metavar="NAME", help='The domain, say "example.com".')]


@app.command()
def add(
    ctx: typer.Context,
    name: Name,
    selector: Annotated[
        str | None,
        typer.Option("--selector", metavar="S", help="Where the imported key is published."),
    ] = None,
    dkim_key: Annotated[
        Path | None,
        typer.Option(
            "--dkim-key",
            metavar="FILE",
            help="Import this private key (PEM, RSA or Ed25519) instead of making new ones.",
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Add a domain: its mail is signed from now on. Prints the records to publish."""
    if (selector is None) != (dkim_key is None):
        fail("--selector and --dkim-key belong together", "give both, or neither for new keys")
    pem = _read(dkim_key) if dkim_key else b""

    async def work(store: "Store") -> "Domain":
        from gatepost.operate.domains import ImportedKey  # noqa: PLC0415
        from gatepost.operate.domains import add as add_domain  # noqa: PLC0415

        imported = ImportedKey(selector, pem) if selector is not None else None
        return await add_domain(store, name, _master_key(ctx), imported=imported, by=_by())

    domain = _run(ctx, work)
    _print_domain(ctx, domain, json, f"added: mail from {domain.name} is signed")
    if not json:
        say(f'Publish these, then see "gatepost domain check {domain.name}".')


@app.command("list")
def list_(ctx: typer.Context, json: Json = False) -> None:
    """List all sending domains."""
    from gatepost.operate.domains import listing  # noqa: PLC0415

    domains = _run(ctx, listing)
    if json:
        from gatepost.operate.domain_records import domain_json  # noqa: PLC0415

        hostname = load_settings(ctx).hostname
        print_json([domain_json(domain, hostname) for domain in domains])
        return
    rows = [
        (d.name, ", ".join(f"{key.selector} ({key.state.value})" for key in d.keys))
        for d in domains
    ]
    print_table(
        ("NAME", "KEYS"),
        rows,
        empty='No sending domains; add one with "gatepost domain add NAME".',
    )


@app.command()
def show(ctx: typer.Context, name: Name, json: Json = False) -> None:
    """Show one domain, its keys (never a private one) and the records to publish."""

    async def work(store: "Store") -> "Domain":
        from gatepost.operate.domains import show as show_domain  # noqa: PLC0415

        return await show_domain(store, name)

    domain = _run(ctx, work)
    _print_domain(ctx, domain, json, f"{domain.name}, added {domain.created_at:%Y-%m-%d}")


@app.command()
def check(ctx: typer.Context, name: Name, json: Json = False) -> None:
    """Compare the live DNS with what is needed; 1 when something is missing or wrong."""

    async def work(store: "Store") -> "tuple[Finding, ...]":
        from gatepost.net.resolver import resolver_from  # noqa: PLC0415
        from gatepost.operate.domain_check import check as check_domain  # noqa: PLC0415
        from gatepost.operate.domains import show as show_domain  # noqa: PLC0415

        settings = load_settings(ctx)
        domain = await show_domain(store, name)
        resolver = resolver_from(settings.dns)
        return await check_domain(domain, settings.hostname, resolver, _master_key(ctx))

    findings = _run(ctx, work)
    _print_findings(findings, json)
    if any(finding.is_serious for finding in findings):
        raise typer.Exit(NO)


@app.command("rotate-key")
def rotate_key(
    ctx: typer.Context,
    name: Name,
    forget: Annotated[
        bool,
        typer.Option("--forget-old", help="Remove retired keys, the last step of a rotation."),
    ] = False,
    json: Json = False,
) -> None:
    """Take the next step of a rotation: make new keys; once they are published, sign with them.

    Run it, publish what it prints, run it again. The old keys stay published for mail under way;
    a week later, --forget-old.
    """
    if forget:
        domain = _run(ctx, _forgetting(name))
        _print_domain(ctx, domain, json, "retired keys are removed; so may be their records")
        return
    domain, problems = _run(ctx, _rotating(ctx, name))
    if problems and not json:
        _print_findings(problems, json)
    if problems:
        _print_domain(ctx, domain, json, "the new keys do not sign yet: publish them first")
        raise typer.Exit(NO)
    step = "publish the pending keys, then run this again"
    if not any(key.state.value == "pending" for key in domain.keys):
        step = "the new keys sign; keep the old records for a week, then --forget-old"
    _print_domain(ctx, domain, json, step)


@app.command()
def remove(ctx: typer.Context, name: Name, json: Json = False) -> None:
    """Remove a domain and its keys. Its mail goes unsigned."""

    async def work(store: "Store") -> "Domain":
        from gatepost.operate.domains import remove as remove_domain  # noqa: PLC0415

        return await remove_domain(store, name, by=_by())

    domain = _run(ctx, work)
    if json:
        print_json({"removed": domain.name})
    else:
        say(f"removed: {domain.name}")


def _forgetting(name: str) -> "Callable[[Store], Awaitable[Domain]]":
    async def work(store: "Store") -> "Domain":
        from gatepost.operate.domains import forget_retired  # noqa: PLC0415

        return await forget_retired(store, name, by=_by())

    return work


def _rotating(
    ctx: typer.Context, name: str
) -> "Callable[[Store], Awaitable[tuple[Domain, list[Finding]]]]":
    """Return the work of one step: the domain after it, and what hinders pending keys."""

    async def work(store: "Store") -> "tuple[Domain, list[Finding]]":
        from gatepost.model.domain import DkimKeyState  # noqa: PLC0415
        from gatepost.net.resolver import resolver_from  # noqa: PLC0415
        from gatepost.operate import domains  # noqa: PLC0415
        from gatepost.operate.domain_check import check_keys  # noqa: PLC0415

        domain, master_key = await domains.show(store, name), _master_key(ctx)
        pending = domain.in_state(DkimKeyState.PENDING)
        if not pending:
            return await domains.prepare_rotation(store, name, master_key, by=_by()), []
        resolver = resolver_from(load_settings(ctx).dns)
        found = await check_keys(domain, pending, resolver, master_key)
        if problems := [finding for finding in found if finding.is_serious]:
            return domain, problems
        return await domains.complete_rotation(store, name, by=_by()), []

    return work


def _run(ctx: typer.Context, work: "Callable[[Store], Awaitable[T]]") -> T:
    from gatepost.identity.master_key import MasterKeyError  # noqa: PLC0415
    from gatepost.operate.domains import (  # noqa: PLC0415
        DomainError,
        DomainExistsError,
        NoSuchDomainHereError,
    )

    try:
        return run_with_store(ctx, work)
    except (DomainExistsError, NoSuchDomainHereError) as error:
        fail(error.what, error.mend, NO)
    except DomainError as error:
        fail(error.what, error.mend)
    except MasterKeyError as error:
        fail(str(error))


def _master_key(ctx: typer.Context) -> "MasterKey":
    from gatepost.identity.master_key import read_master_key  # noqa: PLC0415

    return read_master_key(load_settings(ctx).master_key)


def _by() -> "By":
    from gatepost.net.clock import now  # noqa: PLC0415
    from gatepost.operate.accounts import By  # noqa: PLC0415
    from gatepost.operate.operator import operator_name  # noqa: PLC0415

    return By(now(), operator_name())


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        fail(f"{file}: {(error.strerror or str(error)).lower()}", "give a readable PEM file")


def _print_domain(ctx: typer.Context, domain: "Domain", json: bool, words: str) -> None:
    from gatepost.operate.domain_records import (  # noqa: PLC0415
        domain_json,
        records_of,
        zone_snippet,
    )

    hostname = load_settings(ctx).hostname
    if json:
        print_json(domain_json(domain, hostname))
        return
    say(words)
    say()
    records = records_of(domain, hostname)
    for record in records:
        say(f"{record.purpose}: {record.why}")
        say(f"  TXT at {record.name}")
        say(f"  {record.text}")
    say()
    say("The same for a zone file (BIND):")
    say()
    say(zone_snippet(records))
    say()


def _print_findings(findings: "tuple[Finding, ...] | list[Finding]", json: bool) -> None:
    if json:
        from gatepost.operate.domain_check import finding_json  # noqa: PLC0415

        print_json([finding_json(finding) for finding in findings])
        return
    for finding in findings:
        say(f"{finding.standing.value:<8} {finding.purpose:<6} {finding.name}: {finding.what}")
        if finding.mend:
            say(f"         {finding.mend}")
