"""Which file is read, and what is said when it cannot be."""

from pathlib import Path

import pytest

from gatepost.model.settings_fault import Fault, SettingsError
from gatepost.operate import configuration, init
from gatepost.operate.configuration import load, locate


def fault(error: SettingsError) -> Fault:
    (found,) = error.faults
    return found


def test_the_file_that_is_named_comes_first(tmp_path: Path) -> None:
    (tmp_path / "gatepost.toml").touch()
    environment = {"GATEPOST_CONFIG": "/named/by/environment"}
    assert locate(Path("given"), environment, tmp_path) == Path("given")
    assert locate(None, environment, tmp_path) == Path("/named/by/environment")
    assert locate(None, {}, tmp_path) == tmp_path / "gatepost.toml"


def test_the_systems_file_comes_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    system = tmp_path / "system.toml"
    monkeypatch.setattr(configuration, "SYSTEM_FILE", system)
    with pytest.raises(SettingsError) as raised:
        locate(None, {}, tmp_path)
    assert "gatepost init" in fault(raised.value).mend
    system.touch()
    assert locate(None, {}, tmp_path) == system


def test_a_file_that_is_not_there_says_so(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as raised:
        load(tmp_path / "no.toml", {})
    assert fault(raised.value).what == "there is no such file"
    assert "gatepost init" in fault(raised.value).mend


@pytest.mark.parametrize(
    ("octets", "line", "words"),
    [
        (b"# a\nhostname = '\xff'\n", 2, "not UTF-8"),
        (b"a" * (4 * 2**20 + 1), 0, "larger than 4 MiB"),
        (b"hostname = \n", 1, "not TOML"),
    ],
)
def test_a_file_that_cannot_be_read_says_why(
    tmp_path: Path, octets: bytes, line: int, words: str
) -> None:
    path = tmp_path / "gatepost.toml"
    path.write_bytes(octets)
    with pytest.raises(SettingsError) as raised:
        load(path, {})
    assert fault(raised.value).line == line
    assert words in fault(raised.value).what


def test_a_mark_that_some_editors_put_in_front_does_not_matter(tmp_path: Path) -> None:
    made = init.init(tmp_path, "relay.example")
    made.config.write_bytes(b"\xef\xbb\xbf" + made.config.read_bytes())
    assert load(made.config, {}).hostname == "relay.example"


def test_a_directory_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be read"):
        load(tmp_path, {})


def test_a_file_that_may_not_be_read_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_arguments: object) -> None:
        raise PermissionError

    monkeypatch.setattr(Path, "open", refuse)  # root may read everything
    with pytest.raises(SettingsError, match="may not be read"):
        load(tmp_path / "gatepost.toml", {})
