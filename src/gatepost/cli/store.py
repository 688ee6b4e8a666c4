"""`gatepost store`: what lasts, when it is damaged or its disk is lost."""

from typing import Final

from gatepost.cli import usage
from gatepost.cli.context import (
    NO,
    Json,
    fail,
    load_settings,
    print_json,
    run_with_store,
    say,
)

app: Final = usage.Commands(
    help="The database of this node, and its contents: repair, adopt, adopt-key."
)


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
        fail(words, error.mend or "put a backup in its place", NO)
    if json:
        print_json(as_json(done))
    else:
        for line in report(done):
            say(line)
    if done.torn or done.lost or done.restored.held:
        raise usage.Exit(NO)


@app.command()
def adopt(ctx: usage.Context, json: Json = False) -> None:
    """Go on with what is there now: with the content directory, where the one that mail was stored in is
    lost for good (mail whose content was there is returned); or with the PostgreSQL that answers, where
    it is taken for an old primary. Not needed as long as `serve` works.
    """
    from gatepost.operate.adopt import adopt as adopt_what_is_there  # noqa: PLC0415
    from gatepost.operate.ownership import OwnershipError, become_owner  # noqa: PLC0415
    from gatepost.store.protocols import StoreUnavailableError  # noqa: PLC0415

    settings = load_settings(ctx)
    try:
        become_owner(settings.data_dir)
        adopted = adopt_what_is_there(settings)
    except OwnershipError as error:
        fail(error.what, error.mend)
    except StoreUnavailableError as error:
        fail(f"{settings.data_dir} cannot be used: {error}", "is it there, and writable?", NO)
    if json:
        print_json({"adopted": adopted.what})
    else:
        say(adopted.words)


@app.command("adopt-key")
def adopt_key(ctx: usage.Context, json: Json = False) -> None:
    """Go on with the master key that is there, or with a new one, where the one that this store was
    sealed with is lost for good. What it had sealed stays closed: DKIM keys, CRAM-MD5 passwords;
    unsubscribe links that were sent go nowhere. Not needed as long as `serve` works.
    """
    from gatepost.identity.master_key import MasterKeyError  # noqa: PLC0415
    from gatepost.operate.adopt_key import adopt as adopt_this_key  # noqa: PLC0415

    path = load_settings(ctx).master_key
    try:
        adopted = run_with_store(ctx, lambda store: adopt_this_key(store, path))
    except MasterKeyError as error:
        fail(str(error))
    if json:
        print_json({"adopted": str(adopted.path), "closed": adopted.closed})
    else:
        for line in adopted.words():
            say(line)
