"""A client that sends one small message after the other, each in a session of its own, and looks at its
watch: who is told what, and when, while the store is away?
"""

import threading
import time
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.crash.load import Client, Load, NotGrantedError, PutOffError, Sent
from tests.support.node import Node

#: Seconds for one reply; no test hopes for one that takes as long.
PATIENCE = 60.0


@dataclass(frozen=True, slots=True)
class Try:
    """One session: when it began (monotonic), how long it took, and whether its message was taken."""

    began: float
    took: float
    is_taken: bool


@dataclass
class Watcher:
    """Its messages count with those of a load."""

    load: Load
    nodes: Sequence[Node]
    tries: list[Try] = field(default_factory=list)
    _ending: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def start(self) -> None:
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Let it finish its message."""
        self._ending.set()
        if self._thread is not None:
            self._thread.join(2 * PATIENCE)
            assert not self._thread.is_alive()

    def _work(self) -> None:
        count = 0
        while not self._ending.is_set():
            sent = Sent(f"watched{count}")
            self.load.sent.append(sent)
            count += 1
            while not sent.submissions and not self._ending.is_set():
                node = self.nodes[len(self.tries) % len(self.nodes)]
                began = time.monotonic()
                self._try(node, sent)
                took = time.monotonic() - began
                self.tries.append(Try(began, took, bool(sent.submissions)))
                self._ending.wait(0.1)

    def _try(self, node: Node, sent: Sent) -> None:
        body = b"A small one.\r\n"
        head = f"From: <{node.account}>\r\nX-Mark: {sent.id} {zlib.crc32(body):08x}\r\n\r\n"
        try:
            client = Client(node, self.load.context, implicit=True, patience=PATIENCE)
        except (OSError, NotGrantedError, PutOffError):
            return
        client.send(node.account, head.encode() + body, sent)
        client.close()

    def report(self, since: float) -> str:
        """Say what clients noticed, in seconds since then."""
        refused = [one for one in self.tries if not one.is_taken and one.began + one.took > since]
        slowest = max((one.took for one in refused), default=0.0)
        first = min((one.began + one.took - since for one in refused), default=0.0)
        taken = [one.began + one.took for one in self.tries if one.is_taken]
        again = min((at - since for at in taken if refused and at > refused[-1].began), default=0.0)
        return (
            f"  {len(refused)} sessions put off: the first after {first:.1f} s, the longest took"
            f" {slowest:.1f} s; taken again after {again:.1f} s"
        )

    @property
    def slowest(self) -> float:
        """Return the seconds that the longest session took."""
        return max(one.took for one in self.tries)
