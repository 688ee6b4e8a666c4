"""What replies and faults of the other side mean."""

import pytest

from gatepost.model.delivery import OutcomeKind
from gatepost.returns.outcome import (
    LOOP,
    Spoken,
    as_given,
    came_to_nothing,
    from_login_refusal,
    from_session_reply,
    from_verdict,
    refused,
    says_too_many_recipients,
)
from gatepost.wire.smtp.client_events import Fault, FaultKind, Phase
from gatepost.wire.smtp.reply_reader import Answered, ServerReply, answering

TO = Spoken("mx.y.example", "192.0.2.1:25", "TLSv1.3 TLS_AES_256_GCM_SHA384")
D, W, R = OutcomeKind.DELIVERED, OutcomeKind.DEFERRED, OutcomeKind.REFUSED

REPLIES = [
    (250, "2.0.0", D, "2.0.0"),
    (250, "", D, "2.0.0"),
    (451, "4.3.0", W, "4.3.0"),
    (421, "", W, "4.0.0"),
    (354, "", W, "4.5.0"),
    (550, "5.1.1", R, "5.1.1"),
    (554, "", R, "5.0.0"),
    (500, "", R, "5.0.0"),
    (550, "4.2.2", R, "4.2.2"),
    (552, "5.2.2", R, "5.2.2"),
    (552, "", R, "5.0.0"),
    (552, "5.5.3", W, "5.5.3"),
    (452, "4.5.3", W, "4.5.3"),
]


@pytest.mark.rfc("5321#4.2.1")
@pytest.mark.parametrize(("code", "status", "kind", "said"), REPLIES)
def test_reply(code: int, status: str, kind: OutcomeKind, said: str) -> None:
    outcome = from_verdict(ServerReply(code, status, ("words",)), TO)
    assert (outcome.kind, outcome.code, outcome.status) == (kind, code, said)
    assert (outcome.host, outcome.address, outcome.tls) == (TO.host, TO.address, TO.tls)


MAY_HAVE_ARRIVED = " after the final dot: it may have arrived, and is sent again"
FAULTS = [
    (FaultKind.LOST, Phase.MAIL, False, W, "4.4.2", "connection lost after MAIL"),
    (FaultKind.LOST, Phase.CONTENT, False, W, "4.4.2", "connection lost in the content"),
    (FaultKind.LOST, Phase.FINAL_DOT, False, W, "4.4.2", "connection lost" + MAY_HAVE_ARRIVED),
    (FaultKind.LOST, Phase.FINAL_DOT, True, W, "4.4.2", "no reply in time" + MAY_HAVE_ARRIVED),
    (FaultKind.GARBAGE, Phase.RCPT, False, W, "4.5.0", "the next hop speaks no SMTP after RCPT: x"),
    (FaultKind.NEEDS_EIGHT_BIT, Phase.MAIL, False, R, "5.6.3",
     "the next hop does not take 8-bit content"),
    (FaultKind.NEEDS_BINARY, Phase.MAIL, False, R, "5.6.3",
     "the next hop does not take binary content"),
    (FaultKind.NEEDS_UTF8, Phase.MAIL, False, R, "5.6.7",
     "the next hop takes ASCII addresses only (SMTPUTF8)"),
    (FaultKind.TOO_LARGE, Phase.MAIL, False, R, "5.3.4", "the next hop says: x"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "phase", "slow", "outcome", "status", "text"), FAULTS)
def test_fault(
    kind: FaultKind, phase: Phase, slow: bool, outcome: OutcomeKind, status: str, text: str
) -> None:
    found = from_verdict(Fault(kind, phase, "x"), TO, slow=slow)
    assert (found.kind, found.code, found.status, found.text) == (outcome, 0, status, text)


@pytest.mark.rfc("5321#4.5.3.1.10")
@pytest.mark.parametrize(
    ("code", "status", "says"),
    [(452, "4.5.3", True), (452, "", True), (452, "4.2.2", False), (552, "5.5.3", True),
     (552, "", False), (450, "4.5.3", False), (550, "5.5.3", False)],
)  # fmt: skip
def test_too_many_recipients(code: int, status: str, says: bool) -> None:
    assert says_too_many_recipients(ServerReply(code, status, ("x",))) is says


