"""Who keeps an account: we, or a directory. As one login asks, which asks the same name twice."""

from gatepost.identity.directory import Directory, Entry
from gatepost.identity.foreign import DirectoryAwayError, ForeignDirectories
from gatepost.identity.turns import BusyError
from gatepost.model.ids import AccountName


class Keepers:
    """Our own accounts first, then directories."""

    def __init__(self, own: Directory, foreign: ForeignDirectories | None) -> None:
        self._own = own
        self._foreign = foreign
        self._has_asked = False
        self._theirs: Entry | None = None
        self._trouble: DirectoryAwayError | BusyError | None = None

    async def find(self, name: AccountName) -> Entry | None:
        """Return an account, without its password.

        Raises:
            StoreUnavailableError, DirectoryAwayError, BusyError: nobody can say.

        """
        entry = await self._own.find(name)
        if entry is None and self._foreign is not None:
            return await self._foreign.find(name)
        return entry

    async def of_keys(self, name: AccountName, *, to_judge: bool = False) -> Entry | None:
        """Return the account whose SCRAM keys count. Directories that have keys are asked whoever
        has the name, once, so that the time does not tell.

        With `to_judge` their trouble is raised, where the name is not one of ours; before that it
        is kept back, and looks like an unknown name.

        Raises:
            StoreUnavailableError, DirectoryAwayError, BusyError: nobody can say.

        """
        own = await self._own.find(name)
        if self._foreign is None:
            return own
        if not self._has_asked:
            self._has_asked = True
            try:
                self._theirs = await self._foreign.keys(name)
            except (DirectoryAwayError, BusyError) as trouble:
                self._trouble = trouble
        if own is None and to_judge and self._trouble is not None:
            raise self._trouble
        return own or self._theirs

    def without_keys(self, name: AccountName) -> str:
        """Return which directories may know a name and have no SCRAM keys, in words; "" for none."""
        labels = self._foreign.labels_without_keys(name) if self._foreign is not None else ()
        if not labels:
            return ""
        words = ", ".join(f'"{label}"' for label in labels)
        return f"here; accounts of directory {words} log in by PLAIN or LOGIN only"
