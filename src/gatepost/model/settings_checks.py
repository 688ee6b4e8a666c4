"""What a setting may say and what goes with what: pure checks that `settings` hangs on its keys.

Each returns the value (normalised) or raises WrongValueError, whose words reach the operator.
"""

import difflib
import posixpath
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path
from typing import Final, Literal, Protocol, TypeVar
from urllib.parse import urlsplit

from gatepost.model.domain_name import parse_domain, parse_ip_port
from gatepost.model.quantities import duration_words
from gatepost.model.route import TlsMode, UpstreamLogin, ViaMaildir
from gatepost.model.secret import Secret
from gatepost.model.via import parse_delivery_target, parse_via
from gatepost.model.wrong import Wrong, WrongValueError, wrong
from gatepost.wire.sasl.mechanisms import MECHANISMS as KNOWN_MECHANISMS

#: What `[auth] mechanisms` may name: every one that there is. Some work only with other settings
#: beside them.
MECHANISMS: Final = tuple(KNOWN_MECHANISMS)
#: What a route may log in with.
UpstreamMechanism = Literal[
    "PLAIN", "LOGIN", "CRAM-MD5", "SCRAM-SHA-1", "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS",
    "XOAUTH2", "OAUTHBEARER", "EXTERNAL",
]  # fmt: skip
_RESOLVER_PORT: Final = 53


class _Listener(Protocol):
    @property
    def address(self) -> str: ...


class _LocalDomain(Protocol):
    @property
    def name(self) -> str: ...
    @property
    def mailboxes(self) -> tuple[str, ...]: ...
    @property
    def deliver_to(self) -> str: ...


L = TypeVar("L", bound=_Listener)
D = TypeVar("D", bound=_LocalDomain)


def not_zero(duration: timedelta) -> timedelta:
    """Refuse a duration of nothing where it would stop everything."""
    if duration <= timedelta(0):
        msg = "no time at all would stop everything"
        raise wrong(msg, 'write a duration such as "5 min"')
    return duration


def not_too_far(duration: timedelta) -> timedelta:
    """Refuse what EHLO could not say (RFC 4865 §3: at most 999999999 seconds)."""
    if duration >= timedelta(seconds=10**9):
        msg = "that is more than 31 years"
        raise wrong(msg, 'write a duration such as "30 d"; "0 s" takes no message for later')
    return duration


def listen_address(text: str) -> str:
    """Return "IP:PORT" in its shortest form. Port 0 lets the system choose."""
    return str(parse_ip_port(text))


def resolver(text: str) -> str:
    """Return "IP:PORT"; the port is 53 where none is given."""
    return str(parse_ip_port(text, default_port=_RESOLVER_PORT))


def label(text: str) -> str:
    """Take one label of a domain name, in lower case."""
    if "." in text:
        msg = f'"{text}" is more than one label'
        raise wrong(msg, 'write one such as "bounces"')
    return parse_domain(text)


def tags(text: str) -> str:
    """Take characters that may part a tag from a local part; "" for none."""
    if not set(text) <= set("+-_=#~!.") or len(text) > 4:
        msg = f'"{text}" cannot part tags from local parts'
        raise wrong(msg, 'write "+", perhaps "+-", or "" for no tags')
    return text


#: A node's name begins its workers' names, which have slashes.
NODE_NAME: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,62})")


def node(text: str) -> str:
    """Take a name of letters, digits, dots and hyphens."""
    if NODE_NAME.fullmatch(text):
        return text
    msg = "a node cannot be called so"
    raise wrong(msg, "up to 63 letters, digits, dots, hyphens")


_ESCAPES: Final = "in a password, write # / ? @ % as %23 %2F %3F %40 %25"
_BAD_ESCAPE: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")
_HOST: Final = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|[^:@\[\]]*)(?::\d{1,5})?")


