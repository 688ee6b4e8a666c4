"""LDAP servers that are none, or speak it badly: trouble with a name, and nothing worse."""

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from gatepost.identity.foreign import Asker, DirectoryAwayError
from gatepost.identity.foreign_ldap import LdapDirectory
from gatepost.model.ids import AccountName
from gatepost.model.secret import Secret
from gatepost.net.ldap import LdapAwayError, LdapClient, LdapError, LdapSettings, Question

NAMES = {"name": "alice@corp.test", "local": "alice", "domain": "corp.test"}
BIND, SEARCHED, ENTRY = 0x61, 0x65, 0x64


def ber(tag: int, content: bytes) -> bytes:
    return bytes([tag, len(content)]) + content


def answer(number: int, operation: int, content: bytes) -> bytes:
    return ber(0x30, ber(0x02, bytes([number])) + ber(operation, content))


def entry(dn: bytes, attribute: bytes) -> Callable[[int], bytes]:
    values = ber(0x30, ber(0x30, ber(0x04, attribute) + ber(0x31, ber(0x04, b"x"))))
    return lambda number: answer(number, ENTRY, ber(0x04, dn) + values)


@contextmanager
def server(say: Callable[[int], bytes]) -> Iterator[str]:
    """Answer each request with what `say` makes of its number."""

    def serve(listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                while request := connection.recv(4096):
                    connection.sendall(say(request[4]))

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, args=(listener,), daemon=True)
        thread.start()
        yield "ldap://127.0.0.1:{1}".format(*listener.getsockname())
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


def client(url: str, *, straight: bool) -> LdapClient:
    if straight:
        return LdapClient(LdapSettings((url,), False, 1, user_dn="uid={local},dc=test"))
    return LdapClient(
        LdapSettings((url,), False, 1, base="dc=test", filter="(mail={name})", attributes=("mail",))
    )


@pytest.mark.parametrize("straight", [True, False])
@pytest.mark.parametrize(
    "say",
    [
        lambda number: answer(number, SEARCHED, b""),
        lambda number: answer(number, BIND, b""),
        entry(b"\xff\xfe", b"mail"),
        entry(b"uid=alice", b"\xff"),
    ],
)
def test_an_answer_that_cannot_be_read_is_trouble_with_this_name(
    say: Callable[[int], bytes], *, straight: bool
) -> None:
    with server(say) as url, pytest.raises(LdapError) as caught:
        client(url, straight=straight).check(NAMES, Secret("s3cret"))
    assert url in str(caught.value)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("straight", [True, False])
@pytest.mark.parametrize("say", [lambda _: b"", lambda _: b"HTTP/1.1 400 Bad Request\r\n\r\n"])
def test_a_server_that_says_nothing_of_use_is_away(
    say: Callable[[int], bytes], *, straight: bool
) -> None:
    with server(say) as url, pytest.raises(LdapAwayError):
        client(url, straight=straight).check(NAMES, Secret("s3cret"))


@contextmanager
def dripping() -> Iterator[tuple[str, threading.Event]]:
    """A server that says an octet of a long answer every few milliseconds, for ever. (A handshake of
    TLS has one deadline for all of it.)
    """
    ended = threading.Event()

    def serve(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection:
            try:
                connection.sendall(b"\x30\x84\x7f\xff\xff\xff")
                while not ended.wait(0.005):
                    connection.sendall(b"x")
            except OSError:
                ended.set()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, args=(listener,), daemon=True)
        thread.start()
        yield "ldap://127.0.0.1:{1}".format(*listener.getsockname()), ended
        ended.set()
        thread.join()


def test_a_question_that_is_given_up_ends_whatever_the_server_drips() -> None:
    question = Question()
    with dripping() as (url, ended):
        asked = client(url, straight=True)
        with ThreadPoolExecutor(1) as pool:
            future = pool.submit(asked.check, NAMES, Secret("s3cret"), question)
            with pytest.raises(TimeoutError):
                future.result(1.5)  # longer than its patience with each octet
            question.give_up()
            with pytest.raises(LdapAwayError):
                future.result(30)
        assert ended.wait(30)


def test_a_question_that_was_given_up_before_it_had_a_connection_ends() -> None:
    question = Question()
    question.give_up()
    with dripping() as (url, _), pytest.raises(LdapAwayError):
        client(url, straight=True).check(NAMES, Secret("s3cret"), question)


async def test_a_directory_gives_its_thread_back() -> None:
    with dripping() as (url, ended):
        directory = LdapDirectory("corp", client(url, straight=True), at_once=1, timeout=0.2)
        with pytest.raises(DirectoryAwayError, match="no answer within"):
            await directory.check(AccountName("alice@corp.test"), "s3cret", Asker())
        assert await asyncio.to_thread(ended.wait, 30)
        await directory.close()
