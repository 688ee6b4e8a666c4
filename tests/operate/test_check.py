"""`check`: what would keep a configuration from serving, and the proof, as findings."""

import errno
import fcntl
import os
import socket
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gatepost.model.account import Account
from gatepost.model.ids import AccountName, SubmissionId, WorkerId
from gatepost.model.settings import (
    HttpSettings,
    ListenerSettings,
    LocalDomainSettings,
    OauthSettings,
    RefreshSettings,
    Role,
    RouteSettings,
    Settings,
)
from gatepost.operate import check as checking
from gatepost.operate import init
from gatepost.operate.check import OpenDoor, Proof, check
from gatepost.operate.check_finding import Finding, Grade
from gatepost.operate.configuration import load
from gatepost.operate.serving import is_served
from gatepost.store.sqlite import open_sqlite
from gatepost.store.sqlite_connection import connect
from gatepost.store.sqlite_place import CONTENT, DATABASE
from tests.support.client_certificate import make_client_certificate
from tests.support.self_signed import self_signed

NOW = datetime.now(UTC)


def closed(_settings: Settings) -> Proof:
    return Proof(3, ())


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    made = init.init(tmp_path, "relay.example")
    local = LocalDomainSettings(name="local.test", deliver_to="maildir:mail")
    listeners = (ListenerSettings(address="127.0.0.1:0", role=Role.MX),)
    return load(made.config, {}).model_copy(
        update={"listeners": listeners, "local_domains": (local,)}
    )


@pytest.fixture
def taken() -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield "127.0.0.1:{1}".format(*server.getsockname())


def bad(found: list[Finding]) -> list[Finding]:
    return [f for f in found if f.grade is not Grade.FINE]


def test_a_fresh_set_up_has_nothing_wrong(settings: Settings) -> None:
    found = check(settings, closed, NOW)
    assert bad(found) == []
    assert {f.subject.split()[0] for f in found} == {
        "hostname", "certificate", "data_dir", "mx", "relaying", "store",
    }  # fmt: skip


def test_an_open_door_is_the_answer_no(settings: Settings) -> None:
    proof = Proof(3, (OpenDoor("mx, percent hack", "250 OK"),))
    (finding,) = bad(check(settings, lambda _: proof, NOW))
    assert finding.grade is Grade.NO
    assert "OPEN RELAY: mx, percent hack: answered 250 OK" in finding.what


def test_localhost_is_a_name_to_be_warned_of(settings: Settings) -> None:
    (finding,) = bad(check(settings.model_copy(update={"hostname": "localhost"}), closed, NOW))
    assert (finding.grade, finding.subject) == (Grade.WARNING, "hostname")


def test_a_missing_certificate_is_a_fault_that_names_the_file(settings: Settings) -> None:
    settings.tls.certificate.unlink()
    (finding,) = bad(check(settings, closed, NOW))
    assert finding.grade is Grade.FAULT
    assert str(settings.tls.certificate) in finding.subject
    assert finding.mend


def test_a_certificate_that_openssl_refuses_is_a_fault(settings: Settings) -> None:
    weak = self_signed("relay.test", kind="weak")
    settings.tls.certificate.write_bytes(weak.chain)
    settings.tls.private_key.write_bytes(weak.key)
    (finding,) = bad(check(settings, closed, NOW))
    assert finding.grade is Grade.FAULT
    assert "too small" in finding.what


@pytest.mark.parametrize(
    ("days", "grade", "words"),
    [(2000, Grade.NO, "it expired on"), (820, Grade.WARNING, "expires on")],
)
def test_dates_of_a_certificate_count(
    settings: Settings, days: int, grade: Grade, words: str
) -> None:
    (finding,) = bad(check(settings, closed, NOW + timedelta(days=days)))
    assert finding.grade is grade
    assert words in finding.what
    assert finding.mend == "renew it"


@pytest.mark.parametrize(("issuer", "warned"), [(None, True), ("https://id.example", False)])
def test_keys_without_an_issuer_are_warned_of(
    settings: Settings, issuer: str | None, *, warned: bool
) -> None:
    oauth = OauthSettings(jwks_file=Path("jwks.json"), issuer=issuer, audience="gatepost")
    auth = settings.auth.model_copy(update={"oauth": oauth})
    found = bad(check(settings.model_copy(update={"auth": auth}), closed, NOW))
    assert [finding.subject for finding in found] == ["auth.oauth.issuer"] * warned


def test_an_issuer_trusted_with_addresses_is_warned_of(settings: Settings) -> None:
    oauth = OauthSettings(
        issuer="https://id.example", audience="gatepost", require_email_verified=False
    )
    auth = settings.auth.model_copy(update={"oauth": oauth})
    (finding,) = bad(check(settings.model_copy(update={"auth": auth}), closed, NOW))
    assert finding.subject == "auth.oauth.require_email_verified"
    by_name = settings.auth.model_copy(
        update={"oauth": oauth.model_copy(update={"account_claim": "sub"})}
    )
    assert not bad(check(settings.model_copy(update={"auth": by_name}), closed, NOW))


