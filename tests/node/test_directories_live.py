"""Directories of others on a real node: slapd, an SQLite file, an HTTP service."""

import base64
import hashlib
import itertools
import smtplib
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import apsw
import pytest

from tests.support.directory_service import SECRET, DirectoryService
from tests.support.node import CAPTURE_ALL, Node, wait_until
from tests.support.slapd import PASSWORD, PEOPLE, READER, READER_PASSWORD, Slapd, person

OWN = "app@example.com"

SETTINGS = """
[[auth.directories]]
name = "corp"
kind = "ldap"
match = ["corp.test"]
servers = ["{ldap}"]
ca_file = "{ca_file}"
base = "{people}"
filter = "(mail={{name}})"
reader_dn = "{reader}"
secret_file = "reader.secret"
suspended_filter = "(description=gone)"
remember = "1 s"

[[auth.directories]]
name = "shop"
kind = "sql"
match = ["shop.test"]
database = "sqlite:users.db"
query = "SELECT hash AS password, senders, active AS state FROM users WHERE login = :name"
remember = "1 s"

[[auth.directories]]
name = "web"
kind = "http"
url = "{url}"
secret_file = "web.secret"
remember = "1 s"
"""


class Company:
    """A node and what it asks."""

    def __init__(self, node: Node, slapd: Slapd, service: DirectoryService, users: Path) -> None:
        self.node, self.slapd, self.service = node, slapd, service
        self.users = users
        self.hosts = itertools.cycle(f"127.0.0.{n}" for n in range(2, 250))

    def sql(self, statement: str, *values: Any) -> None:
        connection = apsw.Connection(str(self.users))
        connection.execute(statement, values)
        connection.close()

    def session(self, source: str = "127.0.0.1") -> smtplib.SMTP_SSL:
        smtp = smtplib.SMTP_SSL(
            "127.0.0.1",
            self.node.ports.submissions,
            context=self.node.trust(),
            timeout=30,
            source_address=(source, 0),
        )
        smtp.ehlo()
        return smtp

    def login(self, name: str, password: str) -> str:
        # From one address after the other: of one, only so many refusals a minute are told singly.
        with self.session(next(self.hosts)) as smtp:
            message = base64.b64encode(f"\0{name}\0{password}".encode()).decode()
            code, words = smtp.docmd("AUTH", f"PLAIN {message}")
            return f"{code} {words.decode()}"

    def send(self, name: str, password: str, sender: str) -> int:
        with self.session() as smtp:
            smtp.login(name, password)
            return smtp.mail(sender)[0]

    def soon(self, name: str, password: str, beginning: str) -> None:
        said = []

        def holds() -> bool:
            if len(said) % 3 == 2:  # before guesses add up to a lock
                self.node.run("account", "unlock", name, check=False)
            said.append(self.login(name, password))
            return said[-1].startswith(beginning)

        wait_until(holds, f"{beginning}, but {said}")

    def explain(self, said: str) -> Any:
        tag = said.rpartition("[")[2].rstrip("]")
        wait_until(lambda: self.node.run("explain", tag, check=False).returncode == 0, "the event")
        return self.node.json("explain", tag)


def ssha(password: str) -> str:
    salt = b"12345678"
    digest = hashlib.sha1(password.encode() + salt).digest()
    return "{SSHA}" + base64.b64encode(digest + salt).decode()


@pytest.fixture(scope="module")
def company(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Company]:
    root = tmp_path_factory.mktemp("company")
    slapd = Slapd(
        root / "slapd",
        person("alice", "alice@corp.test", "sales@corp.test"),
        person("bob", "bob@corp.test", description="gone"),
    )
    service = DirectoryService({"web@web.test": "web password"})
    node = Node(root / "node")
    users = node.directory / "users.db"
    company = Company(node, slapd, service, users)
    company.sql("CREATE TABLE users (login TEXT, hash TEXT, senders TEXT, active INTEGER)")
    row = ("till@shop.test", ssha("till password"), "@shop.test", 1)
    company.sql("INSERT INTO users VALUES (?, ?, ?, ?)", *row)
    slapd.start()
    service.start()
    (node.directory / "reader.secret").write_text(READER_PASSWORD + "\n")
    (node.directory / "web.secret").write_text(SECRET + "\n")
    for secret in ("reader.secret", "web.secret"):
        (node.directory / secret).chmod(0o600)
    node.settings = CAPTURE_ALL + SETTINGS.format(
        ldap=slapd.starttls, ca_file=slapd.ca_file, people=PEOPLE, reader=READER, url=service.url
    )
    node.set_up()
    node.start()
    yield company
    status = node.stop()
    service.stop()
    slapd.stop()
    assert status == 0


# Commands start a Python each: on a busy machine that takes seconds.
pytestmark = [pytest.mark.interop("slapd"), pytest.mark.timeout(180)]


