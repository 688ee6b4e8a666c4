"""The proof that no path relays without login: every door is walked through the real rules.

A door is one way in which people have made mail servers relay: how the forward-path is dressed,
who the mail says it is from, what was said before. Each is played to a ServerSession and judged
by the same `judge_mail` and `judge_rcpt` that conversations use; no socket is opened.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from gatepost.model.settings import Role, Settings
from gatepost.reception.policy import Room, Standing, judge_mail, judge_rcpt
from gatepost.reception.relay import LocalDomains, local_domains
from gatepost.wire.smtp import replies
from gatepost.wire.smtp.commands import Auth, Mail, Rcpt, StartTls
from gatepost.wire.smtp.extensions import Channel, Profile
from gatepost.wire.smtp.replies import Reply
from gatepost.wire.smtp.server import ServerSession
from gatepost.wire.smtp.server_events import (
    Asked,
    Closed,
    NeedOctets,
)

#: Nobody's mail (RFC 2606 §3): what relaying would reach.
FOREIGN: Final = "victim@elsewhere.example.com"
_ROOM: Final = Room(disk=1 << 40, memory=1 << 40)


@dataclass(frozen=True, slots=True)
class Door:
    """One way to try: what is said, to a listener of which role, over which channel."""

    name: str
    role: Role
    channel: Channel
    reverse_path: str
    forward_path: str
    hello: str = "EHLO client.example"


@dataclass(frozen=True, slots=True)
class Finding:
    """A door that was tried, the reply that ended it, and whether mail would have gone out."""

    door: Door
    reply: Reply
    is_open: bool


def prove(settings: Settings) -> list[Finding]:
    """Walk every door of these settings; relaying is possible where a finding is open."""
    local = local_domains(settings.local_domains)
    return [_try(door, local, settings) for door in doors(settings, local)]


def doors(settings: Settings, local: LocalDomains) -> Iterator[Door]:
    """Yield every door there is: roles, channels, senders, dresses of the forward-path."""
    ours = next(iter(local.mailboxes), settings.hostname)
    senders = {
        "a stranger": "<stranger@client.example>",
        "the null reverse-path": "<>",
        "a spoofed local sender": f"<postmaster@{ours}>",
        "a spoofed own hostname": f"<root@{settings.hostname}>",
    }
    for role in dict.fromkeys(listener.role for listener in settings.listeners):
        for channel in (Channel.CLEAR, Channel.TLS):
            for who, reverse_path in senders.items():
                for dress, forward_path in dresses(ours, settings.hostname).items():
                    name = f"{role.value}, {channel.name.lower()}, {who}, {dress}"
                    yield Door(name, role, channel, reverse_path, forward_path)
            name = f"{role.value}, {channel.name.lower()}, HELO instead of EHLO"
            yield Door(name, role, channel, "<>", f"<{FOREIGN}>", "HELO client.example")


def dresses(ours: str, hostname: str) -> dict[str, str]:
    """Return forward-paths that all mean FOREIGN, or a place of which nobody has proven that it
    is ours.
    """
    local_part, _, domain = FOREIGN.partition("@")
    return {
        "plain": f"<{FOREIGN}>",
        "upper case": f"<{FOREIGN.upper()}>",
        "source route over us": f"<@{ours}:{FOREIGN}>",
        "source route over two": f"<@{ours},@{hostname}:{FOREIGN}>",
        "percent hack": f"<{local_part}%{domain}@{ours}>",
        "percent hack over our hostname": f"<{local_part}%{domain}@{hostname}>",
        "bang path": f"<{domain}!{local_part}@{ours}>",
        "bang path of two": f"<{ours}!{domain}!{local_part}@{ours}>",
        "quoted local part with @": f'<"{FOREIGN}"@{ours}>',
        "quoted local part with %": f'<"{local_part}%{domain}"@{ours}>',
        "quoted pair with @": f'<"{local_part}\\@{domain}"@{ours}>',
        "quoted bang path": f'<"{domain}!{local_part}"@{ours}>',
        "colon route": f'<"{domain}:{local_part}"@{ours}>',
        "loopback literal": f"<{local_part}@[127.0.0.1]>",
        "foreign literal": f"<{local_part}@[192.0.2.1]>",
        "IPv6 literal": f"<{local_part}@[IPv6:::1]>",
        "subdomain of ours": f"<{local_part}@sub.{ours}>",
        "our domain as a prefix": f"<{local_part}@{ours}.example.com>",
        "our domain as a suffix": f"<{local_part}@evil{ours}>",
        "two addresses in one path": f"<{local_part}@{ours},{FOREIGN}>",
        "a second @": f"<{local_part}@{domain}@{ours}>",
        "trailing dot": f"<{FOREIGN}.>",
        "no brackets": FOREIGN,
    }


def _try(door: Door, local: LocalDomains, settings: Settings) -> Finding:
    """Play one door; the last reply is that to RCPT, or the refusal before it."""
    profile = Profile(
        hostname=settings.hostname,
        message_size=settings.limits.message_size,
        mechanisms=() if door.role is Role.MX else settings.auth.mechanisms,
    )
    session = ServerSession(profile, door.channel)
    said = session.octets_to_send()
    refused: Reply | None = None
    for line in (door.hello, f"MAIL FROM:{door.reverse_path}", f"RCPT TO:{door.forward_path}"):
        session.receive(line.encode() + b"\r\n")
        while True:
            match session.next_event():
                case Asked(command):
                    refused = _judge(command, session, door, local, settings)
                    session.answer(refused or replies.OK)
                case NeedOctets() | Closed():
                    break
                case _:
                    break
        said = session.octets_to_send()
    is_open = bool(session.forward_paths)
    return Finding(door, refused or _spoken(said), is_open)


def _judge(
    command: object, session: ServerSession, door: Door, local: LocalDomains, settings: Settings
) -> Reply | None:
    standing = Standing(door.role, session.channel, principal=None, account=None)
    match command:
        case Mail():
            size = settings.limits.message_size
            return judge_mail(command, standing, message_size=size, room=_ROOM)
        case Rcpt():
            recipients = settings.limits.recipients
            return judge_rcpt(command, standing, local, already=0, recipients=recipients)
        case Auth() | StartTls():
            return replies.OUT_OF_ORDER
        case _:
            return None


def _spoken(octets: bytes) -> Reply:
    """Return what the session itself said last, as a Reply."""
    line = octets.rstrip(b"\r\n").rpartition(b"\r\n")[2].decode("ascii", "replace")
    known = (r for r in replies.CATALOGUE.values() if r.octets.startswith(line[:9].encode()))
    return next(known, replies.OK).say(line[4:])
