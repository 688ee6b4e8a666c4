"""NOTIFY, ORCPT, RET, ENVID, HOLDFOR, HOLDUNTIL, MT-PRIORITY: values read and spelt."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatepost.wire.smtp import replies
from gatepost.wire.smtp.client_events import Envelope
from gatepost.wire.smtp.command_reader import parse_command
from gatepost.wire.smtp.commands import Mail, Rcpt
from gatepost.wire.smtp.extensions import DSN, FUTURERELEASE, MT_PRIORITY, Offers, read_offers
from gatepost.wire.smtp.future_release import Hold, parse_hold_until
from gatepost.wire.smtp.grammar import Mailbox
from gatepost.wire.smtp.notification import (
    Notify,
    RecipientWishes,
    Ret,
    decode_xtext,
    parse_envid,
    parse_notify,
    parse_orcpt,
    spell_notify,
)
from gatepost.wire.smtp.outgoing_envelope import mail_command, rcpt_commands

OFFERED = {DSN, FUTURERELEASE, MT_PRIORITY}
B = Mailbox("b", "y.example")
BAD = replies.BAD_ARGUMENT
CHRISTMAS = datetime(2026, 12, 24, 8, tzinfo=UTC)

RCPT = [
    (b"NOTIFY=NEVER", RecipientWishes(Notify.NEVER)),
    (b"notify=success", RecipientWishes(Notify.SUCCESS)),
    (b"NOTIFY=SUCCESS,FAILURE,DELAY", RecipientWishes(Notify(7))),
    (b"NOTIFY=DELAY,DELAY", RecipientWishes(Notify.DELAY)),
    (b"NOTIFY=", BAD),
    (b"NOTIFY", BAD),
    (b"NOTIFY=NEVER,SUCCESS", BAD),
    (b"NOTIFY=SUCCESS,", BAD),
    (b"NOTIFY=\xff", BAD),
    (b"ORCPT=rfc822;B+2Bx@y.example", RecipientWishes(orcpt="rfc822;B+2Bx@y.example")),
    (b"ORCPT=RFC822;b", RecipientWishes(orcpt="RFC822;b")),
    (b"ORCPT=rfc822;", BAD),
    (b"ORCPT=b@y.example", BAD),
    (b"ORCPT=rfc822;a=b", BAD),
    (b"ORCPT=rfc822;a+b", BAD),
    (b"ORCPT=rfc822;a+0Ab", BAD),
    (b"ORCPT=rfc822;a+7F", BAD),
    (b"ORCPT=rfc822;" + b"a" * 493, RecipientWishes(orcpt="rfc822;" + "a" * 493)),
    (b"ORCPT=rfc822;" + b"a" * 494, BAD),
]
MAIL = [
    (b"RET=full", Mail(None, ret=Ret.FULL)),
    (b"RET=HDRS ENVID=a+20b", Mail(None, ret=Ret.HDRS, envid="a+20b")),
    (b"RET=", BAD),
    (b"RET=BODY", BAD),
    (b"ENVID=" + b"e" * 100, Mail(None, envid="e" * 100)),
    (b"ENVID=" + b"e" * 101, BAD),
    (b"ENVID=", BAD),
    (b"ENVID=a+", BAD),
    (b"HOLDFOR=1", Mail(None, hold=Hold(1))),
    (b"HOLDFOR=999999999", Mail(None, hold=Hold(999999999))),
    (b"HOLDFOR=1000000000", BAD),
    (b"HOLDFOR=01", BAD),
    (b"HOLDFOR=-1", BAD),
    (b"HOLDUNTIL=2026-12-24T08:00:00Z", Mail(None, hold=Hold(until=CHRISTMAS))),
    (b"HOLDUNTIL=2026-12-24t07:59:59.5z", Mail(None, hold=Hold(until=CHRISTMAS))),
    (b"HOLDUNTIL=2026-12-24T08:00:00.000Z", Mail(None, hold=Hold(until=CHRISTMAS))),
    (b"HOLDUNTIL=9999-12-31T23:59:59.9Z", BAD),
    (b"HOLDUNTIL=2026-12-24T08:00:00+01:00", BAD),
    (b"HOLDUNTIL=2026-13-24T08:00:00Z", BAD),
    (b"HOLDFOR=1 HOLDUNTIL=2026-12-24T08:00:00Z", BAD),
    (b"HOLDUNTIL=2026-12-24T08:00:00Z HOLDFOR=1", BAD),
    (b"MT-PRIORITY=-9", Mail(None, priority=-9)),
    (b"MT-PRIORITY=0", Mail(None, priority=0)),
    (b"MT-PRIORITY=9", Mail(None, priority=9)),
    (b"MT-PRIORITY=10", BAD),
    (b"MT-PRIORITY=+1", BAD),
    (b"MT-PRIORITY=-0", BAD),
]


@pytest.mark.rfc("3461#4.1", "3461#4.2")
@pytest.mark.parametrize(("parameters", "expected"), RCPT)
def test_parameters_of_rcpt(parameters: bytes, expected: object) -> None:
    found = parse_command(b"RCPT TO:<b@y.example> " + parameters, OFFERED)
    assert (found.wishes if isinstance(found, Rcpt) else found) == expected


@pytest.mark.rfc("3461#4.3", "3461#4.4", "4865#3", "6710#7")
@pytest.mark.parametrize(("parameters", "expected"), MAIL)
def test_parameters_of_mail(parameters: bytes, expected: object) -> None:
    assert parse_command(b"MAIL FROM:<> " + parameters, OFFERED) == expected


@pytest.mark.parametrize("value", range(8))
def test_notify_is_spelt_as_it_is_read(value: int) -> None:
    assert parse_notify(spell_notify(Notify(value)).encode()) is Notify(value)


@given(st.binary(max_size=40))
def test_garbage_is_read_or_refused(value: bytes) -> None:
    parse_notify(value)
    parse_hold_until(value)
    for found in (parse_orcpt(value), parse_envid(value)):
        assert found is None or decode_xtext(found).isprintable()


ENVELOPE = Envelope(
    "a@x.example",
    ["b@y.example", "c@y.example", "d@y.example"],
    wishes=[
        RecipientWishes(Notify.NEVER),
        RecipientWishes(Notify(5), "rfc822;C@y.example"),
        RecipientWishes(),
    ],
    ret=Ret.FULL,
    envid="a+2Bb",
    priority=-4,
)
PLAIN = [b"RCPT TO:<%b@y.example>\r\n" % name for name in (b"b", b"c", b"d")]


@pytest.mark.rfc("3461#5.2.1", "6710#4.2")
def test_what_a_server_offers_is_passed_on_as_it_came() -> None:
    offers = read_offers(["DSN", "MT-PRIORITY MIXER"])
    assert mail_command(ENVELOPE, offers) == (
        b"MAIL FROM:<a@x.example> RET=FULL ENVID=a+2Bb MT-PRIORITY=-4\r\n"
    )
    assert rcpt_commands(ENVELOPE, offers) == [
        b"RCPT TO:<b@y.example> NOTIFY=NEVER\r\n",
        b"RCPT TO:<c@y.example> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;C@y.example\r\n",
        b"RCPT TO:<d@y.example>\r\n",
    ]


@pytest.mark.rfc("3461#5.2.2", "6710#4.3")
def test_a_server_that_offers_nothing_hears_nothing() -> None:
    assert mail_command(ENVELOPE, Offers()) == b"MAIL FROM:<a@x.example>\r\n"
    assert rcpt_commands(ENVELOPE, Offers()) == PLAIN
