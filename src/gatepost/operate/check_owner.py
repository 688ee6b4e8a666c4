"""May the user that serves read what it must? Root may read everything, so `check` as root sees no fault."""

import os
import pwd
from collections.abc import Iterator
from pathlib import Path

from gatepost.model.settings import Settings
from gatepost.operate.check_finding import Finding, Grade


def owner_findings(settings: Settings, config: Path | None) -> Iterator[Finding]:
    """Yield the files, this configuration among them, that data_dir's owner, who root is by now, may not
    read. `serve` reads them before it drops root; the unit in packaging/ starts it as that owner.
    """
    owner = _name(os.geteuid())
    what = f"{owner}, who owns data_dir, may not read it: serve works where root starts it, not where {owner} does"
    if config is not None and not may_read(config):
        mend = f"chgrp {owner} {config} && chmod g+r {config}, if the service runs as {owner}"
        yield Finding(Grade.WARNING, f"file {config}", what, mend)
    pairs = (settings.tls, *settings.tls.more)
    files = [file for pair in pairs for file in (pair.certificate, pair.private_key)]
    for file in dict.fromkeys(files):
        if not may_read(file):
            mend = f'give {owner} a copy ("Keep certificates" in the docs), if the service runs as {owner}'
            yield Finding(Grade.WARNING, f"file {file}", what, mend)


def may_read(file: Path) -> bool:
    """Tell whether this user may read a file; one that is not there is another fault."""
    try:
        file.stat()
    except PermissionError:
        return False
    except OSError:
        return True
    return os.access(file, os.R_OK)


def _name(user: int) -> str:
    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return f"user {user}"
