"""Maildirs: nobody leaves the directory, nothing is there before it is durable."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatepost.delivery.maildir import deliver, folder_name, header_lines
from gatepost.model.delivery import OutcomeKind

NAMES = [
    ("alice", "alice"),
    ("a.b+c-d_e=f", "a.b+c-d_e=f"),
    ("../../etc/passwd", "%2E.%2F..%2Fetc%2Fpasswd"),
    ("..", "%2E."),
    (".", "%2E"),
    ("", "%00"),
    ("a/b", "a%2Fb"),
    ("a\0b", "a%00b"),
    ("a b", "a%20b"),
]


@pytest.mark.parametrize(("mailbox", "folder"), NAMES)
def test_folder_name(mailbox: str, folder: str) -> None:
    assert folder_name(mailbox) == folder


@given(st.text(max_size=64))
def test_no_mailbox_leaves_its_directory(mailbox: str) -> None:
    name = folder_name(mailbox.encode("utf-8", "replace").decode())
    assert "/" not in name
    assert "\0" not in name
    assert not name.startswith(".")
    assert len(name) <= 200


@pytest.mark.rfc("5321#4.4")
def test_the_message_appears_whole_and_synced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    did: list[str] = []
    fsync, rename = os.fsync, Path.rename

    def noted_fsync(descriptor: int) -> None:
        target = Path(f"/proc/self/fd/{descriptor}").readlink()
        did.append(f"sync {target.relative_to(tmp_path)}")
        fsync(descriptor)

    def noted_rename(self: Path, target: Path) -> Path:
        did.append(f"rename {target.relative_to(tmp_path)}")
        return rename(self, target)

    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(Path, "rename", noted_rename)
    lines = header_lines("a@x.example", "Bob@local.test")
    outcome = deliver(str(tmp_path / "mail"), "bob", "id.host", lines, [b"S: 1\r", b"\n\r\nhi\r\n"])
    assert outcome.kind is OutcomeKind.DELIVERED
    assert did == [
        "sync .",
        "sync mail",
        *["sync mail/bob"] * 3,
        "sync mail/bob/tmp/id.host",
        "rename mail/bob/new/id.host",
        "sync mail/bob/new",
    ]
    assert (tmp_path / "mail/bob/new/id.host").read_bytes() == (
        b"Return-Path: <a@x.example>\nDelivered-To: Bob@local.test\nS: 1\n\nhi\n"
    )
    assert (tmp_path / "mail/bob/new/id.host").stat().st_mode & 0o777 == 0o600


@pytest.mark.rfc("5321#4.4")
def test_one_return_path_is_there_ours(tmp_path: Path) -> None:
    lines = header_lines("a@x.example", "bob@local.test")
    came = b"Received: x\r\nreturn-path: <forged@y.example>\r\nDelivered-To: c@d\r\n\r\nReturn-Path: b\r\n"
    deliver(str(tmp_path), "bob", "id.host", lines, [came])
    assert (tmp_path / "bob/new/id.host").read_bytes() == (
        b"Return-Path: <a@x.example>\nDelivered-To: bob@local.test\n"
        b"Received: x\nDelivered-To: c@d\n\nReturn-Path: b\n"
    )


def test_the_same_delivery_made_again_replaces_itself(tmp_path: Path) -> None:
    for _ in range(2):
        deliver(str(tmp_path), "bob", "id.host", (), [b"hi\r\n"])
    assert len(list((tmp_path / "bob" / "new").iterdir())) == 1


def test_trouble_with_files_is_temporary(tmp_path: Path) -> None:
    (tmp_path / "bob").write_text("in the way")
    outcome = deliver(str(tmp_path), "bob", "id.host", (), [b"hi\r\n"])
    assert outcome.kind is OutcomeKind.DEFERRED
    assert outcome.status == "4.3.0"
