"""`gatepost suppression`, over a store of its own."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from gatepost.cli.app import app


@pytest.fixture
def run(tmp_path: Path):
    runner = CliRunner()
    assert runner.invoke(app, ["init", str(tmp_path)]).exit_code == 0

    def invoke(*words: str, command: str = "suppression", stdin: str = ""):
        config = str(tmp_path / "gatepost.toml")
        return runner.invoke(app, ["-c", config, command, *words], input=stdin)

    added = invoke(
        "add", "app@example.com", "--password-stdin", command="account", stdin="long enough\n"
    )
    assert added.exit_code == 0
    return invoke


def test_an_address_is_suppressed_listed_and_freed(run) -> None:
    added = run("add", "Bob@Y.example", "--reason", "asked by phone", "--json")
    assert json.loads(added.stdout)["subject"] == "bob@y.example"
    run("add", "y.example", "--account", "app@example.com", "--class", "complaint")
    listed = json.loads(run("list", "--json").stdout)
    assert [(s["subject"], s["class"], s["account"]) for s in listed] == [
        ("@y.example", "complaint", "app@example.com"),
        ("bob@y.example", "manual", None),
    ]
    assert "asked by phone" in run("list", "bob@y.example").stdout
    assert json.loads(run("list", "--class", "bounced", "--json").stdout) == []
    assert run("remove", "@y.example").exit_code == 1  # it is an account's
    assert run("remove", "@y.example", "--account", "app@example.com").exit_code == 0
    assert run("remove", "bob@y.example").exit_code == 0
    assert "Nobody is suppressed" in run("list").output


def test_wrong_words_change_nothing(run) -> None:
    assert run("add", "not an address").exit_code == 2
    assert run("add", "bob@y.example", "--class", "nonsense").exit_code == 2
    assert run("add", "bob@y.example", "--stream", "a b").exit_code == 2
    assert run("add", "bob@y.example", "--account", "nobody").exit_code == 1
    assert run("import", "/none").exit_code == 2
    assert json.loads(run("list", "--json").stdout) == []


def test_an_import_tells_faulty_lines_and_may_be_run_again(run, tmp_path: Path) -> None:
    file = tmp_path / "list.csv"
    file.write_text(
        "email,class,date,reason\n"
        "bob@y.example\n"
        "eve@y.example,complaint,2026-01-05,said so\n"
        "# a remark\n"
        "nonsense nonsense\n"
        "dan@y.example,nonsense\n"
        "\n"
        "@z.example,bounced,2026-02-30\n"
    )
    done = run("import", str(file), "--class", "bounced", "--json")
    assert done.exit_code == 1
    told = json.loads(done.stdout)
    assert (told["read"], told["added"], told["faulty"]) == (5, 2, 3)
    assert [fault.split(":")[0] for fault in told["faults"]] == ["line 5", "line 6", "line 8"]
    again = json.loads(run("import", str(file), "--json").stdout)
    assert (again["added"], again["faulty"]) == (0, 3)
    eve = json.loads(run("list", "eve@y.example", "--json").stdout)[0]
    assert (eve["class"], eve["since"][:10], eve["reason"]) == (
        "complaint",
        "2026-01-05",
        "said so",
    )


def test_an_account_s_rule(run) -> None:
    shown = json.loads(run("rule", "app@example.com", "--json").stdout)
    assert shown == {
        "account": "app@example.com", "drops": False, "stream": None, "links": False,
    }  # fmt: skip
    assert run("rule", "app@example.com", "--links").exit_code != 0
    run("rule", "app@example.com", "--drop", "--stream", "news")
    assert "dropped" in run("rule", "app@example.com").stdout
    run("rule", "app@example.com", "--refuse")
    shown = json.loads(run("rule", "app@example.com", "--json").stdout)
    assert (shown["drops"], shown["stream"], shown["links"]) == (False, "news", False)
    assert "links to unsubscribe" in run("rule", "app@example.com", "--links").stdout
    without = run("rule", "app@example.com", "--stream", "")
    assert "without a stream there is nothing to unsubscribe from" in without.stderr
    run("rule", "app@example.com", "--stream", "", "--no-links")
