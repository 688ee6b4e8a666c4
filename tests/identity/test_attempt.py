"""What a login comes to, with its true cause, mechanism by mechanism."""

import base64
import hashlib
from dataclasses import replace
from datetime import timedelta

import pytest

from gatepost.identity.certificates import der_text, fingerprint
from gatepost.identity.master_key import MasterKey
from gatepost.identity.scram import ITERATIONS
from gatepost.identity.verdict import Cause, Consequence
from gatepost.model.account import AccountState, Credential, CredentialKind
from gatepost.model.ids import AccountName, CredentialId
from gatepost.model.secret import Secret
from gatepost.wire.sasl.exchange import (
    CheckDigest,
    CheckPassword,
    Denied,
    Fault,
    FetchScram,
    Granted,
    ProveCertificate,
    ReportProof,
)
from tests.identity.people import (
    APP_PASSWORD,
    HERE,
    NAME,
    NOON,
    PASSWORD,
    People,
    account,
    app_password,
    digest,
    main,
    sealed,
)

CHALLENGE = b"<1896.697170952@relay.test>"
SUSPENDED = {"state": AccountState.SUSPENDED}


# -- passwords


async def test_the_main_password_and_each_app_password_log_in(people: People) -> None:
    await people.put(account(), main(), app_password())
    assert (await people.plain(NAME, PASSWORD)).credential == f"main-{NAME}"
    assert (await people.plain(NAME, APP_PASSWORD.reveal())).credential == "app"


async def test_an_app_password_costs_no_argon2_and_a_wrong_one_costs_one(people: People) -> None:
    await people.put(account(), main(), app_password())
    await people.plain(NAME, APP_PASSWORD.reveal())
    assert not people.asked
    await people.plain(NAME, "wrong")
    assert len(people.asked) == 1


async def test_an_account_with_app_passwords_only_costs_the_same(people: People) -> None:
    await people.put(account(), app_password())
    for name in (NAME, "nobody@example.com"):
        people.asked.clear()
        await people.plain(name, "wrong")
        assert len(people.asked) == 1


@pytest.mark.parametrize(
    ("restricted", "client", "cause"),
    [
        ({"expires_at": NOON}, HERE, Cause.EXPIRED),
        ({"expires_at": NOON + timedelta(seconds=1)}, HERE, None),
        ({"networks": ("192.0.2.0/24", "2001:db8::/32")}, HERE, None),
        ({"networks": ("192.0.2.0/24",)}, "::ffff:192.0.2.9", None),
        ({"networks": ("192.0.2.0/24", "2001:db8::/32")}, "2001:db8::1", None),
        ({"networks": ("192.0.2.0/24",)}, "198.51.100.1", Cause.ADDRESS_NOT_ALLOWED),
        ({"networks": ("192.0.2.0/24",)}, "2001:db8::1", Cause.ADDRESS_NOT_ALLOWED),
    ],
)
async def test_a_credential_is_good_until_and_from_where_it_says(
    people: People, restricted: dict[str, object], client: str, cause: Cause | None
) -> None:
    await people.put(account(), app_password(**restricted))
    verdict = await people.plain(NAME, APP_PASSWORD.reveal(), client)
    assert verdict.cause is cause
    assert cause is None or cause.consequence is Consequence.WRONG
    assert cause is None or "printer" in verdict.reason
    proven, _ = await people.scram(NAME, APP_PASSWORD.reveal(), client=client)
    assert proven.cause is cause


@pytest.mark.parametrize(
    ("state", "password", "cause"),
    [
        ({"app_passwords_only": True}, PASSWORD, Cause.APP_PASSWORD_REQUIRED),
        ({"app_passwords_only": True}, "wrong", Cause.WRONG_PASSWORD),
        ({"app_passwords_only": True}, APP_PASSWORD.reveal(), None),
        (SUSPENDED, PASSWORD, Cause.SUSPENDED),
        (SUSPENDED, APP_PASSWORD.reveal(), Cause.SUSPENDED),
        (SUSPENDED, "wrong", Cause.WRONG_PASSWORD),
        (SUSPENDED | {"app_passwords_only": True}, PASSWORD, Cause.APP_PASSWORD_REQUIRED),
    ],
)
async def test_534_and_525_are_told_only_to_those_who_had_a_right_secret(
    people: People, state: dict[str, object], password: str, cause: Cause | None
) -> None:
    await people.put(account(**state), main(), app_password())
    assert await people.cause(NAME, password) is cause
    verdict, _ = await people.scram(NAME, password)
    assert verdict.cause is cause


# -- SCRAM