def store(text: str) -> str:
    """Take "sqlite" or a URL of PostgreSQL; never repeats the text, which may hold a password."""
    if text == "sqlite":
        return text
    mend = 'write "sqlite" or "postgresql://USER@HOST/DATABASE"'
    if not text.startswith(("postgresql://", "postgres://")):
        msg = "there is no such store"
        raise wrong(msg, mend)
    parts = urlsplit(text)
    if parts.fragment or not parts.path.strip("/"):
        msg = "this names no database"
        raise wrong(msg, f"{mend}; {_ESCAPES}")
    # libpq's words about these would repeat a part of the password.
    user, _, hosts = parts.netloc.rpartition("@")
    if "@" in user or _BAD_ESCAPE.search(user) or not all(map(_HOST.fullmatch, hosts.split(","))):
        msg = "user or hosts cannot be read"
        raise wrong(msg, f"{mend}; {_ESCAPES}")
    # Else a password "4711/..." is a port and a database, which are shown.
    if "@" in parts.path + parts.query:
        msg = 'behind the hosts, and in a password, "@" must be written %40'
        raise wrong(msg, f"{mend}; {_ESCAPES}")
    return text


def mechanisms(names: tuple[str, ...]) -> tuple[str, ...]:
    """Return the mechanisms in upper case; refuse unknown ones, doubles, and an empty list."""
    names = tuple(name.upper() for name in names)
    if not names:
        msg = "nobody could log in without a mechanism"
        raise wrong(msg, f"write one of {', '.join(MECHANISMS)}")
    found = [_mechanism(name, at) for at, name in enumerate(names) if name not in MECHANISMS]
    found += [
        Wrong(f"{name} is named twice", "remove one", (at,))
        for at, name in enumerate(names)
        if name in names[:at]
    ]
    if found:
        raise WrongValueError(found)
    return names


def _mechanism(name: str, at: int) -> Wrong:
    known = f"write one of {', '.join(MECHANISMS)}"
    near = difflib.get_close_matches(name, MECHANISMS, 1)
    mend = f'did you mean "{near[0]}"?' if near else known
    return Wrong(f'"{name}" is no mechanism', mend, (at,))


#: Signatures with a public key; with a shared one, whoever checks a token could make one.
TOKEN_ALGORITHMS: Final = (
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA",
)  # fmt: skip


def token_algorithms(names: tuple[str, ...]) -> tuple[str, ...]:
    """Take signature algorithms of public keys (RFC 7518 §3.1, RFC 8037); refuse all others."""
    found = [
        Wrong(f'"{name}" is not allowed', f"write one of {', '.join(TOKEN_ALGORITHMS)}", (at,))
        for at, name in enumerate(names)
        if name not in TOKEN_ALGORITHMS
    ]
    if found:
        raise WrongValueError(found)
    return names


def web_address(text: str) -> str:
    """Take an https URL, or an http one of this machine; without a login in it."""
    parts = urlsplit(text)
    is_local = parts.hostname in {"localhost", "127.0.0.1", "::1"}
    if not parts.hostname or parts.username or parts.scheme not in {"https", "http"}:
        msg = "this is no web address"
        raise wrong(msg, 'write it as "https://id.example"')
    if parts.scheme == "http" and not is_local:
        msg = "without TLS anybody on the way could answer in its place"
        raise wrong(msg, "write https://")
    return text


#: A link below it, with the longest names in it, still is a line of a message (RFC 5322 §2.1.1).
_LONGEST_URL: Final = 200


def network(text: str) -> str:
    """Accept an address or a network: "192.0.2.1", "10.0.0.0/8"."""
    try:
        return str(ip_network(text.strip()))
    except ValueError as problem:
        raise wrong(f'"{text}" is no address and no network', f"{problem}") from None


