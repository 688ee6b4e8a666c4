"""pyspf's source package: the published test suite of RFC 7208, and pyspf itself as oracle.

`make .venv/.develop` fetches it, by its hash; nothing of it is copied into this repository.
"""

import importlib.util
import sys
import tarfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import yaml

from gatepost.wire.records.question import Answer, Asking, Question, RecordType
from tests.support.programs import missing

_PACKAGE: Final = Path(sys.prefix) / "material" / "pyspf-2.0.14.tar.gz"

#: A zone: what stands at a name, as (type, value); "TIMEOUT" as type or value: nobody answers.
Zone = Mapping[str, list[tuple[str, Any]]]


@dataclass(frozen=True)
class Case:
    """One case: what is asked, and which results (and explanation) are right."""

    name: str
    client: str
    mail_from: str
    helo: str
    results: tuple[str, ...]
    explanation: str | None
    zone: Zone


def cases() -> Iterator[Case]:
    """Yield the cases of RFC 7208's suite; none where the package is not there."""
    if not _PACKAGE.exists():
        return
    text = _member("test/rfc7208-tests.yml")
    for scenario in yaml.safe_load_all(text):
        zone = _zone(scenario["zonedata"])
        for name, case in scenario["tests"].items():
            results = case["result"]
            yield Case(
                name=name,
                client=case["host"],
                mail_from=case["mailfrom"],
                helo=case["helo"],
                results=tuple([results] if isinstance(results, str) else results),
                explanation=case.get("explanation"),
                zone=zone,
            )


def need_package() -> None:
    """Skip where the package is not there."""
    if not _PACKAGE.exists():
        missing(f"{_PACKAGE} is not there: rm .venv/.develop && make .venv/.develop")


@cache
def pyspf() -> ModuleType:
    """Return the module of pyspf."""
    need_package()
    spec = importlib.util.spec_from_loader("spf", loader=None)
    assert spec
    module = importlib.util.module_from_spec(spec)
    exec(compile(_member("spf.py"), "spf.py", "exec"), module.__dict__)  # the package was hashed
    return module


def answered(asking: Asking[Any], zone: Zone) -> Any:
    """Drive an evaluation with a zone to its verdict."""
    return driven(asking, lambda question: answer(zone, question))


def driven(asking: Asking[Any], tell: Callable[[Question], Answer]) -> Any:
    """Drive an evaluation with a function's answers to its verdict."""
    try:
        question = next(asking)
        while True:
            question = asking.send(tell(question))
    except StopIteration as end:
        return end.value


def answer(zone: Zone, question: Question, *, alias: bool = True) -> Answer:
    """Answer from a zone in the words of the suite."""
    name = question.name.lower()
    if name not in zone:
        return Answer(exists=False, failed=name.startswith("error."))
    values: list[Any] = []
    for kind, value in zone[name]:
        if kind == "TIMEOUT" and not values:
            return Answer(failed=True)
        if kind == "CNAME" and alias:
            return answer(zone, Question(value, question.kind), alias=False)
        if kind == question.kind.value:
            if value == "TIMEOUT":
                return Answer(failed=True)
            values.append(value)
    if question.kind is RecordType.TXT:
        values = ["".join(value) for value in values]
    if question.kind is RecordType.MX:
        values = [host for _, host in sorted(map(tuple, values))]
    return Answer(tuple(values))


def _member(path: str) -> str:
    with tarfile.open(_PACKAGE) as package:
        file = package.extractfile(f"pyspf-2.0.14/{path}")
        assert file
        return file.read().decode("utf-8")


def _zone(data: Mapping[str, list[Any]]) -> Zone:
    zone: dict[str, list[tuple[str, Any]]] = {}
    for name, rows in data.items():
        written = any(isinstance(row, dict) and "TXT" in row for row in rows)
        records = zone.setdefault(name.lower(), [])
        for row in rows:
            if row == "TIMEOUT":
                records.append(("TIMEOUT", None))
                continue
            for kind, value in row.items():
                # SPF stands for TXT where a name has none of its own (the suite's README).
                as_text = kind == "SPF" and not written
                if value != "NONE" and (as_text or kind != "SPF"):
                    records.append(("TXT" if as_text else kind, value))
    return zone
