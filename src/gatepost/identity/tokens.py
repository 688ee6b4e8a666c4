"""Bearer tokens: whose are they, and are they good (RFC 6750, RFC 7519, RFC 7662).

A JWT is checked here, against the issuer's keys; any other token is shown to the issuer
(introspection), where the settings say so. What is wrong is said by the claim, never by the token.
"""

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, Protocol

from joserfc import jws, jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from gatepost.identity.bearer import TokenError, TokenIssuerAwayError
from gatepost.identity.issuer_keys import DISCOVERY, FileKeys, IssuerKeys
from gatepost.model.secret import Secret
from gatepost.net.http_client import HttpError, ask_json

if TYPE_CHECKING:
    from gatepost.model.settings import OauthSettings

Introspect = Callable[[str], Awaitable[Mapping[str, Any]]]

#: Where an account's name is an address that nobody has verified, anybody could claim it.
_VERIFIED: Final = "email_verified"


class Keys(Protocol):
    """Where an issuer's keys come from."""

    async def keys(self, kid: str | None) -> KeySet:
        """Return the keys. Raises TokenIssuerAwayError."""
        ...


@dataclass(frozen=True, slots=True)
class Rules:
    """What a token must say."""

    audience: str
    issuer: str | None
    account_claim: str
    algorithms: tuple[str, ...]
    leeway: timedelta
    #: Of accounts found by the claim "email": the token must say that somebody has verified it. False:
    #: it may leave that unsaid; it never may say that nobody has.
    email_verified: bool = True


class TokenChecker:
    """`Tokens` over keys, introspection, or both."""

    def __init__(
        self, rules: Rules, *, keys: Keys | None = None, introspect: Introspect | None = None
    ) -> None:
        self._rules = rules
        self._keys = keys
        self._introspect = introspect
        self._challenge = _challenge(rules.issuer)

    def challenge(self) -> bytes:
        """Return the JSON that a refused client is shown (RFC 7628 §3.2.2)."""
        return self._challenge

    async def holder(self, token: str, at: datetime) -> str:
        """Return the account's name that a token stands for.

        Raises:
            TokenError: it is not good; says which claim.
            TokenIssuerAwayError: nobody can say.

        """
        if self._keys is not None and (token.count(".") == 2 or self._introspect is None):
            claims: Mapping[str, Any] = await self._claims_of_jwt(token, self._keys)
        elif self._introspect is not None:
            claims = await self._introspect(token)
            if claims.get("active") is not True:
                msg = "the issuer says that it is not active (expired, revoked or not its own)"
                raise TokenError(msg)
            # RFC 7662 §2.2: all but "active" may be left out; the issuer has looked at it.
            claims = {
                "aud": self._rules.audience,
                "iss": self._rules.issuer,
                "exp": None,
            } | dict(claims)
        else:
            msg = "there are neither keys nor introspection to check it with"
            raise TokenIssuerAwayError(msg)
        check_claims(claims, self._rules, at)
        return _account_of(claims, self._rules)

    async def _claims_of_jwt(self, token: str, keys: Keys) -> dict[str, Any]:
        try:
            header = jws.extract_compact(token.encode("ascii", "replace")).headers()
        except (JoseError, ValueError, TypeError, KeyError):
            msg = "it is not a JWT"
            raise TokenError(msg) from None
        algorithm, kid = header.get("alg"), header.get("kid")
        if algorithm not in self._rules.algorithms:
            allowed = ", ".join(self._rules.algorithms)
            raise TokenError(f"alg: {_shown(algorithm)} is not one of {allowed}")
        found = await keys.keys(kid if isinstance(kid, str) else None)
        if isinstance(kid, str) and not any(key.kid == kid for key in found.keys):
            raise TokenError(f"kid: the issuer has no key {_shown(kid)}")
        candidates = [key for key in found.keys if not isinstance(kid, str) or key.kid == kid]
        for key in candidates:
            try:
                decoded = jwt.decode(token, key, algorithms=[str(algorithm)])
            except (JoseError, ValueError, TypeError):
                continue
            return dict(decoded.claims)
        msg = "signature: it does not fit the issuer's key"
        raise TokenError(msg)