def public_url(text: str) -> str:
    """Take the https URL under which others reach us, without its last slash: links are put behind
    it (RFC 8058 §3.1: they must be https).
    """
    parts = urlsplit(text)
    is_plain = all("!" <= c <= "~" and c not in '<>"\\' for c in text)
    if parts.scheme != "https" or not parts.hostname or parts.username or not is_plain:
        msg = "this is no https address that others could follow"
        raise wrong(msg, 'write it as "https://mail.example"')
    if parts.query or parts.fragment or len(text) > _LONGEST_URL:
        msg = "nothing can be put behind this address"
        raise wrong(msg, f"write at most {_LONGEST_URL} characters, without ? and #")
    return text.rstrip("/")


def oauth(
    sources: Sequence[object],
    client_id: str | None,
    client_secret_file: Path | None,
    introspection_url: str | None,
) -> None:
    """Refuse tokens that nobody could check, and a client that asks nobody."""
    if not any(sources):
        msg = "nothing says how to check a token"
        raise wrong(msg, "add issuer, jwks_url, jwks_file or introspection_url", "audience")
    if client_secret_file is not None and client_id is None:
        msg = "there is no client_id that this secret belongs to"
        raise wrong(msg, "add client_id, or remove this", "client_secret_file")
    if client_id is not None and introspection_url is None:
        msg = "a client_id is for introspection only"
        raise wrong(msg, "add introspection_url, or remove this", "client_id")


def deliver_to(text: str) -> str:
    """Return a local domain's target as it was written, once it can be read."""
    parse_delivery_target(text)
    return text.strip()


def verified_recipients(asked: bool | None, target: str) -> None:
    """Refuse to ask a maildir whom it has: `mailboxes` says that."""
    if asked and isinstance(parse_delivery_target(target), ViaMaildir):
        msg = "a maildir can be asked for nobody"
        raise wrong(msg, "name its mailboxes, and take this out", "verify_recipients")


def via(text: str) -> str:
    """Return a route's way out as it was written, once it can be read."""
    parse_via(text)
    return text.strip()


def command(text: str) -> str:
    """Take a command line that can be split into words as a shell would."""
    try:
        words = shlex.split(text)
    except ValueError:
        words = []
    if not words:
        msg = "this is no command"
        raise wrong(msg, "write a program and its arguments; mind the quotes")
    return text


def route(via: str, tls: str | None, username: str | None, given: Mapping[str, object]) -> None:
    """Refuse what does not go together in one route. `given` has what goes with a username, by its
    key; None where it is not written.
    """
    login = None
    if username is not None:
        login = UpstreamLogin(username, Secret(""))
    wrongs = []
    try:
        parse_via(via, tls=TlsMode(tls) if tls else None, login=login)
    except WrongValueError as error:
        key = "tls" if tls else "username"
        wrongs += [Wrong(w.what, w.mend, (key,)) for w in error.wrongs]
    if username is None:
        wrongs += [
            Wrong("there is no username to log in with", "add username, or remove this", (key,))
            for key, value in given.items()
            if value is not None
        ]
    else:
        wrongs += _secret(given)
    if wrongs:
        raise WrongValueError(wrongs)


def _secret(given: Mapping[str, object]) -> Iterator[Wrong]:
    """Say what is wrong with the secret that goes with a username: one is needed, and only one.

    A certificate may stand beside it, or alone.
    """
    secrets = [k for k in ("password_file", "token_command", "oauth") if given[k] is not None]
    certificate, key = given["client_certificate"], given["client_key"]
    for further in secrets[1:]:
        mend = f"remove it, or {secrets[0]}"
        yield Wrong(f"there is a {secrets[0]} already", mend, (further,))
    if (certificate is None) != (key is None):
        there, lacks = ("client_key", "client_certificate")[:: 1 if certificate is None else -1]
        yield Wrong(f"there is no {lacks} beside it", f'add {lacks} = "FILE"', (there,))
    if not secrets and certificate is None and key is None:
        mend = _MENDS.get(str(given["mechanism"]), 'add password_file = "FILE"')
        yield Wrong("there is no password for this username", mend, ("username",))
    elif given["mechanism"] is not None:
        has = secrets[0] if secrets else "client_certificate"
        yield from _mechanism_fits(str(given["mechanism"]), has)


