"""Look at a store in PostgreSQL without changing it: is it there, does it let us in, can we use it?"""

from collections.abc import Iterator
from typing import Final

from gatepost.model.settings import Settings
from gatepost.operate.check_accounts import ACCOUNTS, wide_grants
from gatepost.operate.check_finding import Finding, Grade
from gatepost.store.opening import address_of, where
from gatepost.store.protocols import NewerDatabaseError, StoreUnavailableError

#: What PostgreSQL says when it does not let us in, and how to mend it; the first that is found.
_MENDS: Final = (
    (
        "password authentication failed",
        "put the right password into store_password_file or the URL",
    ),
    ("no password supplied", "name store_password_file, or write ~/.pgpass"),
    ("no pg_hba.conf entry", "let this machine in: pg_hba.conf on the database's machine"),
    ('role "', "make the role: CREATE ROLE … LOGIN PASSWORD '…'"),
    ('database "', "make the database: CREATE DATABASE … OWNER …"),
    ("certificate", "name its CA in the URL: ?sslrootcert=FILE"),
    (
        "does not support SSL",
        "turn on ssl there, or write ?sslmode=disable where nobody listens in",
    ),
    ("read-only", "only standbys answer: promote one, or name the primary's host, too"),
    ("permission denied", "let the role own the database: ALTER DATABASE … OWNER TO …"),
    ("too old", "update PostgreSQL"),
)


def postgresql_findings(settings: Settings) -> Iterator[Finding]:
    """Yield what there is to say; `serve` makes or updates the tables."""
    subject = f"store {where(settings)}"
    try:
        address = address_of(settings)
    except StoreUnavailableError as error:
        mend = "install it" if "extra" in str(error) else "let the user that serves read it"
        yield Finding(Grade.FAULT, subject, str(error), mend)
        return
    from gatepost.store.postgresql_look import look  # noqa: PLC0415 - an extra

    try:
        seen = look(address, ACCOUNTS)
    except NewerDatabaseError as error:
        what = f"a newer Gatepost wrote it ({error})"
        yield Finding(Grade.FAULT, subject, what, "update this Gatepost")
        return
    except StoreUnavailableError as error:
        words = str(error)
        mend = next(
            (mend for part, mend in _MENDS if part in words), "is it running, and reachable?"
        )
        yield Finding(Grade.FAULT, subject, words, mend)
        return
    state = (
        "readable" if seen.version else 'tables will be made by the first "account add" or serve'
    )
    yield Finding(Grade.FINE, subject, f"PostgreSQL {seen.server}, {state}")
    for name in seen.unsafe:
        what = f"the server runs with {name}=off: what was accepted can be lost with the power"
        yield Finding(Grade.WARNING, subject, what, f"set {name} = on in postgresql.conf")
    for grant in wide_grants(seen.rows):
        yield Finding(Grade.WARNING, f"account {grant.account}", grant.what, grant.mend)
