#!/usr/bin/env python3
"""What a warm login costs beside one whose password is plainly compared: the functions alone, no network.

    warm.py --rounds 7

Times, in turn and in each round: the whole answer to AUTH PLAIN (account from the cache, password, restrictions, throttle, last
use) with the memory of verified passwords and with a plain comparison in its place; the two comparisons by themselves; and a
SCRAM proof (both steps, the client's part computed before). Prints the least microseconds of all rounds: what disturbs
only adds. The package that runs is the one whose Python runs this.
"""

import argparse
import asyncio
import hmac
import json
import pathlib
import tempfile
import time

from gatepost.identity.authenticate import LoginFacts, build_authenticator
from gatepost.identity.directory import Directory
from gatepost.identity.master_key import make_master_key, read_master_key
from gatepost.identity.verified import VerifiedCredentials
from gatepost.model.ids import AccountName, CredentialId, WorkerId
from gatepost.model.secret import Secret
from gatepost.net.clock import now
from gatepost.operate.accounts import By, NewPassword, add
from gatepost.store.sqlite import open_sqlite
from gatepost.wire.sasl.exchange import CheckPassword, FetchScram, Granted, ReportProof
from gatepost.wire.sasl.scram_keys import client_proof, derive_client_keys, find_proven

NAME, PASSWORD = AccountName("app@example.com"), "correct horse battery"
FACTS = LoginFacts("192.0.2.7", "PLAIN", "TLSv1.3 TLS_AES_256_GCM_SHA384")
COUNT = 5000


class Plain(VerifiedCredentials):
    """As a server does that keeps passwords."""

    def knows(self, name, password, verifier):
        return hmac.compare_digest(password.encode(), PASSWORD.encode())


async def login(authenticator):
    attempt = authenticator.begin(FACTS)
    if attempt.may_begin() is not None or not await attempt.answer(CheckPassword(NAME, PASSWORD)):
        raise SystemExit("not logged in")
    if not attempt.conclude(Granted(NAME)).is_granted:
        raise SystemExit("not granted")


async def scram(authenticator, keys):
    attempt = authenticator.begin(FACTS)
    offer = await attempt.answer(FetchScram(NAME, "SHA-256"))
    said = b"n=app,r=x,r=xy,s=salt,i=120000,c=biws,r=xy"
    found = find_proven("SHA-256", offer.keys, said, client_proof("SHA-256", keys.client_key, said))
    if found is None or not await attempt.answer(ReportProof(NAME, found)):
        raise SystemExit("not logged in")
    attempt.conclude(Granted(NAME))


async def each(work):
    begun = time.perf_counter()
    for _ in range(COUNT):
        await work()
    return (time.perf_counter() - begun) / COUNT * 1e6


async def measure(directory, rounds):
    store = await open_sqlite(directory, WorkerId("bench/0/0"))
    make_master_key(directory / "master.key")
    key = read_master_key(directory / "master.key")
    new = NewPassword(CredentialId("c" * 32), Secret(PASSWORD))
    await add(store, NAME, new, key=key, by=By(now(), "bench"))
    people = {}
    for name, verified in (("remembered", None), ("plain", Plain())):
        people[name] = build_authenticator(store, Directory(store), key)
        if verified is not None:
            matcher = people[name]._checks.matcher
            object.__setattr__(matcher, "verified", verified)
        await login(people[name])  # argon2id, once
    entry = await Directory(store).find(NAME)
    verifier = entry.credentials[0].verifier
    keys = derive_client_keys("SHA-256", PASSWORD, entry.account.salt, entry.account.iterations)
    warm, plain = people["remembered"]._checks.matcher.verified, people["plain"]._checks.matcher.verified

    async def known():
        warm.knows(NAME, PASSWORD, verifier)

    async def compared():
        plain.knows(NAME, PASSWORD, verifier)

    works = {
        "login, remembered": lambda: login(people["remembered"]),
        "login, plainly compared": lambda: login(people["plain"]),
        "login, SCRAM": lambda: scram(people["remembered"], keys),
        "remembered, alone": known,
        "plainly compared, alone": compared,
    }
    least = {}
    for _ in range(rounds):
        for name, work in works.items():
            least[name] = min(least.get(name, 1e9), await each(work))
    for each_of in people.values():
        each_of.close()
    await store.close()
    return {name: round(us, 2) for name, us in least.items()}


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--rounds", type=int, default=7)
    o = p.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        print(json.dumps(asyncio.run(measure(pathlib.Path(directory), o.rounds))))


if __name__ == "__main__":
    main()
