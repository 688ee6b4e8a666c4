"""The master key, SCRAM keys, app passwords, imported hashes."""

import base64
import hashlib
import stat
from pathlib import Path

import bcrypt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from passlib.hash import sha256_crypt, sha512_crypt

from gatepost.identity.app_passwords import (
    hash_app_password,
    new_app_password,
    verify_app_password,
)
from gatepost.identity.legacy import is_current, read_hash, verify_password
from gatepost.identity.master_key import (
    MasterKey,
    MasterKeyError,
    NoMasterKeyError,
    make_master_key,
    read_master_key,
)
from gatepost.identity.passwords import hash_password
from gatepost.identity.scram import derive_keys, keys_for
from gatepost.model.secret import Secret

KEY = MasterKey(bytes(32))


# -- the master key


def test_a_master_key_is_made_once_and_is_its_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "master.key"
    assert make_master_key(path)
    first = read_master_key(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert read_master_key(path).salt("x") == first.salt("x")
    assert not make_master_key(path)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("text", "mode", "words"),
    [
        (b"AAAA\n", 0o600, "no master key"),
        (b"not base64!", 0o600, "no master key"),
        (b"\xff\xfe", 0o600, "not text"),
        (base64.b64encode(bytes(32)), 0o640, "chmod 600"),
    ],
)
def test_a_bad_master_key_is_refused_and_not_repeated(
    tmp_path: Path, text: bytes, mode: int, words: str
) -> None:
    path = tmp_path / "master.key"
    path.write_bytes(text)
    path.chmod(mode)
    with pytest.raises(MasterKeyError, match=words) as raised:
        read_master_key(path)
    assert "AAAA" not in str(raised.value)


def test_a_master_key_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    with pytest.raises(MasterKeyError, match="no such file"):
        make_master_key(tmp_path / "nowhere" / "master.key")
    with pytest.raises(NoMasterKeyError):
        read_master_key(tmp_path / "master.key")


@given(st.text(st.characters(exclude_categories=["Cs"])), st.text())
def test_what_is_sealed_is_opened_by_the_same_key_for_the_same_one(text: str, context: str) -> None:
    context = context.encode("utf-8", "replace").decode()
    sealed = KEY.seal(text, context)
    assert KEY.open(sealed, context) == text
    with pytest.raises(MasterKeyError):
        KEY.open(sealed, context + "x")
    with pytest.raises(MasterKeyError):
        MasterKey(b"x" * 32).open(sealed, context)


@pytest.mark.parametrize("damaged", ["", "gcm1:", "gcm1:AAAA", "gcm1:\u00e4", "gcm2:" + "A" * 64])
def test_what_was_damaged_is_not_opened(damaged: str) -> None:
    with pytest.raises(MasterKeyError):
        KEY.open(Secret(damaged), "x")


def test_a_key_shows_nothing_of_itself() -> None:
    assert repr(KEY) == "MasterKey()"


# -- SCRAM keys


@pytest.mark.rfc("7677#3")
def test_keys_are_those_of_the_rfcs_example() -> None:
    salt = base64.b64decode("W22ZaJ0SNY7soEsUEjb6gQ==")
    keys = keys_for(derive_keys("pencil", salt, 4096), "SHA-256")
    assert keys
    # What Postgres and every other SCRAM-SHA-256 server keeps for this example.
    assert base64.b64encode(keys.stored_key) == b"WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY="
    assert base64.b64encode(keys.server_key) == b"wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="


def test_stored_keys_hide_themselves_and_know_their_algorithms() -> None:
    stored = derive_keys("pencil", b"salt", 1)
    assert repr(stored) == "<secret>"
    assert keys_for(stored, "SHA-1") is not None
    assert keys_for(Secret("SHA-256:AAAA:AAAA"), "SHA-1") is None


# -- app passwords


def test_an_app_password_is_long_random_and_verified_in_no_time() -> None:
    one, other = new_app_password(), new_app_password()
    assert one != other
    assert len(one.reveal()) == 32  # base32: 160 bits
    verifier = hash_app_password(one)
    assert verify_app_password(verifier, one.reveal())
    assert not verify_app_password(verifier, other.reveal())
    assert one.reveal() not in verifier.reveal()
    assert hash_app_password(one) != verifier
    assert not verify_app_password(hash_password("x"), "x")


# -- imported hashes

_SHA1 = hashlib.sha1(b"secretsalt").digest() + b"salt"
_SHA512 = hashlib.sha512(b"secretsalt").digest() + b"salt"
_BCRYPT = bcrypt.hashpw(b"secret", bcrypt.gensalt(4)).decode()
_SHA_CRYPT = sha512_crypt.using(rounds=5000).hash("secret")
HASHES = [
    _BCRYPT,
    "{BLF-CRYPT}" + _BCRYPT.replace("$2b$", "$2y$"),
    "{CRYPT}" + _BCRYPT,
    _SHA_CRYPT,
    "{SHA512-CRYPT}" + _SHA_CRYPT,
    sha256_crypt.using(rounds=1000).hash("secret"),
    "{SSHA}" + base64.b64encode(_SHA1).decode(),
    "{ssha.b64}" + base64.b64encode(_SHA1).decode(),
    "{SHA}" + base64.b64encode(hashlib.sha1(b"secret").digest()).decode(),
    "{SSHA512}" + base64.b64encode(_SHA512).decode(),
    "{SHA256}" + base64.b64encode(hashlib.sha256(b"secret").digest()).decode(),
    "{ARGON2ID}" + hash_password("secret").reveal(),
]


@pytest.mark.parametrize("text", HASHES, ids=map(str, range(len(HASHES))))
def test_hashes_of_other_systems_are_verified(text: str) -> None:
    verifier = read_hash(text)
    assert verify_password(verifier, "secret")
    assert not verify_password(verifier, "Secret")
    assert is_current(verifier) is ("argon2id" in text)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("secret", "no hash"),
        ("{PLAIN}secret", "no hash, but the password"),
        ("{ROT13}frperg", "not known"),
        ("{SSHA}" + base64.b64encode(b"short").decode(), "no {SSHA}"),
        ("{SSHA}" + base64.b64encode(bytes(20)).decode(), "no {SSHA}"),
        ("{SHA}" + base64.b64encode(bytes(24)).decode(), "no {SHA}"),
        ("$2b$20$" + "a" * 53, "too dear"),
        ("$6$rounds=99999999$salt$" + "a" * 86, "too dear"),
        ("$argon2id$v=19$m=99999999,t=2,p=1$c2FsdHNhbHQ$aGFzaA", "too dear"),
        ("$1$salt$qJH7.N4xYta3aEG/dfqo/0", "no hash"),
    ],
)
def test_what_is_no_hash_or_too_dear_is_refused_and_not_repeated(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words) as raised:
        read_hash(text)
    assert text.rpartition("}")[2] not in str(raised.value)


def test_bcrypt_looks_at_72_octets_as_it_always_did() -> None:
    verifier = read_hash(bcrypt.hashpw(b"x" * 72, bcrypt.gensalt(4)).decode())
    assert verify_password(verifier, "x" * 100)


def test_a_damaged_verifier_is_our_fault() -> None:
    with pytest.raises(ValueError, match="damaged"):
        verify_password(Secret("nonsense"), "x")
