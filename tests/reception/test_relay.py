"""The rule that separates a relay from a spam cannon, door by door."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatepost.model.account import Account, Principal
from gatepost.model.ids import AccountName, CredentialId
from gatepost.model.settings import LocalDomainSettings, Role, Settings
from gatepost.reception.open_relay import FOREIGN, doors, prove
from gatepost.reception.policy import Room, Standing, judge_mail
from gatepost.reception.relay import judge_forward_path, local_domains
from gatepost.wire.smtp import replies
from gatepost.wire.smtp.commands import Mail
from gatepost.wire.smtp.extensions import Channel
from gatepost.wire.smtp.grammar import Mailbox, parse_mailbox, parse_path

SETTINGS = Settings.model_validate(
    {
        "hostname": "relay.test",
        "tls": {"certificate": "c", "private_key": "k"},
        "listeners": [
            {"address": "127.0.0.1:1587", "role": "submission"},
            {"address": "127.0.0.1:1465", "role": "submissions"},
            {"address": "127.0.0.1:1025", "role": "mx"},
        ],
        "local_domains": [
            {"name": "all.test", "deliver_to": "smtp:127.0.0.1:2500"},
            {"name": "local.test", "mailboxes": ["alice", "Straße"], "deliver_to": "maildir:m"},
        ],
    }
)
LOCAL = local_domains(SETTINGS.local_domains)
PRINCIPAL = Principal(AccountName("app@sender.test"), CredentialId("c"), "PLAIN")


def test_every_door_is_shut() -> None:
    findings = prove(SETTINGS)
    assert {f.door.role for f in findings} == set(Role)
    assert len(findings) > 200
    assert [f.door.name for f in findings if f.is_open] == []
    assert all(f.reply.code >= 400 for f in findings)
    said = {(f.door.role, f.door.channel, f.reply) for f in findings if f.door.role is not Role.MX}
    for role in (
        Role.SUBMISSION,
        Role.SUBMISSIONS,
    ):  # by a rule of ours, not by a slip of the tongue
        assert (role, Channel.CLEAR, replies.TLS_REQUIRED) in said
        assert (role, Channel.TLS, replies.AUTH_REQUIRED) in said
    assert len(said) == 4


def test_the_proof_can_fail() -> None:
    """A domain that takes everything for the whole of the world is found."""
    foreign = FOREIGN.partition("@")[2]
    open_to_all = SETTINGS.model_copy(
        update={"local_domains": (SETTINGS.local_domains[0].model_copy(update={"name": foreign}),)}
    )
    assert any(f.is_open for f in prove(open_to_all))


def test_the_doors_are_told_apart_by_name() -> None:
    names = [door.name for door in doors(SETTINGS, LOCAL)]
    assert len(names) == len(set(names))


FORWARD_PATHS = [  # path, reply for nobody, reply for somebody who logged in
    ("alice@local.test", None, None),
    ("ALICE@LOCAL.TEST", None, None),
    ("STRAßE@local.test", None, None),
    ("strasse@local.test", "NO_SUCH_MAILBOX", "NO_SUCH_MAILBOX"),
    ('"*"@local.test', "NO_SUCH_MAILBOX", "NO_SUCH_MAILBOX"),
    ("postmaster", None, None),
    ("Postmaster@all.test", None, None),
    ('"postmaster"@local.test', None, None),
    ("any.one@all.test", None, None),
    ("bob@local.test", "NO_SUCH_MAILBOX", "NO_SUCH_MAILBOX"),
    ("a%b@all.test", "RELAYING_DENIED", "NO_SUCH_MAILBOX"),
    ("b!a@all.test", "RELAYING_DENIED", "NO_SUCH_MAILBOX"),
    ('"a@b.test"@all.test', "RELAYING_DENIED", "NO_SUCH_MAILBOX"),
    ("a\uff05b.test@all.test", "RELAYING_DENIED", "NO_SUCH_MAILBOX"),
    ('"a\uff20b.test"@all.test', "RELAYING_DENIED", "NO_SUCH_MAILBOX"),
    ("b\uff01a@all.test", "RELAYING_DENIED", "NO_SUCH_MAILBOX"),
    ("jürg@all.test", None, None),
    ("@all.test:a@b.test", "RELAYING_DENIED", None),
    ("a@b.test", "RELAYING_DENIED", None),
    ("a@[127.0.0.1]", "RELAYING_DENIED", None),
    ("a@localhost", "RELAYING_DENIED", "RECIPIENT_NOT_QUALIFIED"),
]


@pytest.mark.rfc("5321#3.6.2")
@pytest.mark.parametrize(("path", "nobody", "somebody"), FORWARD_PATHS)
def test_forward_path(path: str, nobody: str | None, somebody: str | None) -> None:
    mailbox = parse_path(path)
    assert mailbox is not None
    for principal, expected in ((None, nobody), (PRINCIPAL, somebody)):
        reply = judge_forward_path(mailbox, principal, LOCAL)
        wanted = replies.CATALOGUE[expected] if expected else None
        assert (reply and (reply.code, reply.status)) == (wanted and (wanted.code, wanted.status))


@given(st.emails(), st.sampled_from(["all.test", "local.test"]))
def test_nobody_reaches_a_foreign_domain(address: str, ours: str) -> None:
    mailbox = parse_path(address)
    if mailbox is not None and mailbox.domain not in LOCAL:
        assert judge_forward_path(mailbox, None, LOCAL) is replies.RELAYING_DENIED
    dressed = parse_path(f"@{ours}:{address}")
    if dressed is not None and dressed.domain not in LOCAL:
        assert judge_forward_path(dressed, None, LOCAL) is replies.RELAYING_DENIED


ROOM = Room(disk=1000, memory=1000)
ACCOUNT = Account(PRINCIPAL.account, ("app@sender.test",), datetime(2026, 1, 1, tzinfo=UTC))
MAILS = [  # role, channel, logged in, account there, reverse-path, size, reply
    (Role.MX, Channel.CLEAR, False, False, "x@y.test", 0, None),
    (Role.MX, Channel.CLEAR, False, False, None, 0, None),
    (Role.SUBMISSION, Channel.CLEAR, False, False, "app@sender.test", 0, "TLS_REQUIRED"),
    (Role.SUBMISSION, Channel.TLS, False, False, "app@sender.test", 0, "AUTH_REQUIRED"),
    (Role.SUBMISSIONS, Channel.TLS, False, False, None, 0, "AUTH_REQUIRED"),
    (Role.SUBMISSION, Channel.TLS, True, False, "app@sender.test", 0, "SUSPENDED_MEANWHILE"),
    (Role.SUBMISSION, Channel.TLS, True, True, "app@sender.test", 0, None),
    (Role.SUBMISSION, Channel.TLS, True, True, "APP@sender.test", 0, None),
    (Role.SUBMISSION, Channel.TLS, True, True, None, 0, None),
    (Role.SUBMISSION, Channel.TLS, True, True, "boss@sender.test", 0, "SENDER_NOT_YOURS"),
    (Role.SUBMISSION, Channel.TLS, True, True, "app@localhost", 0, "SENDER_NOT_QUALIFIED"),
    (Role.SUBMISSION, Channel.TLS, True, True, "app@sender.test", 2001, "MESSAGE_TOO_LARGE"),
    (Role.SUBMISSION, Channel.TLS, True, True, "app@sender.test", 2000, "DISK_NEARLY_FULL"),
    (Role.SUBMISSION, Channel.TLS, True, True, "app@sender.test", 1500, "DISK_NEARLY_FULL"),
    (Role.SUBMISSION, Channel.TLS, True, True, "app@sender.test", 999, None),
    (Role.MX, Channel.CLEAR, False, False, "x@y.test", 2001, "MESSAGE_TOO_LARGE"),
]


@pytest.mark.rfc("6409#4.3")
@pytest.mark.rfc("6409#6.1")
@pytest.mark.parametrize(
    ("role", "channel", "logged_in", "known", "path", "size", "expected"), MAILS
)
def test_mail(role, channel, logged_in, known, path, size, expected) -> None:
    standing = Standing(role, channel, PRINCIPAL if logged_in else None, ACCOUNT if known else None)
    mailbox = Mailbox(*path.rsplit("@", 1)) if path else None
    reply = judge_mail(Mail(mailbox, size), standing, message_size=2000, room=ROOM)
    wanted = replies.CATALOGUE[expected] if expected else None
    assert (reply and (reply.code, reply.status)) == (wanted and (wanted.code, wanted.status))


@pytest.mark.rfc("6532#3.1")
def test_a_mailbox_beyond_ascii_may_be_written_in_several_ways() -> None:
    settings = LocalDomainSettings(name="bücher.test", mailboxes=("Jürg",), deliver_to="maildir:m")
    local = local_domains((settings,))
    for text in ("jürg@xn--bcher-kva.test", "JU\u0308RG@bücher.test"):
        mailbox = parse_mailbox(text)
        assert mailbox is not None
        assert mailbox.domain in local
        assert local.has_mailbox(mailbox)
