"""The command line as a whole: help that is quick, faults that are words, statuses of the contract."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from gatepost import __version__
from gatepost.cli import app as cli
from gatepost.cli.context import in_one_line, visible

_COMMANDS = ["init", "check", "serve", "account", "domain", "queue", "trace", "probe", "send"]
#: What no command needs before it is called (decision 32).
_HEAVY = {
    "pydantic",
    "dns",
    "cryptography",
    "apsw",
    "argon2",
    "rich",
    "asyncio",
    "ssl",
    "structlog",
}


@pytest.fixture(autouse=True)
def _no_settings_around(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for variable in [v for v in os.environ if v.startswith("GATEPOST_")]:
        monkeypatch.delenv(variable)
    monkeypatch.chdir(tmp_path)


def gatepost(*arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "gatepost", *arguments],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | more,
        timeout=60,
    )


def test_help_names_every_command_and_the_statuses() -> None:
    done = CliRunner().invoke(cli.app, ["--help"])
    assert done.exit_code == 0
    assert all(f"\n  {command} " in done.output for command in _COMMANDS)
    assert "Exit status: 0 fine" in done.output
    assert "--show-completion" in done.output


@pytest.mark.parametrize("command", _COMMANDS)
def test_every_command_has_its_help(command: str) -> None:
    done = CliRunner().invoke(cli.app, [command, "--help"])
    assert done.exit_code == 0
    assert "Usage:" in done.output


def imported(*arguments: str) -> set[str]:
    """Return the names of the modules that a command imports."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "gatepost", *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    return {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if "|" in line}


def test_help_imports_nothing_heavy() -> None:
    assert {name.partition(".")[0] for name in imported("--help")} & _HEAVY == set()
    assert {name.partition(".")[0] for name in imported("queue", "--help")} & _HEAVY == set()


@pytest.mark.parametrize(
    "command",
    [
        ["queue", "list"],
        ["queue", "list", "--json"],
        ["trace", "m@x.example"],
        ["bulk"],
        ["node", "list"],
    ],
)
def test_a_look_at_the_store_imports_what_it_needs(command: list[str]) -> None:
    """The aim is 0.12 s on a quiet machine: by count, for a busy one is slow at everything."""
    assert CliRunner().invoke(cli.app, ["init", "--hostname", "relay.example"]).exit_code == 0
    names = imported(*command)
    heavy = _HEAVY - {"apsw", "asyncio", "ssl"}  # the store's, and what asyncio imports
    assert {name.partition(".")[0] for name in names} & heavy == set()
    assert "gatepost.model.settings" not in names
    assert len(names) < 345


@pytest.mark.parametrize("command", [["account", "list"], ["suppression", "list"]])
def test_a_look_at_accounts_reads_no_more_of_the_settings(command: list[str]) -> None:
    assert CliRunner().invoke(cli.app, ["init", "--hostname", "relay.example"]).exit_code == 0
    assert imported(*command) & {"pydantic", "gatepost.model.settings", "dns", "rich"} == set()


def test_the_version_is_printed() -> None:
    done = CliRunner().invoke(cli.app, ["--version"])
    assert (done.exit_code, done.output) == (0, f"gatepost {__version__}\n")


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["--nonsense"],
        ["queue", "nonsense"],
        ["queue", "list", "--limit", "x"],
        ["send"],
    ],
)
def test_wrong_usage_is_2(arguments: list[str]) -> None:
    assert CliRunner().invoke(cli.app, arguments).exit_code == 2


def test_a_missing_configuration_is_2_and_says_how_to_make_one() -> None:
    done = gatepost("-c", "none.toml", "queue", "list")
    assert (done.returncode, done.stdout) == (2, "")
    assert "none.toml: there is no such file - make one with" in done.stderr
    assert "Traceback" not in done.stderr


def test_every_fault_of_a_configuration_is_a_line_on_standard_error(tmp_path: Path) -> None:
    path = tmp_path / "gatepost.toml"
    path.write_text("hostnam = 'x'\n[tls]\n")
    done = gatepost("check")
    assert done.returncode == 2
    assert done.stderr.splitlines()[0] == (
        f'{path}:1: hostnam: there is no such key - did you mean "hostname"?'
    )
    assert len(done.stderr.splitlines()) == 5
    assert gatepost("-c", str(path), "check", GATEPOST_CONFIG="/none").stderr == done.stderr


