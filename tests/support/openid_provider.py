"""A small OpenID provider over real HTTP: discovery, JWKS, introspection; keys that change; refresh
tokens that rotate; away.
"""

import asyncio
import secrets
import threading
import time
from contextlib import suppress
from typing import Any

from aiohttp import web
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet, RSAKey

from tests.support.ports import free_port


class Provider:
    """Runs in a thread of its own, on a port of loopback. `asked` lists the paths that came."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.status = 200
        self.active: dict[str, dict[str, Any]] = {}
        self.issuer = ""
        #: Claims by refresh token; those that were traded already; seconds that an access token
        #: lives; whether a refresh token is good once only.
        self.grants: dict[str, dict[str, Any]] = {}
        self.spent: set[str] = set()
        self.life = 300.0
        self.rotates = True
        self.forms: list[dict[str, str]] = []
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

    def grant(self, **claims: Any) -> str:
        """Return a new refresh token for access tokens that make these claims."""
        token = secrets.token_urlsafe(16)
        self.grants[token] = claims
        return token

    def jwks(self) -> dict[str, Any]:
        return dict(KeySet(self.published).as_dict(private=False))

    # -- HTTP

    def start(self, port: int = 0) -> None:
        """Serve; on the same port again after `stop`, when it is given: nobody who calls out is given it
        meanwhile.
        """
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._start(port or free_port()), self._loop).result(60)

    def stop(self) -> None:
        """Go away: connections are refused."""
        if self._runner is not None:
            asyncio.run_coroutine_threadsafe(self._runner.cleanup(), self._loop).result(60)
            self._runner = None
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(60)

    @property
    def port(self) -> int:
        return int(self.issuer.rpartition(":")[2])

    async def _start(self, port: int) -> None:
        app = web.Application()
        app.router.add_get("/.well-known/openid-configuration", self._discovery)
        app.router.add_get("/keys", self._keys)
        app.router.add_post("/introspect", self._introspect)
        app.router.add_post("/token", self._token)
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

    async def _token(self, request: web.Request) -> web.Response:
        """RFC 6749 §6, with the rotation of §10.4: a spent token that comes again ends all."""
        form = {k: str(v) for k, v in (await request.post()).items()}
        self.asked.append(request.path)
        self.forms.append(form)
        if self.status != 200:
            return web.json_response({}, status=self.status)
        basic = request.headers.get("Authorization")
        if basic != "Basic Z2F0ZXBvc3Q6czNjcmV0" and (basic or form.get("client_id") != "public"):
            return web.json_response({"error": "invalid_client"}, status=401)
        token = form.get("refresh_token", "")
        if token in self.spent:
            self.grants.clear()
        if form.get("grant_type") != "refresh_token" or token not in self.grants:
            return web.json_response({"error": "invalid_grant"}, status=400)
        claims = self.grants[token]
        now = time.time()
        said = {"iss": self.issuer, "iat": int(now), "exp": now + self.life, "jti": token} | claims
        answer = {
            "access_token": self.token(**said),
            "token_type": "Bearer",
            "expires_in": self.life,
        }
        self.active[str(answer["access_token"])] = said
        if self.rotates:
            self.spent.add(token)
            del self.grants[token]
            answer["refresh_token"] = self.grant(**claims)
        return web.json_response(answer)

    def _answer(self, request: web.Request, value: dict[str, Any]) -> web.Response:
        self.asked.append(request.path)
        return web.json_response(value, status=self.status)
