"""The SASL mechanisms, one file each; adding one is adding a file.

A file exports SERVER and CLIENT, or (one script under several names) SERVERS and CLIENTS.
"""

import pkgutil
from collections.abc import Iterator, Mapping
from importlib import import_module
from types import MappingProxyType, ModuleType
from typing import Final

from gatepost.wire.sasl.exchange import ClientMechanism, Mechanism


def _discover() -> Iterator[ModuleType]:
    for found in pkgutil.iter_modules(__path__):
        yield import_module(f"{__name__}.{found.name}")


def _servers(files: tuple[ModuleType, ...]) -> Iterator[Mechanism]:
    for file in files:
        yield from getattr(file, "SERVERS", None) or (file.SERVER,)


def _clients(files: tuple[ModuleType, ...]) -> Iterator[ClientMechanism]:
    for file in files:
        yield from getattr(file, "CLIENTS", None) or (file.CLIENT,)


_FILES: Final = tuple(_discover())

#: Server sides by name, in upper case, as EHLO lists them (RFC 4422 §3.1).
MECHANISMS: Final[Mapping[str, Mechanism]] = MappingProxyType({m.name: m for m in _servers(_FILES)})

#: Client sides by name, the strongest first.
CLIENTS: Final[Mapping[str, ClientMechanism]] = MappingProxyType(
    {m.name: m for m in sorted(_clients(_FILES), key=lambda m: -m.strength)}
)
