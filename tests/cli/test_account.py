"""`gatepost account`, over a store in memory."""

import asyncio
import base64
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from gatepost.cli import account, account_app_password, account_limit, account_verbs
from gatepost.identity.master_key import MasterKey
from gatepost.identity.passwords import verify_password
from gatepost.identity.throttle import subjects
from gatepost.identity.verdict import Cause
from gatepost.model.account import Account, Credential
from gatepost.model.ids import AccountName
from gatepost.net.certificate import make_self_signed
from gatepost.operate.accounts import By
from gatepost.store.guessing_protocols import Guessed
from tests.memory_accounts import MemoryAccounts
from tests.memory_quotas import MemoryQuotas
from tests.support.client_certificate import make_client_certificate


class Memory(MemoryAccounts, MemoryQuotas):
    """As much of a Store as the verbs use."""

    def __init__(self) -> None:
        self.people: dict[str, Account] = {}
        self.secrets: dict[str, Credential] = {}
        self.guessed: list[Any] = []

    async def write(self, job: Callable[["Memory"], Any]) -> Any:
        return job(self)

    read = write

    def account(self, name: str) -> Account | None:
        return self.people.get(name)

    def accounts(self) -> list[Account]:
        return list(self.people.values())

    def credentials(self, name: str) -> list[Credential]:
        return [c for c in self.secrets.values() if c.account == name]

    def certificates(self) -> list[Credential]:
        return [c for c in self.secrets.values() if c.kind.value == "certificate"]

    def foreign_uses(self, account: str) -> list[Any]:
        return []

    def refused_logins(self, since: object, *, account: str) -> list[Any]:
        return []

    def guesses(self, since: object) -> list[Any]:
        return self.guessed

    def put_guessed(self, guessed: list[Any]) -> None:
        self.guessed = guessed

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


async def _by_our_time(_ctx: object, _store: object) -> By:
    return account_verbs.by()


async def _key(_ctx: object, _store: object) -> MasterKey:
    return MasterKey(bytes(32))


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch) -> Memory:
    memory = Memory()
    monkeypatch.setattr(account_verbs, "run_with_store", lambda _, work: asyncio.run(work(memory)))
    for module in (account, account_app_password):
        monkeypatch.setattr(module, "master_key", _key)
    monkeypatch.setattr(account_app_password, "by_node_time", _by_our_time)
    monkeypatch.setattr(account_limit, "defaults", lambda _: ())
    return memory


def run(*words: str, given: str | bytes = "correct horse\n") -> Any:
    return CliRunner().invoke(account.app.build("account"), list(words), input=given)


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


APP = "app@example.com"


def test_an_app_password_is_shown_once_and_revoked_by_its_label(memory: Memory) -> None:
    run("add", APP, "--password-stdin")
    done = run(
        "app-password", "add", APP, "--label", "printer", "--expires", "90d", "--from",
        "192.0.2.0/24", "--sender", APP,
    )  # fmt: skip
    assert done.exit_code == 0, done.stderr
    secret = done.stdout.strip()
    assert len(secret) == 32
    (made,) = [c for c in memory.secrets.values() if c.label]
    assert (made.networks, made.senders) == (("192.0.2.0/24",), (APP,))
    assert made.expires_at is not None
    assert (made.expires_at - made.created_at).days == 90
    for words in (("app-password", "list", APP), ("show", APP), ("show", APP, "--json")):
        shown = run(*words).stdout
        assert "printer" in shown
        assert secret not in shown
        assert "blake2b" not in shown
    assert run("app-password", "revoke", APP, "printer").exit_code == 0
    assert run("app-password", "revoke", APP, "printer").exit_code == 1
    assert len(memory.secrets) == 1


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (("--label", " "), 2, "label"),
        (("--label", "x", "--expires", "soon"), 2, "duration"),
        (("--label", "x", "--expires", "0 s"), 2, "expire at once"),
        (("--label", "x", "--from", "192.0.2.1/24"), 2, "no address range"),
        (("--label", "x", "--sender", "other@example.org"), 2, "may send as app@example.com"),
        (("--label", "x", "--sender", "nonsense"), 2, "names no address"),
        (("--label", "there"), 2, "there already"),
    ],
)
def test_a_bad_app_password_is_refused_with_its_mend(
    memory: Memory, words: tuple[str, ...], status: int, said: str
) -> None:
    run("add", APP, "--password-stdin")
    run("app-password", "add", APP, "--label", "there")
    done = run("app-password", "add", APP, *words)
    assert (done.exit_code, done.stdout) == (status, "")
    assert said in done.stderr
    assert len(memory.secrets) == 2


def test_an_account_can_be_held_to_app_passwords(memory: Memory) -> None:
    run("add", APP, "--password-stdin", "--app-passwords-only")
    assert memory.people[APP].app_passwords_only
    run("app-password", "require", APP, "--off")
    assert not memory.people[APP].app_passwords_only


def test_cram_md5_is_opted_into_and_found_wanting(memory: Memory) -> None:
    run("add", APP, "--password-stdin", "--cram-md5")
    (credential,) = memory.secrets.values()
    assert credential.recoverable is not None
    assert "correct horse" not in credential.recoverable.reveal()
    assert "CRAM-MD5 is allowed" in run("show", APP).stdout
    run("password", APP, "--password-stdin")
    assert "CRAM-MD5" not in run("show", APP).stdout


