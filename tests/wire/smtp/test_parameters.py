"""What may follow the path in MAIL and RCPT, and what may not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatepost.wire.smtp import replies
from gatepost.wire.smtp.command_reader import parse_command
from gatepost.wire.smtp.commands import Mail
from gatepost.wire.smtp.extensions import Channel, Profile, keywords
from gatepost.wire.smtp.parameters import OF_MAIL, OF_RCPT, Parameter, read_parameters
from gatepost.wire.smtp.replies import Reply

EVERY = {known.extension for table in (OF_MAIL, OF_RCPT) for known in table.values()}

ROWS = [
    (b"SIZE=7", Mail(None, size=7)),
    (b"size=7", Mail(None, size=7)),
    (b"SIZE=", replies.BAD_ARGUMENT),
    (b"SIZE", replies.BAD_ARGUMENT),
    (b"SIZE=-1", replies.BAD_ARGUMENT),
    (b"SIZE=" + b"9" * 21, replies.BAD_ARGUMENT),
    (b"SIZE=1 SIZE=1", replies.BAD_ARGUMENT),
    (b"SIZE=1 size=2", replies.BAD_ARGUMENT),
    (b"BODY=7BIT", Mail(None)),
    (b"BODY=8bitmime SIZE=9", Mail(None, size=9, eight_bit=True)),
    (b"BODY=9BIT", replies.BAD_ARGUMENT),
    (b"BODY", replies.BAD_ARGUMENT),
    (b"AUTH=<>", Mail(None)),
    (b"AUTH=", replies.BAD_ARGUMENT),
]


@pytest.mark.rfc("5321#4.1.1.11")
@pytest.mark.parametrize(("parameters", "expected"), ROWS)
def test_parameters_of_mail(parameters: bytes, expected: object) -> None:
    assert parse_command(b"MAIL FROM:<> " + parameters, EVERY) == expected


@pytest.mark.rfc("5321#4.1.1.11")
def test_a_parameter_is_unknown_where_its_extension_is_not_offered() -> None:
    fast: Parameter[Mail] = Parameter(lambda mail, _: mail, "SPEED")
    table = {b"FAST": fast}
    refused = read_parameters(Mail(None), [b"fast=1"], table, ())
    assert isinstance(refused, Reply)
    assert (refused.code, refused.text) == (555, "Unknown parameter: FAST")
    assert read_parameters(Mail(None), [b"fast=1"], table, {"SPEED"}) == Mail(None)


def test_ehlo_says_what_the_listener_offers() -> None:
    profile = Profile("relay.test", 1000, extensions={"SPEED": "", "LIMIT": "A=1"})
    lines = keywords(profile, Channel.CLEAR, authenticated=False, mechanisms=()).split("\n")
    assert {"SPEED", "LIMIT A=1"} < set(lines)


@given(st.sampled_from([b"MAIL FROM:<> ", b"RCPT TO:<a@b.example> "]), st.data())
def test_garbage_behind_a_known_keyword_never_raises(verb: bytes, data: st.DataObject) -> None:
    keyword = data.draw(st.sampled_from(sorted({**OF_MAIL, **OF_RCPT})))
    parse_command(verb + keyword + b"=" + data.draw(st.binary(max_size=60)), EVERY)
