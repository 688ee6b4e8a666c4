"""Where links to unsubscribe lead (RFC 8058 §3): POST does it, GET only asks.

No key, no cookie, no redirect. Mail scanners follow every link, so looking must change nothing.
"""

import email
import time
from collections.abc import Callable, Iterator
from html import escape
from typing import Annotated, Final
from urllib.parse import parse_qsl

from fastapi import APIRouter, Path, Request
from fastapi.responses import HTMLResponse

from gatepost.net.clock import now
from gatepost.operate.hand_in import Intake
from gatepost.operate.unsubscribe import is_unsubscribed, unsubscribe
from gatepost.reception.unsubscribe import PATH, Links, Subscriber
from gatepost.store.protocols import StoreUnavailableError

router: Final = APIRouter(tags=["unsubscribe"])

#: Octets of a form: the one pair that it must have, and what a browser puts around it.
LARGEST_FORM: Final = 8192
#: Longer tokens there are none: they would not fit into a header field.
_LONGEST_TOKEN: Final = 1000
#: Writes a second. One needs a valid link for each, and needs it once: repeats only read.
_MOST: Final = 200
_MOST_FIELDS: Final = 20
#: Octets of a multipart form's Content-Type (RFC 2046 §5.1.1: 70 for the boundary), and semicolons of
#: all of it: `email` takes the square of their number, 8 s for 60 000.
_LONGEST_TYPE: Final = 200
_MOST_PARAMETERS: Final = 50
_PAIR: Final = ("List-Unsubscribe", "One-Click")  # RFC 8058 §3.1
_HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Robots-Tag": "noindex",
}
_FORM: Final = (
    '<form method="post"><input type="hidden" name="List-Unsubscribe" value="One-Click">'
    '<button type="submit">Unsubscribe</button></form>'
)

Token = Annotated[str, Path(description="The last part of a link in a message.")]


class Pace:
    """So many a second, and no more."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._second = 0
        self._count = 0

    def allows(self) -> bool:
        """Count one more, or tell that it is too much."""
        second = int(self._clock())
        if second != self._second:
            self._second, self._count = second, 0
        self._count += 1
        return self._count <= _MOST


@router.get(
    PATH + "{token}",
    response_class=HTMLResponse,
    responses={404: {"description": "No link of ours"}},
)
async def ask_to_unsubscribe(token: Token, request: Request) -> HTMLResponse:
    """Show a page with a button that unsubscribes; looking at it changes nothing."""
    subscriber = _subscriber(token, _intake(request).links)
    if subscriber is None:
        return _unknown()
    stream = escape(subscriber.stream)
    return _page("Unsubscribe?", f"You will get no more mail of the list “{stream}”.", form=_FORM)


@router.post(
    PATH + "{token}",
    response_class=HTMLResponse,
    responses={
        400: {"description": "The form does not say `List-Unsubscribe=One-Click`"},
        404: {"description": "No link of ours"},
        413: {"description": "More than the form needs"},
        503: {"description": "Not now: try again later"},
    },
)
async def unsubscribe_at_once(token: Token, request: Request) -> HTMLResponse:
    """Unsubscribe (RFC 8058): the body is the form `List-Unsubscribe=One-Click`, URL-encoded or as
    multipart/form-data. Doing it again changes nothing.
    """
    intake = _intake(request)
    subscriber = _subscriber(token, intake.links)
    if subscriber is None:
        return _unknown()
    body = await request.body()
    if len(body) > LARGEST_FORM:
        return _page("Nothing was changed", f"At most {LARGEST_FORM} octets are read.", 413)
    if _PAIR not in _pairs(request.headers.get("content-type", ""), body):
        return _page("Nothing was changed", "The form must say List-Unsubscribe=One-Click.", 400)
    try:
        if not await is_unsubscribed(intake.store, subscriber):
            if not request.app.state.pace.allows():
                return _later()
            await unsubscribe(intake.store, subscriber, now())
    except StoreUnavailableError:
        return _later()
    stream = escape(subscriber.stream)
    return _page("Unsubscribed", f"You get no more mail of the list “{stream}”.")


def form_at(path: str, links: Links) -> int:
    """Return how many octets are read of what comes to a path without a key: none where it is no
    link of ours.
    """
    token = path.removeprefix(PATH)
    return LARGEST_FORM + 1 if token != path and _subscriber(token, links) else 0


def _subscriber(token: str, links: Links) -> Subscriber | None:
    return None if len(token) > _LONGEST_TOKEN else links.subscriber(token)


def _intake(request: Request) -> Intake:
    intake: Intake = request.app.state.api.intake
    return intake


def _pairs(content_type: str, body: bytes) -> Iterator[tuple[str, str]]:
    """Yield the pairs of a form, in either encoding (RFC 7578, or URL-encoded)."""
    if not content_type.lower().startswith("multipart/form-data"):
        try:
            yield from parse_qsl(body.decode("latin-1").strip(), max_num_fields=_MOST_FIELDS)
        except ValueError:
            return
        return
    whole = f"Content-Type: {content_type}\r\n\r\n".encode("latin-1") + body
    if len(content_type) > _LONGEST_TYPE or whole.count(b";") > _MOST_PARAMETERS:
        return
    for part in email.message_from_bytes(whole).walk():
        name = part.get_param("name", header="content-disposition")
        value = part.get_payload()
        if isinstance(name, str) and isinstance(value, str):
            yield name, value.strip()


def _unknown() -> HTMLResponse:
    return _page("This link is not known", "Take it whole, as it stands in the message.", 404)


def _later() -> HTMLResponse:
    return _page("Not now", "Please try again in a minute.", 503, headers={"Retry-After": "60"})


def _page(
    title: str,
    words: str,
    status: int = 200,
    *,
    form: str = "",
    headers: dict[str, str] | None = None,
) -> HTMLResponse:
    page = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>{title}</title></head><body><h1>{title}</h1><p>{words}</p>{form}</body></html>\n"
    )
    return HTMLResponse(page, status, headers=_HEADERS | (headers or {}))
