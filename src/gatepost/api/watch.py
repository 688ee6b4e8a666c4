"""For those who watch: is it well, and how much goes through it? No key is asked for."""

from typing import Any, Final

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, PlainTextResponse

from gatepost.model.delivery import DeliveryState
from gatepost.net.counters import Metric
from gatepost.operate.egress import unusable_addresses
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
    queue is counted every 5 seconds at most.
    """
    api: Any = request.app.state.api
    store = api.intake.store
    depth = await api.depth.get(lambda: store.read(lambda reading: reading.queue_depth()))
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
    name = "gatepost_queue_deliveries"
    lines += _metric(name, "Deliveries in the queue, by state.", "gauge")
    lines += [
        f'{name}{{state="{state.value}"}} {count}'
        for state, count in depth.items()
        if isinstance(state, DeliveryState)
    ]
    if api.sources:
        unusable = await store.read(unusable_addresses)
        lines += _of_sources(api, unusable)
    body = "\n".join(lines) + "\n"
    return PlainTextResponse(body, media_type="text/plain; version=0.0.4")


def _of_sources(api: Any, unusable: frozenset[str]) -> list[str]:  # noqa: ANN401
    name = "gatepost_source_attempts_total"
    lines = _metric(name, "Attempts by source address and what they came to.", "counter")
    for place, address in enumerate(api.sources):
        for metric in Metric:
            if metric.is_of_sources:
                count = api.counters.of_source(place, metric)
                lines.append(
                    f'{name}{{source="{address}",outcome="{metric.name.lower()}"}} {count}'
                )
    name = "gatepost_source_usable"
    words = "Whether anything leaves from a source address: 0 while it is paused or missing."
    lines += _metric(name, words, "gauge")
    return lines + [
        f'{name}{{source="{address}"}} {int(address not in unusable)}' for address in api.sources
    ]


def _metric(name: str, words: str, kind: str) -> list[str]:
    return [f"# HELP {name} {words}", f"# TYPE {name} {kind}"]
