"""Trade a refresh token for an access token (RFC 6749 §6); keep the one that comes in its place.

The refresh token lives in a file of the operator's. An endpoint may hand out another one with every
answer and take back the former, or all of them when a former one comes again: so of all processes
one asks at a time, and the file is replaced, never half written.
"""

import asyncio
import fcntl
import os
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final

from gatepost.model.route import RefreshGrant
from gatepost.net.http_client import HttpError, HttpRefusalError, ask_json

#: Seconds to wait for another process that asks, and between two looks at whether it has ended.
_PATIENCE: Final = 60.0
_LOOK: Final = 0.05
#: Octets of the largest refresh token; characters of what an endpoint may say in our log.
_LARGEST: Final = 64 * 1024
_LONGEST_WORDS: Final = 200
#: What RFC 6749 §5.2 lets an endpoint answer, and what to do about it.
_MENDS: Final[Mapping[str, str]] = {
    "invalid_grant": "the refresh token has expired or was taken back: get a new one into"
    " refresh_token_file",
    "invalid_client": "look at client_id and client_secret_file",
    "unauthorized_client": "this client may not use refresh tokens there",
    "invalid_scope": "look at scope: it goes beyond what was granted at first",
}


class RefreshFailedError(Exception):
    """No access token; the words say why and hold no secret. `is_final`: it needs mending."""

    def __init__(self, words: str, *, is_final: bool) -> None:
        super().__init__(words)
        self.is_final = is_final


async def refresh(grant: RefreshGrant) -> dict[str, Any]:
    """Return a token endpoint's answer (RFC 6749 §5.1), once its new refresh token is kept.

    Raises:
        RefreshFailedError: the file cannot be used, or the endpoint is away or says no.

    """
    path = grant.refresh_token_file
    try:
        real = path.resolve(strict=True)  # a link stays one
        async with _alone(real):
            return await _trade(grant, real)
    except TimeoutError:
        raise RefreshFailedError(
            "another process asks the token endpoint and does not end", is_final=False
        ) from None
    except OSError as problem:
        words = (problem.strerror or str(problem)).lower()
        raise RefreshFailedError(
            f"refresh_token_file {path}: {words}; Gatepost reads it, and writes in its directory",
            is_final=True,
        ) from None


async def _trade(grant: RefreshGrant, path: Path) -> dict[str, Any]:
    token = _read(path)
    form = {"grant_type": "refresh_token", "refresh_token": token}
    if grant.scope:
        form["scope"] = grant.scope
    login = None
    if grant.client_secret is not None:
        login = (grant.client_id, grant.client_secret.reveal())
    else:  # RFC 6749 §3.2.1
        form["client_id"] = grant.client_id
    # Made before the question: what cannot be kept must not be asked for.
    spare = _Spare(path)
    try:
        answer = await ask_json(grant.endpoint, form=form, login=login)
        following = answer.get("refresh_token")
        if isinstance(following, str) and following not in {"", token}:
            if not _is_token(following):
                raise RefreshFailedError(
                    "the token endpoint sent a refresh token that is none", is_final=True
                )
            spare.replace(following)
    except HttpRefusalError as refusal:
        raise _said_no(refusal) from None
    except HttpError as problem:
        raise RefreshFailedError(f"token endpoint {problem}", is_final=False) from None
    finally:
        spare.drop()
    return answer


def _said_no(refusal: HttpRefusalError) -> RefreshFailedError:
    error = str(refusal.answer.get("error", ""))
    if refusal.status >= 500 or refusal.status == 429 or not error:
        return RefreshFailedError(f"token endpoint {refusal}", is_final=False)
    mend = _MENDS.get(error) or str(refusal.answer.get("error_description", ""))
    words = "".join(c if c.isprintable() else " " for c in f"{error}: {mend}".rstrip(": "))
    return RefreshFailedError(f"token endpoint {refusal}: {words[:_LONGEST_WORDS]}", is_final=True)


def _read(path: Path) -> str:
    with path.open("rb") as file:
        octets = file.read(_LARGEST + 1)
    token = octets.decode("utf-8", "replace").strip()
    if not _is_token(token):
        raise RefreshFailedError(
            f"refresh_token_file {path} holds no token: one line of printable ASCII",
            is_final=True,
        )
    return token


def _is_token(text: str) -> bool:
    """RFC 6749 appendix A.17: printable ASCII."""
    return 0 < len(text) <= _LARGEST and text.isascii() and text.isprintable()


class _Spare:
    """A file beside another one, to take its place."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        self._spare: Path | None = Path(name)

    def replace(self, text: str) -> None:
        """Let the other file hold this text, and nothing else at any moment (0600)."""
        with os.fdopen(os.dup(self._descriptor), "wb") as file:
            file.write(text.encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        if self._spare is not None:
            self._spare.replace(self._path)
            self._spare = None
        directory = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)

    def drop(self) -> None:
        """Leave nothing behind."""
        os.close(self._descriptor)
        if self._spare is not None:
            with suppress(OSError):
                self._spare.unlink()


@asynccontextmanager
async def _alone(path: Path) -> AsyncIterator[None]:
    """Hold the lock of a refresh token: it is on the directory, which outlives the file."""
    descriptor = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        async with asyncio.timeout(_PATIENCE):
            while not _is_locked(descriptor):  # noqa: ASYNC110 - another process's
                await asyncio.sleep(_LOOK)
        yield
    finally:
        os.close(descriptor)


def _is_locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
