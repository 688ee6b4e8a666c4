"""A store knows its master key again, and gets no other in silence."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from gatepost.identity.cram import context_of
from gatepost.identity.key_of_store import adopt_key, key_of_store
from gatepost.identity.master_key import MasterKeyError, make_master_key, read_master_key
from gatepost.model.account import Account, Credential, CredentialKind
from gatepost.model.domain import DkimKey, Domain, sealing_context
from gatepost.model.ids import AccountName, CredentialId
from gatepost.model.secret import Secret
from gatepost.store.protocols import Store
from gatepost.wire.records.dkim_key import KeyType
from tests.store.openers import OPENERS, Opener

NOW = datetime(2026, 11, 28, tzinfo=UTC)


async def seal_domain(store: Store, path: Path) -> None:
    sealed = read_master_key(path).seal("pem", sealing_context("a.test", "s1"))
    key = DkimKey("s1", KeyType.RSA, sealed, b"public", NOW)
    await store.write(lambda tx: tx.put_domain(Domain("a.test", NOW, (key,))))


async def seal_account(store: Store, path: Path) -> None:
    name = AccountName("app@a.test")
    sealed = read_master_key(path).seal("password", context_of(name))
    one = Credential(
        CredentialId("c"), name, CredentialKind.PASSWORD, Secret("x"), NOW, recoverable=sealed
    )
    await store.write(lambda tx: tx.put_account(Account(name, (name,), NOW)))
    await store.write(lambda tx: tx.put_credential(one))


@pytest.mark.parametrize("opener", OPENERS)
async def test_a_new_store_is_given_a_key_and_knows_it_again(opener: Opener, tmp_path: Path):
    path, store = tmp_path / "master.key", await opener(tmp_path)
    try:
        made = await key_of_store(store, path)
        assert await store.read(lambda r: r.key_mark()) == made.mark
        assert (await key_of_store(store, path)).mark == made.mark
        path.rename(tmp_path / "lost")
        with pytest.raises(MasterKeyError, match=r"no such file.*adopt-key"):
            await key_of_store(store, path)
        assert not path.exists()
        make_master_key(path)
        with pytest.raises(MasterKeyError, match=r"not the key.*backup"):
            await key_of_store(store, path)
        assert await adopt_key(store, path) == []
        assert (await key_of_store(store, path)).mark != made.mark
    finally:
        await store.close()


@pytest.mark.parametrize("seal", [seal_domain, seal_account])
@pytest.mark.parametrize("opener", OPENERS)
async def test_a_store_of_an_older_program_learns_which_key_opens_its_secrets(
    opener: Opener, tmp_path: Path, seal
):
    path, store = tmp_path / "master.key", await opener(tmp_path)
    try:
        make_master_key(path)
        await seal(store, path)
        path.rename(tmp_path / "true")
        with pytest.raises(MasterKeyError, match="no such file"):
            await key_of_store(store, path)
        make_master_key(path)
        with pytest.raises(MasterKeyError, match="not the key"):
            await key_of_store(store, path)
        assert await store.read(lambda r: r.key_mark()) is None
        path.unlink()
        (tmp_path / "true").rename(path)
        key = await key_of_store(store, path)
        assert await store.read(lambda r: r.key_mark()) == key.mark
        path.unlink()
        (closed,) = await adopt_key(store, path)
        assert "a.test" in closed
    finally:
        await store.close()


async def test_the_certificate_of_a_client_is_not_sealed(tmp_path: Path):
    path, store = tmp_path / "master.key", await OPENERS[0](tmp_path)
    name = AccountName("app@a.test")
    shown = Credential(
        CredentialId("c"), name, CredentialKind.CERTIFICATE, Secret("sha256:0"), NOW,
        recoverable=Secret("AAAA"),
    )  # fmt: skip
    try:
        await store.write(lambda tx: tx.put_account(Account(name, (name,), NOW)))
        await store.write(lambda tx: tx.put_credential(shown))
        await key_of_store(store, path)
        assert path.exists()
    finally:
        await store.close()


async def test_a_file_without_a_key_is_no_lost_one(tmp_path: Path):
    path, store = tmp_path / "master.key", await OPENERS[0](tmp_path)
    try:
        path.write_text("hello")
        path.chmod(0o600)
        with pytest.raises(MasterKeyError, match="this is no master key"):
            await key_of_store(store, path)
    finally:
        await store.close()
