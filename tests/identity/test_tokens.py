"""Bearer tokens: which are good, whose they are, and what happens when the issuer is away."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from joserfc.jwk import OctKey, RSAKey

from gatepost.identity import issuer_keys
from gatepost.identity.bearer import TokenError, TokenIssuerAwayError
from gatepost.identity.issuer_keys import FileKeys, IssuerKeys, read_keys
from gatepost.identity.tokens import Rules, TokenChecker, build_tokens
from gatepost.identity.verdict import TOKEN_CREDENTIAL, Cause, Consequence
from gatepost.model.account import AccountState
from gatepost.model.secret import Secret
from gatepost.model.settings import OauthSettings
from gatepost.wire.sasl.exchange import CheckToken, TokenAnswer
from tests.identity.people import NAME, NOON, People, account, main
from tests.support.openid_provider import Provider

AT = NOON.timestamp()


@pytest.fixture(scope="module")
def running() -> Iterator[Provider]:
    provider = Provider()
    provider.start()
    yield provider
    provider.stop()


@pytest.fixture
def provider(running: Provider) -> Provider:
    running.asked.clear()
    running.status = 200
    running.published = [running.key]
    return running


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def checker(provider: Provider, clock: Clock | None = None, **more: Any) -> TokenChecker:
    rules = Rules(
        audience="gatepost",
        issuer=provider.issuer,
        account_claim=more.pop("account_claim", "email"),
        algorithms=("RS256", "ES256"),
        leeway=timedelta(seconds=60),
        email_verified=more.pop("email_verified", True),
    )
    keys = more.pop("keys", None) or IssuerKeys(issuer=provider.issuer, clock=clock or Clock())
    return TokenChecker(rules, keys=keys, **more)


def claims(provider: Provider, **more: Any) -> dict[str, Any]:
    said = {
        "iss": provider.issuer, "aud": "gatepost", "email": NAME, "exp": AT + 300, "iat": AT,
        "email_verified": True,
    } | more  # fmt: skip
    return {key: value for key, value in said.items() if value is not None}


@pytest.mark.rfc("7519#4.1")
@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({}, None),
        ({"aud": ["other", "gatepost"]}, None),
        ({"exp": AT - 59}, None),
        ({"nbf": AT + 60}, None),
        ({"email_verified": "true"}, None),
        ({"aud": "other"}, "aud: other is not gatepost"),
        ({"aud": None}, "aud: None"),
        ({"aud": ["a"]}, "aud:"),
        ({"iss": "https://evil.example"}, "iss: https://evil"),
        ({"iss": None}, "iss:"),
        ({"exp": AT - 60}, "exp: it expired at 2026-11-23 11:59:00"),
        ({"exp": None}, "exp: it never expires"),
        ({"exp": "soon"}, "exp: it is no time"),
        ({"exp": True}, "exp: it is no time"),
        ({"exp": 1e300}, "exp: it is no time"),
        ({"nbf": AT + 61}, "nbf: it is not good before"),
        ({"iat": AT + 61}, "iat:"),
        ({"email": None}, "email: the token does not say"),
        ({"email": ["a"]}, "email: the token does not say"),
        ({"email_verified": None}, "email_verified: the token does not say"),
        ({"email_verified": False}, "email_verified: nobody has"),
        ({"email_verified": [1]}, "email_verified"),
        ({"email_verified": "yes"}, "email_verified"),
    ],
)
async def test_every_claim_is_looked_at(
    provider: Provider, more: dict[str, Any], words: str | None
) -> None:
    token = provider.token(**claims(provider, **more))
    if words is None:
        assert await checker(provider).holder(token, NOON) == NAME
        return
    with pytest.raises(TokenError, match=words) as raised:
        await checker(provider).holder(token, NOON)
    assert token not in str(raised.value)


@pytest.mark.parametrize(
    ("said", "is_good"), [(None, True), (True, True), (False, False), ("false", False), (0, False)]
)
async def test_an_issuer_may_be_trusted_that_never_says_who_is_verified(
    provider: Provider, said: object, *, is_good: bool
) -> None:
    trusting = checker(provider, email_verified=False)
    token = provider.token(**claims(provider, email_verified=said))
    if is_good:
        assert await trusting.holder(token, NOON) == NAME
        return
    with pytest.raises(TokenError, match="nobody has verified"):
        await trusting.holder(token, NOON)


async def test_other_claims_than_an_address_need_no_verification(provider: Provider) -> None:
    mine = checker(provider, account_claim="sub")
    token = provider.token(**claims(provider, sub="app", email_verified=None))
    assert await mine.holder(token, NOON) == "app"


@pytest.mark.rfc("8725#3.1")
async def test_only_listed_algorithms_of_the_issuers_own_keys_are_good(provider: Provider) -> None:
    said = claims(provider)
    foreign = RSAKey.generate_key(2048, parameters={"kid": provider.key.kid})
    shared = OctKey.import_key(json.dumps(provider.jwks()))
    none = provider.token(**said).rpartition(".")[0] + "."
    bad = {
        "signature": provider.token(key=foreign, **said),
        "alg: HS256": provider.token(alg="HS256", key=shared, **said),
        "alg: PS256": provider.token(alg="PS256", **said),
        "kid: the issuer has no key": provider.token(header={"alg": "RS256", "kid": "x"}, **said),
        "not a JWT|alg|signature": none,
        "not a JWT": "a.b.c",
    }
    for words, token in bad.items():
        with pytest.raises(TokenError, match=words):
            await checker(provider).holder(token, NOON)
    no_kid = provider.token(header={"alg": "RS256"}, **said)
    assert await checker(provider).holder(no_kid, NOON) == NAME


async def test_keys_are_asked_for_once_and_again_when_the_issuer_has_new_ones(
    provider: Provider,
) -> None:
    clock = Clock()
    mine = checker(provider, clock)
    for _ in range(3):
        await mine.holder(provider.token(**claims(provider)), NOON)
    assert provider.asked == ["/.well-known/openid-configuration", "/keys"]
    clock.now += issuer_keys.AGAIN
    provider.rotate("EC")
    assert await mine.holder(provider.token(alg="ES256", **claims(provider)), NOON) == NAME
    provider.rotate()
    # A name of a key that nobody knows costs the issuer one question in a while; until then
    # nobody can say: 454, and no 535 for what may be a new key.
    clock.now += 1
    asked = len(provider.asked)
    for _ in range(5):
        with pytest.raises(TokenIssuerAwayError, match="a moment ago"):
            await mine.holder(provider.token(**claims(provider)), NOON)
    assert len(provider.asked) == asked
    clock.now += issuer_keys.AGAIN
    assert await mine.holder(provider.token(**claims(provider)), NOON) == NAME
    clock.now += issuer_keys.AGAIN
    made_up = provider.token(header={"alg": "RS256", "kid": "x"}, **claims(provider))
    with pytest.raises(TokenError, match="kid"):
        await mine.holder(made_up, NOON)


async def test_known_keys_outlive_an_outage_and_unknown_ones_are_our_trouble(
    provider: Provider,
) -> None:
    clock = Clock()
    mine = checker(provider, clock)
    old = provider.token(**claims(provider))
    await mine.holder(old, NOON)
    provider.status = 503
    clock.now += issuer_keys.FRESH
    assert await mine.holder(old, NOON) == NAME
    provider.rotate()
    with pytest.raises(TokenIssuerAwayError, match="status 503"):
        await mine.holder(provider.token(**claims(provider)), NOON)
    clock.now += issuer_keys.STALE
    with pytest.raises(TokenIssuerAwayError):
        await mine.holder(old, NOON)
    provider.status = 200
    assert await mine.holder(provider.token(**claims(provider)), NOON) == NAME


async def test_discovery_of_another_issuer_is_not_believed(provider: Provider) -> None:
    keys = IssuerKeys(issuer=provider.issuer.replace("127.0.0.1", "localhost"))
    with pytest.raises(TokenIssuerAwayError, match="another issuer"):
        await keys.keys(None)


async def test_a_file_of_keys_is_read_again_when_it_changes(
    provider: Provider, tmp_path: Path
) -> None:
    path = tmp_path / "jwks.json"
    mine = checker(provider, keys=FileKeys(path))
    token = provider.token(**claims(provider))
    with pytest.raises(TokenIssuerAwayError, match=r"jwks\.json"):
        await mine.holder(token, NOON)
    path.write_text(json.dumps(provider.jwks()))
    assert await mine.holder(token, NOON) == NAME
    provider.rotate()
    new = tmp_path / "new"
    new.write_text(json.dumps(provider.jwks()))
    new.rename(path)
    with pytest.raises(TokenError, match="kid"):
        await mine.holder(token, NOON)


@pytest.mark.parametrize(
    "jwks",
    [{}, {"keys": []}, {"keys": "x"}, {"keys": [{"kty": "oct", "k": "AAAA"}]}, {"keys": [{}, 5]}],
)
def test_a_jwks_without_a_public_key_is_none(jwks: Any) -> None:
    with pytest.raises(ValueError, match="no public signature key"):
        read_keys(jwks)


@pytest.mark.rfc("7662#2.2")
async def test_what_is_no_jwt_is_shown_to_the_issuer(provider: Provider, tmp_path: Path) -> None:
    settings = OauthSettings(
        audience="gatepost",
        introspection_url=f"{provider.issuer}/introspect",
        client_id="gatepost",
        account_claim="username",
    )
    tokens = build_tokens(settings, Secret("s3cret"))
    provider.active = {"opaque": {"username": NAME}, "other": {"username": NAME, "aud": "x"}}
    assert await tokens.holder("opaque", NOON) == NAME
    with pytest.raises(TokenError, match="not active"):
        await tokens.holder("revoked", NOON)
    with pytest.raises(TokenError, match="aud"):
        await tokens.holder("other", NOON)
    with pytest.raises(TokenIssuerAwayError, match="status 401"):
        await build_tokens(settings, Secret("wrong")).holder("opaque", NOON)


# -- in a login


async def login(people: People, token: str, name: str | None = NAME) -> tuple[Any, TokenAnswer]:
    attempt = people.begin("OAUTHBEARER")
    answer = await attempt.answer(CheckToken(name, token))
    assert isinstance(answer, TokenAnswer)
    assert answer.granted is attempt.verdict.is_granted
    return attempt.verdict, answer


@pytest.mark.parametrize("name", [NAME, None])
async def test_a_good_token_logs_its_account_in(
    people: People, provider: Provider, name: str | None
) -> None:
    await people.put(account(), main())
    people.authenticator._checks = replace(people.authenticator._checks, tokens=checker(provider))
    verdict, answer = await login(people, provider.token(**claims(provider)), name)
    assert (verdict.cause, verdict.credential) == (None, TOKEN_CREDENTIAL)
    assert (answer.granted, answer.authcid) == (True, NAME)


async def test_a_holder_whose_name_only_looks_like_an_account_is_another_one(
    people: People, provider: Provider
) -> None:
    await people.put(account(), main())
    people.authenticator._checks = replace(people.authenticator._checks, tokens=checker(provider))
    assert (await login(people, provider.token(**claims(provider, email=NAME.title()))))[1].granted
    for alike in (f"\uff41{NAME[1:]}", f"{NAME[0]}\u00ad{NAME[1:]}"):
        verdict, answer = await login(people, provider.token(**claims(provider, email=alike)), None)
        assert (verdict.cause, answer.granted) == (Cause.BAD_TOKEN, False)
    by_name = replace(checker(provider)._rules, account_claim="sub")
    tokens = TokenChecker(by_name, keys=checker(provider)._keys)
    people.authenticator._checks = replace(people.authenticator._checks, tokens=tokens)
    for name, granted in ((NAME, True), (NAME.title(), False)):
        _, answer = await login(people, provider.token(**claims(provider, sub=name)), None)
        assert answer.granted is granted


async def test_a_refused_token_has_its_true_cause(people: People, provider: Provider) -> None:
    await people.put(account(), main())
    people.authenticator._checks = replace(people.authenticator._checks, tokens=checker(provider))
    good = provider.token(**claims(provider))
    verdict, answer = await login(people, provider.token(**claims(provider, exp=AT - 999)))
    assert verdict.cause is Cause.BAD_TOKEN
    assert verdict.reason.startswith("bad token: exp: it expired at")
    assert json.loads(answer.error)["status"] == "invalid_token"
    assert (await login(people, good, "other@example.com"))[0].cause is Cause.OTHER_ACCOUNT
    stranger = provider.token(**claims(provider, email="nobody@example.com"))
    assert (await login(people, stranger, None))[0].cause is Cause.UNKNOWN_ACCOUNT
    await people.put(account(state=AccountState.SUSPENDED), main())
    assert (await login(people, good))[0].cause is Cause.SUSPENDED
    away = IssuerKeys(url="http://127.0.0.1:9/keys")
    people.authenticator._checks = replace(
        people.authenticator._checks, tokens=checker(provider, keys=away)
    )
    verdict, _ = await login(people, good)
    assert verdict.cause is Cause.PROVIDER_AWAY
    assert verdict.cause.consequence is Consequence.OUR_TROUBLE
