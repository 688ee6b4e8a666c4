"""The mark of the master key with which a store's secrets are sealed: what every store promises."""

from typing import Protocol


class ReadsKeyMark(Protocol):
    """The reading half."""

    def key_mark(self) -> int | None:
        """Return the mark of the key (`MasterKey.mark`); None where none was kept yet."""
        ...


class ChangesKeyMark(Protocol):
    """The changing half."""

    def keep_key_mark(self, mark: int) -> None:
        """Keep it, in the place of another."""
        ...
