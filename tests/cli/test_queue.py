"""`gatepost queue` and `gatepost trace`, as commands over a real store."""

import asyncio
import json
import os
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from gatepost.cli.app import app
from gatepost.model.delivery import Delivery, DeliveryState
from gatepost.model.event import Event, EventKind
from gatepost.model.ids import AccountName, DeliveryId, SubmissionId, WorkerId
from gatepost.model.submission import Submission
from gatepost.net.clock import new_identifier
from gatepost.operate import queue_change
from gatepost.store.leases import Held, Lease
from gatepost.store.presences import Announcement
from gatepost.store.protocols import Settlement, Store
from gatepost.store.sqlite import open_sqlite

_CONFIG = """\
hostname = "relay.example"
[tls]
certificate = "cert.pem"
private_key = "key.pem"
[[listeners]]
address = "127.0.0.1:0"
role = "submission"
"""
_CONTENT = b"Subject: hello\r\nFrom: a@b.example\r\n\r\nBody: no field\r\n"


@pytest.fixture(autouse=True)
def _set_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in [v for v in os.environ if v.startswith("GATEPOST_")]:
        monkeypatch.delenv(variable)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "gatepost.toml").write_text(_CONFIG)
    (tmp_path / "state").mkdir(mode=0o700)


def add(
    *recipients: str,
    account: str = "app@example.com",
    state: DeliveryState = DeliveryState.DUE,
    message_id: str = "",
    id: str = "",  # noqa: A002
    pool: str = "",
) -> tuple[Submission, list[Delivery]]:
    """Put one message into the queue, due in an hour."""
    now = datetime.now(UTC)
    submission = Submission(
        SubmissionId(id or new_identifier()), "app@example.com", len(_CONTENT), now,
        account=AccountName(account), message_id=message_id,
    )  # fmt: skip
    deliveries = [
        Delivery(
            DeliveryId(new_identifier()), submission.id, recipient, recipient.rpartition("@")[2],
            now + timedelta(hours=1), now + timedelta(days=5), state, reason="no answer yet",
            pool=pool,
        )
        for recipient in recipients
    ]  # fmt: skip
    asyncio.run(_add(submission, deliveries))
    return submission, deliveries


async def _add(submission: Submission, deliveries: Sequence[Delivery]) -> None:
    store: Store = await open_sqlite(Path("state"), WorkerId("test/0/0"))
    accepted = Event(
        EventKind.ACCEPTED, submission.received_at, submission.id, account=submission.account,
        facts={"recipients": len(deliveries), "size": submission.size},
    )  # fmt: skip

    captured = deliveries[0].state is DeliveryState.CAPTURED

    def job(transaction: Any) -> None:
        transaction.add_events([accepted])
        if not captured:
            transaction.add_deliveries(submission, deliveries)
            return
        due = [replace(delivery, state=DeliveryState.DUE) for delivery in deliveries]
        lease = Lease(WorkerId("test/0/0"), deliveries[0].expires_at)
        leased = transaction.add_deliveries(submission, due, lease)
        transaction.settle(
            Settlement(Held(one.delivery.id, one.fence), DeliveryState.CAPTURED, None, [])
            for one in leased
        )

    try:
        await store.write(job, (submission.id, [_CONTENT]))
    finally:
        await store.close()


def run(*arguments: str) -> Any:
    return CliRunner().invoke(app, arguments)


def listed(*arguments: str) -> list[dict[str, Any]]:
    done = run("queue", "list", "--json", *arguments)
    assert done.exit_code == 0, done.stderr
    rows: list[dict[str, Any]] = json.loads(done.stdout)
    return rows


def recipients(*arguments: str) -> list[str]:
    return [row["recipient"] for row in listed(*arguments)]


def test_an_empty_queue_is_an_empty_list() -> None:
    assert listed() == []
    done = run("queue", "list")
    assert (done.exit_code, done.stdout) == (0, "")
    assert "Nothing waits" in done.stderr


