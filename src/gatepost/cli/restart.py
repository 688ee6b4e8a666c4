"""`gatepost restart`: the program on the disk takes the place of the one that serves."""

from typing import Final

from gatepost.cli import usage
from gatepost.cli.context import NO, fail, load_settings, say

app: Final = usage.Commands()


@app.command()
def restart(ctx: usage.Context) -> None:
    """Replace the running server by the program and configuration on the disk.

    No connection is refused: the new one takes over the open ports, and what the former one has
    begun it brings to an end. If the new one does not come up, the former goes on.
    """
    from gatepost.operate.serving import RestartError, restart  # noqa: PLC0415

    settings = load_settings(ctx)
    try:
        serving = restart(settings.data_dir)
    except RestartError as error:
        fail(error.what, error.mend, NO)
    say(f"Process {serving.pid} serves now.")