def test_a_key_that_everybody_may_read_is_warned_of(settings: Settings) -> None:
    settings.tls.private_key.chmod(0o644)
    (finding,) = bad(check(settings, closed, NOW))
    assert finding.grade is Grade.WARNING
    assert finding.mend.startswith("chmod 600")


def test_a_missing_state_directory_is_a_fault(settings: Settings) -> None:
    settings.data_dir.rmdir()
    (finding,) = bad(check(settings, closed, NOW))
    assert finding.grade is Grade.FAULT
    assert "gatepost init" in finding.mend


async def test_a_store_is_looked_at_and_not_changed(settings: Settings) -> None:
    store = await open_sqlite(settings.data_dir, WorkerId("test/0/0"))
    await store.close()
    assert bad(check(settings, closed, NOW)) == []


async def test_contents_whose_disk_is_not_there_are_the_answer_no(settings: Settings) -> None:
    store = await open_sqlite(settings.data_dir, WorkerId("test/0/0"))
    await store.write(lambda _: None, (SubmissionId("1"), (b"content",)))
    await store.close()
    (settings.data_dir / CONTENT).rename(settings.data_dir / "disk")
    (found,) = bad(check(settings, closed, NOW))
    assert (found.grade, found.subject) == (Grade.NO, f"content {settings.data_dir / CONTENT}")
    assert "stored mail waits" in found.what
    assert "gatepost store adopt" in found.mend


async def test_a_newer_store_is_a_fault(settings: Settings) -> None:
    store = await open_sqlite(settings.data_dir, WorkerId("test/0/0"))
    await store.close()
    connection = connect(settings.data_dir / DATABASE)
    connection.execute("PRAGMA user_version = 999")
    connection.execute("UPDATE schema_mark SET value = 999 WHERE name = 'oldest'")
    connection.close()
    (finding,) = bad(check(settings, closed, NOW))
    assert finding.grade is Grade.FAULT
    assert "a newer Gatepost wrote it (the database has version 999" in finding.what


def test_a_file_that_is_no_database_is_a_fault(settings: Settings) -> None:
    (settings.data_dir / DATABASE).write_bytes(b"something else" * 1000)
    (finding,) = bad(check(settings, closed, NOW))
    assert finding.grade is Grade.FAULT
    assert finding.subject.startswith("store")
    assert "a database of Gatepost" in finding.mend
    assert "gatepost store repair" in finding.mend