@pytest.mark.parametrize(
    ("name", "password", "sender", "foreign"),
    [
        ("alice@corp.test", PASSWORD, "sales@corp.test", "bob@corp.test"),
        ("till@shop.test", "till password", "anything@shop.test", "a@corp.test"),
        ("web@web.test", "web password", "web@web.test", "a@shop.test"),
    ],
)
def test_accounts_of_directories_log_in_and_send_as_what_is_theirs(
    company: Company, name: str, password: str, sender: str, foreign: str
) -> None:
    assert company.send(name, password, sender) == 250
    assert company.send(name, password, foreign) == 550
    said = company.login(name, "not it")
    assert said.startswith("535 5.7.8")
    explained = company.explain(said)
    assert explained["cause"] == "wrong password"
    assert 'directory "' in explained["reason"]
    assert "not here" in explained["mend"]
    wait_until(
        lambda: company.node.run("account", "show", name, check=False).returncode == 0, "use"
    )
    (use,) = company.node.json("account", "show", name)["other_logins"]
    assert (use["by"].partition("/")[0], use["last_mechanism"]) == ("directory", "PLAIN")
    assert "kept         by a directory" in company.node.run("account", "show", name).stdout


def test_unknown_names_and_wrong_passwords_are_told_alike(company: Company) -> None:
    heard, times = set(), []
    names = ("nobody@corp.test", "alice@corp.test", "nobody@shop.test", "till@shop.test")
    for name in (*names, "nobody@web.test", "web@web.test", OWN):
        begun = time.monotonic()
        said = company.login(name, "guess")
        times.append(time.monotonic() - begun)
        heard.add(said.partition("[")[0])
        company.node.run("account", "unlock", "127.0.0.1", check=False)
        company.node.run("account", "unlock", name, check=False)
    assert len(heard) == 1
    assert min(times) >= 1


def test_our_own_accounts_go_on(company: Company) -> None:
    assert company.login(OWN, company.node.password).startswith("235")


def test_suspension_is_told_after_the_right_password_alone(company: Company) -> None:
    assert company.login("bob@corp.test", "guess").startswith("535")
    assert company.login("bob@corp.test", PASSWORD).startswith("525 5.7.13")
    company.service.suspended.add("web@web.test")
    company.soon("web@web.test", "web password", "525 5.7.13")
    company.service.suspended.clear()
    company.soon("web@web.test", "web password", "235")


def test_changes_are_noticed_once_what_was_said_has_grown_old(company: Company) -> None:
    company.soon("till@shop.test", "till password", "235")
    company.sql("UPDATE users SET hash = ?", ssha("another"))
    company.soon("till@shop.test", "till password", "535")
    company.soon("till@shop.test", "another", "235")
    with company.session() as smtp:
        smtp.login("till@shop.test", "another")
        assert smtp.mail("a@shop.test")[0] == 250
        company.sql("UPDATE users SET active = 0")

        def refused() -> bool:
            smtp.rset()
            return smtp.mail("a@shop.test")[0] == 550

        wait_until(refused, "550")
    company.sql("UPDATE users SET active = 1, hash = ?", ssha("till password"))
    company.soon("till@shop.test", "till password", "235")


@pytest.mark.rfc("4954#6")
def test_a_directory_that_is_away_is_454_and_check_says_so(company: Company) -> None:
    node = company.node
    assert node.run("check", check=False).stdout.count("it answers") == 3
    company.slapd.stop()
    company.service.status = 500
    company.soon("alice@corp.test", PASSWORD, "454 4.7.0")
    company.soon("web@web.test", "web password", "454 4.7.0")
    assert company.login(OWN, node.password).startswith("235")
    checked = node.run("check", check=False)
    assert checked.returncode == 1
    assert 'directory "corp": it cannot be asked: ldap://localhost:' in checked.stdout
    assert "status 500" in checked.stdout
    company.slapd.start()
    company.service.status = 200
    company.soon("alice@corp.test", PASSWORD, "235")
    company.soon("web@web.test", "web password", "235")
    wait_until(
        lambda: any(b"directory cannot be asked" in event for event in _journal(node)), "the event"
    )


def test_nothing_that_lasts_holds_a_secret(company: Company) -> None:
    secrets = [
        PASSWORD,
        READER_PASSWORD,
        SECRET,
        "web password",
        "till password",
        ssha("till password"),
    ]
    node = company.node
    wait_until((node.data_dir / "journal").is_dir, "the journal")
    files = [p for p in node.data_dir.rglob("*") if p.is_file()] + [node.log]
    for path in files:
        octets = b""
        with suppress(FileNotFoundError):  # the node is at work, and what it removes it may
            octets = path.read_bytes()
        for secret in secrets:
            for form in (secret.encode(), base64.b64encode(secret.encode())):
                assert form not in octets, (path, secret)


def _journal(node: Node) -> list[bytes]:
    return [
        line
        for path in (node.data_dir / "journal").glob("*")
        for line in path.read_bytes().splitlines()
    ]
