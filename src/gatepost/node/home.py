"""Who a node is: its name, what tells two nodes of one name apart, what it says of itself."""

import os
import re
import secrets
import socket
from pathlib import Path
from typing import Final

from gatepost import __version__
from gatepost.model.ids import WorkerId
from gatepost.model.settings import Settings
from gatepost.model.settings_checks import NODE_NAME
from gatepost.net.clock import now
from gatepost.store.presences import Announcement

_FILE: Final = "node.id"
_ID: Final = re.compile(r"[0-9a-f]{32}")


def node_name(settings: Settings) -> str:
    """Return the name that is set, or the machine's."""
    if settings.node:
        return settings.node
    name = socket.gethostname()
    return name if NODE_NAME.fullmatch(name) else "node"


def home_id(data_dir: Path) -> str:
    """Return the random id of a state directory, made when it is not there.

    Raises:
        OSError: it cannot be read or written.

    """
    path = data_dir / _FILE
    try:
        known = path.read_text("ascii").strip()
    except FileNotFoundError:
        known = ""
    if _ID.fullmatch(known):
        return known
    made = secrets.token_hex(16)
    fresh = path.with_name(f"{_FILE}.{os.getpid()}")
    file = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(file, "w") as out:
        out.write(made + "\n")
    fresh.rename(path)
    return made


def is_shared(settings: Settings) -> bool:
    """Tell whether other nodes may use the same store."""
    return settings.store != "sqlite"


def announcement(settings: Settings, node: str, worker: WorkerId) -> Announcement:
    """Return what a worker says of itself.

    Raises:
        OSError: the state directory's id cannot be read.

    """
    addresses = [listener.address for listener in settings.listeners]
    if settings.http:
        addresses.append(settings.http.address)
    home = home_id(settings.data_dir)
    return Announcement(worker, node, home, __version__, tuple(addresses), now())
