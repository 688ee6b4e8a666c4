"""`gatepost bulk`: what went to large providers' consumers, by day and organisational domain."""

from datetime import UTC, datetime
from typing import Annotated, Final

from gatepost.cli import usage
from gatepost.cli.context import Json, print_json, run_with_store, say

app: Final = usage.Commands()


@app.command()
def bulk(
    ctx: usage.Context,
    days: Annotated[
        int, usage.Option("--days", min=1, max=31, help="How many days, today included.")
    ] = 1,
    json: Json = False,
) -> None:
    """Tell how many recipients at Gmail, Outlook.com and Yahoo each organisational domain has
    written to, by UTC day. From about 5000 a day on they ask for more of a sender, Gmail for ever.
    """
    from gatepost.operate.bulk import as_json, bulk_counts, limit_of  # noqa: PLC0415

    today = datetime.now(UTC).date()
    counts = run_with_store(ctx, lambda store: bulk_counts(store, today, days=days))
    if json:
        print_json([as_json(count) for count in counts])
        return
    for count in counts:
        limit = limit_of(count)
        of = f" of {limit}" if limit else ""
        say(f"{count.day}  {count.provider:16}  {count.count:>9}{of}  {count.domain}")
    if not counts:
        say("nothing was sent to them")
