"""`gatepost suppression`: whom no mail is sent to any more."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

from gatepost.cli import usage
from gatepost.cli.account_verbs import Name, run
from gatepost.cli.acting import by
from gatepost.cli.context import NO, Json, fail, print_json, print_table, say, say_error

if TYPE_CHECKING:
    from gatepost.model.suppression import Suppression, SuppressionClass
    from gatepost.operate.suppressions import Imported, Why
    from gatepost.store.protocols import Store
    from gatepost.store.suppressions import AccountRule

app: Final = usage.Commands(
    help="Whom no mail is sent to any more: add, remove, list, import, rule.",
)

What = Annotated[
    str, usage.Argument(metavar="ADDRESS_OR_@DOMAIN", help='"bob@example.com", "@example.com".')
]
Account = Annotated[
    str | None,
    usage.Option("--account", metavar="NAME", help="For this account; else for all."),
]
Stream = Annotated[
    str, usage.Option("--stream", metavar="S", help="For one stream of mail; else for all.")
]
Class = Annotated[
    str,
    usage.Option("--class", metavar="C", help="manual, bounced, complaint or unsubscribed."),
]
Reason = Annotated[str, usage.Option("--reason", metavar="TEXT", help="Why, in your words.")]


@app.command()
def add(  # noqa: PLR0913, PLR0917 - one for each option
    ctx: usage.Context,
    what: What,
    account: Account = None,
    stream: Stream = "",
    class_: Class = "manual",
    reason: Reason = "",
    json: Json = False,
) -> None:
    """Send no more mail to an address or a domain."""
    why = _why(class_, reason)

    async def work(store: "Store") -> "Suppression":
        from gatepost.operate.suppressions import Scope  # noqa: PLC0415
        from gatepost.operate.suppressions import add as add_one  # noqa: PLC0415

        return await add_one(store, what, why, Scope(account, stream), by=by())

    _print_one(run(ctx, work), "suppressed", json=json)


@app.command()
def remove(
    ctx: usage.Context,
    what: What,
    account: Account = None,
    stream: Stream = "",
    json: Json = False,
) -> None:
    """Send to an address or a domain again."""

    async def work(store: "Store") -> "Suppression":
        from gatepost.operate.suppressions import Scope  # noqa: PLC0415
        from gatepost.operate.suppressions import remove as remove_one  # noqa: PLC0415

        return await remove_one(store, what, Scope(account, stream), by=by())

    _print_one(run(ctx, work), "suppressed no longer", json=json)


@app.command("list")
def list_(  # noqa: PLR0913, PLR0917 - one for each option
    ctx: usage.Context,
    what: Annotated[
        str | None,
        usage.Argument(metavar="[ADDRESS_OR_@DOMAIN]", help="Only this one's."),
    ] = None,
    account: Account = None,
    stream: Stream = "",
    class_: Annotated[
        str | None, usage.Option("--class", metavar="C", help="Only those of this class.")
    ] = None,
    limit: Annotated[int, usage.Option("--limit", min=1, help="Lines at most.")] = 1000,
    json: Json = False,
) -> None:
    """List who is suppressed, by address."""

    async def work(store: "Store") -> "list[Suppression]":
        from gatepost.operate.suppressions import Scope, filter_of, listing  # noqa: PLC0415

        kind = None if class_ is None else _class(class_)
        return await listing(store, filter_of(what, Scope(account, stream), kind), limit=limit)

    found = run(ctx, work)
    if json:
        from gatepost.operate.suppressions import suppression_json  # noqa: PLC0415

        print_json([suppression_json(each) for each in found])
        return
    rows = [
        (
            s.subject,
            s.kind.value,
            s.account or "all",
            s.stream or "all",
            f"{s.since:%Y-%m-%d}",
            s.reason,
        )
        for s in found
    ]
    columns = ("RECIPIENT", "CLASS", "ACCOUNT", "STREAM", "SINCE", "REASON")
    print_table(columns, rows, empty="Nobody is suppressed.")
    if len(found) == limit:
        say_error(f"there may be more than these {limit}: see --limit")


@app.command("import")
def import_(  # noqa: PLR0913, PLR0917 - one for each option
    ctx: usage.Context,
    file: Annotated[str, usage.Argument(metavar="FILE", help='CSV; "-" for standard input.')],
    account: Account = None,
    stream: Stream = "",
    class_: Class = "manual",
    reason: Reason = "",
    json: Json = False,
) -> None:
    """Suppress what a CSV file names: address or domain, and if you like class, date, reason.

    What is suppressed already stays as it is, so that a broken import can be run again. Faulty
    lines are told and skipped; then the exit status is 1.
    """
    why = _why(class_, reason)
    show = _progress if sys.stderr.isatty() else lambda _: None

    async def work(store: "Store") -> "Imported":
        from gatepost.operate.suppressions import Scope, import_lines  # noqa: PLC0415

        scope = Scope(account, stream)
        if file == "-":
            return await import_lines(store, sys.stdin, why, scope, by=by(), progress=show)
        try:
            with Path(file).open(encoding="utf-8", errors="replace") as lines:  # noqa: ASYNC230
                return await import_lines(store, lines, why, scope, by=by(), progress=show)
        except OSError as problem:
            fail(f"cannot read {file}: {(problem.strerror or str(problem)).lower()}")

    done = run(ctx, work)
    if sys.stderr.isatty():
        say_error("")
    if json:
        told = {"read": done.read, "added": done.added, "faulty": done.faulty}
        print_json(told | {"faults": done.faults})
    else:
        there = done.read - done.added - done.faulty
        say(f"{done.added} added, {there} were there already, {done.faulty} faulty")
        for fault in done.faults:
            say_error(fault)
    if done.faulty:
        raise usage.Exit(NO)


@app.command()
def rule(
    ctx: usage.Context,
    name: Name,
    drop: Annotated[
        bool | None,
        usage.Option(
            "--drop/--refuse",
            help="Accept mail to suppressed recipients and drop it, or refuse it (the default).",
        ),
    ] = None,
    stream: Annotated[
        str | None,
        usage.Option(
            "--stream", metavar="S", help='The stream that its mail belongs to; "" for none.'
        ),
    ] = None,
    links: Annotated[
        bool | None,
        usage.Option(
            "--links/--no-links",
            help="Put a link to unsubscribe from the stream into its mail, or not (the default).",
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Show or change how an account's mail to suppressed recipients is met, and its stream."""

    async def work(store: "Store") -> "AccountRule":
        from gatepost.operate.suppressions import change_rule  # noqa: PLC0415

        return await change_rule(store, name, drops=drop, stream=stream, links=links, by=by())

    found = run(ctx, work)
    if json:
        told = {"account": found.account, "drops": found.drops, "stream": found.stream or None}
        print_json(told | {"links": found.links})
        return
    words = "accepted and dropped" if found.drops else "refused"
    say(f"{found.account}: mail to suppressed recipients is {words}")
    say(f"  stream: {found.stream or 'none'}")
    if found.links:
        say("  its mail gets links to unsubscribe")


def _class(text: str) -> "SuppressionClass":
    from gatepost.model.suppression import SuppressionClass  # noqa: PLC0415

    try:
        return SuppressionClass(text.lower())
    except ValueError:
        names = ", ".join(each.value for each in SuppressionClass)
        fail(f'"{text}" is no class of suppressions', f"write one of: {names}")


def _why(class_: str, reason: str) -> "Why":
    from gatepost.operate.suppressions import Why  # noqa: PLC0415

    return Why(_class(class_), reason)


def _progress(done: "Imported") -> None:
    usage.echo(f"\r{done.read} read, {done.added} added, {done.faulty} faulty", nl=False, err=True)


def _print_one(suppression: "Suppression", words: str, *, json: bool) -> None:
    if json:
        from gatepost.operate.suppressions import suppression_json  # noqa: PLC0415

        print_json(suppression_json(suppression))
        return
    whose = suppression.account or "all accounts"
    say(f"{suppression.subject} is {words} for {whose} ({suppression.words})")