def test_a_row_has_the_delivery_and_what_names_its_message() -> None:
    submission, (delivery,) = add("b@example.net", message_id="<1@b.example>")
    (row,) = listed()
    assert row["id"] == delivery.id
    assert row["message"] == submission.id
    assert row["reason"] == "no answer yet"
    assert set(row) == {
        "id", "message", "recipient", "destination", "state", "attempts", "next_attempt_at",
        "expires_at", "reason", "last_outcome", "from", "account", "message_id", "size",
        "received_at", "release_at", "lane", "pool", "notify", "orcpt",
    }  # fmt: skip
    assert datetime.fromisoformat(row["next_attempt_at"]) > datetime.now(UTC)


def test_a_listing_for_people_says_until_when_it_waits_and_why() -> None:
    add("b@example.net")
    done = run("queue", "list")
    assert "b@example.net" in done.stdout
    assert "waits until" in done.stdout
    assert "no answer yet" in done.stdout


def test_filters_choose() -> None:
    submission, (first, _) = add("a@one.example", "b@two.example")
    add("c@two.example", account="other")
    add("d@two.example", state=DeliveryState.HELD)
    assert len(recipients()) == 4
    assert recipients("--destination", "One.Example") == ["a@one.example"]
    assert recipients("--recipient", "b@TWO.example") == ["b@two.example"]
    assert recipients("--account", "Other") == ["c@two.example"]
    assert recipients("--state", "held") == ["d@two.example"]
    assert recipients("--id", submission.id) == ["a@one.example", "b@two.example"]
    assert recipients("--id", first.id) == ["a@one.example"]
    assert recipients("--destination", "two.example", "--account", "other") == ["c@two.example"]


@pytest.mark.parametrize("verb", ["hold", "release", "retry", "cancel"])
def test_a_verb_wants_one_message_where_it_is_given_the_beginning_of_an_id(verb: str) -> None:
    state = DeliveryState.HELD if verb == "release" else DeliveryState.DUE
    begun = "01980c2e5a3f7"
    for number in range(2):
        add("a@one.example", "b@two.example", id=f"{begun}{number:019x}", state=state)
    done = run("queue", verb, "--id", begun[:8])
    assert done.exit_code == 1
    assert f'the ids of several messages begin with "{begun[:8]}"' in done.stderr
    assert {row["state"] for row in listed()} == {state.value}
    assert run("queue", verb, "--id", f"{begun}{0:019x}").stdout == f"{verb}: 2 deliveries\n"


def test_a_pool_is_a_filter_of_listings_and_verbs() -> None:
    add("a@one.example", pool="news")
    add("b@two.example")
    assert recipients("--pool", "news") == ["a@one.example"]
    assert recipients("--pool", "system") == ["b@two.example"]
    assert recipients("--pool", "other") == []
    assert run("queue", "hold", "--pool", "news").stdout == "hold: 1 delivery\n"
    assert recipients("--state", "held") == ["a@one.example"]


def test_what_waits_is_counted_by_pool() -> None:
    assert json.loads(run("queue", "pools", "--json").stdout) == []
    add("a@one.example", "b@one.example", pool="news")
    add("c@one.example", pool="news", state=DeliveryState.HELD)
    add("d@two.example")
    assert json.loads(run("queue", "pools", "--json").stdout) == [
        {"pool": "system", "due": 1, "leased": 0, "held": 0, "why": ""},
        {"pool": "news", "due": 2, "leased": 0, "held": 1, "why": ""},
    ]
    asyncio.run(_live_by(timedelta(0)))
    table = run("queue", "pools").stdout
    assert "no node that runs has a source address of pool news" in table


