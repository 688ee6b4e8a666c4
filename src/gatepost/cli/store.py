"""`gatepost store`: what lasts, when it is damaged."""

from typing import Final

from gatepost.cli import usage
from gatepost.cli.context import NO, Json, fail, load_settings, print_json, say

app: Final = usage.Commands(help="The database of this node: repair.")


@app.command()
def repair(ctx: usage.Context, json: Json = False) -> None:
    """Bring all that can be read of a damaged SQLite database over into a new one. The damaged files
    are kept. Stop the server first.
    """
    from gatepost.net.clock import now  # noqa: PLC0415
    from gatepost.operate.ownership import OwnershipError, become_owner  # noqa: PLC0415
    from gatepost.operate.repair import ServedError, as_json, repair_store, report  # noqa: PLC0415
    from gatepost.store.protocols import StoreUnavailableError  # noqa: PLC0415

    settings = load_settings(ctx)
    if settings.store != "sqlite":
        fail("only an SQLite database is repaired here", "see the manual of PostgreSQL", NO)
    try:
        become_owner(settings.data_dir)
        done = repair_store(settings.data_dir, now())
    except OwnershipError as error:
        fail(error.what, error.mend)
    except ServedError:
        fail(f"a server runs on {settings.data_dir}", "stop it first")
    except StoreUnavailableError as error:
        words = f"the database in {settings.data_dir} cannot be repaired, and is as it was: {error}"
        fail(words, "put a backup in its place", NO)
    if json:
        print_json(as_json(done))
    else:
        for line in report(done):
            say(line)
    if done.torn or done.lost or done.restored.held:
        raise usage.Exit(NO)