def test_a_fault_of_ours_says_so_and_shows_a_traceback_only_when_asked() -> None:
    code = (
        "import sys; from gatepost.cli import app; from gatepost import __main__ as m\n"
        "def broken(*a, **k): raise ValueError('surprise')\n"
        "m.app = broken; sys.argv = ['gatepost', *sys.argv[1:]]; m.main()"
    )
    for arguments, shown in (([], False), (["--debug"], True)):
        done = subprocess.run(
            [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False
        )
        assert done.returncode == 2
        assert "this is a fault of ours: ValueError: surprise" in done.stderr
        assert ("Traceback" in done.stderr) is shown


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_printed_for_shells(shell: str) -> None:
    done = gatepost("--show-completion", shell)
    assert done.returncode == 0
    assert "_GATEPOST_COMPLETE" in done.stdout


def test_completion_knows_the_commands() -> None:
    done = gatepost(_GATEPOST_COMPLETE="bash_complete", COMP_WORDS="gatepost qu", COMP_CWORD="1")
    assert done.stdout.split() == ["plain,queue"]


def test_control_characters_of_others_do_not_reach_the_terminal() -> None:
    assert visible("a\x1b[31mb\x9bc\r\nd\te") == "a\\x1b[31mb\\x9bc\\x0d\nd\te"
    assert visible("a\u202eb") == "a\\x202eb"
    assert in_one_line("a\r\nb\tc") == "a\\x0d\\x0ab\\x09c"


# -- init, check


def test_init_makes_a_set_up_that_check_finds_good(tmp_path: Path) -> None:
    done = CliRunner().invoke(cli.app, ["init", "here", "--hostname", "relay.example"])
    assert done.exit_code == 0
    assert "gatepost -c here/gatepost.toml serve" in done.output
    path = tmp_path / "here" / "gatepost.toml"
    path.write_text(path.read_text().replace(":25", ":0 #").replace(":24", ":0 #"))
    path.write_text("\n".join(_with_any_port(path.read_text())))
    checked = CliRunner().invoke(cli.app, ["-c", str(path), "check", "--json"])
    assert checked.exit_code == 0
    found = json.loads(checked.output)
    assert {"grade", "subject", "what", "mend"} == set(found[0])
    assert any(f["subject"] == "relaying" and f["grade"] == "fine" for f in found)


def _with_any_port(text: str) -> list[str]:
    return [
        'address = "127.0.0.1:0"' if line.startswith("address") else line
        for line in text.splitlines()
    ]


def test_init_does_not_overwrite() -> None:
    assert CliRunner().invoke(cli.app, ["init"]).exit_code == 0
    done = CliRunner().invoke(cli.app, ["init"])
    assert done.exit_code == 2
    assert "is there already" in done.stderr


def test_init_wants_a_full_name() -> None:
    done = CliRunner().invoke(cli.app, ["init", "--hostname", "relay"])
    assert done.exit_code == 2
    assert "not a full domain name" in done.stderr
    assert not Path("gatepost.toml").exists()


def test_check_is_2_when_a_certificate_is_missing(tmp_path: Path) -> None:
    CliRunner().invoke(cli.app, ["init", "--hostname", "relay.example"])
    path = tmp_path / "gatepost.toml"
    path.write_text("\n".join(_with_any_port(path.read_text())))
    (tmp_path / "cert.pem").unlink()
    done = CliRunner().invoke(cli.app, ["check"])
    assert done.exit_code == 2
    assert "BAD   certificate" in done.output


# -- send, before a server is asked


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--tls", "tsl"], 'there is no "--tls tsl"'),
        (["--password-stdin"], "--password-stdin without --user"),
        (["--user", "app"], "there is no password"),
        (["--server", "a b"], "not a domain name"),
        (["nofile.eml"], "cannot be read"),
    ],
)
def test_send_says_what_is_wrong_before_it_calls(arguments: list[str], words: str) -> None:
    if "--server" not in arguments:
        arguments = [*arguments, "--server", "127.0.0.1:1"]
    done = CliRunner().invoke(
        cli.app, ["send", "--from", "a@b.example", "--to", "c@d.example", *arguments]
    )
    assert done.exit_code == 2
    assert words in done.stderr


def test_send_is_1_when_nobody_answers() -> None:
    done = CliRunner().invoke(
        cli.app,
        ["send", "--server", "127.0.0.1:1", "--from", "<>", "--to", "c@d.example"],
    )
    assert done.exit_code == 1
    assert "connection refused" in done.stderr


# -- what no shell would say by itself


def _gatepost(*arguments: str | bytes, **more: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "gatepost", *arguments],
        text=True,
        errors="replace",
        timeout=60,
        check=False,
        **more,
    )


@pytest.mark.parametrize(
    "arguments", [["account", "show", b"\xff"], ["queue", "list", "--account", b"\xff@a.test"]]
)
def test_arguments_that_are_not_utf_8_are_wrong_usage(arguments: list[str | bytes]) -> None:
    done = _gatepost(*arguments, capture_output=True)
    assert done.returncode == 2
    assert "it is not UTF-8 text" in done.stderr
    assert "fault of ours" not in done.stderr


def test_a_path_may_be_any_octets() -> None:
    done = _gatepost("-c", b"/nowhere/\xff", "account", "list", capture_output=True)
    assert done.returncode == 2
    assert "there is no such file" in done.stderr


def test_streams_that_are_closed_are_no_fault_of_ours(tmp_path: Path) -> None:
    assert CliRunner().invoke(cli.app, ["init", str(tmp_path / "set-up")]).exit_code == 0
    command = f"{sys.executable} -m gatepost -c set-up/gatepost.toml queue list >&- <&-"
    done = subprocess.run(
        ["/bin/sh", "-c", command], stderr=subprocess.PIPE, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "Nothing waits that matches.\n")


def test_a_scope_that_there_is_not_is_told_with_those_that_there_are(tmp_path: Path) -> None:
    assert CliRunner().invoke(cli.app, ["init", str(tmp_path)]).exit_code == 0
    done = CliRunner().invoke(cli.app, ["api-key", "add", "--scope", "write"])
    assert done.exit_code == 2
    assert 'there is no scope "write"' in done.stderr
    assert "send, read, admin" in done.stderr


@pytest.mark.parametrize("arguments", [["--version"], ["--help"], ["init", "--help"]])
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_said(arguments: list[str]) -> None:
    with Path("/dev/full").open("w") as full:
        done = _gatepost(*arguments, stdout=full, stderr=subprocess.PIPE)
        assert done.returncode == 2
        assert done.stderr.count("the disk is full") == 1
        assert "fault of ours" not in done.stderr
        assert _gatepost("account", "no-such-verb", stdout=full, stderr=full).returncode == 2
