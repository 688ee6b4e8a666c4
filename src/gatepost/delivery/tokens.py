"""Bearer tokens for upstream logins (XOAUTH2, OAUTHBEARER): fetched by a command, kept a while.

The command is the operator's own (`token_command`): it prints an access token, or the JSON of a
token endpoint's answer (RFC 6749 §5.1). It runs beside the event loop, without a shell, one at a
time; nothing of what it prints reaches a log.
"""

import asyncio
import contextlib
import json
import re
import shlex
from base64 import urlsafe_b64decode
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

#: Seconds that a command gets; octets that it may print.
_PATIENCE: Final = 30.0
_LONGEST: Final = 64 * 1024
#: A token that says nothing about its end is kept for so long.
_UNKNOWN_LIFE: Final = timedelta(minutes=5)
#: A token is not used any more so long before its end: a login takes its time, clocks differ.
_MARGIN: Final = timedelta(minutes=1)
#: After a failure the command is left alone for so long: mail waits anyway.
_REST: Final = timedelta(seconds=10)
_NEVER: Final = datetime.min.replace(tzinfo=UTC)
#: RFC 6750 §2.1.
_TOKEN: Final = re.compile(r"[A-Za-z0-9._~+/-]+=*")


class TokenFailedError(Exception):
    """There is no token; the words say why, and never what the command printed."""


@dataclass(frozen=True, slots=True, repr=False)
class Token:
    """A bearer token. From `stale_at` on it is better not used."""

    text: str
    stale_at: datetime


@dataclass(slots=True)
class _Kept:
    """What is known of one command: a token, or its last failure; `lock` lets one run at a time."""

    lock: asyncio.Lock
    token: Token | None = None
    failure: TokenFailedError | None = None
    failed_at: datetime = _NEVER


class TokenCommands:
    """The tokens of one worker."""

    def __init__(self, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._now = now
        self._kept: dict[str, _Kept] = {}

    async def token(self, command: str) -> str:
        """Return a command's token, as kept or fresh.

        Raises:
            TokenFailedError: it has none for us.

        """
        kept = self._kept.setdefault(command, _Kept(asyncio.Lock()))
        async with kept.lock:
            now = self._now()
            if kept.token is not None and now < kept.token.stale_at:
                return kept.token.text
            if kept.failure is not None and now < kept.failed_at + _REST:
                raise TokenFailedError(str(kept.failure))
            try:
                kept.token = read_token(await _run(command), self._now())
            except TokenFailedError as failure:
                kept.failure, kept.failed_at = failure, self._now()
                raise
            return kept.token.text

    def forget(self, command: str, token: str) -> None:
        """Do not use this token again: the next hop refused it."""
        kept = self._kept.get(command)
        if kept is not None and kept.token is not None and kept.token.text == token:
            kept.token = None


async def _run(command: str) -> bytes:
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
        with contextlib.suppress(ProcessLookupError):
            process.kill()
    if status:
        raise TokenFailedError(f"token_command failed with status {status}")
    return printed


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
    """Read what a command printed: a bare token, or JSON with "access_token" and "expires_in".

    A bare token that is a JWT says its end itself (RFC 7519 §4.1.4). Pure.

    Raises:
        TokenFailedError: no token is found in it.

    """
    text = printed.decode("utf-8", "replace").strip()
    life: object = None
    if text.startswith("{"):
        answer = _object(text)
        text, life = str(answer.get("access_token", "")), answer.get("expires_in")
    if not _TOKEN.fullmatch(text):
        raise TokenFailedError("token_command printed no token")
    with contextlib.suppress(TypeError, ValueError, OverflowError):
        if life is not None:
            return _kept_until(text, now, now + timedelta(seconds=float(str(life))))
        if (end := _jwt_end(text)) is not None:
            return _kept_until(text, now, datetime.fromtimestamp(end, UTC))
    return Token(text, now + _UNKNOWN_LIFE)


def _kept_until(text: str, now: datetime, end: datetime) -> Token:
    """Leave a margin, of half its life where that is short."""
    return Token(text, end - min(_MARGIN, max(timedelta(0), end - now) / 2))


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
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
