"""Two nodes over one database on loopback, as an operator sets them up."""

import shutil
from pathlib import Path

from tests.support.node import Node


def two_nodes(
    directory: Path,
    url: str,
    settings: str,
    workers: int = 2,
    programs: tuple[Path, Path] | None = None,
) -> tuple[Node, Node]:
    """Set up two nodes, n0 and n1, that share a master key, a certificate and an account. `programs`
    are folders in which each finds its modules first.
    """
    first, second = (
        Node(directory / name, settings, workers, top=f'store = "{url}"\nnode = "{name}"\n')
        for name in ("n0", "n1")
    )
    if programs is not None:
        for node, folder in zip((first, second), programs, strict=True):
            node.surroundings["PYTHONPATH"] = str(folder)
    first.set_up()
    second.run("init", str(second.directory))
    second.configure(settings)
    second.account, second.password = first.account, first.password
    for name in ("cert.pem", "key.pem", "state/master.key"):
        shutil.copy2(first.directory / name, second.directory / name)
    return first, second
