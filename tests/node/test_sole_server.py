"""The lock of a running server lies in a directory that may be another user's."""

import os
from pathlib import Path

import pytest

from gatepost.node.run import CannotServeError, _sole_server


def test_the_lock_follows_no_link(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_text("root's")
    state = tmp_path / "state"
    state.mkdir(mode=0o700)
    (state / "serve.lock").symlink_to(other)
    with pytest.raises(CannotServeError):
        _sole_server(state)


def test_the_lock_is_no_other_name_of_a_file(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_text("root's")
    state = tmp_path / "state"
    state.mkdir(mode=0o700)
    os.link(other, state / "serve.lock")
    with pytest.raises(CannotServeError):
        _sole_server(state)


def test_the_lock_is_made_and_taken_again(tmp_path: Path) -> None:
    for _ in range(2):
        os.close(_sole_server(tmp_path / "state"))
