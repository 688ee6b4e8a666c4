"""Connections to the HTTP process, by address."""

import contextlib
import http.client
import json
import socket
from collections.abc import Callable
from pathlib import Path

from gatepost.api.places import Place
from gatepost.identity.master_key import read_master_key
from gatepost.model.ids import AccountName
from gatepost.model.settings import HttpSettings
from gatepost.node.http_crowd import IN_ALL, OF_NETWORK, Crowd
from gatepost.reception.unsubscribe import Links, Subscriber
from tests.node.test_http_live import ACCOUNT, MESSAGE, Client
from tests.support.node import HOST, wait_until


def a_crowd(
    settings: HttpSettings | None = None,
) -> tuple[Crowd, Callable[[str], Place | None], list[str]]:
    """Return a crowd, what enters it, and who has given up."""
    crowd, gone = Crowd(settings or HttpSettings()), []

    def enter(host: str) -> Place | None:
        return crowd.enter(host, lambda: gone.append(host))

    return crowd, enter, gone


def test_an_address_has_so_many_and_a_proxy_more() -> None:
    settings = HttpSettings(connections_per_address=2, trusted_proxies=("10.0.0.0/8",))
    crowd, enter, gone = a_crowd(settings)
    places = [enter("192.0.2.1") for _ in range(2)]
    assert enter("192.0.2.2")
    assert all(enter("10.1.2.3") for _ in range(9))
    assert not gone
    places.append(enter("192.0.2.1"))
    assert gone == ["192.0.2.1"]  # its oldest one
    assert all(enter(f"2001:db8::{n}") for n in range(3))
    assert gone[1:] == ["2001:db8::0"]
    for place in places:
        assert place
        crowd.leave(place)  # the first one again, as when its connection is lost
    gone.clear()
    assert enter("192.0.2.1")
    assert enter("192.0.2.1")
    assert not gone
    assert (len(crowd.places), len(crowd.proxied)) == (2 + 1 + 2, 9)


def test_a_network_has_fewer_than_its_clients_together() -> None:
    _, enter, gone = a_crowd(HttpSettings(connections_per_address=2))
    hosts = [f"2001:db8:0:{n:x}::1" for n in range(OF_NETWORK - 1)]
    assert all(map(enter, ["2001:db8:1::1", hosts[7], *hosts]))
    assert not gone
    assert enter("2001:db8:0:ffff::1")
    assert gone == [hosts[7]]  # who has most of them
    assert enter("2001:db8:1::1")
    assert len(gone) == 1


def test_a_full_house_has_room_for_a_stranger_and_takes_it_from_the_largest_network() -> None:
    _, enter, gone = a_crowd()
    for net in range(5):
        assert all(enter(f"192.0.{net}.1") for _ in range(IN_ALL // 5))
    assert enter("198.51.100.1")
    assert gone == ["192.0.0.1"]
    assert enter("198.51.100.1")
    assert gone == ["192.0.0.1", "192.0.1.1"]
    assert "198.51.100.1" not in gone


def test_proxies_and_strangers_take_nothing_from_each_other() -> None:
    crowd, enter, gone = a_crowd(HttpSettings(trusted_proxies=("10.0.0.0/8",)))
    proxied = [enter("10.1.2.3") for _ in range(IN_ALL)]
    assert enter("192.0.2.1")
    assert not gone
    assert enter("10.9.9.9")
    assert gone == ["10.1.2.3"]
    for place in proxied:
        assert place
        crowd.leave(place)
    assert (len(crowd.places), len(crowd.proxied)) == (1, 1)


def test_what_is_kept_is_not_taken() -> None:
    _, enter, gone = a_crowd(HttpSettings(connections_per_address=IN_ALL))
    places = [enter("192.0.2.1") for _ in range(IN_ALL)]
    for place in places:
        assert place
        place.kept += 1
    assert enter("198.51.100.1") is None
    places[9].kept -= 1
    assert enter("198.51.100.1")
    assert gone == ["192.0.2.1"]


def closed(talk: socket.socket) -> bool:
    try:
        return talk.recv(1) == b""
    except ConnectionResetError:
        return True


def test_others_get_in_while_one_address_holds_all_it_may(tmp_path: Path) -> None:
    settings = 'connections_per_address = 3\ntrusted_proxies = ["127.0.0.5"]\n'
    client = Client(tmp_path / "node", settings)
    try:
        talks = [
            socket.create_connection((HOST, client.port), 60, ("127.0.0.9", 0)) for _ in range(4)
        ]
        assert closed(talks[0])  # the oldest makes room
        status, _ = client.ask("POST", "/v1/messages", MESSAGE)
        assert status == 202
        for talk in talks:
            talk.close()

        def lets_in() -> bool:
            with socket.create_connection((HOST, client.port), 60, ("127.0.0.9", 0)) as talk:
                talk.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                return talk.recv(12) == b"HTTP/1.1 200"

        wait_until(lets_in, "room again")
        for source, told in (("127.0.0.5", "198.51.100.7"), ("127.0.0.6", "127.0.0.6")):
            status, body = client.ask(
                "POST", "/v1/messages", MESSAGE, source=source, x_forwarded_for="198.51.100.7"
            )
            assert status == 202
            shown = client.node.run("trace", body.decode().split('"')[3]).stdout
            assert told in shown
    finally:
        assert client.node.stop() == 0


HEAD = b"POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: 60000\r\n\r\n"


def test_a_crowd_that_is_slow_keeps_nobody_out(tmp_path: Path) -> None:
    client = Client(tmp_path / "node", 'public_url = "https://mail.test"\n')
    link = b"/u/" + a_token(client)
    talks: list[socket.socket] = []
    try:
        for said in (b"", HEAD % link):
            for number in range(IN_ALL):
                source = f"127.{number % 5 + 1}.0.1"
                talks.append(socket.create_connection((HOST, client.port), 60, (source, 0)))
                with contextlib.suppress(OSError):
                    talks[-1].sendall(said)
            for source in ("127.0.0.1", "127.9.0.1"):
                assert client.ask("GET", "/healthz", source=source)[0] == 200
                assert client.ask("POST", "/v1/messages", MESSAGE, source=source)[0] == 202
            while talks:
                talks.pop().close()
    finally:
        for talk in talks:
            talk.close()
        assert client.node.stop() == 0


def a_token(client: Client) -> bytes:
    """Return the last part of a link of the node's."""
    key = read_master_key(client.node.data_dir / "master.key")
    link = Links(key, "https://mail.test").link(
        Subscriber(AccountName(ACCOUNT), "n", "b@y.example")
    )
    return link.rpartition("/")[2].encode()


def test_what_is_no_http_is_a_problem(tmp_path: Path) -> None:
    client = Client(tmp_path / "node")
    try:
        with socket.create_connection((HOST, client.port), 60) as talk:
            talk.sendall(b"\x16\x03\x01 hello\r\n\r\n")
            answer = http.client.HTTPResponse(talk)
            answer.begin()
            assert (answer.status, json.loads(answer.read())["status"]) == (400, 400)
            assert answer.getheader("content-type") == "application/problem+json"
            assert closed(talk)
    finally:
        assert client.node.stop() == 0
