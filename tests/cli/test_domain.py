"""`gatepost domain`, over a store of its own."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from gatepost.cli.app import app
from tests.wire.dkim.vectors import RSA_PEM


@pytest.fixture
def run(tmp_path: Path):
    runner = CliRunner()
    assert runner.invoke(app, ["init", str(tmp_path)]).exit_code == 0

    def invoke(*words: str):
        config = str(tmp_path / "gatepost.toml")
        return runner.invoke(app, ["-c", config, "domain", *words])

    return invoke


def test_a_domain_is_added_shown_listed_and_removed(run):
    added = run("add", "example.com")
    assert added.exit_code == 0
    assert "_domainkey.example.com. 3600 IN TXT (" in added.stdout
    assert run("add", "example.com").exit_code == 1
    shown = json.loads(run("show", "example.com", "--json").stdout)
    assert {key["algorithm"] for key in shown["keys"]} == {"rsa", "ed25519"}
    assert json.loads(run("list", "--json").stdout) == [shown]
    listed = run("list").stdout
    assert "(active)" in listed
    assert "not looked at yet" in listed
    assert "PRIVATE" not in added.stdout + str(shown)
    assert run("remove", "example.com").exit_code == 0
    assert run("show", "example.com").exit_code == 1


def test_a_key_is_imported(run, tmp_path):
    file = tmp_path / "dkim.pem"
    file.write_bytes(RSA_PEM)
    words = ("add", "example.com", "--selector", "mail", "--dkim-key", str(file), "--json")
    assert [key["selector"] for key in json.loads(run(*words).stdout)["keys"]] == ["mail"]
    assert run(*words).exit_code == 0
    assert run("add", "example.com", "--selector", "mail").exit_code == 2
    assert run("add", "b.example", "--selector", "s", "--dkim-key", "/none").exit_code == 2


def test_a_rotation_waits_until_the_new_keys_are_published(run, tmp_path):
    run("add", "example.com")
    made = run("rotate-key", "example.com")
    assert made.exit_code == 0
    assert "publish the pending keys" in made.stdout
    config = tmp_path / "gatepost.toml"
    text = config.read_text()
    config.write_text(f'{text}\n[dns]\nresolvers = ["127.0.0.1:1"]\n')
    early = run("rotate-key", "example.com")
    assert early.exit_code == 1
    assert "do not sign yet" in early.stdout
    assert run("check", "example.com").exit_code == 1
    assert "not known, last asked for at" in run("list").stdout


def test_an_account_brings_a_domain_and_proves_it(run, tmp_path):
    account = ["-c", str(tmp_path / "gatepost.toml"), "account"]
    words = [*account, "add", "shop@relay.example", "--password-stdin"]
    assert CliRunner().invoke(app, words, input="correct horse\n").exit_code == 0
    asked = run("add", "example.com", "--account", "shop@relay.example")
    assert asked.exit_code == 0
    assert "TXT at _gatepost.example.com" in asked.stdout
    assert "unproven" in run("list").stdout
    shown = json.loads(run("show", "example.com", "--json").stdout)
    assert shown["unproven"]
    assert shown["claims"][0]["text"] in asked.stdout
    (tmp_path / "gatepost.toml").write_text(
        (tmp_path / "gatepost.toml").read_text() + '\n[dns]\nresolvers = ["127.0.0.1:1"]\n'
    )
    assert run("verify", "example.com").exit_code == 1
    assert run("verify", "example.com", "--account", "nobody").exit_code == 1
    assert run("add", "b.example", "--account", "nobody").exit_code == 1
    assert run("add", "b.example", "--account", "x", "--selector", "s").exit_code == 2
    assert run("add", "example.com").exit_code == 0  # the operator's word
    assert not json.loads(run("show", "example.com", "--json").stdout)["unproven"]
