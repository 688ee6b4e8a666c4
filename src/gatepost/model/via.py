"""What `via` and `deliver_to` may say: text -> `Via`."""

import difflib
from typing import Final

from gatepost.model.domain_name import parse_domain, parse_host_port
from gatepost.model.route import (
    TlsMode,
    UpstreamLogin,
    Via,
    ViaCapture,
    ViaDiscard,
    ViaHold,
    ViaLmtp,
    ViaMaildir,
    ViaMx,
    ViaSmtp,
)
from gatepost.model.wrong import WrongValueError, wrong

_VIA: Final = ("mx", "smtp:HOST:PORT", "lmtp:HOST:PORT", "capture", "discard", "hold")
_TARGETS: Final = ("maildir:DIRECTORY", "lmtp:HOST:PORT", "smtp:HOST:PORT")


def parse_via(
    text: str,
    *,
    tls: TlsMode | None = None,
    login: UpstreamLogin | None = None,
    pool: str | None = None,
) -> Via:
    """Read a route's `via`; `tls` None means required with a login, else opportunistic.

    Raises:
        WrongValueError: no such way, or one that `tls` or `login` does not go with.

    """
    kind, colon, rest = text.strip().partition(":")
    if kind == "maildir":
        msg = "a route cannot end in a maildir"
        raise wrong(msg, "name the domain under [[local_domains]], which has mailboxes")
    via = _named(kind, bool(colon), rest, text, _VIA)
    if isinstance(via, ViaSmtp):
        return ViaSmtp(via.host, via.port, _tls(tls, login), login, pool or "")
    if login is not None:
        msg = f'"{text}" takes no login'
        raise wrong(msg, 'only "smtp:HOST:PORT" does')
    if isinstance(via, ViaMx):
        if tls is TlsMode.IMPLICIT:
            msg = '"implicit" TLS does not go with "mx"'
            raise wrong(msg, "port 25 begins in clear text: opportunistic or required")
        return ViaMx(tls or TlsMode.OPPORTUNISTIC, pool or "")
    if tls is not None:
        msg = f'"tls" does not go with "{text}"'
        raise wrong(msg, "remove it")
    return via


def takes_pool(text: str) -> bool:
    """Tell whether what a route's `via` says leaves by SMTP, from a source address."""
    return text.strip().partition(":")[0] in {"mx", "smtp"}


def parse_delivery_target(text: str) -> Via:
    """Read a local domain's `deliver_to`.

    Raises:
        WrongValueError: no such target.

    """
    kind, colon, rest = text.strip().partition(":")
    if kind in {"mx", "capture", "discard", "hold"} and not colon:
        msg = f'"{text}" is no target for a local domain'
        raise wrong(msg, f"write one of {_listed(_TARGETS)}")
    return _named(kind, bool(colon), rest, text, _TARGETS)


def parse_pattern(text: str) -> str:
    """Return what a route matches in lower-case A-labels: "example", "*.example" or "*".

    Raises:
        WrongValueError: no such pattern.

    """
    if text.strip() == "*":
        return "*"
    stars, domain = ("*.", text.strip()[2:]) if text.strip().startswith("*.") else ("", text)
    if "@" in domain or "*" in domain:
        msg = f'"{text}" is no recipient domain'
        raise wrong(msg, 'write "example", "*.example" (its subdomains) or "*" (all)')
    return stars + parse_domain(domain)


def _named(kind: str, has_rest: bool, rest: str, text: str, known: tuple[str, ...]) -> Via:
    plain: dict[str, Via] = {
        "mx": ViaMx(),
        "capture": ViaCapture(),
        "discard": ViaDiscard(),
        "hold": ViaHold(),
    }
    if kind in plain and not has_rest:
        return plain[kind]
    if kind == "maildir" and rest.strip():
        return ViaMaildir(rest.strip())
    if kind in {"smtp", "lmtp"} and has_rest:
        _refuse_url(kind, rest)
        target = parse_host_port(rest)
        if target.port == 0:
            msg = f'"{text}" has port 0'
            raise wrong(msg, "write the port that the next hop listens on")
        make = ViaSmtp if kind == "smtp" else ViaLmtp
        return make(target.host, target.port)
    raise _no_such(kind, text, known)


def _refuse_url(kind: str, rest: str) -> None:
    """Refuse one without showing it: what stands before its "@" may be a password."""
    if "@" in rest or rest.startswith("//"):
        msg = f'"{kind}:" is followed by HOST:PORT; it is no URL, and has no login'
        raise wrong(
            msg, f'write "{kind}:HOST:PORT"; username and password_file have keys of their own'
        )


def _no_such(kind: str, text: str, known: tuple[str, ...]) -> WrongValueError:
    near = difflib.get_close_matches(kind, [k.partition(":")[0] for k in known], 1)
    meant = next((k for k in known if near and k.partition(":")[0] == near[0]), "")
    mend = f'did you mean "{meant}"?' if meant else f"write one of {_listed(known)}"
    shown = text if "@" not in text else f"{kind}:…"  # a URL may have a password
    return wrong(f'"{shown}" is no way out that we know', mend)


def _tls(tls: TlsMode | None, login: UpstreamLogin | None) -> TlsMode:
    if login is None:
        return tls or TlsMode.OPPORTUNISTIC
    if tls in {TlsMode.NEVER, TlsMode.OPPORTUNISTIC}:
        msg = f'a login with tls = "{tls}" could send the password in clear text'
        raise wrong(msg, 'write tls = "required" or "implicit"')
    return tls or TlsMode.REQUIRED


def _listed(words: tuple[str, ...]) -> str:
    return ", ".join(f'"{w}"' for w in words)
