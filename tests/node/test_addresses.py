"""A node on IPv6, beside IPv4."""

import socket

import pytest

from tests.conftest import NodeMaker
from tests.node.conftest import LOCAL
from tests.node.talk import Talk
from tests.support.node import wait_until
from tests.support.ports import free_port


def ipv6_port() -> int:
    try:
        with socket.socket(socket.AF_INET6) as sock:
            sock.bind(("::1", port := free_port()))
            return port
    except OSError:
        pytest.skip(
            "this machine has no IPv6 loopback address: sysctl net.ipv6.conf.lo.disable_ipv6=0"
        )


@pytest.mark.rfc("5321#4.4")
def test_a_listener_on_ipv6_takes_mail_and_writes_the_address_as_a_literal(
    make_node: NodeMaker,
) -> None:
    port = ipv6_port()
    extra = f'\n[[listeners]]\naddress = "[::1]:{port}"\nrole = "mx"\n'
    node = make_node(LOCAL + extra + "[limits]\nconnections_per_address = 3\n")
    with Talk(port, host="::1") as talk:
        talk.hello()
        talk.envelope("a@b.test", "alice@local.test")
        assert talk.message(b"Subject: six\r\n\r\n").startswith("250")
    new = node.data_dir / "local" / "alice" / "new"
    wait_until(lambda: new.is_dir() and any(new.iterdir()), "mail for alice")
    assert b"[IPv6:::1]" in next(new.iterdir()).read_bytes()
    with Talk(node.ports.mx) as talk:
        talk.hello()
