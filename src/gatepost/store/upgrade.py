"""What is left to do for the present version of the schema: `post`, in portions, when no older program
is left (ADR 20). Whatever the database, it is done through its ordinary writer.
"""

import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Protocol

from gatepost.store.keeper import Content
from gatepost.store.schema import Marks, Version, numbers

_log = logging.getLogger(__name__)

RAISE_MARK: Final = (
    "INSERT INTO schema_mark (name, value) VALUES (?, ?) ON CONFLICT (name)"
    " DO UPDATE SET value = excluded.value WHERE schema_mark.value < excluded.value"
)


class _Executes(Protocol):
    def execute(self, sql: str, bindings: Sequence[Any]) -> int: ...


@dataclass(frozen=True, slots=True)
class Upgrade:
    """`ask` and `change` are the store's read and write; `read_marks` reads the marks by its
    reading; `begin` lets no older program in from now on, and tells whether none is left.
    """

    versions: Sequence[Version]
    ask: Callable[[Callable[[Any], Any]], Awaitable[Any]]
    change: Callable[[Callable[[Any], Any], Content | None], Awaitable[Any]]
    read_marks: Callable[[Any], Marks]
    begin: Callable[[int, Any], bool]

    async def finish(self) -> None:
        """Do each `post` that waits, one portion to a transaction, unless an older program is at
        work. Raises StoreUnavailableError.
        """
        marks: Marks = await self.ask(self.read_marks)
        for number in numbers(marks.tidied, self.versions):
            if post := self.versions[number - 1].post:
                if not await self.change(partial(self.begin, number), None):
                    return
                for statement in post:
                    # What changes no rows of its own (DROP) says 0, or -1.
                    while await self.change(partial(_execute, (statement, ())), None) > 0:
                        pass
                _log.info("store: what came before version %d is cleared away", number)
            await self.change(partial(_execute, (RAISE_MARK, ("tidied", number))), None)


def _execute(statement: tuple[str, Sequence[Any]], transaction: _Executes) -> int:
    return transaction.execute(*statement)
