"""What a command line means, or what is wrong with it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatepost.wire.smtp import replies
from gatepost.wire.smtp.command_reader import parse_command
from gatepost.wire.smtp.commands import (
    Auth,
    Data,
    Ehlo,
    Help,
    Mail,
    Noop,
    Quit,
    Rcpt,
    Rset,
    StartTls,
    Vrfy,
)
from gatepost.wire.smtp.grammar import Mailbox
from gatepost.wire.smtp.replies import Reply

A = Mailbox("a", "b.example")

COMMANDS = [
    (b"EHLO me.example", Ehlo("me.example", extended=True)),
    (b"ehlo [127.0.0.1]", Ehlo("[127.0.0.1]", extended=True)),
    (b"HELO me", Ehlo("me", extended=False)),
    (b"MAIL FROM:<a@b.example>", Mail(A)),
    (b"mail from:<a@B.example> ", Mail(A)),
    (b"MAIL FROM: <a@b.example>", Mail(A)),
    (b"MAIL FROM:<>", Mail(None)),
    (b"MAIL FROM:<> SIZE=7 BODY=8BITMIME", Mail(None, 7, eight_bit=True)),
    (b"MAIL FROM:<a@b.example> body=7bit AUTH=<>", Mail(A)),
    (b"RCPT TO:<a@b.example>", Rcpt(A)),
    (b"RCPT TO:<@x.example:a@b.example>", Rcpt(A)),
    (b"RCPT TO:<postmaster>", Rcpt(Mailbox("postmaster", ""))),
    (b'RCPT TO:<"a>b"@b.example>', Rcpt(Mailbox('"a>b"', "b.example"))),
    (b"DATA", Data()),
    (b"RSET", Rset()),
    (b"NOOP anything", Noop()),
    (b"QUIT", Quit()),
    (b"VRFY a", Vrfy()),
    (b"HELP", Help()),
    (b"STARTTLS", StartTls()),
    (b"AUTH plain AGEAYg==", Auth("PLAIN", b"AGEAYg==")),
    (b"AUTH LOGIN", Auth("LOGIN", None)),
    (b"AUTH PLAIN =", Auth("PLAIN", b"=")),
]

FAULTS = [
    (b"", replies.UNKNOWN_COMMAND),
    (b"FOO", replies.UNKNOWN_COMMAND),
    (b"\xff\xfe", replies.UNKNOWN_COMMAND),
    (b"EXPN list", replies.NOT_OFFERED),
    (b"TURN", replies.NOT_OFFERED),
    (b"EHLO", replies.BAD_ARGUMENT),
    (b"EHLO a b", replies.BAD_ARGUMENT),
    (b"DATA now", replies.BAD_ARGUMENT),
    (b"STARTTLS now", replies.BAD_ARGUMENT),
    (b"MAIL", replies.BAD_ARGUMENT),
    (b"MAIL TO:<a@b.example>", replies.BAD_ARGUMENT),
    (b"MAIL FROM:a@b.example", replies.BAD_ARGUMENT),
    (b"MAIL FROM:<a>", replies.BAD_SENDER_SYNTAX),
    (b"MAIL FROM:<postmaster>", replies.BAD_SENDER_SYNTAX),
    (b"MAIL FROM:<\xc3\xa9@b.example>", replies.SENDER_NOT_ASCII),
    (b"MAIL FROM:<\xe9@b.example> SMTPUTF8", replies.BAD_SENDER_SYNTAX),
    (b"MAIL FROM:<\xc2\xa0@b.example> SMTPUTF8", replies.BAD_SENDER_SYNTAX),
    (b"MAIL FROM:<a@\xe2\x80\xa8.example> SMTPUTF8", replies.BAD_SENDER_SYNTAX),
    (b"MAIL FROM:<a@b.example> SMTPUTF8=yes", replies.BAD_ARGUMENT),
    (b"MAIL FROM:<a@b.example> SIZE=x", replies.BAD_ARGUMENT),
    (b"MAIL FROM:<a@b.example> SIZE=1 SIZE=1", replies.BAD_ARGUMENT),
    (b"RCPT TO:<>", replies.BAD_RECIPIENT_SYNTAX),
    (b"RCPT TO:<a b@c.example>", replies.BAD_RECIPIENT_SYNTAX),
    (b"RCPT FROM:<a@b.example>", replies.BAD_ARGUMENT),
    (b"AUTH", replies.BAD_ARGUMENT),
    (b"AUTH PLAIN a b", replies.BAD_ARGUMENT),
]


@pytest.mark.rfc("5321#4.1.1")
@pytest.mark.parametrize(("line", "expected"), COMMANDS)
def test_command(line: bytes, expected: object) -> None:
    assert parse_command(line) == expected


@pytest.mark.rfc("5321#4.2.4")
@pytest.mark.parametrize(("line", "expected"), FAULTS)
def test_fault(line: bytes, expected: Reply) -> None:
    assert parse_command(line) == expected


@pytest.mark.rfc("5321#4.1.1.11")
@pytest.mark.parametrize(
    "line", [b"MAIL FROM:<a@b.example> FOO=1", b"RCPT TO:<a@b.example> NOTIFY=NEVER"]
)
def test_unknown_parameters_are_named(line: bytes) -> None:
    reply = parse_command(line)
    assert isinstance(reply, Reply)
    assert (reply.code, reply.status) == (555, "5.5.4")
    assert reply.text.endswith(("FOO", "NOTIFY"))


@given(st.binary(max_size=300))
def test_garbage_is_a_command_or_a_reply(line: bytes) -> None:
    parse_command(line)


@given(st.sampled_from([b"MAIL FROM:", b"RCPT TO:", b"AUTH ", b"EHLO "]), st.binary(max_size=200))
def test_garbage_behind_a_verb_never_raises(verb: bytes, rest: bytes) -> None:
    parse_command(verb + rest)


def test_an_initial_response_is_not_shown() -> None:
    assert "AGEAYg" not in repr(parse_command(b"AUTH PLAIN AGEAYg=="))
