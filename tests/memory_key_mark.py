"""The mark of the master key, in memory: what `store.key_marks` promises."""


class MemoryKeyMark:
    """`ReadsKeyMark` and `ChangesKeyMark`."""

    _key_mark: int | None = None

    def key_mark(self) -> int | None:
        return self._key_mark

    def keep_key_mark(self, mark: int) -> None:
        self._key_mark = mark
