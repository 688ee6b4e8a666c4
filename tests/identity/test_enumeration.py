"""Nobody learns from the time of a refusal which accounts there are."""

import random
import secrets
import statistics
import time
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import pytest
from joserfc.jwk import KeySet

from gatepost.identity.issuer_keys import read_keys
from gatepost.identity.legacy import verify_password
from gatepost.identity.passwords import PasswordChecker, hash_password
from gatepost.identity.throttle import Throttle
from gatepost.identity.tokens import Rules, TokenChecker
from gatepost.identity.verdict import Cause
from gatepost.wire.sasl.exchange import Challenge, ChannelFacts, ClientCredentials
from gatepost.wire.sasl.mechanisms import CLIENTS, MECHANISMS
from tests.identity.people import (
    FEW,
    NAME,
    NOON,
    PASSWORD,
    People,
    account,
    app_password,
    main,
    open_people,
    sealed,
)
from tests.support.openid_provider import Provider

ROUNDS = 60
#: Of telling names apart: one that fails may be of others that use the processor.
ATTEMPTS = 3
CERTIFICATE = b"a certificate that nobody has registered"
FACTS = ChannelFacts(
    tls_version="TLSv1.3", exporter=bytes(32), offers_plus=True, hostname="relay.test", at=1
)
REFUSALS = {Cause.UNKNOWN_ACCOUNT, Cause.WRONG_PASSWORD, Cause.BAD_TOKEN, Cause.UNKNOWN_CERTIFICATE}


class Unlimited(Throttle):
    """Hundreds of failures, and nobody is locked out."""

    def note_failure(self, client_address, name):
        pass


@pytest.fixture
async def people(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    # The client computes as long for a name that is not there: its work leaves the caches cold.
    for module in ("attempt", "scram"):
        monkeypatch.setattr(f"gatepost.identity.{module}.ITERATIONS", FEW)
    found = await open_people(tmp_path)
    checks = found.authenticator._checks
    found.authenticator._checks = replace(
        checks,
        throttle=Unlimited(found.store),
        matcher=replace(checks.matcher, checker=PasswordChecker(threads=1, verify=verify_password)),
    )
    verifier = hash_password(PASSWORD)
    await found.put(account(), main(verifier=verifier, recoverable=sealed()), app_password())
    yield found
    found.authenticator._checks.matcher.checker.close()
    found.authenticator.close()
    await found.store.close()


class Published:
    """The keys of a provider, without asking it."""

    def __init__(self, provider: Provider) -> None:
        self._keys = read_keys(provider.jwks())

    async def keys(self, kid: str | None) -> KeySet:
        return self._keys


@pytest.fixture(scope="module")
def provider() -> Provider:
    return Provider()


@dataclass
class Took:
    """Seconds, and seconds of a processor: those do not grow with what else the machine does."""

    seconds: float = 0.0
    processor: float = 0.0

    def begin(self) -> None:
        self.seconds -= time.perf_counter()
        self.processor -= time.process_time()

    def end(self) -> None:
        self.seconds += time.perf_counter()
        self.processor += time.process_time()


async def refused(people: People, mechanism: str, credentials: ClientCredentials) -> Took:
    """Play a whole exchange that fails; return what our side took."""
    took = Took()
    took.begin()
    attempt = people.begin(mechanism, certificate=CERTIFICATE if mechanism == "EXTERNAL" else b"")
    server = MECHANISMS[mechanism].start(replace(FACTS, nonce="server"))
    client = CLIENTS[mechanism].respond(credentials, replace(FACTS, nonce=secrets.token_hex(8)))
    said = next(client)
    try:
        ask = next(server)
        while True:
            if isinstance(ask, Challenge):
                took.end()
                response = said if said is not None else client.send(ask.octets)
                said = None
                took.begin()
                ask = server.send(response or b"")
            else:
                ask = server.send(await attempt.answer(ask))
    except StopIteration as end:
        verdict = attempt.conclude(end.value)
    took.end()
    assert verdict.cause in REFUSALS, verdict
    return took


def auc(known: list[float], unknown: list[float]) -> float:
    """Return how often a time of `known` is longer than one of `unknown`: 0.5 tells nothing apart
    (the statistic of Mann and Whitney, as a share).
    """
    wins = sum((k > u) + 0.5 * (k == u) for k in known for u in unknown)
    return wins / (len(known) * len(unknown))


def credentials(mechanism: str, name: str, provider: Provider) -> ClientCredentials:
    """Return what is wrong for any name: a random password, or a token of another's making."""
    if mechanism in {"XOAUTH2", "OAUTHBEARER"}:
        claims = {
            "iss": "x",
            "aud": "gatepost",
            "email": name,
            "email_verified": True,
            "exp": NOON.timestamp() + 300,
        }
        return ClientCredentials(name, token=provider.token(**claims, jti=secrets.token_hex(8)))
    if mechanism == "EXTERNAL":
        return ClientCredentials(name)
    return ClientCredentials(name, secrets.token_hex(8))


@pytest.mark.parametrize("mechanism", sorted(MECHANISMS))
async def test_the_time_of_a_refusal_tells_no_name(
    people: People, provider: Provider, mechanism: str
) -> None:
    """Known and unknown names in random order. Either their times cannot be told apart by rank, or
    their medians differ by less than the floor that no network lets through.
    """
    # Passwords that cost argon2id must not differ at all.
    floor = 0.0 if mechanism in {"PLAIN", "LOGIN"} else 8e-6
    checker = TokenChecker(
        Rules("gatepost", "https://id.example", "email", ("RS256",), timedelta(seconds=60)),
        keys=Published(provider),
    )
    checks = people.authenticator._checks
    people.authenticator._checks = replace(checks, tokens=checker)
    for name in [NAME, "nobody@example.com"] * 5:  # everything is loaded
        await refused(people, mechanism, credentials(mechanism, name, provider))
    # On a machine that others keep busy the same steps take more; a name that is told is told each time.
    for _ in range(ATTEMPTS):
        share, apart = await difference(people, provider, mechanism)
        print(f"{mechanism}: share {share:.2f}, medians {apart * 1e6:.0f} us apart")
        # With 60 of each the standard deviation of the share is 0.053: 0.25 is nearly 5 of them.
        if abs(share - 0.5) < 0.25 or apart < floor:
            return
    pytest.fail(f"{mechanism}: {share:.2f}, {apart * 1e6:.0f} us")


async def difference(people: People, provider: Provider, mechanism: str) -> tuple[float, float]:
    """Return how often the refusal of a known name takes longer, and how far the medians of the
    processor's time are apart, in seconds.
    """
    times: dict[bool, list[Took]] = {True: [], False: []}
    for is_known in random.sample([True, False] * ROUNDS, 2 * ROUNDS):
        name = NAME if is_known else "nobody@example.com"
        wrong = credentials(mechanism, name, provider)
        times[is_known].append(await refused(people, mechanism, wrong))
    share = auc(*([took.seconds for took in times[known]] for known in (True, False)))
    medians = [statistics.median(took.processor for took in times[known]) for known in times]
    return share, abs(medians[0] - medians[1])
