"""From which pool of source addresses a message leaves: route, rule, account, default."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from gatepost.delivery.routing import Routing
from gatepost.events.timeline import sentence
from gatepost.model.account import Account
from gatepost.model.ids import CredentialId, WorkerId
from gatepost.model.pool_rule import PoolRule
from gatepost.model.route import Via, ViaCapture, ViaMx
from gatepost.model.submission import Origin
from gatepost.net.clock import now
from gatepost.reception.accept import Acceptance, Accepted, judge, ready_to_keep
from gatepost.reception.arrival import Arrival, Origination
from gatepost.reception.pooling import Pooling
from gatepost.store.sqlite import open_sqlite
from gatepost.wire.smtp.grammar import parse_mailbox
from tests.memory_store import MemoryStore
from tests.reception.test_signing import AT, domain_of_tests, signer_with
from tests.reception.test_unsubscribe import APP, BOB, STREAM, Desk

ROUTES: tuple[tuple[str, Via], ...] = (
    ("routed.example", ViaMx(pool="routed")),
    ("mine.example", ViaMx(pool="system")),
    ("kept.example", ViaCapture()),
)
RULES = (
    PoolRule("keyed", credentials=frozenset({"key"})),
    PoolRule("news", accounts=frozenset({APP}), streams=frozenset({"news"})),
    PoolRule("other", domains=("*.other.example", "other.example")),
)
ACCOUNT = Account(APP, (APP, "*@other.example", "*@a.other.example"), AT)


def acceptance(default: str = "default", rules: tuple[PoolRule, ...] = RULES) -> Acceptance:
    names = any(getattr(via, "pool", "") for _, via in ROUTES)
    routing = Routing({}, ROUTES, None, "/nowhere", default, names)
    return Acceptance(
        MemoryStore(), "relay.test", 100_000, timedelta(days=5),
        pooled=Pooling(rules, routing.pooled).pooled,
    )  # fmt: skip


async def taken(
    to: Acceptance,
    *paths: str,
    header: str = "",
    author: str = APP,
    account: Account | None = ACCOUNT,
    credential: str = "password",
) -> Accepted:
    content = f"From: {author}\r\n{header}\r\nhello\r\n".encode()
    origin = Origin.SUBMISSION if account else Origin.MX
    came = Origination(
        origin, "c", "192.0.2.1", "ESMTPSA", account=account, credential=CredentialId(credential)
    )
    mailboxes = [parse_mailbox(each) for each in paths or (BOB,)]
    arrival = Arrival(came, APP, tuple(m for m in mailboxes if m), (content,), len(content))
    judged = judge(arrival, to, now())
    assert isinstance(judged, Accepted)
    ready = await ready_to_keep(arrival, judged, to)
    assert isinstance(ready, Accepted)
    return ready


def pools(accepted: Accepted) -> list[str]:
    return [each.pool for each in accepted.deliveries]


@pytest.mark.parametrize(
    ("more", "pool"),
    [
        ({}, "default"),
        ({"account": replace(ACCOUNT, pool="own")}, "own"),
        ({"header": STREAM}, "news"),
        ({"header": STREAM, "account": replace(ACCOUNT, pool="own")}, "news"),
        ({"header": "Gatepost-Stream: else\r\n"}, "default"),
        ({"author": "x@Other.Example"}, "other"),
        ({"author": "x@a.other.example"}, "other"),
        ({"author": "x@a.other.example", "header": STREAM}, "news"),
        ({"author": "x@a.other.example", "header": STREAM, "credential": "key"}, "keyed"),
        # Anybody may write whom he likes into From: only an account's own domains count.
        ({"author": "x@other.example", "header": STREAM, "account": None}, "default"),
    ],
)
async def test_a_rule_goes_before_the_account(more, pool: str) -> None:
    accepted = await taken(acceptance(), **more)
    assert pools(accepted) == [pool]
    assert accepted.event.facts["pool"] == pool
    assert f"pool {pool}" in sentence(accepted.event, now())


async def test_a_route_goes_before_a_rule_and_what_does_not_leave_is_in_no_pool() -> None:
    paths = ["a@y.example", "b@routed.example", "c@mine.example", "d@kept.example"]
    accepted = await taken(acceptance(), *paths, header=STREAM)
    assert pools(accepted) == ["news", "routed", "", ""]
    assert accepted.event.facts["pool"] == "news routed"


async def test_where_no_pool_is_named_nothing_is_told() -> None:
    accepted = await taken(acceptance("", ()))
    assert pools(accepted) == [""]
    assert "pool" not in accepted.event.facts


async def test_an_account_s_stream_counts_as_one_that_the_header_names(tmp_path: Path) -> None:
    store = await open_sqlite(tmp_path, WorkerId("node/1/0"))
    desk = Desk(store, await signer_with(store, domain_of_tests()))
    to = replace(acceptance(), unsubscribe=desk.acceptance.unsubscribe)
    assert pools(await taken(to)) == ["default"]
    await desk.rule(stream="news")
    assert pools(await taken(to)) == ["news"]
    await desk.rule(stream="news", links=True)
    assert pools(await taken(to)) == ["news"]
    assert pools(await taken(to, header="Gatepost-Stream: else\r\n")) == ["default"]
    await store.close()


async def test_rules_hold_for_names_beyond_ascii() -> None:
    rule = PoolRule("german", domains=("xn--mller-kva.example",))
    accepted = await taken(acceptance())
    written = replace(accepted, authors=("jo@Müller.example",))
    asked = []
    Pooling((rule,), lambda ways, pool: asked.append(pool) or ways).pooled(written, None)
    assert asked == ["german"]
