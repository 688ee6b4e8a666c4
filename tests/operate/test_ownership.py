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
