"""The rules of the probe, by table: what was seen, and what is said about it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatepost.operate.probe_finding import Finding, Grade
from gatepost.operate.probe_findings import advice, findings
from gatepost.operate.probe_seen import (
    ALL_PORTS,
    Breach,
    Broken,
    CertificateSeen,
    LoginSeen,
    NamesSeen,
    PortSeen,
    RehearsalSeen,
    Seen,
    Stage,
    TlsSeen,
    Unreached,
    Wanted,
    Withheld,
)
from gatepost.operate.probe_texts import known_texts
from gatepost.wire.smtp.reply_reader import ServerReply

NOW = datetime(2026, 11, 24, tzinfo=UTC)
HOST = "mail.example"
CERTIFICATE = CertificateSeen(
    subject=HOST,
    names=(HOST,),
    issuer="An Authority",
    starts_at=NOW - timedelta(days=10),
    expires_at=NOW + timedelta(days=80),
    key_kind="EC",
    key_bits=256,
    signature="sha256",
    self_signed=False,
)
TLS = TlsSeen("TLSv1.3", "TLS_AES_256_GCM_SHA384", 256, CERTIFICATE)
GREETING = ServerReply(220, "", ("mail.example ESMTP",))
IN = ServerReply(235, "2.7.0", ("welcome",))
NO = ServerReply(535, "5.7.8", ("no",))
#: A good submission port.
GOOD = PortSeen(
    587,
    address="192.0.2.1:587",
    greeting=GREETING,
    hello=("PIPELINING", "STARTTLS"),
    hello_tls=("PIPELINING", "AUTH PLAIN LOGIN"),
    mechanisms=("PLAIN", "LOGIN"),
    tls=TLS,
)
CLEAR = replace(GOOD, tls=None, hello_tls=None, mechanisms=())
CLOSED = (Unreached("192.0.2.1:587", "connection refused"),)
SILENT = (Unreached("192.0.2.1:587", "no answer"),)


def seen(*ports: PortSeen, host: str = HOST, port: int | None = 587, **wanted: Any) -> Seen:
    return Seen(Wanted(host, port, **wanted), NamesSeen(("192.0.2.1",)), ports)


def found(what: Seen) -> list[Finding]:
    return list(findings(what, known_texts(), NOW))


def names(what: Seen) -> list[str]:
    return [f"{f.grade.value}:{f.name}" for f in found(what)]


def certificate(**changes: Any) -> PortSeen:
    distrust = changes.pop("distrust", "")
    return replace(
        GOOD, tls=replace(TLS, certificate=replace(CERTIFICATE, **changes), distrust=distrust)
    )


@pytest.mark.parametrize(
    ("port", "expected"),
    [
        (GOOD, []),
        (replace(GOOD, greeting_took=7.0), []),
        (replace(GOOD, greeting_took=20.0), ["note:greeting-slow"]),
        # STARTTLS
        (replace(CLEAR, hello=("PIPELINING",)),
         ["problem:starttls-missing", "problem:auth-needs-tls"]),
        (replace(CLEAR, hello=("PIPELINING", "XXXXXXXA")),
         ["problem:starttls-stripped", "problem:auth-needs-tls"]),
        (replace(CLEAR, hello=(), greeting=ServerReply(220, "", ("*****************",))),
         ["problem:starttls-stripped", "problem:auth-needs-tls"]),
        (replace(CLEAR, starttls=ServerReply(454, "4.7.0", ("TLS not available",))),
         ["problem:starttls-unavailable", "problem:auth-needs-tls"]),
        (replace(CLEAR, tls_trouble="no shared cipher", broken=None),
         ["problem:tls-failed", "problem:auth-needs-tls"]),
        # AUTH
        (replace(GOOD, hello=("STARTTLS", "AUTH PLAIN")), ["note:auth-before-tls"]),
        (replace(GOOD, hello=("STARTTLS", "AUTH=LOGIN")), ["note:auth-before-tls"]),
        (replace(CLEAR, hello=("AUTH PLAIN",), mechanisms=("PLAIN",)),
         ["problem:starttls-missing", "problem:login-in-clear"]),
        (replace(GOOD, mechanisms=(), hello_tls=()), ["problem:auth-not-offered"]),
        (replace(GOOD, port=2525, mechanisms=(), hello_tls=()), ["note:auth-not-offered"]),
        (replace(GOOD, port=25, mechanisms=(), hello_tls=()), []),
        (replace(CLEAR, port=25, hello=()), ["note:starttls-missing"]),
        # TLS at another moment than it should
        (replace(GOOD, implicit=True, hello=None), ["problem:tls-on-clear-port"]),
        (replace(GOOD, implicit=True, hello=None, port=465), []),
        (replace(GOOD, implicit=True, hello=None, port=2465), []),
        (replace(GOOD, port=465), ["problem:clear-on-tls-port"]),
        # versions and ciphers
        (replace(GOOD, tls=replace(TLS, version="TLSv1", cipher="ECDHE-RSA-AES128-SHA", bits=128,
                                   outdated=True)), ["problem:weak-protocol"]),
        (replace(GOOD, tls=replace(TLS, version="TLSv1.2", cipher="RC4-SHA", bits=128,
                                   outdated=True)),
         ["problem:weak-cipher", "problem:weak-parameters"]),
        (replace(GOOD, tls=replace(TLS, version="TLSv1.2", cipher="DES-CBC3-SHA", bits=112)),
         ["problem:weak-cipher"]),
        (replace(GOOD, tls=replace(TLS, version="TLSv1.2", cipher="AES256-GCM-SHA384")),
         ["note:no-forward-secrecy"]),
        (replace(GOOD, tls=replace(TLS, version="TLSv1.2", cipher="DHE-RSA-AES256-GCM-SHA384",
                                   outdated=True)), ["problem:weak-parameters"]),
        # the certificate
        (certificate(expires_at=NOW, distrust="certificate has expired"),
         ["problem:certificate-expired"]),
        (certificate(starts_at=NOW + timedelta(hours=1), distrust="certificate is not yet valid"),
         ["problem:certificate-not-yet-valid"]),
        (certificate(expires_at=NOW + timedelta(days=3)), ["note:certificate-expires-soon"]),
        (certificate(names=("other.example",), distrust="Hostname mismatch, certificate is not"),
         ["problem:certificate-name"]),
        (certificate(names=()), ["problem:certificate-name"]),
        (certificate(names=("*.example",)), []),
        (certificate(self_signed=True, distrust="self-signed certificate"),
         ["problem:certificate-self-signed"]),
        (certificate(self_signed=True), []),  # --ca
        (certificate(distrust="unable to get local issuer certificate"),
         ["problem:certificate-untrusted"]),
        (certificate(distrust="self-signed certificate in certificate chain"),
         ["problem:certificate-untrusted"]),
        (certificate(distrust="certificate revoked"), ["problem:certificate-refused"]),
        (certificate(key_kind="RSA", key_bits=1024), ["problem:certificate-key"]),
        (certificate(signature="sha1"), ["problem:certificate-signature"]),
        (certificate(signature="sha1", self_signed=True), []),
        (replace(certificate(expires_at=NOW), is_loopback=True), ["note:certificate-expired"]),
        (replace(certificate(expires_at=NOW), port=25), ["note:certificate-expired"]),
        # what is no SMTP
        (PortSeen(587, address="x", strange=b"HTTP/1.1 400 Bad Request\r\n"), ["problem:not-smtp"]),
        (PortSeen(587, address="x", strange=b"* OK IMAP4rev1"), ["problem:not-smtp"]),
        (PortSeen(587, address="x", strange=b"\x15\x03\x01\x00\x02\x02F"),
         ["problem:tls-on-clear-port"]),
        # what ends early
        (PortSeen(587, address="x", broken=Broken(Stage.GREETING, Breach.LATE)),
         ["problem:no-greeting"]),
        (PortSeen(587, address="x", broken=Broken(Stage.GREETING, Breach.LOST)),
         ["problem:dropped-at-once"]),
        (PortSeen(587, address="x", broken=Broken(Stage.HELLO, Breach.LOST)), ["problem:broke-off"]),
        (PortSeen(587, address="x", broken=Broken(
            Stage.GREETING, Breach.REFUSED,
            ServerReply(554, "5.7.1", ("blocked using zen.spamhaus.org",)))),
         ["problem:client-address-listed"]),
        (PortSeen(587, address="x", broken=Broken(
            Stage.GREETING, Breach.REFUSED, ServerReply(421, "4.3.2", ("busy",)))),
         ["problem:overloaded"]),
    ],
)  # fmt: skip
def test_without_a_login(port: PortSeen, expected: list[str]) -> None:
    assert names(seen(port, port=port.port)) == expected


@pytest.mark.parametrize(
    ("port", "wanted", "expected"),
    [
        (replace(GOOD, login=LoginSeen("PLAIN", IN)), {}, []),
        (replace(GOOD, login=LoginSeen("PLAIN", NO)), {}, ["problem:wrong-credentials-generic"]),
        (replace(GOOD, login=LoginSeen("PLAIN", NO)), {"username": "app"},
         ["problem:wrong-credentials-generic", "note:name-is-no-address"]),
        (replace(GOOD, login=LoginSeen("PLAIN", NO)), {"password_has_space": True},
         ["problem:wrong-credentials-generic", "note:password-has-space"]),
        (replace(GOOD, login=LoginSeen("SCRAM-SHA-256", NO)), {},
         ["problem:wrong-credentials-generic", "note:mechanism-may-lack-keys"]),
        (replace(GOOD, login=LoginSeen("PLAIN", NO)), {"host": "smtp.gmail.com"},
         ["problem:wrong-credentials-generic", "note:password-of-provider"]),
        (replace(GOOD, login=LoginSeen("SCRAM-SHA-256", IN, unproven=True)), {},
         ["problem:server-not-proven"]),
        (replace(GOOD, login=LoginSeen(withheld=Withheld.DISTRUST)), {}, ["problem:login-withheld"]),
        (replace(GOOD, login=LoginSeen(withheld=Withheld.CLEAR)), {}, ["problem:login-withheld"]),
        (replace(GOOD, login=LoginSeen(withheld=Withheld.NO_MECHANISM)),
         {"mechanism": "SCRAM-SHA-256"}, ["problem:mechanism-not-offered"]),
        (replace(GOOD, mechanisms=("XOAUTH2",), login=LoginSeen(withheld=Withheld.NO_MECHANISM)),
         {}, ["problem:no-common-mechanism"]),
        (replace(GOOD, mechanisms=(), login=LoginSeen(withheld=Withheld.NOT_OFFERED)), {},
         ["problem:auth-not-offered"]),
        (replace(GOOD, mechanisms=(), port=25, login=LoginSeen(withheld=Withheld.NOT_OFFERED)), {},
         ["problem:auth-not-on-25"]),
        (replace(GOOD, login=LoginSeen("PLAIN"), broken=Broken(Stage.LOGIN, Breach.LOST)), {},
         ["problem:login-cut"]),
        (replace(GOOD, login=LoginSeen("PLAIN", IN),
                 rehearsal=RehearsalSeen(ServerReply(553, "5.7.1", ("not owned by user",)))), {},
         ["problem:sender-not-ours"]),
        (replace(GOOD, login=LoginSeen("PLAIN", IN), rehearsal=RehearsalSeen(
            ServerReply(250, "", ("ok",)), ServerReply(450, "4.2.0", ("greylisted",)))), {},
         ["note:greylisted"]),
        (replace(GOOD, login=LoginSeen("PLAIN", IN), rehearsal=RehearsalSeen(
            ServerReply(250, "", ("ok",)), ServerReply(250, "", ("ok",)))), {}, []),
        (replace(GOOD, login=LoginSeen("PLAIN", IN), rehearsal=RehearsalSeen(
            ServerReply(599, "", ("what",)))), {}, ["problem:refused"]),
    ],
)  # fmt: skip
def test_with_a_login(port: PortSeen, wanted: dict[str, Any], expected: list[str]) -> None:
    wanted = {"username": "app@mail.example"} | wanted
    # Gmail's certificate is not what this is about.
    port = replace(port, tls=replace(TLS, certificate=None))
    assert names(seen(port, port=port.port, **wanted)) == expected


def test_a_provider_that_always_has_starttls_has_been_robbed_of_it() -> None:
    port = replace(CLEAR, hello=("PIPELINING",))
    assert names(seen(port, host="smtp.gmail.com"))[0] == "problem:starttls-stripped"
    assert names(seen(port))[0] == "problem:starttls-missing"


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("connection refused", "nothing listens"),
        ("no answer", "a firewall drops"),
        ("forbidden by this machine's firewall", "own firewall"),
        ("network unreachable", "no way there"),
        ("no route to host", "no way there"),
    ],
)
def test_why_there_is_no_connection(reason: str, words: str) -> None:
    (only,) = found(seen(PortSeen(587, unreached=(Unreached("192.0.2.1:587", reason),))))
    assert (only.grade, only.name) == (Grade.PROBLEM, "unreachable")
    assert words in only.cause
    assert reason in only.what


# -- several ports


def three(**changes: PortSeen) -> tuple[PortSeen, ...]:
    ports = {
        "submission": GOOD,
        "submissions": replace(GOOD, port=465, implicit=True, hello=None),
        "relay": replace(GOOD, port=25, mechanisms=(), hello_tls=()),
    }
    return tuple((ports | changes).values())


@pytest.mark.parametrize(
    ("ports", "expected", "best"),
    [
        (three(), [], 587),
        (three(relay=PortSeen(25, unreached=SILENT)), ["note:port-25-blocked"], 587),
        (three(relay=PortSeen(25, unreached=CLOSED)), ["note:port-25-blocked"], 587),
        (three(submissions=PortSeen(465, unreached=CLOSED)), ["note:unreachable"], 587),
        (three(submission=PortSeen(587, unreached=SILENT)), ["note:unreachable"], 465),
        # What ails another port than the good one is good to know, and no more.
        (three(submissions=replace(GOOD, port=465)), ["note:clear-on-tls-port"], 587),
        (three(submission=replace(CLEAR, hello=())),
         ["note:starttls-missing", "note:auth-needs-tls"], 465),
        (tuple(PortSeen(p, unreached=SILENT) for p in ALL_PORTS),
         ["problem:unreachable"] * 3, None),
    ],
)  # fmt: skip
def test_one_good_way_is_enough(
    ports: tuple[PortSeen, ...], expected: list[str], best: int | None
) -> None:
    what = seen(*ports, port=None)
    assert names(what) == expected
    advised = advice(what)
    assert (advised.port if advised else None) == best


def test_port_25_is_a_problem_where_it_was_asked_for() -> None:
    assert names(seen(PortSeen(25, unreached=SILENT), port=25)) == ["problem:unreachable"]


def test_advice_is_what_a_login_has_proven() -> None:
    submissions = replace(GOOD, port=465, implicit=True, login=LoginSeen("SCRAM-SHA-256", IN))
    advised = advice(seen(GOOD, submissions, port=None, username="a@b.example"))
    assert advised is not None
    assert (advised.port, advised.security, advised.mechanism) == (465, "SSL/TLS", "SCRAM-SHA-256")
    refused = replace(GOOD, login=LoginSeen("PLAIN", NO))
    assert advice(seen(refused, username="a@b.example")) is None
    assert advice(seen(GOOD, username="a@b.example")) is None
    assert advice(seen(certificate(distrust="certificate has expired"))) is None


# -- names


@pytest.mark.parametrize(
    ("looked_up", "expected"),
    [
        (NamesSeen(exists=False), "no-such-host"),
        (NamesSeen(), "no-such-host"),
        (NamesSeen(trouble="no answer"), "dns-trouble"),
        (NamesSeen(exchangers=("mx1.example",)), "domain-not-server"),
        (NamesSeen(("192.0.2.1",), exchangers=("mx1.example",)), "domain-not-server"),
    ],
)
def test_what_is_wrong_with_a_name(looked_up: NamesSeen, expected: str) -> None:
    ports = (PortSeen(587, unreached=SILENT),) if looked_up.addresses else ()
    what = Seen(Wanted(HOST, 587), looked_up, ports)
    assert found(what)[0].name == expected


def test_a_host_that_is_its_own_exchanger_is_a_server() -> None:
    what = Seen(
        Wanted(HOST, 587),
        NamesSeen(("192.0.2.1",), exchangers=(HOST,)),
        (PortSeen(587, unreached=SILENT),),
    )
    assert names(what) == ["problem:unreachable"]


# -- in general


@given(
    st.builds(
        PortSeen,
        st.sampled_from([25, 465, 587, 2525]),
        address=st.just("192.0.2.1:587"),
        implicit=st.booleans(),
        strange=st.binary(max_size=100),
        hello=st.none() | st.lists(st.text(max_size=20), max_size=4).map(tuple),
        hello_tls=st.none() | st.lists(st.text(max_size=20), max_size=4).map(tuple),
        mechanisms=st.lists(st.sampled_from(["PLAIN", "XOAUTH2", "X"])).map(tuple),
        tls=st.none() | st.builds(replace, st.just(TLS), distrust=st.text(max_size=20)),
        tls_trouble=st.sampled_from(["", "not TLS", "x"]),
        login=st.none()
        | st.builds(LoginSeen, st.just("PLAIN"), st.none() | st.just(NO), st.none() | st.sampled_from(list(Withheld))),
        broken=st.none() | st.builds(Broken, st.sampled_from(list(Stage)), st.sampled_from(list(Breach))),
    )
)  # fmt: skip
def test_every_finding_says_what_why_and_how_to_mend_it(port: PortSeen) -> None:
    for finding in found(seen(port, username="app")):
        for words in (finding.what, finding.cause, finding.mend):
            assert words
            assert not words.endswith(".")
        assert finding.name == finding.name.lower()
