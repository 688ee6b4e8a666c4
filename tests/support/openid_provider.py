"""A small OpenID provider over real HTTP: discovery, JWKS, introspection; keys that change; away."""

import asyncio
import threading
from contextlib import suppress
from typing import Any

from aiohttp import web
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet, RSAKey


class Provider:
    """Runs in a thread of its own, on a port of loopback. `asked` lists the paths that came."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.status = 200
        self.active: dict[str, dict[str, Any]] = {}
        self.issuer = ""
        self._loop = asyncio.new_event_loop()
        self._runner: web.AppRunner | None = None
        self._numbers = 0
        self.rotate()

    def rotate(self, kind: str = "RSA") -> None:
        """Sign with a new key from now on, and publish no other."""
        self._numbers += 1
        name = {"kid": f"key-{self._numbers}", "use": "sig"}
        if kind == "EC":
            self.key: Any = ECKey.generate_key("P-256", parameters=name)
        else:
            self.key = RSAKey.generate_key(2048, parameters=name)
        self.published = [self.key]

    def token(
        self, *, alg: str = "RS256", header: Any = None, key: Any = None, **claims: Any
    ) -> str:
        head = {"alg": alg, "kid": self.key.kid} if header is None else header
        return jwt.encode(head, claims, key or self.key, algorithms=[alg])

    def jwks(self) -> dict[str, Any]:
        return dict(KeySet(self.published).as_dict(private=False))

    # -- HTTP

    def start(self, port: int = 0) -> None:
        """Serve; on the same port again after `stop`, when it is given."""
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._start(port), self._loop).result(20)

    def stop(self) -> None:
        """Go away: connections are refused."""
        if self._runner is not None:
            asyncio.run_coroutine_threadsafe(self._runner.cleanup(), self._loop).result(20)
            self._runner = None
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(20)

    @property
    def port(self) -> int:
        return int(self.issuer.rpartition(":")[2])

    async def _start(self, port: int) -> None:
        app = web.Application()
        app.router.add_get("/.well-known/openid-configuration", self._discovery)
        app.router.add_get("/keys", self._keys)
        app.router.add_post("/introspect", self._introspect)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", port)
        await site.start()
        bound = self._runner.addresses[0][1]
        self.issuer = f"http://127.0.0.1:{bound}"

    async def _discovery(self, request: web.Request) -> web.Response:
        return self._answer(request, {"issuer": self.issuer, "jwks_uri": f"{self.issuer}/keys"})

    async def _keys(self, request: web.Request) -> web.Response:
        return self._answer(request, self.jwks())

    async def _introspect(self, request: web.Request) -> web.Response:
        with suppress(ValueError, KeyError):
            if request.headers["Authorization"] == "Basic Z2F0ZXBvc3Q6czNjcmV0":  # gatepost:s3cret
                form = await request.post()
                found = self.active.get(str(form["token"]))
                said = {"active": False} if found is None else {"active": True} | found
                return self._answer(request, said)
        return web.json_response({}, status=401)

    def _answer(self, request: web.Request, value: dict[str, Any]) -> web.Response:
        self.asked.append(request.path)
        return web.json_response(value, status=self.status)
