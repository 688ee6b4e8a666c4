"""The lock of a running server lies in a directory that may be another user's."""

import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from gatepost.node.prepare import CannotServeError
from gatepost.node.privileges import Identity, acting_as
from gatepost.node.sole_server import sole_server, write_serving
from gatepost.operate.serving import Serving

#: A user by number; it needs no name.
STRANGER = 65534


def test_the_lock_follows_no_link(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_text("root's")
    state = tmp_path / "state"
    state.mkdir(mode=0o700)
    (state / "serve.lock").symlink_to(other)
    with pytest.raises(CannotServeError):
        sole_server(state)


def test_the_lock_is_no_other_name_of_a_file(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_text("root's")
    state = tmp_path / "state"
    state.mkdir(mode=0o700)
    os.link(other, state / "serve.lock")
    with pytest.raises(CannotServeError):
        sole_server(state)


def test_the_lock_is_made_and_taken_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Who wrote the name of the directory wrongly hears why the relay is empty."""
    for _ in range(2):
        os.close(sole_server(tmp_path / "state"))
    (said,) = [each.getMessage() for each in caplog.records]
    assert (
        said == f"{tmp_path / 'state'} was not there and begins empty: is data_dir written right?"
    )


def test_the_lock_is_no_pipe(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "serve.lock")
    with pytest.raises(CannotServeError, match="remove it"):
        sole_server(tmp_path)


def test_what_stands_in_the_lock_takes_no_more_room_when_it_changes(tmp_path: Path) -> None:
    lock = sole_server(tmp_path)
    sizes = set()
    for serving in (Serving(7), Serving(70_000, 3, "it ended with status 2"), Serving(8)):
        assert write_serving(lock, serving)
        octets = (tmp_path / "serve.lock").read_bytes()
        assert Serving(**json.loads(octets)) == serving
        sizes.add(len(octets))
    assert len(sizes) == 1
    os.close(lock)
    lock = os.open(tmp_path / "serve.lock", os.O_RDONLY)
    assert not write_serving(lock, Serving(9))
    os.close(lock)


@pytest.fixture
def strangers() -> Iterator[Path]:
    """A directory of another user's, where he can get to it."""
    if os.geteuid() != 0:
        pytest.skip("only root has rights to give up")
    with tempfile.TemporaryDirectory() as directory:
        Path(directory).chmod(0o755)
        state = Path(directory) / "state"
        state.mkdir(mode=0o700)
        os.chown(state, STRANGER, STRANGER)
        yield state


def test_the_lock_is_the_owners(strangers: Path) -> None:
    os.close(sole_server(strangers))
    assert (strangers / "serve.lock").stat().st_uid == STRANGER


def test_what_is_roots_stays_roots(strangers: Path) -> None:
    lock = strangers / "serve.lock"
    lock.touch(mode=0o600)
    with pytest.raises(CannotServeError, match="permission denied"):
        sole_server(strangers)
    assert lock.stat().st_uid == 0


def test_acting_as_another_has_his_rights_only_and_ends(strangers: Path) -> None:
    groups = os.getgroups()
    with acting_as(Identity(STRANGER, STRANGER, str(STRANGER))):
        (strangers / "his").touch()
        with pytest.raises(PermissionError):
            (strangers.parent / "roots").touch()
    assert (os.geteuid(), os.getegid(), os.getgroups()) == (0, 0, groups)
    (strangers.parent / "roots").touch()
