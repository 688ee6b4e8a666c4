"""Go on without a master key that is lost for good."""

from dataclasses import dataclass
from pathlib import Path

from gatepost.identity.key_of_store import adopt_key, existing_key
from gatepost.store.protocols import Store


@dataclass(frozen=True, slots=True)
class AdoptedKey:
    """The key's file, and what it does not open: "dkim SELECTOR DOMAIN", "cram-md5 ACCOUNT"."""

    path: Path
    closed: list[str]
    #: It was the store's key before: nothing has changed.
    was_it: bool = False

    def words(self) -> list[str]:
        """Return the lines for an operator."""
        lines = [f"The key of this store is {self.path} from now on. Start serve anew."]
        if self.was_it:
            lines = [f"The key of this store is {self.path} already: nothing was changed."]
        lines += [f"  not opened any more: {each}" for each in self.closed]
        if any(each.startswith("dkim ") for each in self.closed):
            mend = '"gatepost domain rotate-key" has given them new keys'
            lines.append(f"Mail of these domains is put off (451) until {mend}.")
        if any(each.startswith("cram-md5 ") for each in self.closed):
            lines.append("These accounts log in by CRAM-MD5 when their password is set anew.")
        if not self.was_it:
            lines.append("Unsubscribe links in mail that was sent before work no more.")
        return lines


async def adopt(store: Store, path: Path) -> AdoptedKey:
    """Let the key that is there be the store's, or a new one where there is none.

    Raises:
        MasterKeyError: it cannot be read or made.
        StoreUnavailableError: the store cannot be used.

    """
    key, mark = existing_key(path), await store.read(lambda reading: reading.key_mark())
    was_it = key is not None and key.mark == mark
    return AdoptedKey(path, await adopt_key(store, path), was_it)
