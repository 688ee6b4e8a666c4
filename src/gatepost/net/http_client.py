"""Ask an HTTP server for JSON: bounded in time and size, no redirects. Asked seldom, by name.

aiohttp is imported with the first question: most nodes never ask one.
"""

import json
import ssl
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote_plus

from gatepost.model.secret import Secret
from gatepost.net.tls import Verification, client_context

#: Seconds for a whole exchange: a mail client waits for us meanwhile.
DEADLINE: Final = 10.0
_LARGEST: Final = 1 << 20


class HttpError(Exception):
    """No good answer; says which server and why, never what was asked."""


class HttpRefusalError(HttpError):
    """The server's no: a status other than 200. `answer` is the JSON object beside it, if any."""

    def __init__(self, words: str, status: int, answer: Mapping[str, Any]) -> None:
        super().__init__(words)
        self.status = status
        self.answer = answer


async def ask_json(
    url: str,
    *,
    form: Mapping[str, str] | None = None,
    login: tuple[str, str] | None = None,
) -> dict[str, Any]:
    """Return the JSON object behind a URL: by GET, or by POST where there is a `form`.

    `login` are name and password for HTTP Basic.

    Raises:
        HttpError: not to be reached, not in time, too large, or no JSON object.
        HttpRefusalError: another status than 200.

    """
    headers = {}
    if login:
        # RFC 6749 §2.3.1: both are form-encoded first.
        pair = ":".join(quote_plus(part) for part in login)
        headers["Authorization"] = f"Basic {b64encode(pair.encode()).decode()}"
    method = "GET" if form is None else "POST"
    return await _ask(method, url, _Options(headers=headers), data=form)


async def post_json(
    url: str,
    said: Mapping[str, Any],
    *,
    bearer: Secret,
    deadline: float = DEADLINE,
    authorities: Path | None = None,
) -> dict[str, Any]:
    """Return the JSON object that answers one that is posted.

    Args:
        url: where to.
        said: what to say, as JSON.
        bearer: who says so (RFC 6750 §2.1).
        deadline: seconds for the whole exchange.
        authorities: PEM file of the authorities to trust instead of the system's.

    Raises:
        HttpError: as `ask_json` does.

    """
    headers = {"Authorization": f"Bearer {bearer.reveal()}"}
    tls = client_context(Verification.REQUIRED, authorities) if authorities else None
    return await _ask("POST", url, _Options(headers=headers, deadline=deadline, tls=tls), json=said)


@dataclass(frozen=True, slots=True)
class _Options:
    """How to ask: further header fields, seconds for the whole, and a TLS context of one's own."""

    headers: Mapping[str, str]
    deadline: float = DEADLINE
    tls: ssl.SSLContext | None = None


async def _ask(method: str, url: str, options: _Options, **body: Any) -> dict[str, Any]:  # noqa: ANN401
    import aiohttp  # noqa: PLC0415 - heavy, and seldom needed

    headers = {"Accept": "application/json", **options.headers}
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(options.deadline)) as session,
            session.request(
                method,
                url,
                headers=headers,
                allow_redirects=False,
                ssl=options.tls or True,
                **body,
            ) as response,
        ):
            octets = await response.content.read(_LARGEST + 1)
            while len(octets) <= _LARGEST and (more := await response.content.read(_LARGEST)):
                octets += more
    except TimeoutError:
        raise HttpError(f"{url}: no answer within {options.deadline:g} s") from None
    except (aiohttp.ClientError, OSError) as problem:
        raise HttpError(f"{url}: {problem or type(problem).__name__}") from problem
    if len(octets) > _LARGEST:
        raise HttpError(f"{url}: more than {_LARGEST} octets")
    found = _object(octets)
    if response.status != 200:
        raise HttpRefusalError(f"{url}: status {response.status}", response.status, found or {})
    if found is None:
        raise HttpError(f"{url}: no JSON object")
    return found


def _object(octets: bytes) -> dict[str, Any] | None:
    try:
        found = json.loads(octets)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None
