"""Clients that send without a pause, each message until it got 250, and remember every answer.

Written on blocking sockets, without a line of Gatepost.
"""

import base64
import http.client
import json
import random
import re
import socket
import ssl
import threading
import time
import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.support.node import HOST, Node

QUEUED = re.compile(rb"Queued as (\S+)")
#: Seconds for one reply. A worker that is born anew may take a while.
PATIENCE = 40.0


@dataclass
class Sent:
    """What became of one message at our end; `submissions` are the ids that a 250 named."""

    id: str
    #: Final dots that were sent, and to which no reply came.
    unanswered: int = 0
    #: Tries that ended before the final dot.
    cut: int = 0
    put_off: int = 0
    #: Of these, how often at the end of content: the store went away while it was asked.
    doubted: int = 0
    submissions: list[str] = field(default_factory=list)
    order: "Order" = field(default_factory=lambda: PLAIN)
    #: Sent with an idempotency key: what comes twice is one.
    is_keyed: bool = False

    @property
    def recipients(self) -> list[str]:
        """Return its forward-paths."""
        return [f"{self.id}.{number}@next.test" for number in range(self.order.recipients)]


@dataclass(frozen=True, slots=True)
class Order:
    """How a message is sent: to how many, in how many BDAT chunks (0: DATA), after how many seconds
    it may leave (RFC 4865), and whether its success is to be reported (RFC 3461).
    """

    recipients: int = 1
    chunks: int = 0
    later: int = 0
    report: bool = False

    @classmethod
    def any(cls, chance: random.Random) -> "Order":
        """Return one of all kinds."""
        return cls(
            recipients=chance.choice([1, 1, 1, 2, 5]),
            chunks=chance.choice([0, 0, 1, 3]),
            later=chance.choice([0] * 9 + [2]),
            report=chance.random() < 0.1,
        )

    def envelope(self, reverse_path: str, sent: Sent) -> bytes:
        """Return MAIL and RCPT, to be sent at once."""
        parameters = f" HOLDFOR={self.later}" if self.later else ""
        parameters += f" RET=HDRS ENVID={sent.id}" if self.report else ""
        notify = " NOTIFY=SUCCESS,FAILURE" if self.report else ""
        lines = [f"MAIL FROM:<{reverse_path}>{parameters}"]
        lines += [f"RCPT TO:<{recipient}>{notify}" for recipient in sent.recipients]
        return "".join(f"{line}\r\n" for line in lines).encode()


PLAIN = Order()


@dataclass(frozen=True, slots=True)
class Refusal:
    """A connection that was not granted, tried and refused at these times (monotonic): between a
    refusal and the look at the clock, a node may come up, on a machine with much else to do.
    """

    began: float
    at: float
    why: str
    #: The greeting was 421: whoever took it was about to end.
    is_put_off: bool


class NotGrantedError(Exception):
    """The greeting was a refusal."""


class PutOffError(Exception):
    """The session was put off (4yz) before it was logged in."""


