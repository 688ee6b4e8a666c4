"""No secret in anything that a node writes: log, journal, database, segments, in any encoding."""

import base64
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import NodeMaker
from tests.node.conftest import LOCAL
from tests.node.talk import Talk, anyone, plain, upgraded
from tests.support.node import Node, wait_until

NAME = "app@sender.test"
GOOD, BAD, CLEAR, NEW = (f"pass-{word}-q8Zr3vN0" for word in ("good", "bad", "clear", "new"))


def encodings(name: str, password: str) -> Iterator[bytes]:
    """Yield what a password looks like in places where it might have been written."""
    plain_message = f"\0{name}\0{password}".encode()
    full_message = f"{name}\0{name}\0{password}".encode()
    for octets in (password.encode(), plain_message, full_message):
        yield octets
        yield base64.b64encode(octets)
        yield octets.hex().encode()
        yield octets[::-1]
    yield password.encode("utf-16-le")
    # inside base64 of something longer, at each of the three places where it may begin
    for before in ("", "x", "xx"):
        yield base64.b64encode((before + password).encode())[4:-4]


def login_by_login(node: Node, password: str) -> str:
    with Talk(node.ports.submissions, tls=anyone()) as talk:
        talk.hello()
        talk.must("AUTH LOGIN", "334")
        talk.must(base64.b64encode(NAME.encode()).decode(), "334")
        return talk.ask(base64.b64encode(password.encode()).decode())


def files(directory: Path) -> list[Path]:
    return [path for path in directory.rglob("*") if path.is_file()]


@pytest.mark.rfc("4954#9")
def test_no_secret_is_written_anywhere(make_node: NodeMaker) -> None:
    node = make_node(LOCAL, workers=2, start=False)
    node.add_account(NAME, GOOD)
    node.start()
    with upgraded(node.ports.submission) as talk:
        assert talk.login(NAME, GOOD).startswith("235")
        talk.envelope(NAME, "you@elsewhere.test")
        assert talk.message(b"From: app@sender.test\r\n\r\nhi\r\n").startswith("250")
    assert login_by_login(node, GOOD).startswith("235")
    assert login_by_login(node, BAD).startswith("535")
    with upgraded(node.ports.submission) as talk:
        assert talk.login(NAME, BAD).startswith("535")
        assert talk.ask(plain("nobody@sender.test", BAD)).startswith("535")
        # as a command, out of step: what comes behind a refused AUTH LOGIN
        assert talk.ask(base64.b64encode(BAD.encode()).decode()).startswith("500")
        assert talk.ask(f"AUTH {BAD}").startswith("504")
        assert talk.ask(f"AUTH LOGIN {BAD} {BAD}").startswith("501")
    with Talk(node.ports.submission) as talk:
        talk.hello()
        assert talk.login(NAME, CLEAR).startswith("538")
    node.run("account", "password", NAME, "--password-stdin", stdin=NEW + "\n")
    shown = node.run("account", "show", NAME).stdout + node.run("account", "list", "--json").stdout
    shown += node.run("account", "show", NAME, "--json").stdout
    node.stop()

    secrets = [s for word in (GOOD, BAD, CLEAR, NEW) for s in encodings(NAME, word)]
    looked_at = {
        path: path.read_bytes().rstrip(b"\0").replace(b"\\u0000", b"\0")
        for path in files(node.directory)
    }
    names = " ".join(str(path.relative_to(node.directory)) for path in looked_at)
    for expected in ("serve.log", "journal/", "state/", ".sqlite" if ".sqlite" in names else "db"):
        assert expected in names
    assert any(b"login.refused" in octets for octets in looked_at.values())
    found = [
        (path.name, secret)
        for path, octets in looked_at.items()
        for secret in secrets
        if secret in octets
    ]
    assert not found
    assert not [secret for secret in secrets if secret in shown.encode()]


def test_what_is_written_is_for_its_owner_only(make_node: NodeMaker) -> None:
    node = make_node(LOCAL)
    with Talk(node.ports.mx) as talk:
        talk.hello()
        talk.envelope("a@b.test", "alice@local.test")
        assert talk.message(b"Subject: a\r\n\r\n").startswith("250")
    wait_until(lambda: any(node.data_dir.glob("local/alice/new/*")), "the delivery")
    node.stop()
    assert node.data_dir.stat().st_mode & 0o077 == 0
    open_to_others = [
        str(path.relative_to(node.data_dir))
        for path in node.data_dir.rglob("*")
        if path.stat().st_mode & 0o077
    ]
    assert not open_to_others
    assert (node.directory / "key.pem").stat().st_mode & 0o077 == 0
    assert node.config.exists()


def test_a_fault_of_ours_in_a_login_does_not_write_the_password_to_the_log(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    import logging

    from gatepost.node.logs import set_up_logs

    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    try:
        for form in ("text", "json"):
            set_up_logs(form)  # type: ignore[arg-type]
            password = GOOD
            try:
                raise ZeroDivisionError(len(password))
            except ZeroDivisionError:
                logging.getLogger("gatepost.test").exception("a conversation failed")
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
    written = capfd.readouterr().err
    assert written.count("ZeroDivisionError") >= 2
    assert GOOD not in written
