"""Where the database's hosts are, with a resolver that answers, says no, or swallows what it is asked."""

import asyncio
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from gatepost.model.ids import WorkerId
from gatepost.store import postgresql_around, postgresql_lineage, postgresql_names
from gatepost.store.postgresql import PostgresStore, open_postgresql
from gatepost.store.postgresql_connection import start_trouble
from gatepost.store.postgresql_names import Names
from gatepost.store.protocols import StoreAwayError, StoreUnavailableError
from tests.store.openers import address_of
from tests.support.node import wait_until
from tests.support.postgresql import shared_server


class Resolver:
    """Answers from a table, fails with what stands there, or says nothing until it is `open`."""

    def __init__(self, **table: Sequence[str] | OSError) -> None:
        self.table = {name.replace("_", "."): answer for name, answer in table.items()}
        self.asked: list[str] = []
        self.open = threading.Event()
        self.open.set()

    def __call__(self, host: str) -> Sequence[str]:
        self.asked.append(host)
        assert self.open.wait(60)
        answer = self.table.get(host, socket.gaierror(socket.EAI_NONAME, "not known"))
        if isinstance(answer, OSError):
            raise answer
        return answer


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever answers is waited for, on a busy machine, too."""
    monkeypatch.setattr(postgresql_names, "_SOON", 30.0)
    monkeypatch.setattr(postgresql_names, "_PATIENCE", 30.0)


@pytest.fixture
def resolver() -> Resolver:
    return Resolver(db1_test=["127.0.0.1"], db2_test=["127.0.0.1"])


@pytest.fixture
def silence(resolver: Resolver, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Have the resolver swallow what it is asked, and nobody wait for it for long."""

    def swallow() -> None:
        resolver.open.clear()
        monkeypatch.setattr(postgresql_names, "_SOON", 0.05)
        monkeypatch.setattr(postgresql_names, "_PATIENCE", 0.3)

    return swallow


ONE = {"host": "db1.test", "port": "5432"}
TWO = {"host": "db1.test,db2.test", "port": "5432,6432"}


@pytest.mark.parametrize(
    ("options", "placed"),
    [
        (ONE, {"host": "db1.test", "hostaddr": "10.0.0.1", "port": "5432"}),
        (
            TWO,
            {
                "host": "db1.test,db2.test,db2.test",
                "hostaddr": "10.0.0.1,10.0.0.2,fd00::2",
                "port": "5432,6432,6432",
            },
        ),
        (
            {"host": "db2.test,/run/pg,10.9.9.9,gone.test"},
            {
                "host": "db2.test,db2.test,/run/pg,10.9.9.9",
                "hostaddr": "10.0.0.2,fd00::2,,10.9.9.9",
                "port": ",,,",
            },
        ),
        ({"host": "db1.test", "hostaddr": "10.7.7.7"}, None),
        ({"host": "10.7.7.7"}, None),
        ({"host": "fd00::1,10.7.7.7"}, None),
        ({"host": "/run/postgresql"}, None),
        ({"dbname": "gatepost"}, None),
    ],
)
def test_a_name_gets_all_its_addresses_and_all_else_stays(options, placed) -> None:
    resolver = Resolver(db1_test=["10.0.0.1"], db2_test=["10.0.0.2", "fd00::2"])
    assert Names(resolver).placed(options) == (options if placed is None else placed)
    assert bool(resolver.asked) == (placed is not None)


def test_while_nobody_answers_what_was_known_is_used_and_one_question_waits(
    resolver: Resolver, silence: Callable[[], None]
) -> None:
    names = Names(resolver)
    known = names.placed(TWO)
    silence()
    began = time.monotonic()
    assert [names.placed(TWO) for _ in range(4)] == [known] * 4
    assert time.monotonic() - began < 20
    twice = ["db1.test"] * 2 + ["db2.test"] * 2
    wait_until(lambda: sorted(resolver.asked) == twice, "a second question for each")
    resolver.table["db1.test"] = ["10.0.0.9"]
    resolver.open.set()
    wanted = {**TWO, "hostaddr": "10.0.0.9,127.0.0.1"}
    wait_until(lambda: names.placed(TWO) == wanted, "the new address")


