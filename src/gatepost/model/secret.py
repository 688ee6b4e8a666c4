"""A string that does not show itself: repr, str and format hide it."""

from typing import Final

_HIDDEN: Final = "<secret>"


class Secret:
    """Holds one secret text; only `reveal` hands it out."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """Return the text. Call it where the secret is used, and nowhere else."""
        return self._text

    def __repr__(self) -> str:
        return _HIDDEN

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return _HIDDEN

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        return hash(self._text)

    def __reduce__(self) -> str:
        msg = "a Secret is not pickled"
        raise TypeError(msg)
