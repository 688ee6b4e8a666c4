"""Links to unsubscribe: POST does it, GET only asks; nothing else than a link of ours is known."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gatepost.api.unsubscribe import LARGEST_FORM, Pace, _pairs
from gatepost.model.event import EventKind
from gatepost.model.suppression import SuppressionClass
from gatepost.reception.unsubscribe import Subscriber
from gatepost.store.suppressions import SuppressionFilter
from tests.api.conftest import APP, Rig
from tests.support.asgi import Answer

BOB = "bob@y.example"
URL_ENCODED = {"content-type": "application/x-www-form-urlencoded"}
ONE_CLICK = b"List-Unsubscribe=One-Click"
MULTIPART = {"content-type": "multipart/form-data; boundary=X-x"}
PART = b'--X-x\r\nContent-Disposition: form-data; name="List-Unsubscribe"\r\n\r\nOne-Click\r\n--X-x--\r\n'


def path_of(rig: Rig, address: str = BOB) -> str:
    return rig.intake.links.link(Subscriber(APP, "news", address))


async def post(rig: Rig, path: str, headers=URL_ENCODED, raw: bytes = ONE_CLICK) -> Answer:
    return await rig.ask("POST", path, by="", headers=headers, raw=raw)


async def suppressed(rig: Rig) -> list[tuple[str, str | None, str, SuppressionClass]]:
    which = SuppressionFilter()
    found = await rig.store.read(lambda r: r.suppressions(which, limit=10))
    return [(each.subject, each.account, each.stream, each.kind) for each in found]


GONE = [(BOB, APP, "news", SuppressionClass.UNSUBSCRIBED)]
FORMS = [
    (URL_ENCODED, ONE_CLICK),
    (URL_ENCODED, ONE_CLICK + b"\r\n"),
    ({"content-type": "application/x-www-form-urlencoded; charset=UTF-8"}, ONE_CLICK),
    (MULTIPART, PART),
    ({"content-type": 'Multipart/Form-Data; boundary="X-x"'}, PART),
]


@pytest.mark.rfc("8058#3.2")
@pytest.mark.parametrize(("headers", "raw"), FORMS)
async def test_one_click_is_enough_and_twice_changes_nothing(rig: Rig, headers, raw) -> None:
    for _ in range(2):
        done = await post(rig, path_of(rig), headers, raw)
        assert done.status == 200
        assert not {"location", "set-cookie", "www-authenticate"} & set(done.headers)
        assert await suppressed(rig) == GONE
    stored = await rig.store.read(lambda r: r.events(limit=100))
    events = [s.event for s in stored if s.event.kind is EventKind.SUPPRESSION_ADDED]
    assert [each.facts["by"] for each in events] == ["the recipient, by one click"]
    assert (events[0].account, events[0].facts["stream"]) == (APP, "news")


async def test_looking_changes_nothing(rig: Rig) -> None:
    done = await rig.ask("GET", path_of(rig), by="")
    page = done.body.decode()
    assert done.status == 200
    assert '<form method="post">' in page
    assert 'name="List-Unsubscribe" value="One-Click"' in page
    assert BOB not in page
    assert "news" in page
    assert not {"http", "src=", "<script", "<style", "<link"} & set(page.split('"'))
    assert "default-src 'none'" in done.headers["content-security-policy"]
    assert done.headers["referrer-policy"] == "no-referrer"
    assert done.headers["cache-control"] == "no-store"
    assert await suppressed(rig) == []


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_wrong_link_is_not_known(rig: Rig, method: str) -> None:
    good = path_of(rig)
    wrong = [good[:-3], good + "A", "/u/x", "/u/" + "x" * 5000, "/u/ä", f"{good}/x"]
    for path in wrong:
        done = await rig.ask(method, path, by="", headers=URL_ENCODED, raw=ONE_CLICK)
        assert done.status == 404, path
    assert await suppressed(rig) == []


WRONG_FORMS = [
    (URL_ENCODED, b""),
    (URL_ENCODED, b"List-Unsubscribe=Two-Clicks"),
    (URL_ENCODED, b"a=b&" * 50 + ONE_CLICK),
    (MULTIPART, b""),
    (MULTIPART, PART.replace(b"One", b"Two")),
    (MULTIPART, PART.replace(b"X-x", b"Y")),
    ({"content-type": "multipart/form-data"}, PART),
    ({"content-type": "application/json"}, b'{"List-Unsubscribe": "One-Click"}'),
]


@pytest.mark.parametrize(("headers", "raw"), WRONG_FORMS)
async def test_a_form_that_says_something_else(rig: Rig, headers, raw) -> None:
    assert (await post(rig, path_of(rig), headers, raw)).status == 400
    assert await suppressed(rig) == []


@pytest.mark.parametrize(
    ("headers", "raw"),
    [
        ({"content-type": MULTIPART["content-type"] + "; x=" + "y" * 300}, PART),
        ({"content-type": MULTIPART["content-type"] + ";" * 60}, PART),
        (MULTIPART, PART.replace(b"; name", b";" * 60 + b" name")),
        (MULTIPART, PART.replace(b"; name", b";\r\n " * 60 + b" name")),
    ],
)
async def test_a_form_has_few_parameters_for_each_is_compared_with_all_others(
    rig: Rig, headers, raw
) -> None:
    """A Content-Type of 60 kB held up everybody for 8 s."""
    assert (await post(rig, path_of(rig), headers, raw)).status == 400
    assert await suppressed(rig) == []


async def test_a_form_is_small(rig: Rig) -> None:
    raw = ONE_CLICK + b"&x=" + b"x" * LARGEST_FORM
    assert (await post(rig, path_of(rig), raw=raw)).status == 413
    assert (await post(rig, path_of(rig), raw=raw * 100)).status == 413
    assert await suppressed(rig) == []


async def test_too_many_at_once_come_again(rig: Rig) -> None:
    rig.app._app._app._app.state.pace = Pace(clock=lambda: 7.5)
    for _ in range(200):
        rig.app._app._app._app.state.pace.allows()
    done = await post(rig, path_of(rig))
    assert (done.status, done.headers["retry-after"]) == (503, "60")
    assert await suppressed(rig) == []


def test_a_second_later_there_is_room_again() -> None:
    seconds = [1.0]
    pace = Pace(clock=lambda: seconds[0])
    assert [pace.allows() for _ in range(201)] == [True] * 200 + [False]
    seconds[0] = 2.0
    assert pace.allows()


async def test_without_the_store_it_is_tried_again(rig: Rig) -> None:
    path = path_of(rig)
    await rig.store.close()
    done = await post(rig, path)
    assert (done.status, done.headers["content-type"]) == (503, "text/html; charset=utf-8")


@given(st.text(max_size=80), st.binary(max_size=200))
@settings(suppress_health_check=[HealthCheck.too_slow])
def test_no_form_is_too_strange(parameters: str, body: bytes) -> None:
    content_type = "multipart/form-data;" + parameters.encode("latin-1", "ignore").decode("latin-1")
    list(_pairs(content_type, body))
    list(_pairs("multipart/form-data; boundary=X-x", b"--X-x\r\nContent-Disposition:" + body))
    list(_pairs("", body))
