"""Why a login or a rehearsal went wrong at a port: pure rules, observations in, findings out."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from gatepost.operate.probe_finding import Finding, Grade
from gatepost.operate.probe_seen import (
    RELAY,
    SUBMISSION,
    SUBMISSIONS,
    LoginSeen,
    PortSeen,
    Stage,
    Wanted,
    Withheld,
)
from gatepost.operate.probe_texts import Provider, Texts
from gatepost.wire.smtp.reply_reader import ServerReply

_BY_DIGEST: Final = ("SCRAM-", "CRAM-", "DIGEST-")
_TOKENS: Final = {"XOAUTH2", "OAUTHBEARER"}


def login_findings(
    seen: PortSeen, wanted: Wanted, provider: Provider | None, texts: Texts
) -> Iterator[Finding]:
    """Return everything about AUTH, MAIL and RCPT at one port."""
    yield from _offers(seen, wanted, provider)
    if seen.login is not None:
        yield from _login(seen, seen.login, wanted, provider, texts)
    if seen.rehearsal is not None:
        for stage, reply in ((Stage.MAIL, seen.rehearsal.mail), (Stage.RCPT, seen.rehearsal.rcpt)):
            if reply is not None and reply.code >= 400:
                yield said(seen, stage, reply, provider, texts)


def said(
    seen: PortSeen, stage: Stage, reply: ServerReply, provider: Provider | None, texts: Texts
) -> Finding:
    """Return what a refusal means, from what we know of servers' words."""
    text = texts.explain(stage, reply, provider)
    if text is None:
        return Finding(
            Grade.PROBLEM,
            "refused",
            seen.port,
            f"the server refused at {stage.value}",
            "its words say why, or nobody",
            "go by its words, and ask its operator",
            reply.words,
        )
    grade = text.grade
    return Finding(grade, text.name, seen.port, text.what, text.cause, text.mend, reply.words)


# -- what is offered


def _offers(seen: PortSeen, wanted: Wanted, provider: Provider | None) -> Iterator[Finding]:
    if seen.hello is not None and _offers_auth(seen.hello):
        yield from _offered_in_clear(seen)
    reached = seen.hello_tls if seen.tls is not None else seen.hello
    if reached is None or seen.mechanisms or seen.broken is not None:
        return
    is_wanted = bool(wanted.username) or seen.port in {SUBMISSION, SUBMISSIONS}
    if seen.port == RELAY:
        if wanted.username:
            yield Finding(
                Grade.PROBLEM if wanted.port == RELAY else Grade.NOTE,
                "auth-not-on-25",
                seen.port,
                "port 25 takes no logins",
                "it is the port for mail between servers",
                "log in on port 587 (STARTTLS) or 465 (TLS)",
            )
    elif seen.tls is None and not _offers_auth(seen.hello or ()):
        yield Finding(
            Grade.PROBLEM if is_wanted else Grade.NOTE,
            "auth-needs-tls",
            seen.port,
            "AUTH is not offered in clear, and there is no TLS here",
            "servers offer logins inside TLS only, and TLS did not come about",
            "mend TLS first (see there), or use port 465",
        )
    elif seen.tls is not None:
        mend = "log in on another port (587 or 465), or let the operator switch on AUTH here"
        if provider is not None and provider.name == "microsoft":
            mend = "use smtp.office365.com, port 587; this host takes no logins"
        yield Finding(
            Grade.PROBLEM if is_wanted else Grade.NOTE,
            "auth-not-offered",
            seen.port,
            "AUTH is not offered, not even inside TLS",
            "this port or host is not for submission, or AUTH is switched off for this address",
            mend,
        )


def _offered_in_clear(seen: PortSeen) -> Iterator[Finding]:
    if seen.tls is None:
        yield Finding(
            Grade.PROBLEM,
            "login-in-clear",
            seen.port,
            "AUTH is offered, and TLS is not: passwords would travel in clear",
            "everybody on the way could read them (RFC 8314 §3)",
            "do not log in here; use port 465 or 587 with TLS",
        )
    else:
        yield Finding(
            Grade.NOTE,
            "auth-before-tls",
            seen.port,
            "AUTH is offered before TLS too",
            "a client that is set to no encryption would show its password to everybody on the way",
            "set clients to require TLS; the operator should offer AUTH inside TLS only "
            "(Postfix: smtpd_tls_auth_only)",
        )


