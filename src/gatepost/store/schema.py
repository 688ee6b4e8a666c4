"""Versions of a schema, whatever the database: what comes before, and what after (ADR 20).

A rolling restart has two programs at work on one database, and a fail-over may bring an older one
back. So a version has two halves. `pre` only adds, and is done before a program of this version
serves; older ones go on beside it, since they name the columns they write. `post` takes away,
builds anew or fills in, and is done by housekeeping in portions when the last older one has gone.
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Version:
    """One version of the schema. Once released it is never edited; another one is appended.

    `pre`: statements, all or nothing, that find the `post` of earlier versions done or not.
    `daily`: the same for each daily table of deliveries; older programs know none such, so it
    breaks. `post`: each statement is run again until it changes no row ("… LIMIT 500"), all of them
    from the first one after a crash. `breaks`: no older program may go on beside it.
    """

    pre: str
    daily: str = ""
    post: Sequence[str] = ()
    breaks: bool = False


@dataclass(frozen=True, slots=True)
class Marks:
    """What a database says of itself, in versions: the newest one whose `pre` is done, the oldest
    program that may use it, and the newest one whose `post` is done.
    """

    version: int = 0
    oldest: int = 0
    tidied: int = 0

    def admit(self, known: int) -> bool:
        """Tell whether a program that knows so many versions may use the database."""
        return known >= min(self.version, self.oldest)

    def after_pre(self, versions: Sequence[Version]) -> "Marks":
        """Return the marks once `pre` of all versions is done."""
        late = [n for n in numbers(self.version, versions) if versions[n - 1].breaks]
        tidied = self.tidied
        while tidied < len(versions) and not versions[tidied].post:
            tidied += 1
        return Marks(len(versions), max([self.oldest, *late]), tidied)

    def must_be_alone(self, versions: Sequence[Version]) -> bool:
        """Tell whether older programs have to end before `pre` of the rest."""
        return any(versions[n - 1].breaks for n in numbers(self.version, versions))


def numbers(done: int, versions: Sequence[Version]) -> range:
    """Return the versions behind that one, by number from 1."""
    return range(done + 1, len(versions) + 1)