@pytest.mark.parametrize(
    ("number", "stays"),
    [(socket.EAI_AGAIN, True), (socket.EAI_FAIL, True), (socket.EAI_NONAME, False)],
)
def test_a_name_that_is_gone_is_forgotten_and_one_that_cannot_be_asked_for_is_not(
    number: int, *, stays: bool
) -> None:
    resolver = Resolver(db1_test=["10.0.0.1"])
    names = Names(resolver)
    names.placed(ONE)
    resolver.table["db1.test"] = socket.gaierror(number, "no")
    if stays:
        assert names.placed(ONE)["hostaddr"] == "10.0.0.1"
    else:
        with pytest.raises(psycopg.OperationalError, match=r"db1\.test.*: no"):
            names.placed(ONE)


@pytest.mark.parametrize("is_silent", [True, False])
def test_who_was_never_found_is_worth_waiting_for(
    tmp_path: Path, resolver: Resolver, silence: Callable[[], None], *, is_silent: bool
) -> None:
    resolver.table.clear()
    if is_silent:
        silence()
    address = replace(address_of(tmp_path), names=Names(resolver))
    with pytest.raises(psycopg.OperationalError, match="could not translate host name") as caught:
        address.names.placed(ONE)
    resolver.open.set()
    trouble = start_trouble(caught.value, address)
    assert isinstance(trouble, StoreAwayError)
    assert "resolver" in trouble.mend


@pytest.fixture
async def store(
    tmp_path: Path, resolver: Resolver, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[PostgresStore]:
    """A store over two names, whose hosts are to be looked at again and again."""
    monkeypatch.setattr(postgresql_lineage, "_FRESH", 10.0)
    monkeypatch.setattr(postgresql_around, "_LOOK", 0.1)
    straight = address_of(tmp_path)
    port = shared_server().port
    url = straight.url.replace(f"127.0.0.1:{port}", f"db1.test:{port},db2.test:{port}")
    url += "?sslmode=disable"
    address = replace(straight, url=url, names=Names(resolver))
    made = await open_postgresql(address, WorkerId("node/1/0"))
    yield made
    resolver.open.set()
    await made.close()


async def test_commits_go_on_while_a_name_server_swallows_all_questions(
    store: PostgresStore, resolver: Resolver, silence: Callable[[], None]
) -> None:
    await store.write(lambda transaction: transaction.leave("nobody/"))
    silence()
    lineage = store._address.lineage
    slowest, looks = 0.0, set()
    async with asyncio.timeout(60):
        # Two whole rounds of looks at both hosts, each over connections made anew.
        while len(looks) < 15:
            began = time.monotonic()
            await store.write(lambda transaction: transaction.leave("nobody/"))
            slowest = max(slowest, time.monotonic() - began)
            looks.add(lineage._looked_at)
            await asyncio.sleep(0.05)
    assert slowest < postgresql_lineage._FRESH, "who commits waits for the name server"
    assert set(resolver.asked) == {"db1.test", "db2.test"}


async def test_a_connection_that_is_lost_is_made_anew_without_the_name_server(
    store: PostgresStore, resolver: Resolver, silence: Callable[[], None]
) -> None:
    await store.write(lambda transaction: transaction.leave("nobody/"))
    silence()
    database = store._address.url.partition("?")[0].rpartition("/")[2]
    shared_server().execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'gatepost'"
        f" AND datname = '{database}'"
    )
    end = time.monotonic() + 30
    while True:
        try:
            await store.write(lambda transaction: transaction.leave("nobody/"))
        except StoreUnavailableError:
            assert time.monotonic() < end
            continue
        break
    assert not resolver.open.is_set()
