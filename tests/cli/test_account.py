"""`gatepost account`, over a store in memory."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest
from typer.testing import CliRunner

from gatepost.cli import account
from gatepost.identity.passwords import verify_password
from gatepost.model.account import Account, Credential


class Memory:
    """As much of a Store as the verbs use."""

    def __init__(self) -> None:
        self.people: dict[str, Account] = {}
        self.secrets: dict[str, Credential] = {}

    async def write(self, job: Callable[["Memory"], Any]) -> Any:
        return job(self)

    read = write

    def account(self, name: str) -> Account | None:
        return self.people.get(name)

    def accounts(self) -> list[Account]:
        return list(self.people.values())

    def credentials(self, name: str) -> list[Credential]:
        return [c for c in self.secrets.values() if c.account == name]

    def put_account(self, one: Account) -> None:
        self.people[one.name] = one

    def put_credential(self, one: Credential) -> None:
        self.secrets[one.id] = one

    def remove_credential(self, credential_id: str) -> bool:
        return self.secrets.pop(credential_id, None) is not None

    def remove_account(self, name: str) -> bool:
        return self.people.pop(name, None) is not None

    def add_events(self, events: list[Any]) -> None:
        assert events


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch) -> Memory:
    memory = Memory()
    monkeypatch.setattr(account, "run_with_store", lambda _, work: asyncio.run(work(memory)))
    return memory


def run(*words: str, given: str | bytes = "correct horse\n") -> Any:
    return CliRunner().invoke(account.app, list(words), input=given)


@pytest.mark.parametrize(
    ("given", "password"),
    [
        ("correct horse\n", "correct horse"),
        ("correct horse", "correct horse"),
        ("correct horse\r\n", "correct horse"),
        (" correct horse \n", " correct horse "),
    ],
)
def test_one_line_end_and_nothing_else_is_taken_off_the_password(
    memory: Memory, given: str, password: str
) -> None:
    done = run("add", "App@example.com", "--password-stdin", given=given)
    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout == "added: app@example.com may send as app@example.com\n"
    (credential,) = memory.secrets.values()
    assert verify_password(credential.verifier, password)


@pytest.mark.parametrize(
    ("words", "given", "status", "said"),
    [
        (("add", "a@b.example", "--password-stdin"), "short\n", 2, "at least 8 characters"),
        (("add", "a@b.example", "--password-stdin"), "two\nlines are\n", 2, "cannot be used"),
        (("add", "a@b.example", "--password-stdin"), b"\xff\xfe\xfd", 2, "not UTF-8"),
        (("add", "a@b.example"), "correct horse\n", 2, "--password-stdin"),
        (("add", "newsletter", "--password-stdin"), "", 2, "--sender"),
        (("show", "nobody"), "", 1, "account list"),
        (("remove", "nobody"), "", 1, "no account"),
    ],
)
def test_what_is_wrong_is_said_with_its_mend(
    memory: Memory, words: tuple[str, ...], given: str | bytes, status: int, said: str
) -> None:
    done = run(*words, given=given)
    assert done.exit_code == status
    assert said in done.stderr
    assert done.stdout == ""
    assert not memory.people


def test_a_second_account_of_a_name_is_refused(memory: Memory) -> None:
    run("add", "app@example.com", "--password-stdin")
    assert run("add", "app@example.com", "--password-stdin").exit_code == 1
    assert len(memory.people) == 1


def test_every_verb_speaks_json(memory: Memory) -> None:
    senders = ("--sender", "@example.com", "--sender", "a@b.example")
    said = {
        verb: json.loads(run(verb, *words, "--json").stdout)
        for verb, words in {
            "add": ("news", *senders, "--password-stdin"),
            "list": (),
            "show": ("news",),
            "password": ("news", "--password-stdin"),
            "suspend": ("news",),
            "resume": ("news",),
            "remove": ("news",),
        }.items()
    }
    assert said["add"]["senders"] == ["@example.com", "a@b.example"]
    assert said["list"] == [said["add"]]
    assert said["show"]["credentials"][0]["kind"] == "password"
    assert said["suspend"]["state"] == "suspended"
    assert said["resume"]["state"] == "active"
    assert said["remove"] == {"removed": "news"}
    assert not memory.people


def test_lists_and_shows_for_people(memory: Memory) -> None:
    assert run("list").stdout == ""
    run("add", "app@example.com", "--password-stdin")
    assert run("list").stdout.splitlines()[1].split() == [
        "app@example.com", "active", "app@example.com",
    ]  # fmt: skip
    shown = run("show", "app@example.com").stdout
    assert "may send as  app@example.com" in shown
    assert "argon2" not in shown