def _offers_auth(lines: tuple[str, ...]) -> bool:
    return any(line.upper().startswith(("AUTH ", "AUTH=")) for line in lines)


# -- the login


def _login(
    seen: PortSeen, login: LoginSeen, wanted: Wanted, provider: Provider | None, texts: Texts
) -> Iterator[Finding]:
    if login.withheld is not None:
        yield from _withheld(seen, login.withheld, wanted)
    elif login.unproven:
        yield Finding(
            Grade.PROBLEM,
            "server-not-proven",
            seen.port,
            f"the server accepted the login by {login.mechanism} without proving itself",
            "it does not know the secret: a faulty server, or a stranger in between",
            "do not use it before its operator has explained this",
        )
    elif login.reply is not None and not login.accepted:
        finding = said(seen, Stage.LOGIN, login.reply, provider, texts)
        yield replace(
            finding, heard=f"{finding.heard} ({login.words})" if login.words else finding.heard
        )
        yield from _hints(seen, login, wanted, provider)


def _withheld(seen: PortSeen, why: Withheld, wanted: Wanted) -> Iterator[Finding]:
    if why is Withheld.NOT_OFFERED:
        return  # said already, by what is offered
    if why is Withheld.NO_MECHANISM:
        yield _no_mechanism(seen, wanted)
        return
    mend = "mend TLS first, or use another port"
    if why is Withheld.DISTRUST:
        mend = "mend the certificate first (see there); --insecure logs in all the same"
    yield Finding(
        Grade.PROBLEM, "login-withheld", seen.port, "the login was not tried", why.value, mend
    )


def _no_mechanism(seen: PortSeen, wanted: Wanted) -> Finding:
    offered = ", ".join(seen.mechanisms)
    if wanted.mechanism and wanted.mechanism not in seen.mechanisms:
        return Finding(
            Grade.PROBLEM,
            "mechanism-not-offered",
            seen.port,
            f"{wanted.mechanism} is not offered",
            f"the server offers {offered}",
            "name one of these with --mechanism, or none",
        )
    needs_token = bool(_TOKENS & set(seen.mechanisms))
    return Finding(
        Grade.PROBLEM,
        "no-common-mechanism",
        seen.port,
        "there is no mechanism in common",
        f"the server offers {offered}",
        "give an OAuth access token instead of the password: --mechanism "
        + ("XOAUTH2" if "XOAUTH2" in seen.mechanisms else "OAUTHBEARER")
        if needs_token
        else "let the server's operator switch on PLAIN or SCRAM-SHA-256",
    )


def _hints(
    seen: PortSeen, login: LoginSeen, wanted: Wanted, provider: Provider | None
) -> Iterator[Finding]:
    """Small things that look like a wrong password (only where the reply is about one)."""
    if login.reply is None or login.reply.code != 535:
        return
    if login.mechanism.startswith(_BY_DIGEST) and "PLAIN" in seen.mechanisms:
        yield Finding(
            Grade.NOTE,
            "mechanism-may-lack-keys",
            seen.port,
            f"the login was by {login.mechanism}, for which a server must keep keys of its own",
            "servers that only keep a hash of the password offer it all the same, and refuse",
            "try --mechanism PLAIN, which is safe inside TLS",
        )
    if wanted.password_has_space:
        yield Finding(
            Grade.NOTE,
            "password-has-space",
            seen.port,
            "the password begins or ends with a space, or has spaces in it",
            "app passwords are shown in groups, and copying takes a space along",
            "try it without the spaces",
        )
    if "@" not in wanted.username:
        yield Finding(
            Grade.NOTE,
            "name-is-no-address",
            seen.port,
            f'the name "{wanted.username}" is not an address',
            "most servers want the full address as name",
            "try --user with the full address",
        )
    if provider is not None and provider.password:
        yield Finding(
            Grade.NOTE,
            "password-of-provider",
            seen.port,
            f"{provider.title} wants a password of its own kind",
            f"it takes {provider.password}",
            "make sure that it is this one",
        )