def test_a_listing_is_paged() -> None:
    for number in range(5):
        add(f"r{number}@example.net")
    found: list[str] = []
    after: list[str] = []
    while rows := listed("--limit", "2", *after):
        found += [row["recipient"] for row in rows]
        after = ["--after", rows[-1]["id"]]
    assert found == [f"r{number}@example.net" for number in range(5)]
    assert "--after" in run("queue", "list", "--limit", "2").stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--state", "lost"], 'there is no state "lost"'),
        (["--id", "123"], "is not an id"),
        (["--id", "not-hexadecimal"], "is not an id"),
        (["--destination", "a b"], "not a domain name"),
        (["--pool", "A B"], "cannot be the name of a pool"),
    ],
)
def test_a_filter_that_cannot_be_meant_is_2(arguments: list[str], words: str) -> None:
    done = run("queue", "list", *arguments)
    assert done.exit_code == 2
    assert words in done.stderr


def test_verbs_change_what_they_name_and_tell_it() -> None:
    submission, _ = add("a@one.example", "b@two.example")
    assert run("queue", "hold", "--destination", "one.example").stdout == "hold: 1 delivery\n"
    assert [row["state"] for row in listed()] == ["held", "due"]
    # Held mail is not retried; due mail is due now.
    assert "retry: 1 delivery" in run("queue", "retry", "--all").stdout
    states = {row["recipient"]: row for row in listed()}
    assert states["a@one.example"]["state"] == "held"
    assert datetime.fromisoformat(states["b@two.example"]["next_attempt_at"]) <= datetime.now(UTC)
    assert "release: 1" in run("queue", "release", "--account", "app@example.com").stdout
    assert "cancel: 2 deliveries" in run("queue", "cancel", "--id", submission.id).stdout
    assert listed() == []
    (traced,) = json.loads(run("trace", submission.id, "--json").stdout)
    assert [event["kind"] for event in traced["events"]] == [
        "message.accepted",
        "delivery.held",
        "delivery.retried",
        "delivery.released",
        "delivery.cancelled",
        "delivery.cancelled",
    ]
    assert all(event["facts"]["by"] for event in traced["events"][1:])
    assert {d["state"] for d in traced["deliveries"]} == {"cancelled"}


async def _live_by(ahead: timedelta) -> None:
    store = await open_sqlite(Path("state"), WorkerId("node/0/1.1/"))
    said = Announcement(
        WorkerId("node/0/1.1/"), "node", "home", "1.0", (), datetime.now(UTC) + ahead
    )
    await store.write(lambda transaction: transaction.beat(said))
    await store.close()


@pytest.mark.parametrize("verb", ["retry", "release"])
@pytest.mark.parametrize("days", [-10, 0, 10])
def test_verbs_go_by_the_time_of_the_node_that_lives(verb: str, days: int) -> None:
    """The machine's clock was set, and the node does not follow it."""
    state = DeliveryState.HELD if verb == "release" else DeliveryState.DUE
    submission, _ = add("a@one.example", state=state)
    of_the_node = datetime.now(UTC) + timedelta(days=days)
    asyncio.run(_live_by(timedelta(days=days)))
    assert f"{verb}: 1" in run("queue", verb, "--all").stdout
    (row,) = listed()
    if verb == "retry" or days > 0:
        due_at = datetime.fromisoformat(row["next_attempt_at"])
        assert abs(due_at - of_the_node) < timedelta(minutes=5)
    (traced,) = json.loads(run("trace", submission.id, "--json").stdout)
    told_at = datetime.fromisoformat(traced["events"][-1]["at"])
    assert abs(told_at - of_the_node) < timedelta(minutes=5)


def test_a_long_queue_is_changed_in_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue_change, "PORTION", 3)
    add(*(f"r{number}@example.net" for number in range(10)))
    done = run("queue", "hold", "--all", "--json")
    assert json.loads(done.stdout) == {"changed": 10}
    assert {row["state"] for row in listed()} == {"held"}


