"""The facts of an event as the store gives them back: text of JSON until somebody looks inside.

The journal, which reads every event there is, passes the text on: reading and writing it anew took
half of its time.
"""

import json
from collections.abc import Iterator, Mapping

from gatepost.model.event import Fact


class StoredFacts(Mapping[str, Fact]):
    """Facts by name, read from `text` at the first look."""

    __slots__ = ("_facts", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self._facts: dict[str, Fact] | None = None

    def __getitem__(self, name: str) -> Fact:
        return self._read()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._read())

    def __len__(self) -> int:
        return len(self._read())

    def __repr__(self) -> str:
        return repr(self._read())

    def _read(self) -> dict[str, Fact]:
        if self._facts is None:
            self._facts = json.loads(self.text)
        return self._facts
