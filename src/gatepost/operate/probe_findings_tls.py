"""What is wrong with TLS at a port: pure rules, observations in, findings out."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final

from gatepost.operate.probe_certificate import is_for
from gatepost.operate.probe_finding import Finding, Grade
from gatepost.operate.probe_seen import RELAY, SUBMISSIONS, CertificateSeen, PortSeen, TlsSeen
from gatepost.operate.probe_texts import Provider

_SOON: Final = timedelta(days=14)
#: 112 bits of strength, as OpenSSL counts (its security level 2).
_LEAST_BITS: Final = {"RSA": 2048, "DSA": 2048, "EC": 224}
_WEAK_HASHES: Final = {"md5", "sha1"}
_WEAK_VERSIONS: Final = {"SSLv3", "TLSv1", "TLSv1.1"}
_WEAK_CIPHERS: Final = (
    "RC4",
    "3DES",
    "DES-",
    "NULL",
    "EXP-",
    "MD5",
    "ADH",
    "AECDH",
    "SEED",
    "IDEA",
)
#: What Cisco's SMTP inspection makes of keywords that it does not like.
_MASKED: Final = "XXXX"


def tls_findings(
    seen: PortSeen, host: str, provider: Provider | None, now: datetime
) -> Iterator[Finding]:
    """Return everything about TLS at one port."""
    if seen.tls_trouble:
        yield _failed(seen)
    yield from _missing(seen, provider)
    if seen.tls is not None:
        yield from _agreed(seen, seen.tls)
        if seen.tls.certificate is not None:
            yield from _certificate(seen, seen.tls, seen.tls.certificate, host, now)


# -- no TLS


def _missing(seen: PortSeen, provider: Provider | None) -> Iterator[Finding]:
    if seen.hello is None or seen.implicit or seen.tls is not None or seen.starttls is not None:
        return
    if any(line.upper().startswith("STARTTLS") for line in seen.hello):
        return
    if _is_masked(seen) or (provider is not None and provider.starttls):
        yield Finding(
            Grade.PROBLEM,
            "starttls-stripped",
            seen.port,
            "STARTTLS has been taken out of the server's offers on the way",
            "the server always offers it; a firewall or proxy between here and there rewrites SMTP"
            if not _is_masked(seen)
            else "a firewall between here and there blanks what it does not like (Cisco's ESMTP "
            "inspection writes XXXX)",
            "switch off SMTP inspection in the firewall, or use port 465, where TLS comes first",
        )
    else:
        yield Finding(
            Grade.NOTE if seen.port == RELAY else Grade.PROBLEM,
            "starttls-missing",
            seen.port,
            "the server offers no TLS here",
            "STARTTLS is not switched on, it has no certificate, or somebody on the way takes "
            "the offer out",
            "try port 465 or 587; the server's operator should offer STARTTLS",
        )


def _is_masked(seen: PortSeen) -> bool:
    greeting = seen.greeting.text if seen.greeting else ""
    return "*****" in greeting or any(_MASKED in line for line in seen.hello or ())


def _failed(seen: PortSeen) -> Finding:
    reason = seen.tls_trouble
    cause, mend = (
        "the server and this machine have no version or cipher of TLS in common",
        "let the server's operator look at its TLS configuration (at least TLS 1.2, a good key)",
    )
    if "closed the connection" in reason or "lost" in reason:
        cause = "the server, or a firewall on the way, dropped the connection during the handshake"
        mend = "try again; then another port; then ask the operator for what the server's log says"
    elif reason == "not TLS":
        cause = "the server answered in clear where TLS was due"
        mend = "let the server's operator look at its TLS configuration"
    elif "in time" in reason:
        cause = "the server did not answer the handshake"
        mend = "try again; a firewall on the way may drop large packets (MTU)"
    elif "octets came" in reason:
        cause = "octets came in clear behind the reply to STARTTLS: a faulty server, or an attack"
        mend = "do not log in from this network; try another one, and port 465"
    return Finding(Grade.PROBLEM, "tls-failed", seen.port, f"TLS failed: {reason}", cause, mend)


# -- what was agreed


def _agreed(seen: PortSeen, tls: TlsSeen) -> Iterator[Finding]:
    if tls.version in _WEAK_VERSIONS:
        yield Finding(
            Grade.PROBLEM,
            "weak-protocol",
            seen.port,
            f"the server speaks no newer TLS than {tls.version}",
            "TLS before 1.2 is broken and forbidden (RFC 8997); today's clients refuse it",
            "let the server's operator switch on TLS 1.2 and 1.3",
        )
    if any(weak in tls.cipher for weak in _WEAK_CIPHERS) or tls.bits < 128:
        yield Finding(
            Grade.PROBLEM,
            "weak-cipher",
            seen.port,
            f"the server chose a weak cipher: {tls.cipher} ({tls.bits} bits)",
            "its list of ciphers is old",
            "let the server's operator use the defaults of a current OpenSSL",
        )
    elif tls.version == "TLSv1.2" and "DHE" not in tls.cipher:
        yield Finding(
            Grade.NOTE,
            "no-forward-secrecy",
            seen.port,
            f"no forward secrecy: {tls.cipher}",
            "who gets the server's key later can read what was recorded today",
            "let the server's operator prefer ECDHE ciphers, or TLS 1.3",
        )
    if tls.outdated and tls.version not in _WEAK_VERSIONS:
        yield Finding(
            Grade.PROBLEM,
            "weak-parameters",
            seen.port,
            "TLS is possible only with keys or parameters that today's clients refuse",
            "a key or Diffie-Hellman group that is too small, or an old signature",
            "let the server's operator renew its key and certificate (RSA 2048 or ECDSA P-256)",
        )


# -- the certificate


def _certificate(
    seen: PortSeen, tls: TlsSeen, shown: CertificateSeen, host: str, now: datetime
) -> Iterator[Finding]:
    # On loopback nobody stands in between, and port 25 is opportunistic (RFC 7435).
    grade = Grade.NOTE if seen.is_loopback or seen.port == RELAY else Grade.PROBLEM
    yield from _dates(seen, shown, grade, now)
    if not is_for(host, shown.names):
        named = ", ".join(shown.names[:5]) or f"nothing (its subject is {shown.subject})"
        yield Finding(
            grade,
            "certificate-name",
            seen.port,
            f"the certificate is not for {host}",
            f"it names {named}",
            "use one of these names as server in the client, or let the operator add the name to "
            "the certificate"
            if shown.names
            else "let the operator get a certificate with this name in its subjectAltName",
        )
    yield from _chain(seen, tls, shown, grade, now)
    least = _LEAST_BITS.get(shown.key_kind, 0)
    if shown.key_bits < least:
        yield Finding(
            grade,
            "certificate-key",
            seen.port,
            f"the certificate's key is weak: {shown.key_kind} with {shown.key_bits} bits",
            f"{shown.key_kind} keys need {least} bits at least; today's clients refuse it",
            "let the server's operator make a new key and certificate",
        )
    if shown.signature in _WEAK_HASHES and not shown.self_signed:
        yield Finding(
            grade,
            "certificate-signature",
            seen.port,
            f"the certificate is signed with {shown.signature.upper()}",
            "such signatures can be forged; today's clients refuse them",
            "let the server's operator have a new certificate issued",
        )


def _dates(
    seen: PortSeen, shown: CertificateSeen, grade: Grade, now: datetime
) -> Iterator[Finding]:
    if now >= shown.expires_at:
        yield Finding(
            grade,
            "certificate-expired",
            seen.port,
            f"the certificate expired on {shown.expires_at:%Y-%m-%d}",
            f"it was not renewed, or the server was not told to read the new one (it is "
            f"{now:%Y-%m-%d} here)",
            "let the server's operator renew it and reload the server",
        )
    elif now < shown.starts_at:
        yield Finding(
            grade,
            "certificate-not-yet-valid",
            seen.port,
            f"the certificate is not valid before {shown.starts_at:%Y-%m-%d %H:%M} UTC",
            f"a clock is wrong: here it is {now:%Y-%m-%d %H:%M} UTC",
            "set this machine's clock, else the server's",
        )
    elif shown.expires_at - now < _SOON:
        yield Finding(
            Grade.NOTE,
            "certificate-expires-soon",
            seen.port,
            f"the certificate expires on {shown.expires_at:%Y-%m-%d}",
            "renewal is due",
            "let the server's operator see to it that it is renewed by itself",
        )


def _chain(
    seen: PortSeen, tls: TlsSeen, shown: CertificateSeen, grade: Grade, now: datetime
) -> Iterator[Finding]:
    words = tls.distrust.rstrip(".")
    if not tls.distrust or tls.outdated:  # then they are about the handshake, not about the chain
        return
    if shown.self_signed:
        yield Finding(
            grade,
            "certificate-self-signed",
            seen.port,
            "the certificate is self-signed",
            "nobody vouches for it: clients cannot tell the server from a stranger",
            "let the operator get one from an authority (Let's Encrypt costs nothing), or give "
            "this one to the clients as trusted (--ca FILE tries that)",
        )
    elif "issuer" in words or "in certificate chain" in words or "first certificate" in words:
        yield Finding(
            grade,
            "certificate-untrusted",
            seen.port,
            f"the certificate's issuer ({shown.issuer}) is not trusted",
            "the server does not send the intermediate certificate, or the issuer is a private "
            f"authority (OpenSSL: {words})",
            "let the operator install the full chain (fullchain.pem); for a private authority "
            "give its certificate to the clients (--ca FILE tries that)",
        )
    elif shown.starts_at <= now < shown.expires_at and "ostname" not in words:
        yield Finding(
            grade,
            "certificate-refused",
            seen.port,
            "the certificate is not accepted",
            f"OpenSSL: {words}",
            "let the server's operator get a new certificate",
        )


def starts_with_tls(seen: PortSeen) -> Iterator[Finding]:
    """Return what follows where TLS came at another moment than the port says."""
    if seen.port == SUBMISSIONS and not seen.implicit and seen.greeting is not None:
        yield Finding(
            Grade.PROBLEM,
            "clear-on-tls-port",
            seen.port,
            f"port {seen.port} speaks in clear; TLS should come first (RFC 8314 §3.3)",
            "the server's listener is configured without implicit TLS (Postfix: "
            "smtpd_tls_wrappermode)",
            "let the operator switch it on; until then set the client to STARTTLS",
        )
    elif seen.implicit and seen.port in {587, RELAY}:
        yield Finding(
            Grade.PROBLEM,
            "tls-on-clear-port",
            seen.port,
            f"port {seen.port} wants TLS from the first octet; it should begin in clear "
            "and offer STARTTLS",
            "the listener has implicit TLS, as belongs to port 465; clients that wait for a "
            "greeting here hang",
            "use port 465, or set the client to SSL/TLS instead of STARTTLS; let the operator "
            "correct the listener",
        )
