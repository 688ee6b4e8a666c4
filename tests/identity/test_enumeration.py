"""Nobody learns from the time of a refusal which accounts there are."""

import random
import secrets
import statistics
import time
from dataclasses import replace
from pathlib import Path

import pytest

from gatepost.identity.legacy import verify_password
from gatepost.identity.passwords import PasswordChecker, hash_password
from gatepost.identity.throttle import Throttle
from gatepost.identity.verdict import Cause
from gatepost.wire.sasl.exchange import CheckDigest, CheckPassword, FetchScram, ReportProof
from tests.identity.people import (
    NAME,
    PASSWORD,
    People,
    account,
    app_password,
    digest,
    main,
    open_people,
    sealed,
)

CHALLENGE = b"<1.2@relay.test>"
ROUNDS = 60


class Unlimited(Throttle):
    """Hundreds of failures, and nobody is locked out."""

    def note_failure(self, client_address, name):
        pass


@pytest.fixture
async def people(tmp_path: Path):
    found = await open_people(tmp_path)
    checks = found.authenticator._checks
    found.authenticator._checks = replace(
        checks,
        throttle=Unlimited(found.store),
        checker=PasswordChecker(threads=1, verify=verify_password),
    )
    verifier = hash_password(PASSWORD)
    await found.put(account(), main(verifier=verifier, recoverable=sealed()), app_password())
    yield found
    found.authenticator._checks.checker.close()
    found.authenticator.close()
    await found.store.close()


async def refused(people: People, mechanism: str, name: str) -> float:
    """Fail once; return the seconds that it took."""
    attempt = people.begin(mechanism)
    begin = time.perf_counter()
    if mechanism == "PLAIN":
        await attempt.answer(CheckPassword(name, secrets.token_hex(8)))
    elif mechanism == "CRAM-MD5":
        await attempt.answer(CheckDigest(name, CHALLENGE, digest("wrong", CHALLENGE)))
    else:
        await attempt.answer(FetchScram(name, "SHA-256"))
        await attempt.answer(ReportProof(name, None))
    took = time.perf_counter() - begin
    assert attempt.verdict.cause in {Cause.UNKNOWN_ACCOUNT, Cause.WRONG_PASSWORD}
    return took


def auc(known: list[float], unknown: list[float]) -> float:
    """Return how often a time of `known` is longer than one of `unknown`: 0.5 tells nothing apart
    (the statistic of Mann and Whitney, as a share).
    """
    wins = sum((k > u) + 0.5 * (k == u) for k in known for u in unknown)
    return wins / (len(known) * len(unknown))


@pytest.mark.parametrize(
    ("mechanism", "floor"), [("PLAIN", 0.0), ("CRAM-MD5", 100e-6), ("SCRAM-SHA-256", 100e-6)]
)
async def test_the_time_of_a_refusal_tells_no_name(
    people: People, mechanism: str, floor: float
) -> None:
    """Known and unknown names in random order. Either their times cannot be told apart by rank, or
    their medians differ by less than the `floor` that no network lets through.
    """
    times: dict[bool, list[float]] = {True: [], False: []}
    for _ in range(5):  # everything is loaded
        await refused(people, mechanism, NAME)
        await refused(people, mechanism, "nobody@example.com")
    for is_known in random.sample([True, False] * ROUNDS, 2 * ROUNDS):
        name = NAME if is_known else "nobody@example.com"
        times[is_known].append(await refused(people, mechanism, name))
    share = auc(times[True], times[False])
    apart = abs(statistics.median(times[True]) - statistics.median(times[False]))
    # With 60 of each the standard deviation of the share is 0.053: 0.25 is nearly 5 of them.
    assert abs(share - 0.5) < 0.25 or apart < floor, (
        f"{mechanism}: {share:.2f}, {apart * 1e6:.0f} us"
    )
