"""Connections to the HTTP process, by address."""

import socket
from pathlib import Path

from gatepost.model.settings import HttpSettings
from gatepost.node.http_crowd import OF_NETWORK, Crowd
from tests.node.test_http_live import MESSAGE, Client
from tests.support.node import HOST, wait_until


def test_an_address_has_so_many_and_a_proxy_any_number() -> None:
    crowd = Crowd(HttpSettings(connections_per_address=2, trusted_proxies=("10.0.0.0/8",)))
    assert [crowd.enter("192.0.2.1") for _ in range(3)] == [True, True, False]
    assert crowd.enter("192.0.2.2")
    assert all(crowd.enter("10.1.2.3") for _ in range(9))
    assert [crowd.enter(f"2001:db8::{n}") for n in range(3)] == [True, True, False]
    crowd.leave("192.0.2.1")
    assert crowd.enter("192.0.2.1")
    for host in ("192.0.2.1", "192.0.2.1", "192.0.2.2", "2001:db8::1", "2001:db8::2", ""):
        crowd.leave(host)
    assert not crowd._counts


def test_a_network_has_fewer_than_its_clients_together() -> None:
    crowd = Crowd(HttpSettings(connections_per_address=1))
    hosts = [f"2001:db8:0:{n:x}::1" for n in range(OF_NETWORK + 50)]
    assert sum(map(crowd.enter, hosts)) == OF_NETWORK
    assert crowd.enter("2001:db8:1::1")
    crowd.leave(hosts[0])
    assert crowd.enter(hosts[-1])
    for host in ("2001:db8:1::1", *hosts[1:OF_NETWORK], hosts[-1]):
        crowd.leave(host)
    assert not crowd._counts


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
            socket.create_connection((HOST, client.port), 20, ("127.0.0.9", 0)) for _ in range(4)
        ]
        assert closed(talks[3])
        status, _ = client.ask("POST", "/v1/messages", MESSAGE)
        assert status == 202
        for talk in talks:
            talk.close()

        def lets_in() -> bool:
            with socket.create_connection((HOST, client.port), 20, ("127.0.0.9", 0)) as talk:
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
