"""`gatepost domain publish`: put a domain's records into its zone by dynamic update (RFC 2136)."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from gatepost.cli import usage
from gatepost.cli.context import NO, Json, fail, load_settings, print_json, say
from gatepost.cli.domain_verbs import Name, run, sending

if TYPE_CHECKING:
    from gatepost.net.dns_update import TsigKey
    from gatepost.operate.domain_publish import Step
    from gatepost.store.protocols import Store


def register(app: usage.Commands) -> None:
    """Put the command into `gatepost domain`."""
    app.command()(publish)


def publish(  # noqa: PLR0913, PLR0917 - the options of a command
    ctx: usage.Context,
    name: Name,
    server: Annotated[
        str,
        usage.Option("--server", metavar="HOST[:PORT]", help="The zone's primary server."),
    ],
    key_file: Annotated[
        Path,
        usage.Option(
            "--key-file",
            metavar="FILE",
            help="A TSIG key as tsig-keygen writes it, readable by its owner alone.",
        ),
    ],
    zone: Annotated[
        str | None,
        usage.Option("--zone", metavar="ZONE", help="The zone; else the server is asked."),
    ] = None,
    optional: Annotated[
        bool, usage.Option("--optional", help="Optional records, too: MTA-STS, TLS-RPT …")
    ] = False,
    dry_run: Annotated[
        bool, usage.Option("--dry-run", help="Say what would be done, and change nothing.")
    ] = False,
    json: Json = False,
) -> None:
    """Put what is missing into the domain's zone (RFC 2136); what others put there stays.

    Exit status 1 when the server refused, or a record is left to be mended by hand.
    """
    key = _key(key_file)

    async def work(store: "Store") -> "tuple[Step, ...]":
        from gatepost.model.domain_name import parse_domain, parse_host_port  # noqa: PLC0415
        from gatepost.model.wrong import WrongValueError  # noqa: PLC0415
        from gatepost.net.dns_update import DnsUpdateError, ZoneServer  # noqa: PLC0415
        from gatepost.operate.domain_publish import publish as put  # noqa: PLC0415
        from gatepost.operate.domain_records import records_of  # noqa: PLC0415
        from gatepost.operate.domains import show  # noqa: PLC0415

        try:
            where = parse_host_port(server, default_port=53)
            within = parse_domain(zone) if zone else None
        except WrongValueError as error:
            fail(error.wrongs[0].what, error.wrongs[0].mend)
        domain = await show(store, name)
        records = [r for r in records_of(domain, sending(ctx)) if optional or not r.optional]
        primary = ZoneServer(where.host, where.port, key)
        try:
            hostname = load_settings(ctx).hostname
            return await put(primary, within, records, hostname, rehearse=dry_run)
        except DnsUpdateError as error:
            fail(error.reason, error.mend, NO)

    _print(run(ctx, work), json=json, rehearsed=dry_run)


def _key(file: Path) -> "TsigKey":
    from gatepost.net.dns_update import parse_tsig_key  # noqa: PLC0415

    try:
        if file.stat().st_mode & 0o077:
            fail(f"{file}: others may read it", f"chmod 600 {file}")
        return parse_tsig_key(file.read_text("utf-8"))
    except OSError as error:
        fail(f"{file}: {(error.strerror or str(error)).lower()}", "give a readable key file")
    except ValueError as error:
        words = "it is not UTF-8 text" if isinstance(error, UnicodeDecodeError) else str(error)
        fail(f"{file} is no TSIG key: {words}", "make one: tsig-keygen -a hmac-sha256 NAME")


def _print(steps: "tuple[Step, ...]", *, json: bool, rehearsed: bool) -> None:
    from gatepost.operate.domain_publish import Action, step_json  # noqa: PLC0415

    if json:
        print_json([step_json(step) for step in steps])
    else:
        if rehearsed:
            say("nothing was changed; this would be done:")
        for step in steps:
            record = step.record
            words = f"{step.action.value:<7} {record.kind:<3} {record.name}"
            say(f"{words} ({record.purpose}): {step.why}")
    if any(step.action is Action.LEAVE for step in steps):
        raise usage.Exit(NO)
