"""Look whether directories of others answer, as the one who will ask them."""

import asyncio
import errno
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from gatepost.identity.app_passwords import new_app_password
from gatepost.identity.foreign import Asker, DirectoryAwayError, ForeignDirectory
from gatepost.identity.foreign_build import MissingLibraryError, build_directory
from gatepost.identity.passwords import PasswordChecker
from gatepost.identity.turns import BusyError
from gatepost.model.ids import AccountName
from gatepost.operate.check_finding import Finding, Grade

if TYPE_CHECKING:
    from gatepost.model.settings import AuthSettings
    from gatepost.model.settings_directory import DirectorySettings

#: Whoever is asked for in a test, is nobody.
_NOBODY: Final = "gatepost-check"
#: In a directory's words: what to do about it. The first that fits; the last fits all.
_MENDS: Final = (
    ("certificate verify failed", "name the authority of its certificate: ca_file"),
    ("mismatch", "write its name in servers or url as its certificate has it"),
    ("reader_dn cannot log in", "look at reader_dn and the password in secret_file"),
    ("the search below", "look at base: may the reader search there?"),
    ("status 401", "look at secret_file: the service does not know the secret"),
    ("status 403", "look at secret_file: the service does not know the secret"),
    ("status 404", "look at url: there is nothing"),
    ('column "', "look at the query and what it returns"),
    ("no such table", "look at the query"),
    ("does not exist", "look at the query, and at user and database"),
    ("syntax error", "look at the query"),
    ("unable to open", "look at database: the user that serves must be able to read the file"),
    ("password authentication failed", "look at the user in database, and at secret_file"),
    ("", "is it up, and can it be reached from here?"),
)
_CHOSEN: Final = ("SCRAM-SHA-256", "SCRAM-SHA-256-PLUS", "SCRAM-SHA-1", "CRAM-MD5")


def directory_findings(auth: "AuthSettings") -> Iterator[Finding]:
    """Yield what there is to say of each directory. Call it as the user that serves."""
    for settings in auth.directories:
        subject = f'directory "{settings.name}"'
        checker = PasswordChecker(threads=1)
        try:
            directory = build_directory(settings, checker)
        except MissingLibraryError as problem:
            what, _, mend = str(problem).removeprefix(f"{subject} ").partition(": ")
            yield Finding(Grade.FAULT, subject, what, mend)
            continue
        except (OSError, UnicodeDecodeError) as problem:
            yield Finding(Grade.FAULT, subject, *_file_words(problem))
            continue
        finally:
            checker.close()
        yield asyncio.run(_asked(directory, settings, subject))
        unfit = [name for name in auth.mechanisms if name in _CHOSEN]
        if directory.has_keys:
            unfit = [name for name in unfit if not name.startswith("SCRAM-SHA-256")]
        if unfit:
            what = f"its accounts cannot log in by {', '.join(unfit)}, which is offered"
            mend = (
                "a client that chooses by itself takes the strongest: tell its people to choose"
                ' PLAIN or LOGIN, or write mechanisms = ["PLAIN", "LOGIN"] in [auth]'
            )
            yield Finding(Grade.WARNING, subject, what, mend)


def _file_words(problem: OSError | UnicodeDecodeError) -> tuple[str, str]:
    if isinstance(problem, UnicodeDecodeError):
        return "the secret is not UTF-8 text", "write it anew"
    words = (problem.strerror or str(problem)).lower()
    if problem.errno == errno.EINVAL:  # what stands in it
        return f"{problem.filename}: {words}", "write it anew"
    return f"{problem.filename}: {words}", "let the user that serves read it, and nobody else"


async def _asked(
    directory: ForeignDirectory, settings: "DirectorySettings", subject: str
) -> Finding:
    """Ask for somebody who is not there."""
    domain = next((m for m in settings.match if "*" not in m), "")
    name = AccountName(f"{_NOBODY}@{domain}" if domain else _NOBODY)
    try:
        if directory.can_look_up:
            await directory.find(name)
        else:
            await directory.check(name, new_app_password().reveal(), Asker())
    except (DirectoryAwayError, BusyError) as problem:
        words = str(problem).removeprefix(f"{subject}: ") or "it is busy"
        mend = next(mend for part, mend in _MENDS if part in words)
        return Finding(Grade.NO, subject, f"it cannot be asked: {words}", mend)
    finally:
        await directory.close()
    return Finding(Grade.FINE, subject, f"{settings.kind}, it answers")
