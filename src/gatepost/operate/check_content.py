"""Look whether the directory of contents is the one that mail was stored in."""

from collections.abc import Iterator
from pathlib import Path

from gatepost.operate.check_finding import Finding, Grade
from gatepost.store.content_identity import recognise
from gatepost.store.protocols import StoreUnavailableError
from gatepost.store.sqlite_place import CONTENT


def content_findings(data_dir: Path) -> Iterator[Finding]:
    """Yield what there is to say of it: nothing, when it is the right one."""
    directory = data_dir / CONTENT
    try:
        recognise(directory)
    except StoreUnavailableError as error:
        what = f"nothing is stored, and stored mail waits: {error}"
        yield Finding(Grade.NO, f"content {directory}", what, error.mend)
