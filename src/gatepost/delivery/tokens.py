"""Bearer tokens for upstream logins (XOAUTH2, OAUTHBEARER): fetched when needed, kept a while.

They come from a command of the operator's own (`token_command`), or from a token endpoint for a
refresh token (`refresh`). Each source is asked by one at a time; no token reaches a log.
"""

import asyncio
import contextlib
import json
import re
import shlex
from base64 import urlsafe_b64decode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from gatepost.delivery.refresh import RefreshFailedError, refresh
from gatepost.model.route import RefreshGrant, TokenCommand, TokenSource

#: Seconds that a command gets; octets that it may print.
_PATIENCE: Final = 30.0
_LONGEST: Final = 64 * 1024
#: A token that says nothing about its end is kept for so long.
_UNKNOWN_LIFE: Final = timedelta(minutes=5)
#: A token is not used any more so long before its end: a login takes its time, clocks differ.
_MARGIN: Final = timedelta(minutes=1)
#: After a failure a source is left alone for so long: mail waits anyway. A token endpoint that said
#: no says it again until somebody mends it.
_REST: Final = timedelta(seconds=10)
_REST_AFTER_NO: Final = timedelta(minutes=1)
_NEVER: Final = datetime.min.replace(tzinfo=UTC)
#: RFC 6750 §2.1.
_TOKEN: Final = re.compile(r"[A-Za-z0-9._~+/-]+=*")


class TokenFailedError(Exception):
    """There is no token; the words say why, and never what came instead.

    `rest`: for how long not to ask again.
    """

    def __init__(self, words: str, rest: timedelta = _REST) -> None:
        super().__init__(words)
        self.rest = rest


@dataclass(frozen=True, slots=True, repr=False)
class Token:
    """A bearer token. From `stale_at` on it is better not used, from `ends_at` on it is no good."""

    text: str
    stale_at: datetime
    ends_at: datetime


@dataclass(slots=True)
class _Kept:
    """What is known of one source: a token, and its last failure; `lock` lets one ask at a time."""

    lock: asyncio.Lock
    token: Token | None = None
    failure: TokenFailedError | None = None
    rests_until: datetime = _NEVER


class UpstreamTokens:
    """The tokens of one worker."""

    def __init__(self, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._now = now
        self._kept: dict[TokenSource, _Kept] = {}

    async def token(self, source: TokenSource) -> str:
        """Return a source's token, as kept or fresh; a stale one where no fresh one is to be had.

        Raises:
            TokenFailedError: it has none for us.

        """
        kept = self._kept.setdefault(source, _Kept(asyncio.Lock()))
        async with kept.lock:
            now = self._now()
            if kept.token is not None and now < kept.token.stale_at:
                return kept.token.text
            if kept.failure is None or now >= kept.rests_until:
                try:
                    kept.token = await self._fetch(source)
                except TokenFailedError as failure:
                    kept.failure, kept.rests_until = failure, self._now() + failure.rest
                else:
                    kept.failure = None
                    return kept.token.text
            if kept.token is not None and now < kept.token.ends_at:
                return kept.token.text
            raise TokenFailedError(str(kept.failure))

    def forget(self, source: TokenSource | None, token: str) -> None:
        """Do not use this token again: the next hop refused it."""
        kept = self._kept.get(source) if source is not None else None
        if kept is not None and kept.token is not None and kept.token.text == token:
            kept.token = None

    async def _fetch(self, source: TokenSource) -> Token:
        match source:
            case TokenCommand(line):
                return read_token(await run_command(line), self._now())
            case RefreshGrant():
                try:
                    answer = await refresh(source)
                except RefreshFailedError as failure:
                    rest = _REST_AFTER_NO if failure.is_final else _REST
                    raise TokenFailedError(str(failure), rest) from None
                return read_answer(answer, self._now())


async def run_command(command: str) -> bytes:
    """Run a token_command and return what it printed.

    Raises:
        TokenFailedError: it cannot be run, fails, takes too long or prints too much.

    """
    try:
        process = await asyncio.create_subprocess_exec(
            *shlex.split(command),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
    except (OSError, ValueError) as problem:
        words = getattr(problem, "strerror", None) or str(problem)
        raise TokenFailedError(f"token_command cannot be run: {words.lower()}") from None
    try:
        async with asyncio.timeout(_PATIENCE):
            printed = await _all_of(process)
            status = await process.wait()
    except TimeoutError:
        raise TokenFailedError(f"token_command took longer than {_PATIENCE:.0f} s") from None
    finally:
        await _end(process)
    if status:
        raise TokenFailedError(f"token_command failed with status {status}")
    return printed


async def _end(process: asyncio.subprocess.Process) -> None:
    """Kill it if it still runs, and read what is left in its pipe: only then the pipe is closed."""
    with contextlib.suppress(ProcessLookupError):
        process.kill()
    with contextlib.suppress(TimeoutError):  # its own children may hold the pipe open
        async with asyncio.timeout(1):
            while process.stdout is not None and await process.stdout.read(_LONGEST):
                pass
            await process.wait()


async def _all_of(process: asyncio.subprocess.Process) -> bytes:
    if process.stdout is None:
        return b""
    printed = b""
    while piece := await process.stdout.read(_LONGEST):
        printed += piece
        if len(printed) > _LONGEST:
            raise TokenFailedError("token_command printed more than a token")
    return printed


def read_token(printed: bytes, now: datetime) -> Token:
    """Read what a command printed: a bare token, or the JSON of a token endpoint's answer.

    A bare token that is a JWT says its end itself (RFC 7519 §4.1.4). Pure.

    Raises:
        TokenFailedError: no token is found in it.

    """
    text = printed.decode("utf-8", "replace").strip()
    if text.startswith("{"):
        return read_answer(_object(text), now, "token_command printed no token")
    if not _TOKEN.fullmatch(text):
        raise TokenFailedError("token_command printed no token")
    return _kept_by_itself(text, now)


def read_answer(
    answer: Mapping[str, object], now: datetime, without: str = "the token endpoint sent no token"
) -> Token:
    """Read a token endpoint's answer: "access_token", and "expires_in" seconds (RFC 6749 §5.1).

    Raises:
        TokenFailedError: with the words of `without`.

    """
    text = answer.get("access_token")
    if not isinstance(text, str) or not _TOKEN.fullmatch(text):
        raise TokenFailedError(without)
    kind = str(answer.get("token_type", "Bearer"))
    if kind.lower() != "bearer":
        raise TokenFailedError(f"{without}: it is of type {kind[:20]!r}, not Bearer")
    with contextlib.suppress(TypeError, ValueError, OverflowError):
        if (life := answer.get("expires_in")) is not None:
            return _kept_until(text, now, now + timedelta(seconds=float(str(life))))
    return _kept_by_itself(text, now)


def _kept_by_itself(text: str, now: datetime) -> Token:
    with contextlib.suppress(TypeError, ValueError, OverflowError):
        if (end := _jwt_end(text)) is not None:
            return _kept_until(text, now, datetime.fromtimestamp(end, UTC))
    return Token(text, now + _UNKNOWN_LIFE, now + _UNKNOWN_LIFE)


def _kept_until(text: str, now: datetime, end: datetime) -> Token:
    """Leave a margin, of half its life where that is short."""
    return Token(text, end - min(_MARGIN, max(timedelta(0), end - now) / 2), end)


def _jwt_end(token: str) -> float | None:
    parts = token.split(".")
    if len(parts) != 3:
        return None
    claims = _object(urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    end = claims.get("exp")
    return float(end) if isinstance(end, int | float) else None


def _object(text: str | bytes) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
