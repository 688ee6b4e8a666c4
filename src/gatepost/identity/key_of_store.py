"""The master key that goes with a store: one that was lost is never replaced in silence.

The store keeps the key's mark. Another key, or none, would leave mail unsigned and links dead that
were sent long ago; so whoever needs the key hears of it in words, and only a store that has sealed
nothing yet is given a new one.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from gatepost.identity.cram import context_of
from gatepost.identity.master_key import (
    MasterKey,
    MasterKeyError,
    NoMasterKeyError,
    make_master_key,
    read_master_key,
)
from gatepost.model.account import CredentialKind
from gatepost.model.domain import sealing_context
from gatepost.model.secret import Secret
from gatepost.store.protocols import Reading, Store, Transaction

_MEND: Final = (
    "put the file back from a backup (or from another node);"
    ' where it is lost for good, "gatepost store adopt-key" goes on without it'
)


async def key_of_store(store: Store, path: Path) -> MasterKey:
    """Return the master key of a store; one is made for a store that has none yet. Call it as the
    owner of the state.

    Raises:
        MasterKeyError: it is lost, it is another store's, or it cannot be read or made.
        StoreUnavailableError: the store cannot be read.

    """
    key = existing_key(path)
    words, mark = await store.read(
        lambda reading: (trouble(reading, path, key), reading.key_mark())
    )
    if words:
        raise MasterKeyError(words)
    if key is None:
        make_master_key(path)
        key = read_master_key(path)
    if mark is None and (words := await store.write(_learning(path, key))):
        raise MasterKeyError(words)
    return key


async def adopt_key(store: Store, path: Path) -> list[str]:
    """Let the key that is there be the store's from now on, or a new one where there is none.

    Returns:
        Whose secrets it does not open: domains and accounts, in words.

    Raises:
        MasterKeyError: it cannot be read or made.
        StoreUnavailableError: the store cannot be used.

    """
    make_master_key(path)
    key = read_master_key(path)
    await store.write(lambda transaction: transaction.keep_key_mark(key.mark))
    sealed = await store.read(lambda reading: list(_sealed(reading)))
    closed = [context for secret, context in sealed if not _opens(key, secret, context)]
    return list(dict.fromkeys(closed))


def existing_key(path: Path) -> MasterKey | None:
    """Return the key of a file; None where there is no such file. Raises MasterKeyError."""
    try:
        return read_master_key(path)
    except NoMasterKeyError:
        return None


def trouble(reading: Reading, path: Path, key: MasterKey | None) -> str:
    """Return why a key (None: there is none) is not the one of this store, "" where it may be."""
    mark = reading.key_mark()
    if mark is None:  # nothing was sealed yet, or by an older program
        sealed = list(_sealed(reading))
        if not sealed or (key and any(_opens(key, *each) for each in sealed)):
            return ""
    elif key and key.mark == mark:
        return ""
    if key is None:
        return f"{path}: no such file, and what this store has sealed needs that key; {_MEND}"
    return f"{path}: this is not the key with which this store has sealed its secrets; {_MEND}"


def _learning(path: Path, key: MasterKey) -> Callable[[Transaction], str]:
    def learn(transaction: Transaction) -> str:
        # Two nodes may begin at once, each with a key of its own: one is first.
        if words := trouble(transaction, path, key):
            return words
        transaction.keep_key_mark(key.mark)
        return ""

    return learn


def _sealed(reading: Reading) -> Iterator[tuple[Secret, str]]:
    """Yield what was sealed, with its context: keys of domains first, and CRAM-MD5 passwords."""
    for domain in reading.domains():
        for key in domain.keys:
            yield key.private_key, sealing_context(domain.name, key.selector)
    for account in reading.accounts():
        for credential in reading.credentials(account.name):
            # Of a certificate it is no secret, and not sealed.
            if credential.recoverable and credential.kind is not CredentialKind.CERTIFICATE:
                yield credential.recoverable, context_of(account.name)


def _opens(key: MasterKey, secret: Secret, context: str) -> bool:
    try:
        key.open(secret, context)
    except MasterKeyError:
        return False
    return True
