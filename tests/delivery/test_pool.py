"""What waits for one site, and how much of it one connection takes on at once."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from gatepost.delivery.bounds import Bounds
from gatepost.delivery.connection_room import Claim, Owner
from gatepost.delivery.parcel import Item
from gatepost.delivery.routing import Hop
from gatepost.delivery.site import Kind, Site
from gatepost.delivery.site_queue import SiteQueue
from gatepost.model.delivery import Delivery, Leased
from gatepost.model.ids import DeliveryId, SubmissionId
from gatepost.model.lane import Lane
from gatepost.model.route import ViaMx
from gatepost.model.submission import Submission

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def item(number: int, size: int, lane: Lane = Lane.TRANSACTIONAL) -> Item:
    submission = Submission(SubmissionId(f"s{number}"), "a@b.test", size, NOON)
    delivery = Delivery(
        DeliveryId(f"d{number}"),
        submission.id,
        "c@d.test",
        "d.test",
        NOON,
        NOON + timedelta(days=1),
        lane=lane,
    )
    return Item(Leased(delivery, submission, 1), Hop(ViaMx(), "c@d.test", "d.test"), 120.0)


CLAIMS = [  # sizes that wait -> how many parcels one claim takes
    ([10] * 20, 8),
    ([600] * 20, 1),
    ([400, 400, 400, 400], 2),
    ([5000, 10, 10], 1),
    ([10, 5000, 10], 1),
    ([10], 1),
    ([], 0),
]


@pytest.mark.parametrize(("sizes", "taken"), CLAIMS)
def test_a_claim_is_bounded_in_number_and_in_octets(sizes: list[int], taken: int) -> None:
    bounds = replace(Bounds(), claim=8, claimed_content=1000)
    queue = SiteQueue(Site("x", Kind.SMTP), bounds)
    for number, size in enumerate(sizes):
        queue.add(item(number, size), None)
    assert len(queue.claim()) == taken
    assert len(queue) == len(sizes) - taken


async def test_a_site_that_refused_connections_is_asked_for_more_in_time() -> None:
    bounds = Bounds(connections_per_site=4, widened_after=60)
    queue = SiteQueue(Site("x", Kind.SMTP), bounds)
    claim = Claim(Owner("a", Lane.BULK), is_further=True, is_strange=False)
    queue.tasks = {asyncio.ensure_future(asyncio.Event().wait()): claim for _ in range(3)}
    assert queue.leave_to_others(100.0)
    seen = []
    for at in (110.0, 161.0, 165.0, 222.0, 999.0):
        queue.widen(at)
        seen.append(queue.most)
    assert seen == [2, 3, 3, 4, 4]
    for task in queue.tasks:
        task.cancel()