def check_claims(claims: Mapping[str, Any], rules: Rules, at: datetime) -> None:
    """Check issuer, audience and times (RFC 7519 §4.1), with `rules.leeway` for clocks that differ.

    Raises:
        TokenError: which claim is wrong, and how.

    """
    if rules.issuer is not None and claims.get("iss") != rules.issuer:
        raise TokenError(f"iss: {_shown(claims.get('iss'))} is not {rules.issuer}")
    audience = claims.get("aud")
    if rules.audience not in (audience if isinstance(audience, list) else [audience]):
        raise TokenError(f"aud: {_shown(audience)} is not {rules.audience}")
    if "exp" not in claims:
        msg = "exp: it never expires"
        raise TokenError(msg)
    expires_at = _moment(claims, "exp")
    if expires_at is not None and expires_at + rules.leeway <= at:
        raise TokenError(f"exp: it expired at {expires_at:%Y-%m-%d %H:%M:%S} UTC")
    for claim in ("nbf", "iat"):
        begins_at = _moment(claims, claim)
        if begins_at is not None and begins_at - rules.leeway > at:
            words = f"{begins_at:%Y-%m-%d %H:%M:%S} UTC"
            raise TokenError(f"{claim}: it is not good before {words}; look at the clocks")


def build_tokens(settings: "OauthSettings", client_secret: Secret | None) -> TokenChecker:
    """Return a checker as the settings want it; `client_secret` is for introspection."""
    keys: Keys | None = None
    if settings.jwks_file is not None:
        keys = FileKeys(settings.jwks_file)
    elif settings.jwks_url is not None or settings.introspection_url is None:
        keys = IssuerKeys(issuer=settings.issuer, url=settings.jwks_url)
    introspect = None
    if settings.introspection_url is not None:
        secret = client_secret.reveal() if client_secret else ""
        login = (settings.client_id, secret) if settings.client_id else None
        introspect = _introspection(settings.introspection_url, login)
    rules = Rules(
        audience=settings.audience,
        issuer=settings.issuer,
        account_claim=settings.account_claim,
        algorithms=settings.algorithms,
        leeway=settings.leeway,
        email_verified=settings.require_email_verified,
    )
    return TokenChecker(rules, keys=keys, introspect=introspect)


def _introspection(url: str, login: tuple[str, str] | None) -> Introspect:
    async def introspect(token: str) -> Mapping[str, Any]:
        form = {"token": token, "token_type_hint": "access_token"}
        try:
            return await ask_json(url, form=form, login=login)
        except HttpError as problem:
            raise TokenIssuerAwayError(str(problem)) from problem

    return introspect


def _account_of(claims: Mapping[str, Any], rules: Rules) -> str:
    """Return whose a token is. OpenID Connect lets an issuer leave email_verified out: then nothing is
    known of the address, which its user may just have typed.
    """
    claim = rules.account_claim
    value = claims.get(claim)
    if not isinstance(value, str) or not value:
        raise TokenError(f"{claim}: the token does not say whose it is")
    if claim == "email":
        if rules.email_verified and _VERIFIED not in claims:
            msg = f"{_VERIFIED}: the token does not say that somebody has verified the address"
            raise TokenError(msg)
        verified = claims.get(_VERIFIED, True)
        if verified is not True and verified != "true":
            raise TokenError(f"{_VERIFIED}: nobody has verified that the address is theirs")
        # Hosts do not tell A from a in an address; issuers may in whatever else they call a user.
        return value.lower() if value.isascii() else value
    return value


def _moment(claims: Mapping[str, Any], claim: str) -> datetime | None:
    value = claims.get(claim)
    if value is None:
        return None
    try:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise TypeError  # noqa: TRY301 - one way out
        return datetime.fromtimestamp(value, UTC)
    except (TypeError, ValueError, OverflowError, OSError):
        raise TokenError(f"{claim}: it is no time") from None


def _challenge(issuer: str | None) -> bytes:
    said = {"status": "invalid_token", "schemes": "bearer"}
    if issuer:
        said["openid-configuration"] = issuer.rstrip("/") + DISCOVERY
    return json.dumps(said, separators=(",", ":")).encode()


def _shown(value: object) -> str:
    text = str(value)
    return text if len(text) <= 80 else text[:77] + "..."
