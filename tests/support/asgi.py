"""Requests to an ASGI application in memory, as a test reads best."""

import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, unquote, urlencode

from starlette.types import ASGIApp, Message


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


async def ask(
    app: ASGIApp,
    method: str,
    path: str,
    *,
    key: str = "",
    body: object = None,
    raw: bytes | None = None,
    headers: dict[str, str] | None = None,
    query: dict[str, str] | None = None,
    query_text: str = "",
) -> Answer:
    """Send one request and return the answer."""
    octets = raw if raw is not None else b"" if body is None else json.dumps(body).encode()
    sent = {"content-type": "application/json", "content-length": str(len(octets))}
    sent |= {"authorization": f"Bearer {key}"} if key else {}
    sent |= headers or {}
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method,
        "scheme": "http", "path": unquote(path), "raw_path": quote(path).encode(), "root_path": "",
        "query_string": (query_text or urlencode(query or {})).encode(), "client": ("192.0.2.7", 4000),
        "headers": [(k.lower().encode(), v.encode("latin-1")) for k, v in sent.items()],
        "server": ("127.0.0.1", 80), "state": {},
    }  # fmt: skip
    waiting: list[Message] = [{"type": "http.request", "body": octets, "more_body": False}]
    got: list[Message] = []

    async def receive() -> Message:
        return waiting.pop(0) if waiting else {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        got.append(message)

    await app(scope, receive, send)
    start = next(m for m in got if m["type"] == "http.response.start")
    content = b"".join(m.get("body", b"") for m in got if m["type"] == "http.response.body")
    shown = {k.decode().lower(): v.decode("latin-1") for k, v in start["headers"]}
    return Answer(start["status"], shown, content)
