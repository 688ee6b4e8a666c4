"""An HTTP service as a directory: it is told name and password, and says yes or no.

We post {"name": …, "password": …, "client": …}; without a password it is a look-up. It answers
{"answer": "ok" | "wrong" | "unknown" | "suspended", "senders": […], "lane": …, "hourly": …,
"daily": …}; "suspended" only where the password was right.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from gatepost.identity.directory import Entry
from gatepost.identity.foreign import Asker, Breaker, Heard
from gatepost.identity.foreign_account import account_of, entry_of, own_address, with_policy
from gatepost.model.grant import parse_grant
from gatepost.model.ids import AccountName
from gatepost.model.secret import Secret
from gatepost.model.wrong import WrongValueError
from gatepost.net.http_client import HttpError, post_json

_ANSWERS: Final = {"ok", "wrong", "unknown", "suspended"}
_WORDS: Final = 200


@dataclass(frozen=True, slots=True)
class HttpSettings:
    """Where to ask, and the secret that says who asks. `timeout` in seconds."""

    url: str
    secret: Secret = field(repr=False)
    timeout: float
    ca_file: Path | None = None


class HttpDirectory:
    """One service."""

    can_look_up = True
    has_keys = False

    def __init__(self, label: str, settings: HttpSettings, *, at_once: int) -> None:
        self.label = label
        self._settings = settings
        self._breaker = Breaker(label, at_once)

    async def find(self, name: AccountName) -> Entry | None:
        """Return an account as it is now."""
        return (await self._ask({"name": name}, name, Asker())).entry

    async def check(self, name: AccountName, password: str, asker: Asker) -> Heard:
        """Try a password."""
        said = {"name": name, "password": password, "client": asker.client}
        heard = await self._ask(said, name, asker)
        # Its words go to events: never with what somebody typed as a password.
        return replace(heard, words="wrong") if password in heard.words else heard

    async def close(self) -> None:
        """Nothing is kept open."""
        await asyncio.sleep(0)

    async def _ask(self, said: Mapping[str, str], name: AccountName, asker: Asker) -> Heard:
        settings = self._settings
        self._breaker.look()
        async with self._breaker.turns.turn(asker.client, asker.outdated):
            self._breaker.look()
            try:
                answer = await post_json(
                    settings.url,
                    said,
                    bearer=settings.secret,
                    deadline=settings.timeout,
                    authorities=settings.ca_file,
                )
            except HttpError as problem:
                raise self._breaker.broken(problem) from None
        try:
            return read_answer(self.label, name, answer)
        except ValueError as problem:
            raise self._breaker.unclear(f"{settings.url}: {problem}") from None


def read_answer(label: str, name: AccountName, answer: Mapping[str, Any]) -> Heard:
    """Return what an answer means.

    Raises:
        ValueError: it is not understood; says what, not the answer as a whole.

    """
    word = answer.get("answer")
    if not isinstance(word, str) or word not in _ANSWERS:
        msg = 'it says neither "ok", "wrong", "unknown" nor "suspended"'
        raise ValueError(msg)
    reason = answer.get("reason")
    words = _one_line(reason) if isinstance(reason, str) else ""
    if word == "unknown":
        return Heard(None)
    if word == "wrong":
        return Heard(None, False, words or "wrong", decides=True)
    senders = answer.get("senders", list(own_address(name)))
    if not isinstance(senders, list):
        msg = '"senders" is no list'
        raise ValueError(msg)  # noqa: TRY004 - of what others say
    try:
        grants = [parse_grant(str(sender)) for sender in senders]
    except WrongValueError as problem:
        raise ValueError(f'"senders": {problem.wrongs[0].what}') from None
    account = with_policy(account_of(name, grants, suspended=word == "suspended"), answer)
    return Heard(entry_of(label, account), True, words)


def _one_line(reason: str) -> str:
    """Return words that can be stored: JSON may escape halves of characters."""
    return " ".join(reason.encode("utf-8", "replace").decode().split())[:_WORDS]
