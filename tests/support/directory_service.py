"""A small HTTP service that knows accounts: posts of JSON, a shared secret, trouble on demand."""

import asyncio
import threading
from typing import Any

from aiohttp import web

SECRET = "between the two of us"


class DirectoryService:
    """Runs in a thread of its own, on a port of loopback. `passwords` is by name; `asked` has what
    came.
    """

    def __init__(self, passwords: dict[str, str]) -> None:
        self.passwords = passwords
        self.senders: dict[str, list[str]] = {}
        self.suspended: set[str] = set()
        self.asked: list[dict[str, Any]] = []
        self.status = 200
        self.url = ""
        self._loop = asyncio.new_event_loop()
        self._runner: web.AppRunner | None = None

    def start(self) -> None:
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._start(), self._loop).result(60)

    def stop(self) -> None:
        if self._runner is not None:
            asyncio.run_coroutine_threadsafe(self._runner.cleanup(), self._loop).result(60)
            self._runner = None
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(60)

    async def _start(self) -> None:
        app = web.Application()
        app.router.add_post("/login", self._login)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}/login"

    async def _login(self, request: web.Request) -> web.Response:
        if request.headers.get("Authorization") != f"Bearer {SECRET}":
            return web.json_response({}, status=401)
        said = await request.json()
        self.asked.append(said)
        return web.json_response(self._answer(said), status=self.status)

    def _answer(self, said: dict[str, Any]) -> dict[str, Any]:
        name = said["name"]
        if name not in self.passwords:
            return {"answer": "unknown"}
        if "password" in said and said["password"] != self.passwords[name]:
            return {"answer": "wrong"}
        answer: dict[str, Any] = {"answer": "suspended" if name in self.suspended else "ok"}
        if name in self.senders:
            answer["senders"] = self.senders[name]
        return answer
