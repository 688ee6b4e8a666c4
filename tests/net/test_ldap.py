"""Asking a real slapd: search and bind, TLS, names that mean harm, trouble."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gatepost.model.secret import Secret
from gatepost.net.certificate import make_self_signed
from gatepost.net.ldap import (
    LdapAnswer,
    LdapClient,
    LdapEntry,
    LdapError,
    LdapSettings,
)
from tests.support.ports import free_ports
from tests.support.programs import need, run
from tests.support.slapd import PASSWORD, PEOPLE, READER, READER_PASSWORD, Slapd, person

pytestmark = pytest.mark.interop("slapd")

#: A name that is none in a filter or a DN, unless it is escaped.
ODD = r"o'dd(x)*\,+=#<>;"


@pytest.fixture(scope="module")
def slapd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slapd]:
    served = Slapd(
        tmp_path_factory.mktemp("slapd"),
        person("alice", "alice@corp.test", "sales@corp.test"),
        person("bob", "bob@corp.test", description="gone"),
        person("one", "twice@corp.test"),
        person("two", "twice@corp.test"),
        person("jürgen", "jürgen@corp.test").replace("uid=jürgen", r"uid=j\C3\BCrgen"),
    )
    served.start()
    yield served
    served.stop()


def searching(slapd: Slapd, **more: Any) -> LdapClient:
    return LdapClient(
        LdapSettings(
            **slapd.settings(
                base=PEOPLE,
                filter="(mail={name})",
                reader_dn=READER,
                reader_password=Secret(READER_PASSWORD),
                attributes=("mail",),
                suspended_filter="(description=gone)",
            )
            | more
        )
    )


def straight(slapd: Slapd, place: str = "{local}", **more: Any) -> LdapClient:
    template = f"uid={place},{PEOPLE}"
    return LdapClient(LdapSettings(**slapd.settings(user_dn=template, attributes=("mail",)) | more))


def named(name: str) -> dict[str, str]:
    local, _, domain = name.rpartition("@")
    return {"name": name, "local": local or name, "domain": domain}


ALICE = LdapEntry(f"uid=alice,{PEOPLE}", ("alice@corp.test", "sales@corp.test"))


def test_a_password_is_tried_by_search_and_bind(slapd: Slapd) -> None:
    client = searching(slapd)
    assert client.check(named("alice@corp.test"), Secret(PASSWORD)) == LdapAnswer(ALICE, True)
    wrong = client.check(named("alice@corp.test"), Secret("no"))
    assert (wrong.entry, wrong.right) == (ALICE, False)
    assert wrong.words == "invalidCredentials (49)"
    assert client.check(named("nobody@corp.test"), Secret(PASSWORD)) == LdapAnswer(None)
    suspended = client.check(named("bob@corp.test"), Secret(PASSWORD))
    assert suspended.right
    assert suspended.entry
    assert suspended.entry.is_suspended


def test_a_password_is_tried_by_bind_alone(slapd: Slapd) -> None:
    client = straight(slapd)
    assert client.check(named("alice@corp.test"), Secret(PASSWORD)) == LdapAnswer(ALICE, True)
    assert client.check(named("alice@corp.test"), Secret("no")).right is False
    assert client.check(named("nobody@corp.test"), Secret("no")).right is False
    assert client.check(named("jürgen@corp.test"), Secret(PASSWORD)).right
    assert not client.can_look_up


def test_an_account_is_found_without_its_password(slapd: Slapd) -> None:
    assert searching(slapd).find(named("alice@corp.test")) == ALICE
    assert searching(slapd).find(named("nobody@corp.test")) is None
    reader = {"reader_dn": READER, "reader_password": Secret(READER_PASSWORD)}
    assert straight(slapd, **reader).find(named("alice@x")) == ALICE
    assert straight(slapd, **reader).find(named("nobody@x")) is None


@pytest.mark.parametrize("scheme", ["starttls", "implicit"])
def test_tls_is_verified(slapd: Slapd, scheme: str, tmp_path: Path) -> None:
    servers = (getattr(slapd, scheme),)
    assert searching(slapd, servers=servers).find(named("alice@corp.test")) == ALICE
    other = tmp_path / "other.pem"
    other.write_bytes(make_self_signed(["localhost"])[0])
    with pytest.raises(LdapError, match="certificate verify failed"):
        searching(slapd, servers=servers, ca_file=other).find(named("alice@corp.test"))
    by_address = (servers[0].replace("localhost", "127.0.0.1"),)
    with pytest.raises(LdapError, match="IP address mismatch"):
        searching(slapd, servers=by_address).find(named("alice@corp.test"))


@pytest.mark.rfc("4513#5.1.2")
def test_an_empty_password_is_refused_where_the_server_would_take_it(slapd: Slapd) -> None:
    url, dn = f"ldap://127.0.0.1:{slapd.port}", f"uid=alice,{PEOPLE}"
    # slapd says yes to a bind that proves nothing
    assert run([need("ldapwhoami"), "-x", "-H", url, "-D", dn, "-w", ""]).returncode == 0
    assert run([need("ldapwhoami"), "-x", "-H", url, "-D", dn, "-w", "no"]).returncode == 49
    for client in (searching(slapd), straight(slapd)):
        with pytest.raises(ValueError, match="empty password"):
            client.check(named("alice@corp.test"), Secret(""))


@pytest.mark.rfc("4515#3")
@pytest.mark.parametrize(
    "name",
    [
        "*",
        "alice*",
        "*@corp.test",
        "alice@corp.test)(uid=*",
        "alice@corp.test)(|(uid=*)",
        "x)(|(uid=alice",
        "alice@corp.test\\",
        "\\2a",
        ODD,
        "{domain}",
    ],
)
def test_a_name_is_never_more_than_a_value(slapd: Slapd, name: str) -> None:
    assert searching(slapd).check(named(name), Secret(PASSWORD)) == LdapAnswer(None)
    assert not straight(slapd, "{name}").check(named(name), Secret(PASSWORD)).right


@pytest.mark.rfc("4514#2.4")
@pytest.mark.parametrize("local", ["alice,ou=people", "alice+cn=alice", "alice,dc=corp,dc=test"])
def test_a_name_does_not_reach_into_the_tree(slapd: Slapd, local: str) -> None:
    assert not straight(slapd).check(named(f"{local}@x"), Secret(PASSWORD)).right


def test_what_is_not_clear_is_no_answer(slapd: Slapd) -> None:
    cases = {
        "2 or more entries fit one name": searching(slapd, filter="(mail=twice@corp.test)"),
        "reader_dn cannot log in: invalidCredentials": searching(
            slapd, reader_password=Secret("wrong")
        ),
        "the search below dc=nowhere failed": searching(slapd, base="dc=nowhere"),
    }
    for words, client in cases.items():
        with pytest.raises(LdapError) as caught:
            client.find(named("alice@corp.test"))
        assert words in str(caught.value)
        assert READER_PASSWORD not in str(caught.value)


def test_another_server_is_asked_where_one_is_away(slapd: Slapd) -> None:
    (port,) = free_ports(1)
    away = f"ldap://localhost:{port}"
    client = searching(slapd, servers=(away, slapd.starttls))
    assert client.find(named("alice@corp.test")) == ALICE
    with pytest.raises(LdapError, match=f"{away}: "):
        searching(slapd, servers=(away,)).find(named("alice@corp.test"))


@pytest.mark.parametrize("password", ["\u00ad", "x\u0007", "p" * 5000, "\U0001f600", "\u0627a"])
def test_odd_passwords_are_wrong_or_unclear_and_no_trouble_of_the_server(
    slapd: Slapd, password: str
) -> None:
    outcome: Any
    try:
        outcome = searching(slapd).check(named("alice@corp.test"), Secret(password)).right
    except LdapError as problem:
        outcome = type(problem)
    assert outcome in {False, LdapError}


def test_a_server_that_says_nothing_is_given_up(slapd: Slapd) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"ldap://localhost:{silent.getsockname()[1]}"
        client = searching(slapd, servers=(url,), timeout=0.3)
        with pytest.raises(LdapError):
            client.find(named("alice@corp.test"))


def test_no_repr_shows_a_password(slapd: Slapd) -> None:
    settings = LdapSettings(("ldap://h",), True, 1.0, reader_password=Secret(READER_PASSWORD))
    assert READER_PASSWORD not in repr(replace(settings, base="x"))
