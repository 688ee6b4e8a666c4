"""What forks, as `tests.support.alone` calls it."""

import os
import socket
import ssl
from collections.abc import Callable

from gatepost.net.clock import Entropy, new_identifier
from gatepost.net.counters import Counters, Metric
from gatepost.net.tls import FrontContexts
from tests.support.self_signed import self_signed


def child(run: Callable[[], bool]) -> int:
    """Return the process that runs this, and ends with 0 where it says True."""
    if (pid := os.fork()) == 0:
        status = 1
        try:
            status = 0 if run() else 1
        finally:
            os._exit(status)
    return pid


def chance_is_not_repeated() -> None:
    chance = Entropy()
    chance.octets(8)
    new_identifier()
    reading, writing = os.pipe()

    def tell() -> bool:
        os.write(writing, chance.octets(16).hex().encode() + new_identifier()[-15:].encode())
        return True

    os.waitpid(child(tell), 0)
    os.close(writing)
    told = os.read(reading, 100).decode()
    os.close(reading)
    assert told[:32] != chance.octets(16).hex()
    assert told[32:] != new_identifier()[-15:]


def counters_are_shared() -> None:
    table = Counters.create(2)
    table.worker(0).connection_opened("192.0.2.1")

    def count() -> bool:
        hand = table.worker(1)
        count = hand.connection_opened("192.0.2.1")
        hand.add(Metric.ACCEPTED, 2**40)
        return (count.total, count.from_address) == (2, 2)

    assert os.waitpid(child(count), 0)[1] == 0
    assert table.connections_from("192.0.2.1") == 2
    assert table.snapshot()[Metric.ACCEPTED] == 2**40
    table.clear(1)
    assert table.connections_from("192.0.2.1") == 1
    assert table.total(Metric.ACCEPTED) == 0
    assert table.total(Metric.CONNECTIONS) == 1


def serve_blocking(listener: socket.socket, context: ssl.SSLContext) -> bool:
    """A worker: handshake, say who I am, until killed."""
    while True:
        sock, _ = listener.accept()
        with context.wrap_socket(sock, server_side=True) as tls:
            tls.recv(1)
            tls.sendall(b"%d %d" % (os.getpid(), tls.session_reused or False))


def sessions_are_resumed(version: str) -> None:
    front = FrontContexts([self_signed("relay.test", kind="RSA")]).new_context()
    listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
    pids = [child(lambda s=s: serve_blocking(s, front)) for s in listeners]
    try:
        client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
        client.maximum_version = ssl.TLSVersion[version]
        session = None
        heard = []
        for listener in (*listeners, *listeners):
            sock = socket.create_connection(listener.getsockname(), timeout=60)
            with client.wrap_socket(sock, session=session) as tls:
                tls.sendall(b"?")
                pid, reused = tls.recv(100).split()
                session = tls.session
                heard.append((int(pid), bool(int(reused)), tls.session_reused))
    finally:
        for pid in pids:
            os.kill(pid, 9)
            os.waitpid(pid, 0)
    assert [pid for pid, _, _ in heard] == [*pids, *pids]
    assert [(ours, theirs) for _, theirs, ours in heard] == [(False, False)] + [(True, True)] * 3
