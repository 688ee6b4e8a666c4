"""The SASL mechanisms, one file each; adding one is adding a file that exports MECHANISM."""

import pkgutil
from collections.abc import Iterator, Mapping
from importlib import import_module
from types import MappingProxyType
from typing import Final

from gatepost.wire.sasl.exchange import Mechanism


def _discover() -> Iterator[Mechanism]:
    for found in pkgutil.iter_modules(__path__):
        mechanism = import_module(f"{__name__}.{found.name}").MECHANISM
        if not isinstance(mechanism, Mechanism):
            msg = f"{found.name}.MECHANISM is no Mechanism"
            raise TypeError(msg)
        yield mechanism


#: By name, in upper case, as EHLO lists them (RFC 4422 §3.1).
MECHANISMS: Final[Mapping[str, Mechanism]] = MappingProxyType(
    {mechanism.name: mechanism for mechanism in _discover()}
)
