"""Is the master key the one with which this store has sealed its secrets?"""

from collections.abc import Iterator
from pathlib import Path

from gatepost.identity.key_of_store import existing_key, trouble
from gatepost.identity.master_key import MasterKeyError
from gatepost.operate.check_finding import Finding, Grade
from gatepost.store.protocols import Reading


def key_findings(reading: Reading, path: Path) -> Iterator[Finding]:
    """Yield what there is to say of the key in a file. Call it as the owner of the state."""
    subject = f"master_key {path}"
    try:
        key = existing_key(path)
    except MasterKeyError as error:
        words = str(error).removeprefix(f"{path}: ")
        yield Finding(Grade.FAULT, subject, words, "let the owner of data_dir alone read it")
        return
    if words := trouble(reading, path, key):
        what, _, mend = words.removeprefix(f"{path}: ").partition("; ")
        yield Finding(Grade.FAULT, subject, what, mend)
    elif key is None and not path.parent.is_dir():
        yield Finding(Grade.FAULT, subject, "there is no such directory", f"mkdir {path.parent}")
    elif key is None:
        yield Finding(Grade.FINE, subject, 'it will be made by "domain add" or serve')
    else:
        yield Finding(Grade.FINE, subject, "it opens what this store has sealed")
