"""Nobody but the owner of data_dir works on it; root becomes the owner."""

import os
from pathlib import Path

import pytest

from gatepost.operate import ownership
from gatepost.operate.ownership import OwnershipError, become_owner


def test_the_owner_stays_what_he_is(tmp_path: Path) -> None:
    become_owner(tmp_path)
    assert os.geteuid() == tmp_path.stat().st_uid


def test_another_user_is_told_who_may(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: tmp_path.stat().st_uid + 12_345)
    with pytest.raises(OwnershipError, match="sudo -u"):
        become_owner(tmp_path)


def test_root_becomes_the_owner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    owner = tmp_path.stat().st_uid + 12_345
    switched = []
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(Path, "stat", lambda _path: os.stat_result([0, 0, 0, 0, owner, *[0] * 5]))
    monkeypatch.setattr(ownership, "_switch", switched.append)
    become_owner(tmp_path)
    assert switched == [owner]


def test_a_missing_directory_says_how_to_make_it(tmp_path: Path) -> None:
    with pytest.raises(OwnershipError, match="gatepost init"):
        become_owner(tmp_path / "none")


def test_a_program_that_is_closed_to_the_owner_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed, became = tmp_path / "os.py", []
    monkeypatch.setattr(os, "__file__", str(closed))

    def refuse(file: str, _flags: int) -> int:
        assert file == str(closed)
        raise PermissionError

    monkeypatch.setattr(os, "open", refuse)
    monkeypatch.setattr(os, "initgroups", lambda *_: None)
    monkeypatch.setattr(os, "setgroups", lambda *_: None)
    monkeypatch.setattr(os, "setgid", lambda *_: None)
    monkeypatch.setattr(os, "seteuid", lambda *_: None)
    monkeypatch.setattr(os, "setuid", became.append)
    with pytest.raises(OwnershipError, match=r"may not read Python .*os\.py.*below /opt"):
        ownership._switch(tmp_path.stat().st_uid)
    assert became == []


def test_a_program_that_the_owner_may_read_is_gone_on_with() -> None:
    assert ownership.unreadable_program() == ""
