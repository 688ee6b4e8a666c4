"""What a running node tells of its certificates, and how often."""

from datetime import datetime, timedelta
from types import SimpleNamespace

import pytest

from gatepost.model.event import EventKind
from gatepost.net import clock
from gatepost.net.counters import Counters
from gatepost.net.tls import FrontContexts
from gatepost.node.certificate_watch import CertificateWatch
from tests.support.self_signed import self_signed


@pytest.mark.parametrize(
    ("hours", "times"), [([0], 0), ([17 * 24], 1), ([17 * 24, 17 * 24 + 23], 1),
                         ([17 * 24, 18 * 24], 2), ([40 * 24], 1)]
)  # fmt: skip
async def test_what_ends_soon_is_told_once_a_day(monkeypatch, caplog, hours, times):
    one, table, told = self_signed("relay.test"), Counters.create(1), []
    parts = SimpleNamespace(recorder=SimpleNamespace(record=told.append))
    fronts = FrontContexts([one])
    watch = CertificateWatch(fronts, table.worker(0), parts)
    begun: datetime = clock.now()
    for hour in hours:
        monkeypatch.setattr(clock, "now", lambda hour=hour: begun + timedelta(hours=hour))
        await watch.look()
    assert [event.kind for event in told] == [EventKind.CERTIFICATE_EXPIRING] * times
    assert len(caplog.records) == times
    assert table.expiry() == int(one.expires_at.timestamp())
    fronts.replace([self_signed("relay.test", days=400)])
    await watch.look()
    assert len(told) == times
    assert table.expiry() > int(one.expires_at.timestamp())