def test_a_refused_login_never_refuses_the_mail() -> None:
    outcome = from_login_refusal(ServerReply(535, "5.7.8", ("no",)), TO)
    assert outcome.kind is W
    assert "535 5.7.8 no" in outcome.text
    assert from_login_refusal(ServerReply(535, "5.7.8", ("no",)), TO, "as app").text == (
        "the next hop refused our login: 535 5.7.8 no (as app)"
    )
    assert outcome.text == "the next hop refused our login: 535 5.7.8 no"
    assert from_login_refusal(None, TO).kind is W


def test_who_says_yes_and_does_not_prove_who_it_is_gets_no_mail() -> None:
    outcome = from_login_refusal(ServerReply(235, "2.7.0", ("welcome",)), TO, "a wrong signature")
    assert outcome.kind is W
    assert outcome.text == "we do not trust the next hop: a wrong signature"


@pytest.mark.parametrize("answered", [a for a in Answered if a is not Answered.SESSION])
def test_what_a_named_host_says_of_a_message_stands(answered: Answered) -> None:
    refused = from_verdict(answering(answered, ServerReply(550, "5.1.1", ("no",))), TO)
    assert as_given(refused).kind is R


BYE = ServerReply(421, "4.3.2", ("bye",))
LOST = Fault(FaultKind.LOST, Phase.MAIL, "x")


@pytest.mark.parametrize(
    ("verdicts", "nothing"),
    [
        ((LOST, LOST), True),
        ((BYE, LOST), True),
        ((LOST, Fault(FaultKind.LOST, Phase.CONTENT, "x")), False),
        ((Fault(FaultKind.LOST, Phase.FINAL_DOT, "x"),), False),
        ((Fault(FaultKind.GARBAGE, Phase.MAIL, "x"),), False),
        ((BYE, ServerReply(450, "4.2.1", ("x",))), False),
        ((ServerReply(250, "", ("x",)),), False),
    ],
)
def test_a_session_that_saw_no_content_came_to_nothing(verdicts: tuple, nothing: bool) -> None:
    assert came_to_nothing(verdicts) is nothing


SESSION_REPLIES = [  # what is said instead of a greeting -> outcome, and its status
    (250, "", W, "4.5.0"),
    (450, "4.7.1", W, "4.7.1"),
    (554, "", W, "5.0.0"),
    (554, "5.3.2", W, "5.3.2"),
    (554, "5.7.1", W, "5.7.1"),
    (550, "5.1.1", W, "5.3.2"),
    (550, "5.2.1", W, "5.3.2"),
    (521, "", R, "5.0.0"),
    (521, "5.3.2", R, "5.3.2"),
    (521, "5.7.1", W, "5.7.1"),
]


@pytest.mark.rfc("5321#3.1", "7504#3")
@pytest.mark.parametrize(("code", "status", "kind", "said"), SESSION_REPLIES)
def test_a_refused_session_says_nothing_of_a_message(
    code: int, status: str, kind: OutcomeKind, said: str
) -> None:
    reply = answering(Answered.SESSION, ServerReply(code, status, ("x",)))
    outcome = from_session_reply(reply, TO, "greeting")
    assert (outcome.kind, outcome.status) == (kind, said)
    assert as_given(outcome).kind is W


def test_long_texts_are_cut() -> None:
    assert len(from_verdict(ServerReply(550, "", ("x" * 4000,)), TO).text) == 500


def test_a_loop_to_a_host_that_was_named_waits_and_one_that_it_tells_of_does_not() -> None:
    assert as_given(refused(LOOP, "mail loop: the next hop is our own listener", TO)).kind is W
    told = from_verdict(ServerReply(554, LOOP, ("too many hops",)), TO)
    assert as_given(told).kind is R
