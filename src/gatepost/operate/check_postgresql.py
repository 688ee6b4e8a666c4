"""Look at a store in PostgreSQL without changing it: is it there, does it let us in, can we use it?"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from gatepost.model.settings import Settings
from gatepost.operate.check_accounts import ACCOUNTS, wide_grants
from gatepost.operate.check_finding import Finding, Grade
from gatepost.operate.check_stored import stored_findings
from gatepost.store.opening import address_of, where
from gatepost.store.protocols import (
    NewerDatabaseError,
    StoreAwayError,
    StoreUnavailableError,
)

if TYPE_CHECKING:
    from gatepost.store.postgresql_look import Seen


def postgresql_findings(settings: Settings) -> Iterator[Finding]:
    """Yield what there is to say; `serve` makes or updates the tables."""
    subject = f"store {where(settings)}"
    try:
        address = address_of(settings)
    except StoreUnavailableError as error:
        yield Finding(Grade.FAULT, subject, str(error), error.mend)
        return
    from gatepost.store.postgresql_look import ask, look  # noqa: PLC0415 - an extra
    from gatepost.store.postgresql_trouble import trouble  # noqa: PLC0415

    try:
        seen = look(address, ACCOUNTS)
    except NewerDatabaseError as error:
        what = f"a newer Gatepost wrote it ({error})"
        yield Finding(Grade.FAULT, subject, what, "update this Gatepost")
        return
    except StoreUnavailableError as error:
        waits = "; serve waits for it" if isinstance(error, StoreAwayError) else ""
        mend = error.mend or trouble(str(error)).mend
        yield Finding(Grade.FAULT, subject, str(error), mend + waits)
        return
    yield from _findings(subject, seen)
    try:
        yield from ask(address, lambda reading: list(stored_findings(reading, settings))) or ()
    except StoreUnavailableError as error:
        yield Finding(Grade.WARNING, subject, f"it was not asked what waits: {error}", "try again")


def _findings(subject: str, seen: "Seen") -> Iterator[Finding]:
    state = (
        "readable" if seen.version else 'tables will be made by the first "account add" or serve'
    )
    yield Finding(Grade.FINE, subject, f"PostgreSQL {seen.server}, {state}")
    for name in seen.unsafe:
        what = f"the server runs with {name}=off: what was accepted can be lost with the power"
        yield Finding(Grade.WARNING, subject, what, f"set {name} = on in postgresql.conf")
    yield from _way(subject, seen)
    yield from _copies(subject, seen)
    if (read := seen.long_read) is not None:
        what = (
            f"a transaction is open for {read.seconds // 60} minutes ({read.who}): nothing that is gone since"
            " is cleared away, and looks for due mail take longer and longer"
        )
        mend = "let it end, or end it (pg_terminate_backend); take dumps from a standby"
        yield Finding(Grade.WARNING, subject, what, mend)
    for grant in wide_grants(seen.rows):
        yield Finding(Grade.WARNING, f"account {grant.account}", grant.what, grant.mend)


def _way(subject: str, seen: "Seen") -> Iterator[Finding]:
    from gatepost.store.postgresql_look import Way  # noqa: PLC0415 - an extra

    if seen.way is Way.CLEAR:
        what = "no TLS to it: anybody on the way reads all mail, and may change it"
        mend = "take ?sslmode=… out of the URL, and turn on ssl there (how-to: several nodes)"
        yield Finding(Grade.WARNING, subject, what, mend)
    elif seen.way is Way.UNPROVEN:
        what = "TLS to it, but nobody asks who answers: whoever gets in between reads all mail"
        mend = "write ?sslmode=verify-full, with ?sslrootcert=FILE for a CA of your own"
        yield Finding(Grade.WARNING, subject, what, mend)


def _copies(subject: str, seen: "Seen") -> Iterator[Finding]:
    from gatepost.store.postgresql_look import Copies  # noqa: PLC0415 - an extra

    if seen.copies is Copies.LATE:
        what = "a standby copies it later than 250 is said: promoted, it may lack the last of it"
        mend = "set synchronous_standby_names there (how-to: nodes), or live with that"
        yield Finding(Grade.WARNING, subject, what, mend)
    elif seen.copies is Copies.LOCAL:
        what = "synchronous_commit is local there: 250 is said before a standby has the message"
        yield Finding(Grade.WARNING, subject, what, "set synchronous_commit = on there")
    elif seen.copies is Copies.MISSING:
        what = "every commit waits for a standby (synchronous_standby_names), and none is there"
        mend = "start the standby, or empty synchronous_standby_names there"
        yield Finding(Grade.NO, subject, what, mend)