class Client:
    """One authenticated TLS session."""

    def __init__(
        self,
        node: Node,
        context: ssl.SSLContext,
        *,
        implicit: bool,
        patience: float = PATIENCE,
    ) -> None:
        port = node.ports.submissions if implicit else node.ports.submission
        sock = socket.create_connection((node.host, port), timeout=patience)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket: socket.socket = sock
        self.waiting = b""
        self._dot_sent = False
        try:
            self._begin(node, context, implicit=implicit)
        except BaseException:
            self.close()
            raise

    def _begin(self, node: Node, context: ssl.SSLContext, *, implicit: bool) -> None:
        if implicit:
            self.socket = context.wrap_socket(self.socket)
        greeting = self.reply()
        if not greeting.startswith(b"220"):
            raise NotGrantedError(greeting.decode(errors="replace").strip())
        self._ask(b"EHLO load.test", b"250")
        if not implicit:
            self._ask(b"STARTTLS", b"220")
            self.socket = context.wrap_socket(self.socket)
            self._ask(b"EHLO load.test", b"250")
        words = f"\0{node.account}\0{node.password}".encode()
        self._ask(b"AUTH PLAIN " + base64.b64encode(words), b"235")

    def close(self) -> None:
        self.socket.close()

    def reply(self) -> bytes:
        """Return one whole reply, or raise OSError where the connection ends before."""
        whole = b""
        while True:
            line, end, rest = self.waiting.partition(b"\r\n")
            if not end:
                octets = self.socket.recv(65536)
                if not octets:
                    raise ConnectionResetError("closed by the other side")
                self.waiting += octets
                continue
            self.waiting = rest
            whole += line + end
            if line[3:4] != b"-":
                return whole

    def _ask(self, command: bytes, wanted: bytes) -> None:
        self.socket.sendall(command + b"\r\n")
        reply = self.reply()
        if reply.startswith(b"4"):
            raise PutOffError(reply.decode(errors="replace").strip())
        if not reply.startswith(wanted):
            raise AssertionError(f"{command[:10]!r}: {reply!r}")

    def send(self, reverse_path: str, content: bytes, sent: Sent) -> bool:
        """Try one message; False when this session is over."""
        self._dot_sent = False
        try:
            self.socket.sendall(sent.order.envelope(reverse_path, sent))
            for _ in range(1 + len(sent.recipients)):
                reply = self.reply()
                if reply.startswith(b"4"):
                    sent.put_off += 1
                    return False
                if not reply.startswith(b"250"):
                    raise AssertionError(f"{sent.id}: {reply!r}")
            if sent.order.chunks:
                reply = self._chunks(content, sent.order.chunks)
            else:
                reply = self._data(content)
        except OSError:
            if self._dot_sent:
                sent.unanswered += 1
            else:
                sent.cut += 1
            return False
        if reply.startswith(b"250") and (queued := QUEUED.search(reply)):
            sent.submissions.append(queued[1].decode())
            return True
        if not reply.startswith(b"4"):
            raise AssertionError(f"{sent.id}: {reply!r}")
        sent.put_off += 1
        sent.doubted += 1
        return not reply.startswith(b"421")

    def _data(self, content: bytes) -> bytes:
        """Send by DATA; return the last reply."""
        self.socket.sendall(b"DATA\r\n")
        reply = self.reply()
        if not reply.startswith(b"354"):
            return reply
        for begin in range(0, len(content), 65536):
            self.socket.sendall(content[begin : begin + 65536])
        self._dot_sent = True
        self.socket.sendall(b".\r\n")
        return self.reply()

    def _chunks(self, content: bytes, count: int) -> bytes:
        """Send by BDAT (RFC 3030), one chunk after the other; return the last reply."""
        size = -(-len(content) // count)
        reply = b""
        for begin in range(0, len(content), size):
            chunk = content[begin : begin + size]
            is_last = begin + size >= len(content)
            self._dot_sent = is_last
            last = b" LAST" if is_last else b""
            self.socket.sendall(b"BDAT %d%b\r\n%b" % (len(chunk), last, chunk))
            reply = self.reply()
            if not reply.startswith(b"250"):
                break
        return reply


class ApiClient:
    """One that submits by HTTP, with a key that makes a repetition harmless."""

    def __init__(self, port: int, key: str) -> None:
        self._connection = http.client.HTTPConnection(HOST, port, timeout=PATIENCE)
        self._connection.connect()
        self._headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}

    def close(self) -> None:
        self._connection.close()

    def send(self, reverse_path: str, content: bytes, sent: Sent) -> bool:
        """Try one message; False when this connection is over."""
        body = {"from": reverse_path, "to": sent.recipients, "content": content.decode()}
        try:
            self._connection.request(
                "POST",
                "/v1/messages",
                json.dumps(body),
                {**self._headers, "Idempotency-Key": sent.id},
            )
            answer = self._connection.getresponse()
            told = json.loads(answer.read())
        except (OSError, http.client.HTTPException):
            sent.unanswered += 1
            return False
        if answer.status in {200, 202}:
            sent.submissions.append(told["id"])
            return True
        if answer.status not in {429, 503}:
            raise AssertionError(f"{sent.id}: {answer.status} {told}")
        sent.put_off += 1
        time.sleep(0.05)
        return True