def test_a_hash_is_imported_as_it_is(memory: Memory) -> None:
    hashed = "{SSHA}" + base64.b64encode(b"d" * 20 + b"salt").decode()
    added = run("add", APP, "--hash-stdin", given=f"{hashed}\n")
    assert (added.exit_code, "by SCRAM only after one login with PLAIN" in added.stdout) == (
        0,
        True,
    )
    (credential,) = memory.secrets.values()
    assert (credential.verifier.reveal(), credential.scram) == (hashed, None)
    done = run("password", APP, "--hash-stdin", given="not a hash\n")
    assert done.exit_code == 2
    assert "not a hash" not in done.stderr
    assert run("password", APP, "--hash-stdin", "--cram-md5", given=hashed).exit_code == 2


def test_a_certificate_is_registered_once(memory: Memory, tmp_path: Path) -> None:
    run("add", APP, "--password-stdin")
    run("add", "b@example.com", "--password-stdin")
    chain, key = make_client_certificate("client.example")
    file = tmp_path / "client.pem"
    file.write_bytes(chain)
    done = run("certificate", "add", APP, str(file), "--label", "laptop")
    assert (done.exit_code, done.stderr) == (0, "")
    assert "sha256:" in done.stdout
    assert run("certificate", "add", "b@example.com", str(file)).exit_code == 2
    (shown,) = json.loads(run("certificate", "list", APP, "--json").stdout)
    assert shown["label"] == "laptop"
    file.write_bytes(key)
    assert run("certificate", "add", APP, str(file)).exit_code == 2
    assert run("certificate", "add", APP, str(tmp_path / "none")).exit_code == 2
    file.write_bytes(make_self_signed(["server.example"])[0])
    assert "not for clients" in run("certificate", "add", APP, str(file)).stderr
    assert run("certificate", "revoke", APP, shown["fingerprint"]).exit_code == 0
    assert not memory.certificates()


def test_unlocking_says_what_it_found(memory: Memory) -> None:
    now = datetime.now(UTC)
    mark = subjects("192.0.2.7", AccountName(APP))[Cause.LOCKED_PAIR]
    memory.guessed = [Guessed(mark, (), 1, now + timedelta(minutes=1), now)]
    assert run("unlock", "nobody").exit_code == 1
    done = run("unlock", "App@example.com")
    assert done.exit_code == 0
    assert "would have been locked until" in done.stdout
    assert memory.guessed[0].locked_until < now
    done = run("unlock", "192.0.2.7")
    assert done.exit_code == 1
    assert "explain TAG" in done.stderr


def test_grants_are_given_and_taken(memory: Memory) -> None:
    run("add", APP, "--password-stdin", "--recipient", "@ops.example")
    done = run("allow", APP, "--sender", "*.example.com", "--recipient", "Bob@b.example")
    assert done.stdout == (
        "app@example.com may send as app@example.com, @.example.com, "
        "write to @ops.example, bob@b.example\n"
    )
    shown = json.loads(run("forbid", APP, "--sender", APP, "--json").stdout)
    assert (shown["senders"], shown["recipients"]) == (
        ["@.example.com"], ["@ops.example", "bob@b.example"],
    )  # fmt: skip
    assert "may write to @ops.example, bob@b.example" in run("show", APP).stdout
    run("forbid", APP, "--recipient", "@ops.example", "--recipient", "bob@b.example")
    assert memory.people[APP].recipients == ()


def test_what_anybody_may_be_is_found(memory: Memory) -> None:
    run("add", "app", "--password-stdin", "--sender", "*")
    assert "it may send as anybody" in run("show", "app").stdout


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (("allow", APP), 2, "nothing to change"),
        (("allow", APP, "--sender", "nonsense"), 2, "names no address"),
        (("allow", "nobody@example.com", "--sender", "@b.example"), 1, "no account"),
        (("forbid", APP, "--sender", "@b.example"), 2, "it has: app@example.com"),
        (("add", "a@b.example", "--password-stdin", "--recipient", "x"), 2, "names no address"),
        (("add", "*", "--password-stdin"), 2, "--sender"),
        (("add", "*@b.example", "--password-stdin"), 2, "--sender"),
    ],
)
def test_a_bad_grant_changes_nothing(
    memory: Memory, words: tuple[str, ...], status: int, said: str
) -> None:
    run("add", APP, "--password-stdin")
    before = dict(memory.people)
    done = run(*words)
    assert (done.exit_code, said in done.stderr) == (status, True), done.stderr
    assert memory.people == before


def test_limits_are_given_to_an_account_and_to_a_secret_of_its_and_shown(memory: Memory) -> None:
    run("add", "app@x.example", "--password-stdin", "--hourly", "100", "--daily", "1000")
    run("app-password", "add", "app@x.example", "--label", "printer")
    words = ["app@x.example", "--app-password", "printer", "--recipients-per-minute", "7"]
    assert run("limit", *words).exit_code == 0
    changed = run("limit", "app@x.example", "--daily", "none", "--json")
    rows = [
        (row["label"], row["unit"], row["window"], row["limit"])
        for row in json.loads(changed.output)
    ]
    assert rows == [(None, "messages", "hour", 100), ("printer", "recipients", "minute", 7)]
    shown = run("show", "app@x.example").output
    assert "sent         0 of 100 messages in an hour" in shown
    assert '0 of 7 recipients in a minute with "printer"' in shown


@pytest.mark.parametrize(
    ("words", "status", "mend"),
    [
        (["app@x.example", "--hourly", "many"], 2, 'write a number, "none", or "default"'),
        (["nobody@x.example", "--hourly", "1"], 1, "did you mean"),
        (["app@x.example", "--app-password", "fax", "--hourly", "1"], 1, 'it has: "password"'),
    ],
)
def test_a_limit_that_cannot_be_is_said(
    memory: Memory, words: list[str], status: int, mend: str
) -> None:
    run("add", "app@x.example", "--password-stdin")
    done = run("limit", *words)
    assert done.exit_code == status
    assert mend in done.output
