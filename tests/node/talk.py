"""A client that says exactly what a test tells it to, over real sockets, one line at a time."""

import base64
import socket
import ssl
from typing import Self

from tests.support.node import HOST

#: Seconds until an answer that should come counts as not coming.
PATIENCE = 60.0


def anyone() -> ssl.SSLContext:
    """Return a client's context that takes any certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def plain(name: str, password: str) -> str:
    """Return an AUTH PLAIN command."""
    return "AUTH PLAIN " + base64.b64encode(f"\0{name}\0{password}".encode()).decode()


class Talk:
    """One connection. `said` is the last reply, all its lines joined by newline."""

    def __init__(
        self,
        port: int,
        *,
        tls: ssl.SSLContext | None = None,
        host: str = HOST,
        source: str | None = None,
        server_name: str = "relay.test",
        session: ssl.SSLSession | None = None,
    ) -> None:
        origin = (source, 0) if source else None
        self.server_name = server_name
        self.socket: socket.socket = socket.create_connection(
            (host, port), timeout=PATIENCE, source_address=origin
        )
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._waiting = b""
        if tls is not None:
            self.start_tls(tls, session)

    def start_tls(self, context: ssl.SSLContext, session: ssl.SSLSession | None = None) -> None:
        """Shake hands."""
        self.socket = context.wrap_socket(
            self.socket, server_hostname=self.server_name, session=session
        )

    @property
    def tls(self) -> ssl.SSLSocket:
        assert isinstance(self.socket, ssl.SSLSocket)
        return self.socket

    def send(self, octets: bytes) -> None:
        self.socket.sendall(octets)

    def line(self) -> str | None:
        """Return the next line, None at the end of the connection."""
        while b"\r\n" not in self._waiting:
            try:
                octets = self.socket.recv(65536)
            except (ConnectionError, ssl.SSLError):
                return None
            if not octets:
                return None
            self._waiting += octets
        line, _, self._waiting = self._waiting.partition(b"\r\n")
        return line.decode("latin-1")

    def reply(self) -> str:
        """Return the next reply, its lines joined by newline; "" at the end of the connection."""
        lines: list[str] = []
        while not lines or lines[-1][3:4] == "-":
            line = self.line()
            if line is None:
                return "\n".join(lines)
            lines.append(line)
        return "\n".join(lines)

    def ask(self, command: str) -> str:
        """Send one line and return the reply."""
        self.send(command.encode("latin-1") + b"\r\n")
        return self.reply()

    def must(self, command: str, beginning: str) -> str:
        """Ask, and hold the reply against its beginning."""
        reply = self.ask(command)
        assert reply.startswith(beginning), f"{command[:40]!r} was answered {reply!r}"
        return reply

    def is_closed(self) -> bool:
        """Tell whether the other side has nothing more to say."""
        return self.line() is None

    def close(self) -> None:
        self.socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- the usual

    def hello(self) -> str:
        assert self.reply().startswith("220 ")
        return self.must("EHLO c.test", "250")

    def login(self, name: str, password: str) -> str:
        return self.ask(plain(name, password))

    def envelope(self, reverse_path: str, *forward_paths: str) -> None:
        self.must(f"MAIL FROM:<{reverse_path}>", "250")
        for path in forward_paths:
            self.must(f"RCPT TO:<{path}>", "250")
        self.must("DATA", "354")

    def message(self, content: bytes) -> str:
        """Send content that ends with CRLF and needs no transparency; return the reply."""
        self.send(content + b".\r\n")
        return self.reply()


def upgraded(port: int, **more: str) -> Talk:
    """Return a connection that has said EHLO inside STARTTLS."""
    talk = Talk(port, **more)  # type: ignore[arg-type]
    talk.hello()
    talk.must("STARTTLS", "220")
    talk.start_tls(anyone())
    talk.must("EHLO c.test", "250")
    return talk
