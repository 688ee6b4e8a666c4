"""Ticket keys that live for a day: what is resumed within it, not after it, and by whom."""

import ssl
from dataclasses import dataclass

import pytest

from gatepost.model.settings import ListenerSettings, Role
from gatepost.net.ticket_keys import DAY, DAYS
from gatepost.net.tls import FrontContexts
from tests.net.shake import shake
from tests.support.self_signed import self_signed

SUBMISSION = ListenerSettings(address="127.0.0.1:587", role=Role.SUBMISSION)
MX = ListenerSettings(address="127.0.0.1:25", role=Role.MX)
ASKING = ListenerSettings(address="127.0.0.1:465", role=Role.SUBMISSIONS, client_certificates=True)
RSA = self_signed("relay.test", kind="RSA")


@dataclass
class Time:
    seconds: float = 1000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def fronts(time: Time) -> FrontContexts:
    made = FrontContexts([RSA], time)
    for listener in (SUBMISSION, MX, ASKING):
        made.front_context(listener)
    return made


def client_of(version: ssl.TLSVersion) -> ssl.SSLContext:
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
    client.maximum_version = version
    return client


def test_each_listener_has_a_context_for_a_day(fronts: FrontContexts, time: Time):
    first = fronts.front_context(SUBMISSION)
    assert fronts.front_context(MX) is not first
    time.seconds += DAY - 1
    assert fronts.front_context(SUBMISSION) is first
    time.seconds += 1
    assert fronts.front_context(SUBMISSION) is not first


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_ticket_opens_nothing_when_its_day_is_over(
    fronts: FrontContexts, time: Time, version: ssl.TLSVersion
):
    client = client_of(version)
    session = shake(fronts.front_context(SUBMISSION), client).session
    assert session.has_ticket
    time.seconds += DAY / 2
    assert shake(fronts.front_context(SUBMISSION), client, session=session).session_reused
    time.seconds += DAY / 2
    later = shake(fronts.front_context(SUBMISSION), client, session=session)
    assert not later.session_reused  # the handshake is a whole one, and nobody is refused
    assert shake(fronts.front_context(SUBMISSION), client, session=later.session).session_reused


def test_a_session_under_way_outlives_its_keys(fronts: FrontContexts, time: Time):
    a, b = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours = client_of(ssl.TLSVersion.TLSv1_3).wrap_bio(a, b, server_hostname="relay.test")
    theirs = fronts.front_context(SUBMISSION).wrap_bio(b, a, server_side=True)
    for end in (ours, theirs, ours, theirs):
        try:
            end.do_handshake()
        except ssl.SSLWantReadError:
            continue
    time.seconds += 3 * DAY
    fronts.pass_on()
    theirs.write(b"220 still here")
    assert ours.read(100) == b"220 still here"
    ours.write(b"QUIT")
    assert theirs.read(100) == b"QUIT"


def test_processes_agree_on_the_context_of_the_day(fronts: FrontContexts, time: Time):
    """They were one process once: what each passes to is what all have from birth."""
    days = []
    for _ in range(DAYS):
        days.append(fronts.front_context(SUBMISSION))
        time.seconds += DAY
    assert len(set(days)) == DAYS
    made_here = fronts.front_context(SUBMISSION)
    assert made_here not in days
    assert fronts.front_context(SUBMISSION) is made_here
    time.seconds += 400 * DAY  # a machine that was frozen
    assert fronts.front_context(SUBMISSION) is not made_here


def test_keys_of_the_past_are_let_go_of_where_nobody_comes(fronts: FrontContexts, time: Time):
    import gc
    import weakref

    former = weakref.ref(fronts.front_context(SUBMISSION))
    gc.collect()
    assert former() is not None
    time.seconds += DAY
    fronts.pass_on()
    gc.collect()
    assert former() is None


def test_the_days_to_come_are_as_the_first(fronts: FrontContexts, time: Time):
    """They ask for client certificates as it did, and give the tickets that today's keys are worth."""
    fronts.replace([self_signed("relay.test")])
    time.seconds += 7 * DAY
    context = fronts.front_context(ASKING)
    assert context.verify_mode == ssl.CERT_OPTIONAL
    assert context.num_tickets == 0
    fronts.replace([RSA])
    assert context.num_tickets == 1


def test_a_process_that_takes_no_mail_keeps_no_keys(fronts: FrontContexts):
    before = fronts.front_context(MX)
    fronts.forget()
    assert fronts.front_context(MX) is not before