@pytest.mark.rfc("5802#3")
@pytest.mark.parametrize("algorithm", ["SHA-1", "SHA-256"])
async def test_every_secret_of_an_account_proves_itself_under_one_salt(
    people: People, algorithm
) -> None:
    await people.put(account(), main(), app_password())
    for secret, credential in ((PASSWORD, f"main-{NAME}"), (APP_PASSWORD.reveal(), "app")):
        verdict, offer = await people.scram(NAME, secret, algorithm)
        assert (verdict.cause, verdict.credential) == (None, credential)
        assert len(offer.keys) == 4, "two of them are nobody's"
    verdict, _ = await people.scram(NAME, "wrong", algorithm)
    assert verdict.cause is Cause.WRONG_PASSWORD


async def test_unknown_names_have_a_salt_that_stays_and_keys_of_nobody(people: People) -> None:
    offers = [(await people.scram("nobody@example.com", "x"))[1] for _ in range(2)]
    verdict, other = await people.scram("somebody@example.com", "x")
    assert offers[0] == offers[1]
    assert offers[0].salt != other.salt
    assert (offers[0].iterations, len(offers[0].keys)) == (ITERATIONS, 4)
    assert verdict.cause is Cause.UNKNOWN_ACCOUNT


async def test_nobody_sees_by_the_salt_that_an_account_was_added(people: People) -> None:
    _, before = await people.scram(NAME, "x")
    await people.put(account(), main())
    _, after = await people.scram(NAME, "x")
    assert before.salt == after.salt


async def test_the_salt_depends_on_the_key() -> None:
    assert MasterKey(bytes(32)).salt(NAME) != MasterKey(b"1" * 32).salt(NAME)


async def test_a_password_without_keys_is_535_and_the_cause_says_so(people: People) -> None:
    await people.put(replace(account(), salt=b"", iterations=0), main(scram=None))
    verdict, offer = await people.scram(NAME, PASSWORD)
    assert verdict.cause is Cause.NO_SCRAM_KEYS
    assert verdict.cause.consequence is Consequence.WRONG
    assert offer.iterations == ITERATIONS


async def test_what_the_mechanism_finds_wrong_is_the_cause(people: People) -> None:
    await people.put(account(), main())
    attempt = people.begin("SCRAM-SHA-256")
    offer = await attempt.answer(FetchScram(NAME, "SHA-256"))
    assert offer
    verdict = attempt.conclude(Denied(Fault.BINDING, NAME, "another channel"))
    assert (verdict.cause, verdict.detail) == (Cause.BINDING, "another channel")
    attempt = people.begin("PLAIN")
    assert await attempt.answer(CheckPassword(NAME, PASSWORD))
    assert attempt.conclude(Denied(Fault.AUTHZID, NAME)).cause is Cause.AUTHZID
    attempt = people.begin("PLAIN")
    assert attempt.conclude(Denied(Fault.MALFORMED)).cause is Cause.MALFORMED


async def test_a_proof_that_somebody_else_is_named_with_is_none(people: People) -> None:
    await people.put(account(), main())
    attempt = people.begin("SCRAM-SHA-256")
    await attempt.answer(FetchScram(NAME, "SHA-256"))
    assert await attempt.answer(ReportProof(NAME, 0))
    assert attempt.conclude(Granted("other@example.com")).cause is Cause.AUTHZID


# -- CRAM-MD5


@pytest.mark.rfc("2195#2")
async def test_cram_md5_works_for_those_who_opted_in(people: People) -> None:
    await people.put(account(), main(recoverable=sealed()))
    for password, cause in ((PASSWORD, None), ("wrong", Cause.WRONG_PASSWORD)):
        attempt = people.begin("CRAM-MD5")
        ask = CheckDigest(NAME, CHALLENGE, digest(password, CHALLENGE))
        assert await attempt.answer(ask) is (cause is None)
        assert attempt.verdict.cause is cause


@pytest.mark.parametrize(
    ("name", "cause"),
    [(NAME, Cause.NO_CRAM_SECRET), ("nobody@example.com", Cause.UNKNOWN_ACCOUNT)],
)
async def test_cram_md5_is_535_for_all_others(people: People, name: str, cause: Cause) -> None:
    await people.put(account(), main())
    attempt = people.begin("CRAM-MD5")
    assert await attempt.answer(CheckDigest(name, CHALLENGE, digest(PASSWORD, CHALLENGE))) is False
    assert attempt.verdict.cause is cause
    assert cause.consequence is Consequence.WRONG


async def test_a_secret_that_the_key_does_not_open_is_our_trouble(people: People) -> None:
    other = MasterKey(b"x" * 32).seal(PASSWORD, f"cram-md5 {NAME}")
    await people.put(account(), main(recoverable=other))
    attempt = people.begin("CRAM-MD5")
    ask = CheckDigest(NAME, CHALLENGE, digest(PASSWORD, CHALLENGE))
    assert await attempt.answer(ask) is False
    assert attempt.verdict.cause is Cause.MASTER_KEY
    assert attempt.verdict.cause.consequence is Consequence.OUR_TROUBLE


