"""What is sudden, and what is only a busy day."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatepost.identity.breaker import (
    DAYS,
    NETWORKS,
    Bounds,
    News,
    alarm,
    held,
    is_no_address,
    learn,
    released,
)
from gatepost.model.delivery import Outcome, OutcomeKind
from gatepost.model.history import History, history_id
from gatepost.model.ids import AccountName, CredentialId
from gatepost.wire.records.organisation import organisation_of
from gatepost.wire.smtp.reply_reader import Answered

BORN = datetime(2026, 1, 1, tzinfo=UTC)
NOW = datetime(2026, 2, 1, 12, tzinfo=UTC)
NEW = History(CredentialId("a" * 32), AccountName("app@sender.test"), BORN)
BOUNDS = Bounds()


def grown(*hours: tuple[timedelta, int]) -> History:
    """Return a history of so many recipients so long ago."""
    history = NEW
    for ago, recipients in hours:
        history = learn(history, News(recipients=recipients), NOW - ago)
    return history


DAY = timedelta(days=1)


@pytest.mark.parametrize(
    ("past", "now", "sudden"),
    [
        # a quiet application that sends 3 a day, and then a stranger with its password
        ([(DAY * n, 3) for n in range(20, 0, -1)], 1000, False),
        ([(DAY * n, 3) for n in range(20, 0, -1)], 1001, True),
        # a campaign each week: the next one may be ten times as large
        ([(DAY * 21, 5000), (DAY * 14, 5000), (DAY * 7, 5000)], 50_000, False),
        ([(DAY * 21, 5000), (DAY * 14, 5000), (DAY * 7, 5000)], 50_001, True),
        # what was long ago is forgotten
        ([(DAY * 31, 5000)], 1001, True),
        # one that slept for months, and wakes with a campaign
        ([(DAY * 200, 3)], 1000, False),
        ([(DAY * 200, 3)], 1001, True),
        # a surge is not measured by itself
        ([(timedelta(hours=1), 900)], 1001, True),
    ],
)
def test_volume(past: list[tuple[timedelta, int]], now: int, sudden: bool) -> None:
    history = learn(grown(*past), News(recipients=now), NOW)
    reason = alarm(history, NOW, BOUNDS)
    assert (reason is not None) is sudden
    assert reason is None or f"{now} recipients in an hour" in reason


def test_a_surge_over_midnight_is_not_measured_by_its_beginning() -> None:
    midnight = datetime(2026, 2, 1, tzinfo=UTC)
    history = learn(NEW, News(recipients=900), midnight - timedelta(minutes=10))
    history = learn(history, News(recipients=200), midnight + timedelta(minutes=10))
    assert alarm(history, midnight + timedelta(minutes=10), BOUNDS) is not None


def test_a_young_credential_is_not_judged_by_volume_or_networks() -> None:
    news = News(recipients=100_000, networks={f"10.0.{n}.0/24" for n in range(200)})
    at = BORN + timedelta(days=6)
    assert alarm(learn(NEW, news, at), at, BOUNDS) is None
    later = BORN + BOUNDS.known_for
    assert alarm(learn(NEW, news, later), later, BOUNDS) is not None


@pytest.mark.parametrize(
    ("ended", "refused", "sudden"),
    [(300, 99, False), (100, 100, True), (1000, 100, False), (333, 100, True), (334, 100, False)],
)
def test_addresses_that_do_not_exist(ended: int, refused: int, sudden: bool) -> None:
    history = learn(NEW, News(ended=ended, refused=spread(refused)), BORN)
    reason = alarm(history, BORN, BOUNDS)
    assert (reason is not None) is sudden
    assert reason is None or reason == f"{refused} of {ended} recipients in an hour do not exist"


def spread(count: int, over: int = 10) -> dict[str, int]:
    """Return so many refused recipients of so many organisations."""
    return {f"o{n}.test": len(range(n, count, over)) for n in range(over)}


def test_a_stranger_s_domain_holds_nobody() -> None:
    """He types a hundred addresses of his own domain into the shop's form, again and again."""
    history, at = NEW, BORN
    for _ in range(30):
        at += timedelta(minutes=2)
        history = learn(history, News(ended=20, refused={"evil.test": 10}), at)
        assert alarm(history, at, BOUNDS) is None
    history = learn(NEW, News(ended=900, refused={f"evil{n}.test": 100 for n in range(9)}), at)
    assert alarm(history, at, BOUNDS) is None
    assert sum(history.ended.counts) == sum(history.refused.counts) == 90


def test_a_few_providers_that_block_us_hold_nobody_whatever_code_they_say_it_with() -> None:
    few = {"gmail.com": 5000, "outlook.com": 5000, "yahoo.com": 5000, "icloud.com": 5000}
    history = learn(NEW, News(ended=20_000, refused=few), BORN)
    assert alarm(history, BORN, BOUNDS) is None


def test_a_bought_list_holds_its_sender_though_one_provider_has_most_of_it() -> None:
    refused = {"gmail.com": 160, "yahoo.com": 40, **spread(90, over=60)}
    history = learn(NEW, News(ended=320, refused=refused), BORN)
    assert alarm(history, BORN, BOUNDS) == "110 of 140 recipients in an hour do not exist"


