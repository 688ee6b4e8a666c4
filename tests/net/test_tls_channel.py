"""TLS without a socket: any cut of the octets gives the same plaintext; damage never passes."""

from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gatepost.net.tls import FrontContexts, client_context
from gatepost.net.tls_channel import TlsChannel, TlsFailedError
from tests.support.self_signed import self_signed

#: RSA, so that a session is given a ticket.
FRONT = FrontContexts([self_signed("relay.test", kind="RSA")]).new_context()


class Pair:
    """Two channels and the octets between them."""

    def __init__(self) -> None:
        self.server = TlsChannel(FRONT, server_side=True)
        self.client = TlsChannel(
            client_context("opportunistic"), server_side=False, server_hostname="relay.test"
        )
        self.to_server: list[bytes | memoryview] = []
        self.to_client: list[bytes | memoryview] = []

    def shake(self, cut: int = 1 << 20) -> None:
        done = [False, False]
        for _ in range(10):
            if not done[0]:
                done[0] = self.client.shake_hands(self.to_client)
            self.to_server.extend(pieces(self.client.owed(), cut))
            if not done[1]:
                done[1] = self.server.shake_hands(self.to_server)
            self.to_client.extend(pieces(self.server.owed(), cut))
            if all(done):
                return
        raise AssertionError("no end")


def pieces(octets: bytes, size: int) -> list[bytes]:
    return [octets[i : i + size] for i in range(0, len(octets), size)]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.binary(min_size=1, max_size=40_000), max_size=4),
    st.lists(st.integers(1, 20_000), min_size=1, max_size=8),
    st.integers(1, 700),
)
def test_any_cut_gives_the_same_plaintext(texts: list[bytes], cuts: list[int], handshake_cut: int):
    pair = Pair()
    pair.shake(handshake_cut)
    cipher = b"".join(b"".join(pair.client.encrypt(text)) for text in texts)
    plain = b"".join(drain(pair.server, pair.to_server))
    place = turn = 0
    while place < len(cipher):
        size = cuts[turn % len(cuts)]
        pair.to_server.append(cipher[place : place + size])
        place, turn = place + size, turn + 1
        plain += b"".join(drain(pair.server, pair.to_server))
    assert plain == b"".join(texts)
    assert not pair.server.ended


def drain(channel: TlsChannel, received: list[bytes | memoryview]) -> list[bytes]:
    found = []
    while octets := channel.decrypt(received):
        found.append(octets)
    return found


def test_one_call_returns_a_bounded_amount_of_plaintext():
    pair = Pair()
    pair.shake()
    pair.to_server.append(b"".join(pair.client.encrypt(b"x" * 2**20)))
    sizes = [len(octets) for octets in drain(pair.server, pair.to_server)]
    assert sum(sizes) == 2**20
    assert max(sizes) <= 65536 + 32768


def test_what_comes_with_the_last_flight_of_the_handshake_is_not_lost():
    pair = Pair()
    pair.client.shake_hands(pair.to_client)
    pair.to_server.append(pair.client.owed())
    pair.server.shake_hands(pair.to_server)
    pair.to_client.append(pair.server.owed())
    assert pair.client.shake_hands(pair.to_client)
    pair.to_server.append(pair.client.owed() + pair.client.encrypt(b"EHLO x\r\n")[0])
    assert pair.server.shake_hands(pair.to_server)
    assert pair.server.decrypt(pair.to_server) == b"EHLO x\r\n"


def test_a_ticket_waits_for_the_first_flight():
    pair = Pair()
    pair.client.shake_hands(pair.to_client)
    pair.to_server.append(pair.client.owed())
    pair.server.shake_hands(pair.to_server)
    pair.to_client.append(pair.server.owed())
    pair.client.shake_hands(pair.to_client)
    pair.to_server.append(pair.client.owed())
    assert pair.server.shake_hands(pair.to_server)
    assert pair.server.may_hold_back
    (flight,) = pair.server.encrypt(b"250 ok\r\n")
    assert len(flight) > 150  # the ticket and the reply
    pair.to_client.append(flight)
    assert pair.client.decrypt(pair.to_client) == b"250 ok\r\n"
    assert pair.server.owed() == b""


def test_close_notify_ends_a_session_and_cutting_it_off_does_not_pretend_to():
    pair = Pair()
    pair.shake()
    last = pair.client.encrypt(b"bye")[0]
    pair.to_server.append(last + pair.client.close_notify())
    assert pair.server.decrypt(pair.to_server) == b"bye"
    assert pair.server.ended
    assert pair.server.decrypt(pair.to_server) == b""


@settings(max_examples=60, deadline=None)
@given(st.binary(min_size=1, max_size=500), st.data())
def test_a_changed_octet_is_never_plaintext(text: bytes, data: st.DataObject):
    pair = Pair()
    pair.shake()
    record = bytearray(pair.client.encrypt(text)[0])
    place = data.draw(st.integers(0, len(record) - 1))
    record[place] ^= data.draw(st.integers(1, 255))
    pair.to_server.append(bytes(record))
    with suppress(TlsFailedError):
        # Where the length has grown, it waits for more.
        assert pair.server.decrypt(pair.to_server) == b""


@settings(max_examples=100, deadline=None)
@given(st.lists(st.binary(max_size=300), max_size=6))
def test_a_handshake_of_garbage_waits_or_fails(garbage: list[bytes]):
    server = TlsChannel(FRONT, server_side=True)
    received: list[bytes | memoryview] = list(garbage)
    with suppress(TlsFailedError):
        assert not server.shake_hands(received)


def test_good_octets_before_bad_ones_are_handed_out_first():
    pair = Pair()
    pair.shake()
    pair.to_server.append(pair.client.encrypt(b"good")[0] + b"\x17\x03\x03\x00\x20" + b"x" * 32)
    assert pair.server.decrypt(pair.to_server) == b"good"
    with pytest.raises(TlsFailedError):
        pair.server.decrypt(pair.to_server)