def test_a_full_disk_is_named_where_the_store_does_not_open(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    (settings.data_dir / DATABASE).write_bytes(b"something else" * 1000)
    monkeypatch.setattr(checking, "is_full", settings.data_dir.__eq__)
    (finding,) = bad(check(settings, closed, NOW))
    assert "disk is full" in finding.mend


async def test_a_disk_that_has_no_room_for_new_mail_is_the_answer_no(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = await open_sqlite(settings.data_dir, WorkerId("test/0/0"))
    await store.close()
    monkeypatch.setattr(checking, "is_full", settings.data_dir.__eq__)
    (found,) = bad(check(settings, closed, NOW))
    assert (found.grade, found.subject) == (Grade.NO, f"disk of {settings.data_dir}")
    assert "452" in found.what
    assert "du -sh" in found.mend


@pytest.mark.parametrize(
    ("number", "mend"),
    [
        (errno.ENOSPC, "make room"),
        (errno.EROFS, "read-only"),
        (errno.EACCES, "give it to the user that serves"),
    ],
)
def test_a_state_directory_that_takes_no_file_is_told_with_its_mend(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, number: int, mend: str
) -> None:
    def refuse(**_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(checking.tempfile, "TemporaryFile", refuse)
    (found,) = bad(check(settings, closed, NOW))
    assert found.grade is Grade.FAULT
    assert mend in found.mend


def test_a_state_directory_that_is_a_file_says_so(settings: Settings) -> None:
    settings.data_dir.rmdir()
    settings.data_dir.touch()
    (found,) = bad(check(settings, closed, NOW))
    assert found.mend == "it is a file: name a directory"


@pytest.mark.parametrize(
    ("content", "mode", "grade"),
    [(None, 0o600, Grade.FAULT), ("", 0o600, Grade.FAULT), ("x", 0o644, Grade.WARNING),
     ("x", 0o600, None)],
)  # fmt: skip
def test_a_password_file_is_there_full_and_private(
    settings: Settings, tmp_path: Path, content: str | None, mode: int, grade: Grade | None
) -> None:
    path = tmp_path / "password"
    if content is not None:
        path.write_text(content)
        path.chmod(mode)
    route = RouteSettings(
        match=("*",), via="smtp:smart.example:587", username="me", password_file=path
    )
    found = bad(check(settings.model_copy(update={"routes": (route,)}), closed, NOW))
    assert [f.grade for f in found] == ([grade] if grade else [])


@pytest.mark.parametrize(
    ("content", "writable", "grade"),
    [(None, True, Grade.FAULT), ("", True, Grade.FAULT), ("t", False, Grade.FAULT), ("t", True, None)],
)  # fmt: skip
def test_a_refresh_token_file_can_be_replaced(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    content: str | None, writable: bool, grade: Grade | None,
) -> None:  # fmt: skip
    path = tmp_path / "refresh"
    if content is not None:
        path.write_text(content)
        path.chmod(0o600)
    monkeypatch.setattr(checking, "_may_write", lambda directory: writable)
    oauth = RefreshSettings(
        token_url="https://id.example/token", client_id="c", refresh_token_file=path
    )
    route = RouteSettings(match=("*",), via="smtp:smart.example:587", username="me", oauth=oauth)
    found = bad(check(settings.model_copy(update={"routes": (route,)}), closed, NOW))
    assert [f.grade for f in found] == ([grade] if grade else [])
    assert all(f.subject == f"refresh_token_file {path}" for f in found)


@pytest.mark.parametrize("pair", [("c", "c"), ("c", "k"), ("missing", "k")])
def test_a_client_certificate_goes_with_its_key(
    settings: Settings, tmp_path: Path, pair: tuple[str, str]
) -> None:
    for name, octets in zip(("c", "k"), make_client_certificate("us"), strict=True):
        (tmp_path / name).write_bytes(octets)
        (tmp_path / name).chmod(0o600)
    route = RouteSettings(
        match=("*",), via="smtp:smart.example:587", username="me",
        client_certificate=tmp_path / pair[0], client_key=tmp_path / pair[1],
    )  # fmt: skip
    found = bad(check(settings.model_copy(update={"routes": (route,)}), closed, NOW))
    assert [f.grade for f in found] == ([] if pair == ("c", "k") else [Grade.FAULT])


def with_listener(settings: Settings, address: str) -> Settings:
    listener = ListenerSettings(address=address, role=Role.SUBMISSION)
    return settings.model_copy(update={"listeners": (listener,)})


def test_a_port_of_another_program_is_a_fault(settings: Settings, taken: str) -> None:
    (finding,) = bad(check(with_listener(settings, taken), closed, NOW))
    assert finding.grade is Grade.FAULT
    assert finding.subject == f"submission {taken}"
    assert "another program" in finding.what


def test_the_port_for_http_is_looked_at_like_the_others(settings: Settings, taken: str) -> None:
    http = settings.model_copy(update={"http": HttpSettings(address=taken)})
    (finding,) = bad(check(http, closed, NOW))
    assert (finding.grade, finding.subject) == (Grade.FAULT, f"http {taken}")
    open_to_all = settings.model_copy(update={"http": HttpSettings(address="0.0.0.0:0")})
    (finding,) = bad(check(open_to_all, closed, NOW))
    assert (finding.grade, finding.subject) == (Grade.WARNING, "http.address")
    assert "no TLS" in finding.what


def test_a_port_of_the_running_server_is_fine(settings: Settings, taken: str) -> None:
    lock = os.open(settings.data_dir / "serve.lock", os.O_RDWR | os.O_CREAT)
    fcntl.flock(lock, fcntl.LOCK_EX)
    assert is_served(settings.data_dir)
    assert bad(check(with_listener(settings, taken), closed, NOW)) == []
    os.close(lock)
    assert not is_served(settings.data_dir)


def test_an_address_of_another_machine_is_a_fault(settings: Settings) -> None:
    (finding,) = bad(check(with_listener(settings, "192.0.2.1:2587"), closed, NOW))
    assert finding.grade is Grade.FAULT
    assert "address of this machine" in finding.mend


def test_an_mx_listener_without_a_domain_is_warned_of(settings: Settings) -> None:
    (finding,) = bad(check(settings.model_copy(update={"local_domains": ()}), closed, NOW))
    assert (finding.grade, finding.subject) == (Grade.WARNING, "local_domains")


async def test_an_account_that_may_send_as_anybody_is_said_loudly(settings: Settings) -> None:
    store = await open_sqlite(settings.data_dir, WorkerId("test"))
    for name, grant in (("app", "*"), ("web", "@.example.com")):
        account = Account(AccountName(name), (grant,), NOW)
        await store.write(lambda tx, account=account: tx.put_account(account))
    await store.close()
    (found,) = bad(check(settings, closed, NOW))
    assert (found.grade, found.subject) == (Grade.WARNING, "account app")
    assert "MAY SEND AS ANYBODY" in found.what
    assert "account forbid app --sender '*'" in found.mend
