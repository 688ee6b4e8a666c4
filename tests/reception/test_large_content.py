"""Large content is read, and perhaps written anew, while others get their turn."""

import threading
from datetime import timedelta
from typing import Any

import pytest

from gatepost.model.delivery import DeliveryState
from gatepost.model.submission import Origin
from gatepost.reception.accept import Acceptance, accept
from gatepost.reception.arrival import Arrival, Origination
from gatepost.wire.smtp.grammar import Mailbox
from tests.support.reception import RememberingStore


@pytest.mark.parametrize(
    ("fields", "lines", "is_apart"),
    [(1, 10, False), (1, 500, True), (16, 1, False), (17, 1, True), (17, 500, True)],
)
async def test_what_takes_long_is_judged_in_a_thread(
    fields: int, lines: int, is_apart: bool
) -> None:
    threads: list[threading.Thread] = []

    def placement(_: str) -> DeliveryState:
        threads.append(threading.current_thread())
        return DeliveryState.DUE

    store: Any = RememberingStore()
    to = Acceptance(store, "relay.test", 10**7, timedelta(days=5), placement=placement)
    header = b"From: a@b.test\r\n" + (b"X: " + b"x" * 995 + b"\r\n") * fields
    content = header + b"\r\n" + (b"x" * 2000 + b"\r\n") * lines
    origination = Origination(Origin.SUBMISSION, "laptop.home", "192.0.2.7", "ESMTPSA")
    paths = (Mailbox("b", "c.test"),)
    pieces = tuple(content[at : at + 1500] for at in range(0, len(content), 1500))
    arrival = Arrival(origination, "a@b.test", paths, pieces, len(content))
    assert (await accept(arrival, to)).accepts
    assert (threads[0] is not threading.current_thread()) is is_apart
