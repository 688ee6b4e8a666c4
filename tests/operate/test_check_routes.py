"""`gatepost check` tells of routes that no mail takes."""

import pytest

from gatepost.model.settings import RouteSettings, Settings
from gatepost.operate.check_routes import route_findings


def told(settings: Settings, *routes: tuple[str, str]) -> list[str]:
    made = tuple(RouteSettings(match=tuple(m.split()), via=via) for m, via in routes)
    found = route_findings(settings.model_copy(update={"routes": made}))
    return [f"{one.subject}: {one.what}" for one in found]


@pytest.fixture
def settings() -> Settings:
    return Settings.model_construct(routes=())


@pytest.mark.parametrize(
    ("routes", "at"),
    [
        ([("*", "mx"), ("a.example", "capture")], 1),
        ([("a.example", "mx"), ("A.example", "capture")], 1),
        ([("*.example", "mx"), ("*.b.example c.example", "capture")], 1),
        ([("*.example", "mx"), ("*.example", "capture")], 1),
        ([("a.example", "mx"), ("b.example", "mx"), ("b.example a.example", "capture")], 2),
        ([("*.example", "mx"), ("example", "capture")], None),
        ([("*.example", "mx"), ("a.example a.test", "capture")], None),
        ([("*.a.example", "mx"), ("*.example", "capture")], None),
        ([("a.example", "mx"), ("*", "capture")], None),
        ([("*", "hold"), ("a.example", "capture")], None),
    ],
)
def test_a_route_behind_one_that_takes_all_of_it_is_told(settings, routes, at):
    words = "comes first, and takes all that it matches"
    found = told(settings, *routes)
    if at is None:
        assert found == []
    else:
        assert found == [f"routes no. {at + 1}: no mail takes it: route no. {at} {words}"]
