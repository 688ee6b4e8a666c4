"""The application: its routes behind bounds, its errors as problems."""

import asyncio
from dataclasses import dataclass, field
from typing import Final

from fastapi import FastAPI
from starlette.types import ASGIApp

from gatepost import __version__
from gatepost.api import counts, messages, queue, suppressions, unsubscribe, watch
from gatepost.api.bounds import Bounded, Doors, bounds_for
from gatepost.api.faults import Faultless
from gatepost.api.keys import has_key
from gatepost.api.lately import Lately
from gatepost.api.methods import Methods
from gatepost.api.problems import install
from gatepost.net.counters import Counters
from gatepost.operate.hand_in import Intake
from gatepost.operate.queue_state import QueueState

#: Seconds for which a count of the queue is good enough.
_COUNTED: Final = 5.0
_ROOMS: Final = (messages, queue, counts, suppressions, watch, unsubscribe)


@dataclass(frozen=True, slots=True)
class Api:
    """What the routes need. `sources` are the source addresses, by their places in `counters`;
    `queue` is how the queue stood when it was looked at last; `counting` is for who goes through all of it.
    """

    intake: Intake
    counters: Counters
    sources: tuple[str, ...] = ()
    queue: Lately[QueueState] = field(default_factory=lambda: Lately(_COUNTED))
    counting: asyncio.Lock = field(default_factory=asyncio.Lock)


def build_routes() -> FastAPI:
    """Return the application without what it needs to answer: its OpenAPI is complete."""
    app = FastAPI(
        title="Gatepost",
        version=__version__,
        summary="Submit mail and look after it.",
        docs_url=None,  # they would load scripts from elsewhere
        redoc_url=None,
        redirect_slashes=False,  # to where the Host field says
    )
    install(app)
    for room in _ROOMS:
        app.include_router(room.router)
    return app


def build_app(api: Api) -> ASGIApp:
    """Return the application."""
    app = build_routes()
    app.state.api = api
    app.state.pace = unsubscribe.Pace()
    intake = api.intake
    bounds = bounds_for(intake.acceptance.message_size, intake.recipients)
    doors = Doors(
        knows=lambda field: has_key(intake.store, field),
        form=lambda path: unsubscribe.form_at(path, intake.links),
    )
    routes = [*app.routes, *(route for room in _ROOMS for route in room.router.routes)]
    return Faultless(Bounded(Methods(app, routes), bounds, doors))
