"""Environment variables over the file: GATEPOST_STORE, GATEPOST_LIMITS__RECIPIENTS.

Two underscores step into a table, a number into a list (GATEPOST_LISTENERS__0__ADDRESS). A value
in brackets is read as a TOML list; every other one is a text, which pydantic turns into numbers.
"""

import copy
import re
import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final

from gatepost.model.wrong import Wrong

_PREFIX: Final = "GATEPOST_"
#: Ours, but no settings: the file's own name, and the CLI's switch for tracebacks.
_NO_SETTINGS: Final = frozenset({"GATEPOST_CONFIG", "GATEPOST_DEBUG"})
#: What Kubernetes and Docker links put into the environment beside a service called "gatepost".
_OF_OTHERS: Final = re.compile(
    r"GATEPOST_(SERVICE_(HOST|PORT).*|PORT(_\d+_(TCP|UDP).*)?|ENV_.*|NAME)"
)


@dataclass(frozen=True, slots=True)
class UnknownVariable:
    """A variable that names no setting."""

    variable: str
    wrong: Wrong


@dataclass(frozen=True, slots=True)
class Overridden:
    """A document with the environment's values; which variable gave which path its value."""

    values: dict[str, Any]
    variables: dict[tuple[str | int, ...], str]
    unknown: tuple[UnknownVariable, ...]


def override(
    values: Mapping[str, Any], environment: Mapping[str, str], keys: Collection[str]
) -> Overridden:
    """Return a copy of the document `values` with the environment's own put in. `keys` are those that
    the top of the document may have.
    """
    changed: dict[str, Any] = copy.deepcopy(dict(values))
    variables: dict[tuple[str | int, ...], str] = {}
    unknown: list[UnknownVariable] = []
    for variable in sorted(environment):
        if not variable.startswith(_PREFIX) or variable in _NO_SETTINGS:
            continue
        if _OF_OTHERS.fullmatch(variable):
            continue
        path = _path(variable)
        if path[0] not in keys:
            unknown.append(_unknown(variable, str(path[0]), keys))
        elif _put(changed, path, _read(environment[variable])):
            variables[path] = variable
        else:
            words = Wrong("there is nothing in the file to put this into", "write it in the file")
            unknown.append(UnknownVariable(variable, words))
    return Overridden(changed, variables, tuple(unknown))


def _path(variable: str) -> tuple[str | int, ...]:
    words = variable.removeprefix(_PREFIX).lower().split("__")
    return tuple(int(w) if w.isascii() and w.isdigit() else w for w in words)


def _put(into: Any, path: tuple[str | int, ...], value: object) -> bool:  # noqa: ANN401
    for key in path[:-1]:
        if isinstance(into, dict) and isinstance(key, str):
            into = into.setdefault(key, {})
        elif isinstance(into, list) and isinstance(key, int) and key < len(into):
            into = into[key]
        else:
            return False
    last = path[-1]
    if isinstance(into, dict) and isinstance(last, str):
        into[last] = value
        return True
    if isinstance(into, list) and isinstance(last, int) and last < len(into):
        into[last] = value
        return True
    return False


def _read(text: str) -> object:
    if text.lstrip().startswith("["):
        try:
            return tomllib.loads(f"value = {text}")["value"]
        except (ValueError, RecursionError):
            return text
    return text


def _unknown(variable: str, name: str, keys: Collection[str]) -> UnknownVariable:
    import difflib  # noqa: PLC0415 - a millisecond that only a fault needs

    near = difflib.get_close_matches(name, keys, 1)
    mend = f"did you mean {_PREFIX}{near[0].upper()}?" if near else "unset it"
    return UnknownVariable(variable, Wrong("there is no such setting", mend))