def test_an_organisation_has_its_share_anew_after_an_hour() -> None:
    at = BORN
    history = learn(NEW, News(ended=9, refused={"a.test": 9}), at)
    history = learn(history, News(ended=9, refused={"a.test": 9}), at + timedelta(minutes=59))
    assert sum(history.refused.counts) == 10
    later = at + timedelta(minutes=60)
    history = learn(history, News(ended=9, refused={"a.test": 9}), later)
    assert history.refused.used(int(later.timestamp()) // 60) == 10
    assert set(history.gone) == {"a.test"}
    much = News(ended=999, refused={f"b{n}.test": 1 for n in range(999)})
    assert len(learn(history, much, later).gone) <= 256


def test_news_are_added_up_by_organisation() -> None:
    former = News(recipients=3, ended=2, refused={"a.test": 1}, networks={"10.0.0.0/24"})
    later = News(recipients=4, ended=5, refused={"a.test": 2, "b.test": 1})
    both = former.plus(later)
    assert both == News(7, 7, {"a.test": 3, "b.test": 1}, {"10.0.0.0/24"})
    assert former.refused == {"a.test": 1}


@pytest.mark.parametrize(
    ("domain", "whose"),
    [
        ("evil.test", "evil.test"),
        ("a.b.evil.test", "evil.test"),
        ("mail.shop.co.uk", "shop.co.uk"),
        ("shop.co.uk", "shop.co.uk"),
        ("x.shop.com.au", "shop.com.au"),
        ("mail.firma.de", "firma.de"),
        ("localhost", "localhost"),
        ("[192.0.2.1]", "["),
        ("[IPv6:2001:db8::1]", "["),
        ("", ""),
    ],
)
def test_whose_a_domain_is(domain: str, whose: str) -> None:
    assert organisation_of(domain) == whose


def test_new_networks_count_and_known_ones_do_not() -> None:
    known = {f"10.0.{n}.0/24" for n in range(30)}
    history = NEW
    for number, network in enumerate(sorted(known)):
        history = learn(history, News(networks={network}), NOW - DAY * 10 + DAY / 30 * number)
    assert alarm(learn(history, News(networks=known), NOW), NOW, BOUNDS) is None
    usual = {f"10.1.{n}.0/24" for n in range(20)}
    assert alarm(learn(history, News(networks=usual), NOW), NOW, BOUNDS) is None
    strange = {f"10.1.{n}.0/24" for n in range(21)}
    reason = alarm(learn(history, News(networks=strange), NOW), NOW, BOUNDS)
    assert reason == "21 new networks in an hour, its most were 2"


def test_what_was_released_is_usual_from_then_on() -> None:
    surge = News(recipients=3000, networks={f"10.0.{n}.0/24" for n in range(30)})
    history = learn(NEW, surge, NOW)
    reason = alarm(history, NOW, BOUNDS)
    assert reason is not None
    freed = released(held(history, reason, NOW), NOW)
    assert freed.hold is None
    again = learn(freed, News(recipients=3000), NOW + timedelta(minutes=5))
    assert alarm(again, NOW + timedelta(minutes=5), BOUNDS) is None
    much = learn(again, News(recipients=30_000), NOW + timedelta(minutes=6))
    assert alarm(much, NOW + timedelta(minutes=6), BOUNDS) is not None


@given(
    st.lists(st.tuples(st.integers(0, 5000), st.integers(0, 300), st.integers(0, 40)), max_size=40)
)
def test_a_history_stays_small_and_knows_no_more_than_happened(
    steps: list[tuple[int, int, int]],
) -> None:
    at, history, most = BORN, NEW, 0
    for minutes, recipients, networks in steps:
        at += timedelta(minutes=minutes)
        names = {f"{at.timestamp()}-{n}" for n in range(networks)}
        history = learn(history, News(recipients=recipients, networks=names), at)
        most += recipients
    assert len(history.days) <= DAYS
    assert len(history.networks) <= NETWORKS
    assert all(each.recipients <= most for each in history.days)
    assert [each.day for each in history.days] == sorted({each.day for each in history.days})


@pytest.mark.rfc("3463#3.2")
@pytest.mark.parametrize(
    ("code", "status", "is_none"),
    [
        (550, "5.1.1", True),
        (550, "5.1.10", True),
        (550, "5.2.1", True),
        (450, "4.1.1", False),
        (450, "5.1.1", False),  # who says both says "not now"
        (553, "5.1.7", False),
        (550, "5.1.8", False),
        (550, "5.7.1", False),
        (521, "5.7.1", False),
        (550, "5.7.606", False),
        (521, "", False),
        (554, "", False),
        (552, "5.2.2", False),
    ],
)
def test_only_addresses_that_do_not_exist_are_the_sender_s_fault(
    code: int, status: str, is_none: bool
) -> None:
    outcome = Outcome(OutcomeKind.REFUSED, code, status, "no", "mx.test", "192.0.2.1:25")
    said = replace(outcome, answered=Answered.RCPT)
    assert is_no_address(said) is is_none
    assert not is_no_address(None)
    for to_all in (Answered.MAIL, Answered.DATA, Answered.CONTENT, Answered.SESSION):
        assert not is_no_address(replace(outcome, answered=to_all))


def test_somebody_else_s_word_has_a_history_for_each_account() -> None:
    name = AccountName("app@sender.test")
    assert history_id(CredentialId("a" * 32), name) == "a" * 32
    assert history_id(CredentialId("oauth"), name) == "oauth/app@sender.test"
    assert history_id(CredentialId("directory/corp"), name) == "directory/corp/app@sender.test"