_FOR_BEARERS: Final = 'add token_command = "COMMAND", or [routes.oauth]'
_MENDS: Final[Mapping[str, str]] = {
    "XOAUTH2": _FOR_BEARERS,
    "OAUTHBEARER": _FOR_BEARERS,
    "EXTERNAL": 'add client_certificate = "FILE" and client_key = "FILE"',
}


def _mechanism_fits(mechanism: str, has: str) -> Iterator[Wrong]:
    """Say what is wrong where a mechanism's secret is another than the one that is there."""
    kinds = {"XOAUTH2": "token", "OAUTHBEARER": "token", "EXTERNAL": "certificate"}
    wants = kinds.get(mechanism, "password")
    given = {"password_file": "password", "client_certificate": "certificate"}.get(has, "token")
    if wants == given:
        return
    if wants == "password":
        mend = "write XOAUTH2 or OAUTHBEARER" if given == "token" else "write EXTERNAL"
        yield Wrong(f"{mechanism} takes no {given}", f"{mend}, or remove it", ("mechanism",))
    else:
        mend = f"{_MENDS[mechanism]}; remove {has}".replace("; remove client_certificate", "")
        yield Wrong(f"{mechanism} needs a {wants}", mend, ("mechanism",))


def retry(first: timedelta, longest: timedelta, give_up: timedelta) -> None:
    """Refuse a wait that is longer than the one that should bound it."""
    if first > longest:
        msg = f"it is longer than longest ({duration_words(longest)})"
        raise wrong(msg, "the first wait is the shortest: make it less", "first")
    if longest > give_up:
        msg = f"it is longer than give_up ({duration_words(give_up)})"
        raise wrong(msg, "make it less, or give up later", "longest")


def listeners(found: Sequence[L]) -> Sequence[L]:
    """Refuse an address that is given twice (port 0 may be)."""
    seen: dict[str, int] = {}
    wrongs = []
    for at, listener in enumerate(found):
        first = seen.setdefault(listener.address, at)
        if first != at and not listener.address.endswith(":0"):
            what = f'"{listener.address}" has a listener already (no. {first + 1})'
            wrongs.append(Wrong(what, "one port has one role: choose another", (at, "address")))
    if wrongs:
        raise WrongValueError(wrongs)
    return found


def local_domains(found: Sequence[D]) -> Sequence[D]:
    """Refuse a domain that is given twice, and mailboxes of two domains in one maildir."""
    wrongs = []
    for at, domain in enumerate(found):
        for before in found[:at]:
            if before.name == domain.name:
                mend = "put all of its mailboxes into one"
                wrongs.append(Wrong(f'"{domain.name}" is named twice', mend, (at, "name")))
                break
            if _share_a_maildir(before, domain):
                what = f'mailboxes of "{before.name}" and "{domain.name}" would share a maildir'
                mend = f'give each its own directory, such as "maildir:mail/{domain.name}"'
                wrongs.append(Wrong(what, mend, (at, "deliver_to")))
                break
    if wrongs:
        raise WrongValueError(wrongs)
    return found


def _share_a_maildir(one: _LocalDomain, other: _LocalDomain) -> bool:
    first, second = parse_delivery_target(one.deliver_to), parse_delivery_target(other.deliver_to)
    if not (isinstance(first, ViaMaildir) and isinstance(second, ViaMaildir)):
        return False
    if posixpath.normpath(first.directory) != posixpath.normpath(second.directory):
        return False
    mailboxes = {m.lower() for m in one.mailboxes}, {m.lower() for m in other.mailboxes}
    # Every domain has a postmaster (decision 26), but that goes to one place for all.
    return bool(mailboxes[0] & mailboxes[1]) or any("*" in m for m in mailboxes)
