"""`gatepost explain`: why a login was refused, really."""

from typing import TYPE_CHECKING, Annotated, Final

from gatepost.cli import usage
from gatepost.cli.context import NO, Json, fail, print_json, run_with_store, say

if TYPE_CHECKING:
    from gatepost.operate.explain import Crowded, Explanation
    from gatepost.store.protocols import Store

app: Final = usage.Commands()


@app.command()
def explain(
    ctx: usage.Context,
    tag: Annotated[
        str, usage.Argument(metavar="TAG", help="What stands in brackets in the 535 reply.")
    ],
    json: Json = False,
) -> None:
    """Tell why a login was refused: the true cause, what the client sent (never the secret), and
    what to tell the user. Known for 7 days.
    """
    found = run_with_store(ctx, lambda store: _explain(store, tag))
    if isinstance(found, tuple):
        mend = "it may be older than 7 days, or not from here; see the 535 reply"
        if found:
            told = "".join(f"\n  {crowd.words}" for crowd in found)
            mend += (
                ". Beyond 20 refusals of one client in a minute tags are not kept, causes are counted;"
                f" it may be among:{told}"
            )
        fail(f'nothing is known of "{tag}"', mend, NO)
    if json:
        print_json(found.as_json())
        return
    say(f"refused      {found.at:%Y-%m-%d %H:%M:%S} UTC")
    say(f"cause        {found.reason}")
    say(f"name         {found.name}" + ("" if found.account else " (no account of ours)"))
    say(f"client       {found.client}")
    say(f"mechanism    {found.mechanism}, {found.tls or 'no TLS'}")
    say(f"tell them    {found.tell_user}")
    say(f"mend         {found.mend}")


async def _explain(store: "Store", tag: str) -> "Explanation | tuple[Crowded, ...]":
    from gatepost.net.clock import now  # noqa: PLC0415
    from gatepost.operate.explain import crowds  # noqa: PLC0415
    from gatepost.operate.explain import explain as explain_tag  # noqa: PLC0415

    return await explain_tag(store, tag, now()) or await crowds(store, now())