# -- certificates


def certificate(der: bytes = b"DER of one") -> Credential:
    return Credential(
        CredentialId("cert"), NAME, CredentialKind.CERTIFICATE, fingerprint(der), NOON,
        recoverable=der_text(der),
    )  # fmt: skip


@pytest.mark.rfc("4422#A")
@pytest.mark.parametrize(
    ("shown", "authcid", "cause"),
    [
        (b"DER of one", None, None),
        (b"DER of one", NAME, None),
        (b"DER of one", "other@example.com", Cause.OTHER_ACCOUNT),
        (b"DER of another", None, Cause.UNKNOWN_CERTIFICATE),
        (None, None, Cause.NO_CERTIFICATE),
    ],
)
async def test_a_certificate_proves_its_account(
    people: People, shown: bytes | None, authcid: str | None, cause: Cause | None
) -> None:
    await people.put(account(), main(), certificate())
    attempt = people.begin("EXTERNAL", certificate=shown)
    answer = await attempt.answer(ProveCertificate(authcid))
    assert answer == (None if cause else NAME)
    assert attempt.verdict.cause is cause


async def test_a_revoked_certificate_proves_nothing(people: People) -> None:
    await people.put(account(), certificate())
    await people.store.write(lambda tx: tx.remove_credential(CredentialId("cert")))
    attempt = people.begin("EXTERNAL", certificate=b"DER of one")
    assert await attempt.answer(ProveCertificate(None)) is None


# -- use, and our own trouble


async def test_the_last_use_is_written(people: People) -> None:
    await people.put(account(), main(), app_password())
    await people.plain(NAME, APP_PASSWORD.reveal())
    await people.plain(NAME, "wrong")
    await people.uses.flush()
    unused, used = sorted(
        await people.store.read(lambda reading: reading.credentials(NAME)),
        key=lambda c: c.last_used_at is not None,
    )
    assert unused.last_used_at is None
    assert (used.id, used.last_used_at, used.last_mechanism) == ("app", NOON, "PLAIN")
    assert used.last_tls == "TLSv1.3 TLS_AES_256_GCM_SHA384"


async def test_a_store_that_is_away_is_our_trouble_in_every_mechanism(people: People) -> None:
    await people.store.close()
    for ask in (
        CheckPassword(NAME, PASSWORD),
        FetchScram(NAME, "SHA-256"),
        CheckDigest(NAME, CHALLENGE, "0" * 32),
    ):
        attempt = people.begin()
        assert not getattr(await attempt.answer(ask), "keys", False)
        assert attempt.verdict.cause is Cause.STORE_AWAY
        assert attempt.conclude(Denied(Fault.CREDENTIALS, NAME)).cause is Cause.STORE_AWAY


# -- rehash


async def test_an_imported_hash_is_replaced_at_the_first_login(people: People) -> None:
    from gatepost.identity.legacy import read_hash
    from gatepost.identity.passwords import verify_password

    octets = hashlib.sha1(PASSWORD.encode() + b"salt").digest() + b"salt"
    imported = read_hash("{SSHA}" + base64.b64encode(octets).decode())
    bare = replace(account(), salt=b"", iterations=0)
    await people.put(bare, main(verifier=imported, scram=None))
    verdict, _ = await people.scram(NAME, PASSWORD)
    assert verdict.cause is Cause.NO_SCRAM_KEYS
    assert "imported" in verdict.detail
    assert await people.cause(NAME, "wrong") is Cause.WRONG_PASSWORD
    assert await people.cause(NAME, PASSWORD) is None
    await people.rehasher.wait()
    (now,) = await people.store.read(lambda reading: reading.credentials(NAME))
    assert verify_password(now.verifier, PASSWORD)
    verdict, offer = await people.scram(NAME, PASSWORD)
    assert (verdict.cause, offer.iterations) == (None, ITERATIONS)
    assert AccountName(NAME) == verdict.name


@pytest.mark.parametrize(
    ("is_old", "has_keys", "is_rehashed"),
    [(False, True, False), (False, False, True), (True, True, True), (True, False, True)],
)
async def test_a_password_is_hashed_anew_where_its_hash_is_old_or_its_keys_are_missing(
    people: People, is_old: bool, has_keys: bool, is_rehashed: bool
) -> None:
    from gatepost.identity.passwords import hash_password

    of = account()
    verifier = Secret("$2b$12$" + "A" * 53) if is_old else hash_password(PASSWORD)
    credential = main(of=of, verifier=verifier)
    await people.put(of, credential if has_keys else replace(credential, scram=None))
    people.checker._verify = lambda *_: True
    assert await people.cause(NAME, PASSWORD) is None
    await people.rehasher.wait()
    (now,) = await people.store.read(lambda reading: reading.credentials(NAME))
    assert (now.verifier != verifier) is is_rehashed
    assert now.scram is not None
