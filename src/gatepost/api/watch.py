"""For those who watch: is it well, and how much goes through it? No key is asked for."""

import asyncio
from typing import Any, Final

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, PlainTextResponse

from gatepost.net.clock import now
from gatepost.net.counters import Counters, Metric
from gatepost.operate.egress import unusable_addresses
from gatepost.operate.queue_state import QueueState, queue_state
from gatepost.reception.authenticate import PLACES
from gatepost.store.protocols import StoreUnavailableError

router: Final = APIRouter(tags=["watch"])

#: Gauges go up and down; the others count since the node began.
_GAUGES: Final = frozenset({Metric.CONNECTIONS})
_HELP: Final = {
    Metric.CONNECTIONS: ("gatepost_connections", "SMTP connections open now."),
    Metric.SESSIONS: ("gatepost_sessions_total", "SMTP sessions begun."),
    Metric.ACCEPTED: ("gatepost_messages_accepted_total", "Messages accepted by SMTP."),
    Metric.DELIVERED: ("gatepost_deliveries_delivered_total", "Deliveries made."),
    Metric.DEFERRED: ("gatepost_deliveries_deferred_total", "Attempts deferred."),
    Metric.REFUSED: ("gatepost_deliveries_refused_total", "Deliveries refused for good."),
    Metric.LOGINS: ("gatepost_logins_total", "Logins that succeeded."),
}

#: Seconds that metrics wait for the store; who gathers them waits ten.
_PATIENCE: Final = 8.0
_REFUSED: Final = {
    Metric.TOO_MANY: "too_many",
    Metric.OVERLOADED: "overloaded",
    Metric.HEADERLESS: "no_proxy_header",
}


@router.get("/healthz", responses={503: {"description": "The store cannot be read"}})
async def healthz(request: Request) -> JSONResponse:
    """Tell whether this process and the store are well; what ails the store, the log says."""
    try:
        await request.app.state.api.intake.store.read(lambda reading: reading.next_due_at())
    except StoreUnavailableError:
        return JSONResponse({"status": "store away"}, 503)
    return JSONResponse({"status": "ok"})


@router.get("/metrics", response_class=PlainTextResponse)
async def metrics(request: Request) -> PlainTextResponse:
    """Return counters in the text format of Prometheus; no label has values without bound. The
    queue is looked at every 5 seconds at most; what only the store knows is left out while it is away.
    """
    api: Any = request.app.state.api
    lines: list[str] = []
    for metric, value in api.counters.snapshot().items():
        if metric in _HELP:
            name, words = _HELP[metric]
            lines += _metric(name, words, "gauge" if metric in _GAUGES else "counter")
            lines.append(f"{name} {value}")
    if expiry := api.counters.expiry():
        name = "gatepost_certificate_expires_seconds"
        words = "When the first of the node's certificates ends, in seconds since 1970."
        lines += [*_metric(name, words, "gauge"), f"{name} {expiry}"]
    lines += _of_refused(api.counters)
    lines += _of_logins(api.counters)
    if api.sources:
        lines += _of_attempts(api)
    lines += await _of_store(api)
    body = "\n".join(lines) + "\n"
    return PlainTextResponse(body, media_type="text/plain; version=0.0.4")


def _of_refused(counters: Counters) -> list[str]:
    name = "gatepost_connections_refused_total"
    return _metric(name, "SMTP connections that were not let in, by reason.", "counter") + [
        f'{name}{{reason="{reason}"}} {counters.total(metric)}'
        for metric, reason in _REFUSED.items()
    ]


def _of_logins(counters: Counters) -> list[str]:
    name = "gatepost_logins_refused_total"
    return _metric(name, "Logins that were refused, by their true reason.", "counter") + [
        f'{name}{{reason="{cause.name.lower()}"}} {counters.logins_refused(place)}'
        for cause, place in PLACES.items()
    ]


async def _of_store(api: Any) -> list[str]:  # noqa: ANN401
    store = api.intake.store
    name = "gatepost_store_up"
    head = _metric(name, "Whether the store can be read.", "gauge")
    try:
        async with asyncio.timeout(_PATIENCE):
            queue = await api.queue.get(
                lambda: store.read(lambda reading: queue_state(reading, now()))
            )
            unusable = await store.read(unusable_addresses) if api.sources else frozenset()
    except (StoreUnavailableError, TimeoutError):
        return [*head, f"{name} 0"]
    found = [*head, f"{name} 1", *_of_queue(queue)]
    return found + _of_sources(api, unusable) if api.sources else found


def _of_queue(queue: QueueState) -> list[str]:
    name = "gatepost_queue_deliveries"
    lines = _metric(name, "Deliveries in the queue, by state.", "gauge")
    lines += [f'{name}{{state="{state.value}"}} {count}' for state, count in queue.depth.items()]
    name = "gatepost_queue_overdue_seconds"
    words = "How long the delivery that should have been tried first has waited beyond its time."
    lines += _metric(name, words, "gauge")
    lines += [
        f'{name}{{lane="{lane.value}"}} {waited.total_seconds():.1f}'
        for lane, waited in queue.overdue.items()
    ]
    name = "gatepost_queue_oldest_seconds"
    words = "How long ago the message of the oldest due delivery was accepted."
    lines += _metric(name, words, "gauge")
    return [*lines, f"{name} {queue.oldest.total_seconds():.1f}"]


def _of_attempts(api: Any) -> list[str]:  # noqa: ANN401
    name = "gatepost_source_attempts_total"
    lines = _metric(name, "Attempts by source address and what they came to.", "counter")
    for place, address in enumerate(api.sources):
        for metric in Metric:
            if metric.is_of_sources:
                count = api.counters.of_source(place, metric)
                lines.append(
                    f'{name}{{source="{address}",outcome="{metric.name.lower()}"}} {count}'
                )
    return lines


def _of_sources(api: Any, unusable: frozenset[str]) -> list[str]:  # noqa: ANN401
    name = "gatepost_source_usable"
    words = "Whether anything leaves from a source address: 0 while it is paused or missing."
    return _metric(name, words, "gauge") + [
        f'{name}{{source="{address}"}} {int(address not in unusable)}' for address in api.sources
    ]


def _metric(name: str, words: str, kind: str) -> list[str]:
    return [f"# HELP {name} {words}", f"# TYPE {name} {kind}"]