@pytest.mark.parametrize("verb", ["hold", "release", "retry", "cancel"])
def test_a_verb_without_a_filter_wants_all_to_be_said(verb: str) -> None:
    done = run("queue", verb)
    assert done.exit_code == 2
    assert "--all" in done.stderr
    assert run("queue", verb, "--all", "--account", "x").exit_code == 2
    done = run("queue", verb, "--all")  # nobody can be asked here
    assert done.exit_code == (2 if verb == "cancel" else 0)
    assert ("--yes" in done.stderr) is (verb == "cancel")
    assert run("queue", verb, "--all", "--yes").exit_code == 0
    assert run("queue", verb, "--id", "0" * 32).exit_code == 1


def test_show_tells_envelope_deliveries_timeline_and_header() -> None:
    submission, (delivery,) = add("b@example.net", message_id="<1@b.example>")
    for name in (submission.id, delivery.id, delivery.id[:31]):
        done = run("queue", "show", name)
        assert done.exit_code == 0, done.stderr
        for words in (submission.id, "<1@b.example>", "b@example.net: waits until", "accepted",
                      "Subject: hello"):  # fmt: skip
            assert words in done.stdout
        assert "no field" not in done.stdout


def test_show_in_json_has_the_header_section_only() -> None:
    submission, _ = add("b@example.net")
    shown = json.loads(run("queue", "show", submission.id, "--json").stdout)
    assert set(shown) == {"id", "message", "deliveries", "events", "header"}
    assert shown["header"] == "Subject: hello\r\nFrom: a@b.example\r\n"


def test_show_writes_content_as_it_is_stored() -> None:
    submission, _ = add("b@example.net")
    done = run("queue", "show", submission.id, "--content")
    assert done.stdout_bytes == _CONTENT


def test_what_is_not_there_is_1() -> None:
    for arguments in (["show", "0" * 32], ["show", "0" * 32, "--content"]):
        done = run("queue", *arguments)
        assert done.exit_code == 1
        assert "there is no message or delivery" in done.stderr
    done = run("trace", "nobody@example.net")
    assert done.exit_code == 1
    assert "nothing is known" in done.stderr


def test_the_beginning_of_several_ids_is_not_guessed_about() -> None:
    add("a@example.net", id="0123456789abcdef" * 2)
    add("b@example.net", id="0123456789abcdee" * 2)
    done = run("queue", "show", "0123456789")
    assert done.exit_code == 1
    assert "begins several ids" in done.stderr


@pytest.mark.parametrize("what", ["<1@b.example>", "1@b.example", "b@example.net"])
def test_trace_finds_by_message_id_and_recipient(what: str) -> None:
    submission, _ = add("b@example.net", message_id="<1@b.example>")
    add("c@example.net")
    (traced,) = json.loads(run("trace", what, "--json").stdout)
    assert traced["id"] == submission.id
    done = run("trace", what)
    assert "b@example.net: waits until" in done.stdout
    assert "accepted from account app@example.com" in done.stdout


def test_captured_mail_has_its_listing() -> None:
    add("a@example.net")
    add("b@example.net", state=DeliveryState.CAPTURED)
    assert recipients() == ["a@example.net"]
    assert recipients("--captured") == ["b@example.net"]


def test_a_missing_state_directory_is_2(tmp_path: Path) -> None:
    (tmp_path / "state").rmdir()
    done = run("queue", "list")
    assert done.exit_code == 2
    assert "there is no state directory" in done.stderr


def test_who_stops_a_verb_hears_how_far_it_came(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    add("bob@y.example")

    async def stopped(*_: object) -> Any:
        yield queue_change.Done(500, 500, None)
        raise asyncio.CancelledError

    monkeypatch.setattr(queue_change, "change_all", stopped)
    with pytest.raises(asyncio.CancelledError):
        app.main(["queue", "hold", "--all", "--yes"])
    assert "hold: 500 deliveries at least, then stopped" in capsys.readouterr().err