class Load:
    """Several clients at once, each in a thread, over one node or over several of the same account
    and certificate. Every session takes any of them.
    """

    def __init__(
        self,
        node: Node,
        seed: int,
        *,
        clients: int = 8,
        http: "tuple[int, str] | None" = None,
        others: Sequence[Node] = (),
        patience: float = PATIENCE,
    ) -> None:
        """`http`: port and key of the API, which the last client uses then; and the others send
        messages of every kind. `patience`: seconds for one reply.
        """
        self.node = node
        self.http = http
        self.clients = clients
        self._nodes = (node, *others)
        self._patience = patience
        self.context = node.trust()
        self.sent: list[Sent] = []
        self.refusals: list[Refusal] = []
        #: Sessions that were "granted", "put off" or "broken" before the login was done.
        self.sessions: Counter[str] = Counter()
        self._changed = threading.Condition()
        self._acknowledged = 0
        self._faults: list[BaseException] = []
        self._ending = threading.Event()
        self._abandoned = threading.Event()
        self._threads = [
            threading.Thread(target=self._work, args=(seed, number), daemon=True)
            for number in range(clients)
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Let every client finish its message, and go."""
        self._ending.set()
        for thread in self._threads:
            thread.join(2 * PATIENCE)
            assert not thread.is_alive(), "a client never came to an end"
        self._raise_faults()

    def abandon(self) -> None:
        """Let clients end without their last 250: the test is over."""
        self._ending.set()
        self._abandoned.set()

    @property
    def acknowledged(self) -> int:
        """How many messages have got their 250."""
        return self._acknowledged

    def wait_for(self, more: int, *, patience: float = 60.0) -> None:
        """Wait until so many more messages have got their 250."""
        with self._changed:
            wanted = self._acknowledged + more
            came = self._changed.wait_for(
                lambda: self._acknowledged >= wanted or bool(self._faults), patience
            )
        self._raise_faults()
        assert came, f"{more} more messages were not accepted within {patience:.0f} s"

    def _raise_faults(self) -> None:
        if self._faults:
            raise AssertionError(f"a client failed: {self._faults[0]!r}") from self._faults[0]

    # -- in the threads

    def _work(self, seed: int, number: int) -> None:
        chance = random.Random(f"{seed}/{number}")
        try:
            self._send_all(chance, number)
        except BaseException as fault:  # noqa: BLE001 - the top of a thread; said by the main one
            with self._changed:
                self._faults.append(fault)
                self._changed.notify_all()

    def _send_all(self, chance: random.Random, number: int) -> None:
        client: Client | ApiClient | None = None
        count = 0
        by_http = self.http is not None and number == self.clients - 1
        while not self._ending.is_set():
            count += 1
            sent = Sent(f"m{number}-{count}")
            if by_http:
                sent.order = Order(recipients=chance.choice([1, 3]))
                sent.is_keyed = True
            elif self.http is not None:
                sent.order = Order.any(chance)
            content = self._content(chance, sent.id)
            self.sent.append(sent)
            while not sent.submissions:
                if self._abandoned.is_set():
                    return
                if client is None:
                    node, implicit = chance.choice(self._nodes), number % 2 == 1
                    client = self._connect(node, implicit=implicit, by_http=by_http)
                elif not self._send(client, content, sent):
                    client.close()
                    client = None
            with self._changed:
                self._acknowledged += 1
                self._changed.notify_all()
            if client is not None and chance.random() < 0.05:
                client.close()
                client = None
        if client is not None:
            client.close()

    def _send(self, client: "Client | ApiClient", content: bytes, sent: Sent) -> bool:
        """Try one message; False when the client had better turn to another session, or node."""
        put_off = sent.put_off
        goes_on = client.send(self.node.account, content, sent)
        if sent.put_off > put_off and len(self._nodes) > 1:
            time.sleep(0.05)
            return False
        return goes_on

    def _connect(self, node: Node, *, implicit: bool, by_http: bool) -> Client | ApiClient | None:
        client: Client | ApiClient
        began = time.monotonic()
        try:
            if by_http and self.http is not None:
                client = ApiClient(*self.http)
            else:
                client = Client(node, self.context, implicit=implicit, patience=self._patience)
        except (ConnectionRefusedError, TimeoutError, NotGrantedError) as problem:
            put_off = isinstance(problem, NotGrantedError) and str(problem).startswith("421")
            self.refusals.append(Refusal(began, time.monotonic(), repr(problem), put_off))
            time.sleep(0.05)  # as a client does that is not to be a nuisance
            return None
        except PutOffError:
            self.sessions["put off"] += 1
            time.sleep(0.05)
            return None
        except OSError:
            self.sessions["broken"] += 1
            return None
        self.sessions["granted"] += 1
        return client

    def _content(self, chance: random.Random, name: str) -> bytes:
        """Return content that ends with CRLF; now and then so large that it comes in many reads."""
        lines = chance.randint(3000, 6000) if chance.random() < 0.02 else chance.randint(5, 100)
        body = b"".join(b"%064x\r\n" % chance.getrandbits(256) for _ in range(lines))
        head = (
            f"From: <{self.node.account}>\r\nTo: <{name}@next.test>\r\nSubject: {name}\r\n"
            f"X-Mark: {name} {zlib.crc32(body):08x}\r\n\r\n"
        )
        return head.encode() + body
